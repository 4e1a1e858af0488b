from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.shared import audit, splits
from edgekit.shared.errors import ContractError


def halves(num_rows: int, *, rule: str = "by hand") -> splits.Splits:
    """Train on the first half, validate on the next quarter, test on the last."""
    train, validation, test = np.split(np.arange(num_rows), [num_rows // 2, 3 * num_rows // 4])
    return splits.Splits(train, validation, test, rule=rule)


def fraud_table(num_rows: int = 4000) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return honest features and a label of about 3 %."""
    rng = np.random.default_rng(0)
    target = (rng.random(num_rows) < 0.03).astype(np.int64)
    columns = {
        "amount": rng.lognormal(3.0 + 0.8 * target, 1.0),
        "hour": rng.integers(0, 24, num_rows),
        "country": rng.choice(np.array(["FR", "DE", "IT"]), num_rows),
    }
    return columns, target


def severities(findings: list[audit.Finding]) -> list[str]:
    return [finding.severity for finding in findings]


# === Rows ===


def test_copies_across_splits_are_counted_by_hand() -> None:
    # Test holds rows 6 and 7; 6 copies train row 0, 7 has another text. Row 4 copies row 1.
    columns = {
        "x": np.array([1.0, 2.0, 3.0, 4.0, 2.0, 5.0, 1.0, 1.0]),
        "text": np.array(["a", "b", "a", "a", "b", "a", "a", "z"]),
    }
    findings = audit.duplicates_across_splits(columns, halves(8))
    assert [finding.title for finding in findings] == [
        "Copies in train and validation",
        "Copies in train and test",
    ]
    assert findings[0].detail.startswith("1 of 2 rows of validation (50.00%) equal a row of train")
    assert "the first being row 6" in findings[1].detail


def test_a_repeated_row_is_counted_once_for_each_copy() -> None:
    (finding,) = audit.duplicate_rows({"x": np.array([5, 1, 5, 5, 2])})
    assert finding.severity == "warning"
    assert finding.detail.startswith("2 of 5 rows (40.00%)")
    assert "the first row with a copy is 0" in finding.detail


@pytest.mark.parametrize(
    "values",
    [
        np.array([np.nan, 1.0, np.nan]),
        np.array([0.0, 1.0, -0.0]),
        np.array([-1, 5, -1], dtype=np.int8),
        np.array([True, False, True]),
        np.array([None, "x", None], dtype=object),
        np.array([float("nan"), "x", np.float64("nan")], dtype=object),
        np.array(["2020-01-01", "2020-01-02", "2020-01-01"], dtype="datetime64[D]"),
    ],
    ids=lambda values: str(values.dtype),
)
def test_equal_values_of_any_kind_are_equal(values: np.ndarray) -> None:
    (finding,) = audit.duplicate_rows({"x": values})
    assert finding.detail.startswith("1 of 3 rows")


def test_distinct_rows_give_no_finding() -> None:
    columns = {"a": np.array([1, 1, 2, 2]), "b": np.array([1, 2, 1, 2])}
    assert audit.duplicate_rows(columns) == []
    assert audit.duplicates_across_splits(columns, halves(4)) == []


def test_agreeing_hashes_are_not_taken_for_equal_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_scramble", lambda bits: np.zeros_like(bits))
    columns = {"a": np.array([1, 1, 2, 1]), "b": np.array(["y", "x", "x", "x"])}
    (finding,) = audit.duplicate_rows(columns)
    assert finding.detail.startswith("1 of 4 rows")
    assert "the first row with a copy is 1" in finding.detail


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(-2, 2), st.sampled_from(["a", "b"]), st.sampled_from([0.5, np.inf])),
        min_size=1,
        max_size=30,
    )
)
def test_duplicates_agree_with_a_set(rows: list[tuple[int, str, float]]) -> None:
    columns = {str(place): np.array(values) for place, values in enumerate(zip(*rows, strict=True))}
    extra = len(rows) - len(set(rows))
    findings = audit.duplicate_rows(columns)
    assert len(findings) == (extra > 0)
    assert not findings or findings[0].detail.startswith(f"{extra} of {len(rows)} rows")


@pytest.mark.parametrize("columns", [{}, {"a": np.zeros(2), "b": np.zeros(3)}, {"a": np.eye(2)}])
def test_columns_of_different_lengths_are_refused(columns: dict[str, np.ndarray]) -> None:
    with pytest.raises(ContractError, match="one-dimensional columns of one length"):
        audit.duplicate_rows(columns)


# === Entities ===


@pytest.mark.parametrize(
    ("rule", "severity"),
    [("by time: …", "info"), ("by group: …", "error"), ("stratified: …", "warning")],
)
def test_shared_entities_weigh_by_the_rule(rule: str, severity: str) -> None:
    ids = np.array(["a", "b", "c", "d", "e", "e", "a", "z"])
    (finding,) = audit.entity_overlap(ids, halves(8, rule=rule), "cards")
    assert finding.severity == severity
    assert finding.detail.startswith("1 of 2 cards in test (50.0%) also stand in train")


def test_rules_made_by_splits_are_understood() -> None:
    ids = np.arange(100) % 7
    shares: dict[str, Any] = {"validation_share": 0.2, "test_share": 0.2}
    timed = splits.by_time(np.arange(100), delay_seconds=0, **shares)
    grouped = splits.by_group(ids, seed=0, **shares)
    assert severities(audit.entity_overlap(ids, timed, "cards")) == ["info"]
    assert audit.entity_overlap(ids, grouped, "cards") == []
    assert severities(audit.entity_overlap(np.arange(100) % 9, grouped, "cards")) == ["error"]


# === Giveaways ===


def test_honest_features_give_nothing_away() -> None:
    columns, target = fraud_table()
    assert audit.giveaway(columns, target, np.arange(4000)) == []


def answers(target: np.ndarray) -> dict[str, np.ndarray]:
    """Return columns that tell the label, each in its own way."""
    rng = np.random.default_rng(1)
    honest = rng.normal(size=len(target))
    team = np.where(target == 1, rng.integers(0, 5, len(target)), rng.integers(5, 99, len(target)))
    return {
        "scenario": target * rng.integers(1, 4, len(target)),
        "unordered_code": np.where(target == 1, rng.choice([3, 7], len(target)), rng.choice([1, 5, 9], len(target))),
        "reversed_score": -target + honest / 100,
        "missing_when_legitimate": np.where(target == 1, honest, np.nan),
        "missing_when_fraud": np.where(target == 1, np.nan, honest),
        "status": np.where(target == 1, "blocked", "booked"),
        "team": np.char.add("team", team.astype(str)),
        "closed": np.array([None if label else "yes" for label in target], dtype=object),
        "infinite": np.where(target == 1, np.inf, honest),
    }


@pytest.mark.parametrize("name", sorted(answers(np.zeros(1, dtype=np.int64))))
def test_every_kind_of_answer_is_found(name: str) -> None:
    columns, target = fraud_table()
    columns[name] = answers(target)[name]
    (finding,) = audit.giveaway(columns, target, np.arange(4000))
    assert finding.severity == "error"
    assert finding.title == f"Column {name!r} determines the label"
    assert "An answer, not a feature?" in finding.detail
    assert f"--exclude {name}" in finding.detail


def test_a_column_that_nearly_tells_is_a_warning() -> None:
    columns, target = fraud_table()
    columns["score"] = target + np.random.default_rng(2).normal(size=4000) / 4
    (finding,) = audit.giveaway(columns, target, np.arange(4000))
    assert finding.severity == "warning"
    assert "nearly tells" in finding.title


def test_average_precision_far_above_the_rest_is_a_warning() -> None:
    columns, target = fraud_table()
    seen = target * (np.random.default_rng(9).random(4000) < 0.9)  # AUC .95, precision 1
    columns["seen"] = seen
    (finding,) = audit.giveaway(columns, target, np.arange(4000))
    assert finding.severity == "warning"
    assert "'seen'" in finding.title


def test_a_key_of_distinct_values_gives_nothing_away() -> None:
    columns, target = fraud_table()
    columns["key"] = np.random.default_rng(0).permutation(4000)
    columns["text_key"] = columns["key"].astype(str)
    assert audit.giveaway(columns, target, np.arange(4000)) == []


def test_only_training_rows_are_looked_at() -> None:
    columns, target = fraud_table()
    columns["late"] = target * (np.arange(4000) >= 2000)
    assert audit.giveaway(columns, target, np.arange(2000)) == []


def test_thinning_keeps_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    _, target = fraud_table()
    score = target + np.random.default_rng(2).normal(size=4000) / 4
    (whole,) = audit.giveaway({"score": score}, target, np.arange(4000))
    monkeypatch.setattr(audit, "_ROWS_PER_CLASS", 1000)
    (thinned,) = audit.giveaway({"score": score}, target, np.arange(4000))
    figures = [float(f.detail.split("AUC ")[1].split()[0]) for f in (whole, thinned)]
    assert figures[0] == pytest.approx(figures[1], abs=0.002)
    precisions = [float(f.detail.split("precision ")[1].split()[0]) for f in (whole, thinned)]
    assert precisions[0] == pytest.approx(precisions[1], abs=0.03)


def test_too_few_positives_are_said() -> None:
    target = np.array([1] * 9 + [0] * 91)
    (finding,) = audit.giveaway({"x": target}, target, np.arange(100))
    assert finding.severity == "info"
    assert "Train holds 9 rows of the rarer class; 10 are needed" in finding.detail


def test_giveaways_need_two_classes() -> None:
    with pytest.raises(ContractError, match=r"labels 0 and 1; got values such as \[0, 1, 2\]"):
        audit.giveaway({"x": np.arange(3)}, np.arange(3), np.arange(3))


# === Columns ===


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (np.full(4, 2.5), "2.5"),
        (np.full(4, np.nan), "nan"),
        (np.array(["x"] * 4), "x"),
        (np.array([None] * 4, dtype=object), "None"),
    ],
)
def test_constant_columns_are_named(values: np.ndarray, shown: str) -> None:
    (finding,) = audit.constant_columns({"flat": values, "other": np.arange(4)})
    assert finding.title == "Column 'flat' is constant"
    assert f"All 4 rows hold {shown}." in finding.detail
    assert "--exclude flat" in finding.detail


def test_a_column_that_is_partly_missing_is_not_constant() -> None:
    assert audit.constant_columns({"x": np.array([1.0, np.nan, 1.0])}) == []


@pytest.mark.parametrize("values", [np.arange(9), np.arange(9).astype(str)])
def test_identifiers_are_named(values: np.ndarray) -> None:
    (finding,) = audit.id_like_columns({"key": values, "amount": np.linspace(0, 1, 9)})
    assert finding.title == "Column 'key' looks like an identifier"
    assert "All 9 values are distinct" in finding.detail


def test_a_repeated_value_is_not_an_identifier() -> None:
    assert audit.id_like_columns({"x": np.array([1, 2, 3, 3])}) == []


# === Drift ===


def drifting(rates: tuple[float, float, float], *, n: int = 1000) -> np.ndarray:
    """Return labels with these shares in halves(4 n): 2 n rows of train, then n and n."""
    sizes = (2 * n, n, n)
    parts = [np.arange(size) < rate * size for size, rate in zip(sizes, rates, strict=True)]
    return np.concatenate(parts).astype(np.int64)


def test_equal_shares_are_only_reported() -> None:
    (finding,) = audit.label_drift(drifting((0.1, 0.1, 0.1)), halves(4000))
    assert finding.severity == "info"
    assert finding.detail == "train 10.000% of 2000, validation 10.000% of 1000, test 10.000% of 1000."


def test_a_moved_share_is_a_warning_with_its_z() -> None:
    findings = audit.label_drift(drifting((0.1, 0.1, 0.2)), halves(4000))
    assert severities(findings) == ["info", "warning"]
    assert findings[1].title == "Share of positives moved in test"
    # Pooled share 400/3000: z = .1 / sqrt(.1333 · .8667 · (1/1000 + 1/2000)).
    assert "z = 7.6 against train" in findings[1].detail


@pytest.mark.parametrize(
    ("rates", "n"),
    [((0.1, 0.1, 0.11), 100_000), ((0.1, 0.1, 0.2), 30), ((0.0, 0.0, 0.0), 100)],
    ids=["significant but small", "large but uncertain", "no positive at all"],
)
def test_small_or_uncertain_moves_are_not_flagged(rates: tuple[float, float, float], n: int) -> None:
    assert severities(audit.label_drift(drifting(rates, n=n), halves(4 * n))) == ["info"]


CHECKS: list[Callable[[dict[str, np.ndarray]], list[audit.Finding]]] = [
    audit.duplicate_rows,
    audit.constant_columns,
    audit.id_like_columns,
]


@pytest.mark.parametrize("check", CHECKS)
def test_checks_leave_the_data_alone(
    check: Callable[[dict[str, np.ndarray]], list[audit.Finding]],
) -> None:
    columns = {"x": np.array([-0.0, np.nan, 1.0]), "y": np.array(["a", "a", "b"])}
    before = {name: values.tobytes() for name, values in columns.items()}
    check(columns)
    assert {name: values.tobytes() for name, values in columns.items()} == before
