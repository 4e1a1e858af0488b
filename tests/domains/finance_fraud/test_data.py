"""From a file or the synthetic bank to model inputs: what is changed is said, what cannot work is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.domains.finance_fraud import data
from edgekit.domains.finance_fraud.config import DataSettings, FraudConfig, ModelSettings, SyntheticSettings
from edgekit.shared.config import override
from edgekit.shared.contract import Table
from edgekit.shared.domain import Prepared, Request
from edgekit.shared.errors import ConfigError, ContractError

CONFIG = FraudConfig(
    synthetic=SyntheticSettings(customers=30, terminals=20, days=40), data=DataSettings(label_delay_days=2)
)
DAY = 86_400
ROWS = 300
Columns = dict[str, np.ndarray]


def columns(**changes: np.ndarray | None) -> Columns:
    """Return the columns of a good file of 300 rows; ``None`` leaves one out."""
    rng = np.random.default_rng(0)
    good: dict[str, np.ndarray | None] = {
        "timestamp": 1_522_540_800 + np.sort(rng.integers(0, 60 * DAY, ROWS)),
        "customer": rng.integers(0, 9, ROWS),
        "terminal": rng.integers(0, 7, ROWS),
        "amount": rng.integers(1, 90_000, ROWS) / 100,
        "channel": np.array(["chip", "web", ""])[rng.integers(0, 3, ROWS)],
        "label": (np.arange(ROWS) % 6 == 0).astype(int),
    }
    return {name: values for name, values in {**good, **changes}.items() if values is not None}


def load(folder: Path, made: Columns, **request: object) -> Table:
    path = folder / "rows.csv"
    lines = [",".join(made), *(",".join(map(str, row)) for row in zip(*made.values(), strict=True))]
    path.write_text("\n".join(lines), encoding="utf-8")
    return data.load(Request(path, **request), CONFIG)  # type: ignore[arg-type]


def prepare(table: Table, config: FraudConfig = CONFIG) -> Prepared:
    return data.prepare(table, data.split(table, config, seed=0), config)


def every(table: Table) -> Columns:
    """Return the columns of a table in an order that does not depend on the file's."""
    order = np.lexsort([table.columns["amount"], table.columns["timestamp"]])
    return {name: values[order] for name, values in table.columns.items()}


# === Loading ===


def test_the_synthetic_bank_is_repeatable_and_ready() -> None:
    first, again, other = (data.synthesize(CONFIG, seed=seed) for seed in (3, 3, 4))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert [column.name for column in first.features] == ["category", "channel"]
    assert all(np.array_equal(first.columns[name], again.columns[name]) for name in first.columns)


def test_unsorted_rows_are_sorted_and_said(tmp_path: Path) -> None:
    tidy = load(tmp_path, columns())
    mixed = np.random.default_rng(1).permutation(ROWS)
    table = load(tmp_path, {name: values[mixed] for name, values in columns().items()})
    assert tidy.notes == () and any("have been sorted" in note for note in table.notes)
    assert (np.diff(table.columns["timestamp"]) >= 0).all()
    expected, found = every(tidy), every(table)
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


def test_rows_of_one_second_stay_in_the_order_of_the_file(tmp_path: Path) -> None:
    seconds = np.repeat([5 * DAY, 9 * DAY, 2 * DAY], ROWS // 3)
    table = load(tmp_path, columns(timestamp=seconds, amount=np.arange(ROWS) / 100))
    expected = np.concatenate([np.arange(200, 300), np.arange(100), np.arange(100, 200)])
    assert table.columns["amount"].tolist() == expected.tolist()


def test_duplicates_are_dropped_and_said(tmp_path: Path) -> None:
    copies = {name: np.concatenate([values, values[[7, 7, 200]]]) for name, values in columns().items()}
    table = load(tmp_path, copies)
    expected = every(load(tmp_path, columns()))
    assert any(note.startswith("3 rows repeat an earlier row") for note in table.notes)
    assert all(np.array_equal(values, expected[name]) for name, values in every(table).items())


def test_rows_that_differ_in_one_cell_are_kept(tmp_path: Path) -> None:
    twice = {name: np.concatenate([values, values[:1]]) for name, values in columns().items()}
    twice["channel"][-1] = "other"
    assert len(load(tmp_path, twice)) == ROWS + 1


def test_equal_rows_without_a_time_are_kept_and_the_audit_counts_them(tmp_path: Path) -> None:
    few = columns(timestamp=None, amount=None, customer=None, terminal=None)
    table = load(tmp_path, few)
    findings = data.audit(table, data.split(table, CONFIG, seed=0), CONFIG)
    assert len(table) == ROWS
    assert any(finding.title == "Copies in train and test" for finding in findings)


def test_one_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="every label is 0"):
        load(tmp_path, columns(label=np.zeros(ROWS, int)))


def test_labels_with_other_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"'2'.*expected two values"):
        load(tmp_path, columns(label=np.arange(ROWS) % 4))


@pytest.mark.parametrize("wrong", ["nan", "inf", "-inf", "1e12", ""])
def test_amounts_that_are_none_are_refused_with_their_row(tmp_path: Path, wrong: str) -> None:
    cells = columns()["amount"].astype(str).astype(object)
    cells[41] = wrong
    with pytest.raises(ContractError, match="column 'amount': row 42"):
        load(tmp_path, columns(amount=cells))


def test_a_table_is_read_without_a_word(tmp_path: Path) -> None:
    load(tmp_path, columns())
    said: list[str] = []
    assert len(data.load(Request(tmp_path / "rows.csv"), CONFIG, report=said.append)) == ROWS
    assert not said


def test_a_second_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--items names a second table"):
        load(tmp_path, columns(), items=tmp_path / "rows.csv")


def test_no_file_is_said() -> None:
    with pytest.raises(ContractError, match="--data PATH"):
        data.load(Request(), CONFIG)


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("flat", np.full(ROWS, 3.5), "never changes"),
        ("empty", np.full(ROWS, ""), "never changes"),
        ("country", np.full(ROWS, "BE"), "never changes"),
        ("code", np.array([f"row-{number}" for number in range(ROWS)]), "every row has its own value"),
        ("number", np.random.default_rng(5).permutation(ROWS), "like an identifier"),
        ("step", np.arange(ROWS) // 7, "like a clock"),
    ],
)
def test_useless_columns_are_left_out_and_said(tmp_path: Path, name: str, values: np.ndarray, why: str) -> None:
    table = load(tmp_path, columns(**{name: values}))
    assert name not in table.columns and name not in {column.name for column in table.features}
    assert any(note.startswith(f"column '{name}' is left out") and why in note for note in table.notes)


@pytest.mark.parametrize("values", [np.random.default_rng(5).random(ROWS), np.arange(ROWS)[::-1] // 7])
def test_columns_that_only_resemble_a_key_or_a_clock_are_kept(tmp_path: Path, values: np.ndarray) -> None:
    assert "own" in load(tmp_path, columns(own=values)).columns


def test_a_column_named_like_a_made_feature_is_left_out_and_said(tmp_path: Path) -> None:
    hour = np.arange(ROWS) % 23
    table = load(tmp_path, columns(hour=hour))
    assert any(note.startswith("column 'hour' is left out: a feature made here") for note in table.notes)
    timeless = prepare(load(tmp_path, columns(hour=hour, timestamp=None)))
    assert "hour" in timeless.plan.columns


def test_a_column_that_bears_a_role_another_plays_does_not_replace_it(tmp_path: Path) -> None:
    chargeback = (np.arange(ROWS) % 5 == 0).astype(int)
    table = load(tmp_path, columns(chargeback=chargeback), columns={"label": "chargeback"})
    assert table.columns["label"].tolist() == chargeback.tolist()
    assert "column 'label' is left out: 'chargeback' plays that role" in table.notes


def test_names_and_values_of_any_script_work(tmp_path: Path) -> None:
    branch = np.array(["東京", "Zürich", "Łódź"])[np.arange(ROWS) % 3]
    made = columns(
        **{"Größe €": np.random.default_rng(2).random(ROWS), "支店": branch, "Händler": columns()["terminal"]}
    )
    table = load(
        tmp_path, {name: values for name, values in made.items() if name != "terminal"}, columns={"terminal": "Händler"}
    )
    plan = prepare(table).plan
    assert "Größe €" in plan.columns and set(plan.vocabularies["支店"]) == {"東京", "Zürich", "Łódź"}
    assert "terminal" in plan.roles


# === Splitting ===


def test_the_split_is_in_time_with_the_delay_as_a_gap(tmp_path: Path) -> None:
    table = load(tmp_path, columns())
    seconds, splits = table.columns["timestamp"], data.split(table, CONFIG, seed=0)
    delay = CONFIG.data.label_delay_days * DAY
    assert seconds[splits.train].max() < seconds[splits.validation].min() - delay
    assert seconds[splits.validation].max() < seconds[splits.test].min() - delay
    assert splits.rule.startswith("by time")


@pytest.mark.parametrize(
    ("days", "seconds"),
    [(0.5, DAY // 2), (7, 7 * DAY), (1e-9, 1), (0.4 / DAY, 1), (1.5 / DAY, 2), (36_500, 36_500 * DAY)],
)
def test_a_label_delay_may_be_a_part_of_a_day(days: float, seconds: int) -> None:
    config = override(CONFIG, {"data": {"label_delay_days": days}})
    found = data.delay_seconds(config)
    assert (found, type(found)) == (seconds, int)


@pytest.mark.parametrize("days", [0, -1.0, float("nan"), float("inf"), 36_501, 1e300])
def test_a_label_delay_out_of_range_is_refused(days: float) -> None:
    with pytest.raises(ConfigError, match="label_delay_days"):
        override(CONFIG, {"data": {"label_delay_days": days}})


def test_half_a_day_is_the_gap_and_the_plans_delay(tmp_path: Path) -> None:
    config = override(CONFIG, {"data": {"label_delay_days": 0.5}})
    table = load(tmp_path, columns())
    seconds, splits = table.columns["timestamp"], data.split(table, config, seed=0)
    gap = seconds[splits.validation].min() - seconds[splits.train].max()
    assert DAY // 2 < gap < 2 * DAY and "labels known after 12 hours" in splits.rule
    assert prepare(table, config).plan.delay_seconds == DAY // 2


def test_without_time_the_split_is_stratified_and_said(tmp_path: Path) -> None:
    table = load(tmp_path, columns(timestamp=None))
    splits = data.split(table, CONFIG, seed=0)
    rates = [table.columns["label"][rows].mean() for rows in splits.parts().values()]
    assert splits.rule.startswith("stratified") and np.ptp(rates) < 0.02
    assert any("the split is random" in note for note in data.limits(table))


def test_ten_rows_are_too_few(tmp_path: Path) -> None:
    table = load(tmp_path, {name: values[:10] for name, values in columns().items()})
    with pytest.raises(ContractError, match="Found 10 rows"):
        data.split(table, CONFIG, seed=0)


def test_frauds_in_the_test_period_only_are_refused(tmp_path: Path) -> None:
    label = (np.arange(ROWS) >= ROWS - 20).astype(int)
    with pytest.raises(ContractError, match="Only one class in train and validation"):
        data.split(load(tmp_path, columns(label=label)), CONFIG, seed=0)


# === The audit ===


def test_the_audit_finds_a_column_that_tells_the_answer(tmp_path: Path) -> None:
    scenario = columns()["label"] * (1 + np.arange(ROWS) // 6 % 3)
    table = load(tmp_path, columns(TX_FRAUD_SCENARIO=scenario))
    findings = data.audit(table, data.split(table, CONFIG, seed=0), CONFIG)
    told = [finding for finding in findings if "TX_FRAUD_SCENARIO" in finding.title]
    assert [finding.severity for finding in told] == ["error"] and "--exclude TX_FRAUD_SCENARIO" in told[0].detail


def test_the_audit_of_honest_data_warns_of_nothing(tmp_path: Path) -> None:
    table = load(tmp_path, columns())
    findings = data.audit(table, data.split(table, CONFIG, seed=0), CONFIG)
    assert {finding.severity for finding in findings} == {"info"}
    assert any("customers" in finding.title for finding in findings)


# === Preparing ===


def test_inputs_of_the_splits_are_those_of_the_whole_table(tmp_path: Path) -> None:
    table = load(tmp_path, columns())
    splits, prepared = data.split(table, CONFIG, seed=0), prepare(load(tmp_path, columns()))
    whole = data.features.inputs(table.columns, prepared.plan)
    for part, rows in zip((prepared.train, prepared.validation, prepared.test), splits.parts().values(), strict=True):
        np.testing.assert_array_equal(part.inputs["numeric"], whole["numeric"][rows])
        assert part.target.tolist() == table.columns["label"][rows].tolist() and part.target.dtype == np.float32


def test_vocabularies_are_learnt_on_training_rows_only(tmp_path: Path) -> None:
    channel = columns()["channel"].astype(object)
    channel[-30:] = "satellite"
    plan = prepare(load(tmp_path, columns(channel=channel))).plan
    assert set(plan.vocabularies["channel"]) == {"chip", "web", ""}


def test_context_holds_days_customers_and_money(tmp_path: Path) -> None:
    table = load(tmp_path, columns())
    made = data.context(table)
    assert made["day"].tolist() == (table.columns["timestamp"] // DAY).tolist()
    assert len(np.unique(made["customer"])) == 9
    np.testing.assert_allclose(made["amount"], columns()["amount"])


@pytest.mark.parametrize(
    ("role", "said"), [("customer", "no card precision"), ("terminal", "no known-fraud"), ("amount", "missed_cost")]
)
def test_missing_roles_are_told(tmp_path: Path, role: str, said: str) -> None:
    prepared = prepare(load(tmp_path, columns(**{role: None})))
    assert any(said in note for note in prepared.notes) and role not in prepared.plan.roles


def test_the_label_alone_is_nothing_to_learn_from(tmp_path: Path) -> None:
    lonely = columns(timestamp=None, amount=None, customer=None, terminal=None, channel=np.full(ROWS, "x"))
    table = load(tmp_path, lonely)
    with pytest.raises(ContractError, match="no column is left to learn from"):
        prepare(table)


def test_a_sequence_needs_its_roles(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"model": ModelSettings(kind="sequence")})
    with pytest.raises(ContractError, match=r"model\.kind = tabular"):
        prepare(load(tmp_path, columns(customer=None)), config)
    assert prepare(load(tmp_path, columns()), config).plan.history == config.model.history
