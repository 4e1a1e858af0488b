"""The scorer on a device: the same bits as a table, reasons, errors that change nothing, and no heavy imports."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from edgekit.domains.finance_fraud import Alert, FraudScorer, device
from edgekit.domains.finance_fraud.device import predict_file
from edgekit.domains.finance_fraud.explain import Reason
from edgekit.shared.errors import ConfigError, ContractError, DeviceFileError, EdgekitError, RunError, SourceError
from edgekit.tflite_export.runtime import load_model

DAY = 86_400
OWN = {
    "timestamp": "TX_DATETIME",
    "customer": "CUSTOMER_ID",
    "terminal": "TERMINAL_ID",
    "amount": "TX_AMOUNT",
    "label": "TX_FRAUD",
}


def made(folder: Path, kind: str) -> tuple[bytes, dict[str, np.ndarray]]:
    """Return a device file made from a small bank as a run makes it, and the bank's columns under their own names."""
    from edgekit.domains.finance_fraud import data, model, solution, synthesis
    from edgekit.domains.finance_fraud.config import DataSettings, FraudConfig, ModelSettings, SyntheticSettings
    from edgekit.shared.config import TrainingSettings
    from edgekit.shared.domain import Request
    from edgekit.shared.tables import from_columns
    from edgekit.shared.training import predictor
    from edgekit.tflite_export.assemble import assemble
    from edgekit.tflite_export.card import Card, Decision
    from edgekit.tflite_export.quantize import export

    config = FraudConfig(
        synthetic=SyntheticSettings(customers=40, terminals=40, days=60),
        data=DataSettings(label_delay_days=2),
        model=ModelSettings(kind=kind, bins=4, members=2, width=8, depth=1, history=3),  # type: ignore[arg-type]
        training=TrainingSettings(epochs=3, batch_size=128, learning_rate=1e-2),
    )
    raw = synthesis.synthesize(config.synthetic, seed=0).columns
    columns = {OWN.get(name, name): values for name, values in raw.items()}
    columns["age"] = np.random.default_rng(0).normal(40, 9, len(raw["amount"])).round(1)
    path = folder / f"{kind}.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    table = data.load(Request(path, OWN), config)
    prepared = data.prepare(table, data.split(table, config, seed=0), config)
    fitted = model.fit_model(prepared, config, seed=0, report=lambda line: None)
    threshold = solution.decide(predictor(fitted.model)(prepared.validation.inputs), prepared.validation, config)
    told = solution.describe(table, prepared, config)
    card = Card(
        "finance_fraud", "s", told.inputs, told.outputs, told.labels,
        Decision("probability", threshold.value, threshold.rule), settings=told.settings,
    )  # fmt: skip
    content = assemble(export(fitted.model), card, prepared.test.take(slice(4)).inputs)
    return content, from_columns(pd.read_csv(path)).columns


Made = tuple[bytes, dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def tabular(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(tmp_path_factory.mktemp("bank"), "tabular")


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(tmp_path_factory.mktemp("bank"), "sequence")


@pytest.fixture(params=["tabular", "sequence"])
def either(request: pytest.FixtureRequest) -> Made:
    chosen: Made = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture(scope="module")
def content(tabular: Made) -> bytes:
    return tabular[0]


@pytest.fixture(scope="module")
def bank() -> dict[str, np.ndarray]:
    return rows_of(200)


def rows_of(count: int) -> dict[str, np.ndarray]:
    """Return transactions by role, in time order, with ties."""
    rng = np.random.default_rng(1)
    return {
        "timestamp": 1_530_000_000 + np.cumsum(rng.choice([0, 60, 7_200, DAY], count, p=(0.3, 0.3, 0.3, 0.1))),
        "customer": np.array(["C1", "C2", "C3"], dtype=object)[rng.integers(0, 3, count)],
        "terminal": np.array(["T1", "T2"], dtype=object)[rng.integers(0, 2, count)],
        "amount": (rng.random(count) * 90 * rng.choice([1, 1, 1, 5], count)).round(2),
        "category": np.array(["fuel", "travel", "never seen", None], dtype=object)[rng.integers(0, 4, count)],
        "channel": np.array(["chip", "online"], dtype=object)[rng.integers(0, 2, count)],
        "age": np.where(rng.random(count) < 0.2, np.nan, rng.normal(40, 9, count)),
        "label": (rng.random(count) < 0.3).astype(int),
    }


def one(rows: dict[str, np.ndarray], number: int, *without: str) -> dict[str, Any]:
    return {name: values[number] for name, values in rows.items() if name not in without}


def part(rows: dict[str, np.ndarray], *cut: int) -> dict[str, np.ndarray]:
    return {name: values[slice(*cut)] for name, values in rows.items()}


def streamed(scorer: FraudScorer, rows: dict[str, np.ndarray], **options: Any) -> list[Alert]:
    """Score row by row and confirm each at once."""
    alerts = []
    for number, label in enumerate(rows["label"]):
        alerts.append(scorer.score(one(rows, number), **options))
        scorer.confirm(alerts[-1], fraud=bool(label))
    return alerts


# === The same bits ===


def test_one_by_one_is_the_table_bit_for_bit(either: Made, bank: dict[str, np.ndarray]) -> None:
    scorer = FraudScorer(either[0])
    single = np.array([alert.probability for alert in streamed(scorer, bank, max_reasons=0)], np.float32)
    table = scorer.score_table(bank)
    assert single.tobytes() == table.tobytes()
    assert np.isfinite(table).all() and np.ptp(table) > 1e-3


def test_the_bank_it_was_trained_on_is_scored_by_its_own_names(either: Made) -> None:
    content, columns = either
    scorer, few = FraudScorer(content), part(columns, 300)
    by_role = {role: few[own] for role, own in OWN.items()} | {
        name: few[name] for name in ("category", "channel", "age")
    }
    scores = scorer.score_table(few)
    np.testing.assert_array_equal(scores, scorer.score_table(by_role))
    assert [scorer.score(one(few, 0)).probability] == [float(scores[0])]


def test_history_and_order_of_the_rows_do_not_matter(content: bytes, bank: dict[str, np.ndarray]) -> None:
    scorer, mixed = FraudScorer(content), np.random.default_rng(0).permutation(80)
    whole = scorer.score_table(bank)
    later = {name: values[120:][mixed] for name, values in bank.items()}
    later["timestamp"] = later["timestamp"] + np.arange(80)[mixed]  # without ties, which go by the order of the rows
    tidy = {name: values[np.argsort(mixed)] for name, values in later.items()}
    scores = scorer.score_table(later, history=part(bank, 120))
    np.testing.assert_array_equal(scores, scorer.score_table(tidy, history=part(bank, 120))[mixed])
    np.testing.assert_array_equal(scorer.score_table(part(bank, 120, 200), history=part(bank, 120)), whole[120:])
    assert (scorer.score_table(part(bank, 120, 200)) != whole[120:]).any()  # the history is worth something


def test_rows_without_a_label_count_as_not_reported(content: bytes, bank: dict[str, np.ndarray]) -> None:
    scorer, old, new = FraudScorer(content), part(bank, 120), part(bank, 120, 200)
    unlabelled = {name: values for name, values in old.items() if name != "label"}
    innocent, guilty = ({**old, "label": np.full(120, verdict)} for verdict in (0, 1))
    scores = scorer.score_table(new, history=unlabelled)
    np.testing.assert_array_equal(scores, scorer.score_table(new, history=innocent))
    assert (scores != scorer.score_table(new, history=guilty)).any()


@pytest.mark.parametrize(
    ("absent", "dtype"),
    [(None, object), ("", object), ("NA", object), (np.nan, object), (pd.NA, object), ("", str), (np.nan, float)],
)
def test_a_label_that_is_not_known_yet_counts_as_not_reported(
    content: bytes, bank: dict[str, np.ndarray], absent: Any, dtype: type
) -> None:
    scorer, old, new = FraudScorer(content), part(bank, 120), part(bank, 120, 200)
    cells = old["label"].astype(object)
    cells[old["label"] == 0] = absent
    scores = scorer.score_table(new, history={**old, "label": cells.astype(dtype)})
    np.testing.assert_array_equal(scores, scorer.score_table(new, history=old))


@pytest.mark.parametrize(
    "cells",
    [
        np.array(["yes"] * 120, dtype=object),
        np.array([None, "maybe"] * 60, dtype=object),
        np.array(["2018-04-01", "NaT"] * 60, dtype="datetime64[s]"),
    ],
)
def test_a_label_that_is_none_is_refused_on_a_device_too(
    content: bytes, bank: dict[str, np.ndarray], cells: np.ndarray
) -> None:
    with pytest.raises(ContractError, match=r"column 'label': row [12]: found .*expected two values"):
        FraudScorer(content).score_table(part(bank, 120, 200), history={**part(bank, 120), "label": cells})


def test_a_table_does_not_move_the_windows(content: bytes, bank: dict[str, np.ndarray]) -> None:
    first, second = FraudScorer(content), FraudScorer(content)
    first.score_table(bank)
    assert first.score(one(bank, 0)) == second.score(one(bank, 0))


def test_a_data_frame_is_taken_too(content: bytes, bank: dict[str, np.ndarray]) -> None:
    scorer = FraudScorer(content)
    dated = pd.DataFrame(bank).assign(timestamp=pd.to_datetime(bank["timestamp"], unit="s", utc=True))
    np.testing.assert_array_equal(scorer.score_table(dated), scorer.score_table(bank))


# === One transaction ===


def test_an_alert_says_what_why_and_where(content: bytes, bank: dict[str, np.ndarray]) -> None:
    scorer = FraudScorer(content)
    streamed(scorer, part(bank, 50))
    dear = one(bank, 50, "label") | {"amount": 5_000.0}
    alert = scorer.score(dear)
    assert (alert.number, alert.terminal) == (50, bank["terminal"][50])
    assert alert.flagged == (alert.probability >= scorer.threshold)
    strengths = [reason.contribution for reason in alert.reasons]
    assert strengths == sorted(strengths, reverse=True) and 1 <= len(strengths) <= 3 and min(strengths) > 0
    assert "amount" in {reason.name for reason in alert.reasons}


@pytest.mark.parametrize("most", [0, 1, 2])
def test_no_more_reasons_than_asked_for(content: bytes, bank: dict[str, np.ndarray], most: int) -> None:
    assert max(len(alert.reasons) for alert in streamed(FraudScorer(content), part(bank, 20), max_reasons=most)) == most


def test_reasons_are_all_that_speak_for_fraud_and_no_others(content: bytes, bank: dict[str, np.ndarray]) -> None:
    scorer = FraudScorer(content)
    alerts = streamed(scorer, part(bank, 10), max_reasons=99)
    inputs = scorer.inputs(part(bank, 10))
    every = [scorer.reasons(inputs, row) for row in range(10)]
    assert [alert.reasons for alert in alerts] == [
        tuple(reason for reason in reasons if reason.contribution > 0) for reasons in every
    ]
    assert {len(reasons) for reasons in every} == {len(scorer.plan.groups())}
    assert any(len(alert.reasons) < len(reasons) for alert, reasons in zip(alerts, every, strict=True))


def test_the_threshold_decides(content: bytes, bank: dict[str, np.ndarray]) -> None:
    scorer = FraudScorer(content)
    scorer.threshold = float(scorer.score_table(part(bank, 1))[0])
    assert scorer.score(one(bank, 0)).flagged


def test_cells_may_be_written_in_many_ways(content: bytes, bank: dict[str, np.ndarray]) -> None:
    plain = one(bank, 0) | {"timestamp": 1_530_000_000, "amount": 12.5, "age": None}
    other = plain | {"timestamp": "2018-06-26T08:00:00Z", "amount": "12.50", "age": "", "surplus": object()}
    dated = plain | {"timestamp": pd.Timestamp("2018-06-26T08:00:00"), "age": np.nan}
    scores = {FraudScorer(content).score(cells).probability for cells in (plain, other, dated)}
    assert len(scores) == 1


@pytest.mark.parametrize("label", [None, 7, "unknown", 1])
def test_a_label_in_a_transaction_is_ignored(content: bytes, bank: dict[str, np.ndarray], label: Any) -> None:
    given = one(bank, 0, "label")
    assert FraudScorer(content).score({**given, "label": label}) == FraudScorer(content).score(given)
    assert FraudScorer(content).score({**given, "TX_FRAUD": label}) == FraudScorer(content).score(given)


def test_a_number_without_measure_is_scored(content: bytes, bank: dict[str, np.ndarray]) -> None:
    alerts = [FraudScorer(content).score({**one(bank, 0), "age": age}) for age in (1e300, -1e300)]
    assert all(0 <= alert.probability <= 1 for alert in alerts)


# === Errors ===


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"customer": None}, "customer"),
        ({"terminal": ""}, "terminal"),
        ({"amount": float("nan")}, "amount"),
        ({"amount": float("inf")}, "amount"),
        ({"amount": "much"}, "'much'"),
        ({"amount": 2e7}, "10,000,000|1e.07"),
        ({"amount": [1.0, 2.0]}, "one value a row"),
        ({"timestamp": "yesterday"}, "'yesterday'"),
        ({"timestamp": 1}, "order of their timestamps"),
        ({"age": "old"}, "'old'"),
    ],
)
def test_a_broken_transaction_is_one_error_and_moves_nothing(
    content: bytes, bank: dict[str, np.ndarray], changes: dict[str, Any], said: str
) -> None:
    scorer, other = FraudScorer(content), FraudScorer(content)
    streamed(scorer, part(bank, 5))
    streamed(other, part(bank, 5))
    with pytest.raises(ContractError, match=said):
        scorer.score(one(bank, 5) | changes)
    assert scorer.score(one(bank, 5)) == other.score(one(bank, 5))


@pytest.mark.parametrize("role", ["timestamp", "customer", "terminal", "amount", "category", "age"])
def test_a_missing_key_is_one_error_and_moves_nothing(content: bytes, bank: dict[str, np.ndarray], role: str) -> None:
    scorer, other = FraudScorer(content), FraudScorer(content)
    with pytest.raises(ContractError, match=role):
        scorer.score(one(bank, 0, role))
    assert scorer.score(one(bank, 0)) == other.score(one(bank, 0))


def test_an_empty_transaction_is_refused(content: bytes) -> None:
    with pytest.raises(ContractError, match="Expected at least one row"):
        FraudScorer(content).score({})


def changed_card(content: bytes, **changes: Any) -> bytes:
    from edgekit.tflite_export.assemble import assemble

    model = load_model(content)
    return assemble(content, replace(model.card, **changes), model.golden.inputs)


def test_a_file_of_another_domain_is_refused(content: bytes) -> None:
    with pytest.raises(DeviceFileError, match="'transportation', expected 'finance_fraud'"):
        FraudScorer(changed_card(content, domain="transportation"))


@pytest.mark.parametrize("settings", [{}, {"plan": 3}, {"plan": {"roles": ["timestamp"]}}])
def test_settings_that_are_not_those_of_the_domain_are_refused(content: bytes, settings: dict[str, Any]) -> None:
    with pytest.raises(DeviceFileError, match="not those of finance_fraud"):
        FraudScorer(changed_card(content, settings=settings))


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 1.0


@pytest.mark.parametrize(
    "place",
    [
        ("ordinary", "numeric", [[10**400] * 31]),
        ("ordinary", "numeric", [[1.0]]),
        ("ordinary", "numeric", nested(300)),
        ("ordinary", "categorical", [[10**12, 1]]),
        ("ordinary", "numeric", None),
        ("plan", "delay_seconds", 10**400),
        ("plan", "delay_seconds", 10**18),
        ("plan", "delay_seconds", 1e308),
        ("plan", "delay_seconds", 0),
        ("plan", "history", 10**9),
        ("plan", "history", 10**400),
        ("plan", "history", 3),
        ("plan", "roles", ["timestamp", "customer", "terminal", "bogus"]),
        ("plan", "roles", [["timestamp"]]),
        ("plan", "numeric", ["weight"]),
        ("plan", "numeric", [["age"]]),
        ("plan", "vocabularies", []),
        ("features", None, []),
        ("features", None, [["age", "category"], ["category", "category"], ["channel", "category"]]),
        ("features", None, [["age", "number"], ["category", "category"], ["channel", "category"], [1, "number"]]),
        ("columns", "timestamp", ["a"]),
        ("columns", "timestamp", 5),
    ],
    ids=lambda place: f"{place[0]} {place[1]} {str(place[2])[:20]}",
)
def test_hostile_settings_are_refused_before_any_row(content: bytes, place: tuple[str, Any, Any]) -> None:
    part_, name, value = place
    stored = load_model(content).card.settings
    settings = {**stored, part_: value if name is None else {**stored[part_], name: value}}
    with pytest.raises(DeviceFileError, match="not those of finance_fraud"):
        FraudScorer(changed_card(content, settings=settings))


def test_settings_nested_too_deep_are_refused(content: bytes) -> None:
    model = load_model(content)
    ordinary = {"numeric": nested(600), "categorical": [[1, 1]]}
    deep = SimpleNamespace(card=replace(model.card, settings={**model.card.settings, "ordinary": ordinary}))
    deep.signatures = model.signatures
    with pytest.raises(DeviceFileError, match="not those of finance_fraud"):
        device._settings(deep)  # type: ignore[arg-type]


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceFileError):
        FraudScorer(tmp_path / "none.tflite")
    with pytest.raises(DeviceFileError):
        FraudScorer(b"not a model")


# === Confirming, saving, restoring ===


def test_a_confirmation_counts_behind_the_delay(content: bytes, bank: dict[str, np.ndarray]) -> None:
    def score(*, fraud: bool, days: int) -> float:
        scorer = FraudScorer(content)
        assert scorer.confirm(scorer.score(one(bank, 0)), fraud=fraud)
        return scorer.score(one(bank, 0) | {"timestamp": int(bank["timestamp"][0]) + days * DAY}).probability

    assert score(fraud=True, days=3) != score(fraud=False, days=3)
    assert score(fraud=True, days=1) == score(fraud=False, days=1)


def test_a_confirmation_too_late_says_so(content: bytes, bank: dict[str, np.ndarray]) -> None:
    scorer = FraudScorer(content)
    first = scorer.score(one(bank, 0))
    scorer.score(one(bank, 0) | {"timestamp": int(bank["timestamp"][0]) + 90 * DAY})
    assert not scorer.confirm(first, fraud=True)


def test_restored_windows_go_on_as_if_nothing_had_been(
    content: bytes, bank: dict[str, np.ndarray], tmp_path: Path
) -> None:
    through, before, after = FraudScorer(content), FraudScorer(content), FraudScorer(content)
    expected = streamed(through, bank)[100:]
    streamed(before, part(bank, 100))
    before.save(tmp_path / "windows.json")
    after.restore(tmp_path / "windows.json")
    assert streamed(after, part(bank, 100, 200)) == expected


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"format": 99}', "\x00", "[" * 100_000, '{"format": 1, "pushed": Infinity}']
)
def test_a_damaged_state_file_is_refused_and_the_windows_stay(
    content: bytes, bank: dict[str, np.ndarray], tmp_path: Path, damage: str
) -> None:
    scorer, other = FraudScorer(content), FraudScorer(content)
    streamed(scorer, part(bank, 5))
    streamed(other, part(bank, 5))
    (tmp_path / "windows.json").write_text(damage)
    with pytest.raises(ContractError, match="Start with new windows"):
        scorer.restore(tmp_path / "windows.json")
    assert scorer.score(one(bank, 5)) == other.score(one(bank, 5))


def test_a_truncated_or_missing_state_file_is_refused(
    content: bytes, bank: dict[str, np.ndarray], tmp_path: Path
) -> None:
    scorer = FraudScorer(content)
    scorer.score(one(bank, 0))
    scorer.save(tmp_path / "windows.json")
    text = (tmp_path / "windows.json").read_text()
    assert json.loads(text)["pushed"] == 1
    (tmp_path / "windows.json").write_text(text[: len(text) // 2])
    with pytest.raises(ContractError, match="cannot be read as saved windows"):
        scorer.restore(tmp_path / "windows.json")
    with pytest.raises(ContractError, match="cannot be read as saved windows"):
        scorer.restore(tmp_path / "nowhere.json")


# === Files ===


def written(folder: Path, name: str, rows: dict[str, np.ndarray], *without: str) -> Path:
    path = folder / name
    pd.DataFrame(rows).drop(columns=list(without)).to_csv(path, index=False)
    return path


@pytest.fixture
def file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "finance_fraud.tflite"
    path.write_bytes(content)
    return path


def test_a_file_is_scored_in_its_order(file: Path, content: bytes, bank: dict[str, np.ndarray], tmp_path: Path) -> None:
    backwards = {name: values[::-1] for name, values in part(bank, 60, 200).items()}
    rows, history = written(tmp_path, "rows.csv", backwards, "label"), written(tmp_path, "old.csv", part(bank, 60))
    counts = predict_file(file, [rows], out=tmp_path / "out.csv", history=history)
    with (tmp_path / "out.csv").open() as handle:
        lines = list(csv.DictReader(handle))
    scorer = FraudScorer(content)
    unlabelled = {name: values for name, values in backwards.items() if name != "label"}
    scores = scorer.score_table(unlabelled, history=part(bank, 60))
    assert [line["row"] for line in lines] == [str(number + 1) for number in range(140)]
    np.testing.assert_allclose([float(line["probability"]) for line in lines], scores, atol=6e-7)
    flagged = [line["flagged"] == "1" for line in lines]
    assert flagged == (scores >= scorer.threshold).tolist() and counts == {"rows": 140, "flagged": sum(flagged)}
    assert any(flagged) and all(bool(line["reason"]) <= flag for line, flag in zip(lines, flagged, strict=True))


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@sum(a)", "'@sum(a)"),
        ("\t=1", "' =1"),
        ("amount = 3", "amount = 3"),
        ("", ""),
    ],
)
def test_no_cell_is_a_formula(
    file: Path, bank: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, cell: str
) -> None:
    monkeypatch.setattr(FraudScorer, "reasons", lambda *_: (Reason("own", text, 1.0),))
    rows = written(tmp_path, "rows.csv", bank)
    flagged = predict_file(file, [rows], out=tmp_path / "out.csv")["flagged"]
    with (tmp_path / "out.csv").open() as handle:
        reasons = [line["reason"] for line in csv.DictReader(handle) if line["flagged"] == "1"]
    assert flagged > 0 and reasons == [cell] * flagged


def test_a_file_with_empty_label_cells_is_scored(file: Path, bank: dict[str, np.ndarray], tmp_path: Path) -> None:
    cells = np.where(bank["label"] == 1, "1", "").astype(object)
    for name, rows in {"a": {**bank, "label": cells}, "b": bank}.items():
        predict_file(file, [written(tmp_path, f"{name}.csv", rows)], out=tmp_path / f"{name}.out")
    assert (tmp_path / "a.out").read_text() == (tmp_path / "b.out").read_text()


def test_columns_can_be_named_for_one_file(file: Path, bank: dict[str, np.ndarray], tmp_path: Path) -> None:
    renamed = {{"amount": "Betrag €"}.get(name, name): values for name, values in bank.items()}
    plain, other = written(tmp_path, "a.csv", bank), written(tmp_path, "b.csv", renamed)
    predict_file(file, [plain], out=tmp_path / "a.out")
    predict_file(file, [other], out=tmp_path / "b.out", columns={"amount": "Betrag €"})
    assert (tmp_path / "a.out").read_text() == (tmp_path / "b.out").read_text()


@pytest.mark.parametrize(
    ("without", "columns", "error"),
    [
        ("customer", None, ContractError),
        ("age", None, ContractError),
        ("label", {"amount": "Betrag"}, ContractError),
        ("label", {"amnt": "amount"}, ContractError),
    ],
)
def test_nothing_is_written_on_an_error(
    file: Path,
    bank: dict[str, np.ndarray],
    tmp_path: Path,
    without: str,
    columns: dict[str, str] | None,
    error: type[EdgekitError],
) -> None:
    rows = written(tmp_path, "rows.csv", bank, without)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error):
        predict_file(file, [rows], out=tmp_path / "out.csv", columns=columns)
    assert sorted(tmp_path.iterdir()) == before


def test_files_that_cannot_be_read_or_written_are_one_error(
    file: Path, bank: dict[str, np.ndarray], tmp_path: Path
) -> None:
    rows = written(tmp_path, "rows.csv", bank)
    with pytest.raises(SourceError):
        predict_file(file, [tmp_path / "none.csv"], out=tmp_path / "out.csv")
    with pytest.raises(RunError):
        predict_file(file, [rows], out=tmp_path / "nowhere" / "out.csv")


@pytest.mark.parametrize("names", [[], ["a.csv", "b.csv"]])
def test_a_model_of_tables_scores_one_file(file: Path, tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(ConfigError, match=f"Found {len(names)} files;"):
        predict_file(file, [tmp_path / name for name in names], out=tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


# === Light ===


def test_a_device_needs_nothing_heavy(file: Path, bank: dict[str, np.ndarray], tmp_path: Path) -> None:
    rows = written(tmp_path, "rows.csv", part(bank, 20))
    code = f"""
import sys
from pathlib import Path
from edgekit.domains.finance_fraud import FraudScorer
from edgekit.domains.finance_fraud.device import predict_file
scorer = FraudScorer({str(file)!r})
alert = scorer.score(dict(timestamp=0, customer="a", terminal="b", amount=1, category="x", channel="y", age=3))
scorer.confirm(alert, fraud=True)
predict_file(Path({str(file)!r}), [Path({str(rows)!r})], out=Path({str(tmp_path / "out.csv")!r}))
heavy = {{"tensorflow", "keras", "pandas", "sklearn", "scipy", "matplotlib", "pydantic", "pyarrow"}}
print(sorted(heavy & {{name.split(".")[0] for name in sys.modules}}))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "[]", result.stdout + result.stderr
