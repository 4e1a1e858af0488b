from __future__ import annotations

import shlex
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.shared.columns import READERS, Column, Kind, infer_kind
from edgekit.shared.contract import Contract, Table, feature_column
from edgekit.shared.errors import ContractError
from edgekit.shared.tables import RawTable, from_columns

CONTRACT = Contract(
    name="payments",
    roles=(
        Column(name="timestamp", kind="timestamp", meaning="when", unit="UTC", example="2018-04-01"),
        Column(name="customer", kind="identifier", meaning="who paid", required=True),
        Column(name="amount", kind="money", meaning="what was paid", low=-0.5, high=10_000_000),
        Column(name="label", kind="label", meaning="whether it was a fraud"),
    ),
)
GOOD: dict[str, list[Any]] = {"customer": ["a", "b"], "amount": ["1.50", "2"], "age": ["30", ""], "país": ["ES", None]}


def _raw(**columns: list[Any]) -> RawTable:
    return RawTable(from_columns({**GOOD, **columns}).columns, "own.csv", "f" * 64, ("read as separated by ';'",))


def _problems(raw: RawTable, **how: Any) -> list[str]:
    with pytest.raises(ContractError) as error:
        CONTRACT.check(raw, **how)
    head, *problems = str(error.value).splitlines()
    assert head == f"{raw.source} does not keep the contract of payments:"
    return [problem.removeprefix("  - ") for problem in problems]


# --- what keeps the contract ---


def test_roles_are_typed_and_other_columns_become_features() -> None:
    table = CONTRACT.check(_raw(stolen=["2018-04-01", ""], timestamp=["1", "2"]))
    assert table.columns["timestamp"].tolist() == [1, 2]
    assert table.columns["customer"].tolist() == ["a", "b"]
    assert table.columns["amount"].tolist() == [150, 200]
    assert table.columns["país"].tolist() == ["ES", ""]
    np.testing.assert_array_equal(table.columns["age"], [30.0, np.nan])
    assert table.features == (
        feature_column("age", "number"),
        feature_column("país", "category"),
        feature_column("stolen", "timestamp"),
    )
    assert table.mapping == {"timestamp": "timestamp", "customer": "customer", "amount": "amount"}
    assert (table.source, table.fingerprint, table.notes) == ("own.csv", "f" * 64, ("read as separated by ';'",))
    assert (len(table), table.has("amount", "customer"), table.has("amount", "label")) == (2, True, False)


def test_a_role_is_played_by_the_column_that_is_named() -> None:
    raw = from_columns({"Kunde": ["a"], "größe €": ["1.5"], "customer": ["x"]})
    table = CONTRACT.check(raw, mapping={"customer": "Kunde", "amount": "größe €"})
    assert table.mapping == {"customer": "Kunde", "amount": "größe €"}
    assert table.columns["customer"].tolist() == ["a"]
    assert table.columns["amount"].tolist() == [150]
    assert table.features == ()
    assert table.notes == ("column 'customer' is left out: 'Kunde' plays that role",)


def test_two_roles_may_swap_their_names() -> None:
    raw = from_columns({"customer": ["5"], "amount": ["7"]})
    table = CONTRACT.check(raw, mapping={"customer": "amount", "amount": "customer"})
    assert (table.columns["customer"].tolist(), table.columns["amount"].tolist()) == (["7"], [500])
    assert table.notes == ()


def test_a_column_that_plays_another_role_does_not_play_its_own() -> None:
    table = CONTRACT.check(from_columns({"amount": ["7"]}), mapping={"customer": "amount"})
    assert table.mapping == {"customer": "amount"}


def test_an_excluded_column_is_neither_role_nor_feature() -> None:
    table = CONTRACT.check(_raw(), exclude=("amount", "país"))
    assert sorted(table.columns) == ["age", "customer"]
    assert table.notes == ("read as separated by ';'",)


def test_a_feature_that_resembles_a_role_is_told() -> None:
    table = CONTRACT.check(_raw(LABEL_=["0", "1"]))
    assert table.notes[1:] == ("no column plays the role 'label'. Did you mean 'LABEL_'? If so: --columns label=…",)


def test_a_role_that_is_excluded_is_not_asked_for() -> None:
    assert len(CONTRACT.check(_raw(amounts=["1", "2"]), exclude=("amount",)).notes) == 1


def test_dates_without_a_role_may_be_absent() -> None:
    table = CONTRACT.check(_raw(paid=[np.datetime64("1970-01-02"), np.datetime64("NaT")]))
    assert table.columns["paid"].tolist() == [86_400, np.iinfo(np.int64).min]


def test_rows_are_taken_with_a_note() -> None:
    table = CONTRACT.check(_raw()).take(np.array([1, 1, 0]), "sorted")
    assert table.columns["customer"].tolist() == ["b", "b", "a"]
    assert (len(table), table.notes) == (3, ("read as separated by ';'", "sorted"))
    assert table.features == CONTRACT.check(_raw()).features


# --- what does not ---


def test_every_problem_is_in_one_error() -> None:
    raw = _raw(amount=["x", "2"], Customer_ID=["a", "b"], customer=["", "b"], age=["30", "1,5"])
    mapping = {"lable": "age", "timestamp": "time"}
    problems = _problems(raw, mapping=mapping, exclude=("pais",), required=("label",))
    assert problems == [
        "--columns lable=age: there is no role 'lable'. Did you mean 'label'? Roles: timestamp, customer, amount, "
        "label.",
        "--exclude pais: there is no such column. Did you mean 'país'?",
        "no column for the role 'label' (whether it was a fraud). Name it with --columns label=YOUR_COLUMN. "
        "Columns: customer, amount, age, país, Customer_ID.",
        "column 'time' (role 'timestamp') is missing.",
        "column 'customer': row 1: found '', expected a value.",
        "column 'amount': row 1: found 'x', expected an amount such as 1234.56, at most 10,000,000, with a decimal "
        "point and without currency sign or thousands separator.",
        "column 'age': row 2: found '1,5', expected a finite number such as 1234.56. Mend it, or leave the column out "
        "with --exclude age.",
    ]


@pytest.mark.parametrize(("name", "typed"), [("x", "x"), ("a b", "'a b'"), ("it's", """'it'"'"'s'""")])
def test_an_inferred_column_may_be_left_out_as_the_message_says(name: str, typed: str) -> None:
    raw = _raw(**{name: [*["1"] * 9, "B12"]}, customer=["a"] * 10, amount=["1"] * 10, age=["1"] * 10, país=["E"] * 10)
    (problem,) = _problems(raw)
    assert problem == (
        f"column {name!r}: row 10: found 'B12', expected a finite number such as 1234.56. "
        f"Mend it, or leave the column out with --exclude {typed}."
    )
    assert name not in CONTRACT.check(raw, exclude=shlex.split(typed)).columns


def test_a_missing_role_is_asked_for_with_a_near_miss() -> None:
    (problem,) = _problems(from_columns({"Customers": ["a"], "é": ["b"]}))
    assert problem == (
        "no column for the role 'customer' (who paid). Did you mean 'Customers'? "
        "Name it with --columns customer=YOUR_COLUMN. Columns: Customers, é."
    )


def test_a_required_role_that_is_excluded_is_missing() -> None:
    (problem,) = _problems(_raw(), exclude=("customer",))
    assert problem.startswith("no column for the role 'customer' (who paid). Name it")


def test_a_mapped_column_that_is_absent_is_named_with_a_near_miss() -> None:
    assert _problems(_raw(Kunde=["a", "b"]), mapping={"customer": "kunden"}) == [
        "column 'kunden' (role 'customer') is missing. Did you mean 'Kunde'?"
    ]


def test_one_column_cannot_play_two_roles() -> None:
    assert _problems(_raw(), mapping={"customer": "age", "amount": "age"}) == [
        "column 'age' is to play the roles customer, amount. Give each role a column of its own.",
        "column 'age': row 2: found '', expected a value.",
        "column 'age': row 2: found '', expected a value.",
    ]


def test_a_column_cannot_play_a_role_and_be_excluded() -> None:
    assert _problems(_raw(Kunde=["a", "b"]), mapping={"customer": "Kunde"}, exclude=("Kunde",)) == [
        "column 'Kunde' plays the role 'customer' and is excluded too. Take back one of the two."
    ]


# --- on a device ---


WANTED = (feature_column("age", "number"), feature_column("país", "category"), feature_column("x", "number"))


def test_a_device_reads_the_features_it_wants_and_ignores_others() -> None:
    raw = _raw(x=["1", "2"], extra=["?", "?"], labels=["?", "?"])
    table = CONTRACT.check(raw, features=WANTED)
    assert table.features == WANTED
    assert sorted(table.columns) == ["age", "amount", "customer", "país", "x"]
    assert table.notes == raw.notes


def test_a_device_names_every_missing_feature_at_once() -> None:
    raw = from_columns({"customer": ["a"], "Age": ["1"]})
    assert _problems(raw, features=WANTED) == [
        "column 'age' is missing. Did you mean 'Age'?",
        "column 'país' is missing.",
        "column 'x' is missing.",
    ]


def test_a_device_holds_a_feature_to_its_kind() -> None:
    assert _problems(_raw(x=["1", "one"]), features=WANTED) == [
        "column 'x': row 2: found 'one', expected a finite number such as 1234.56."
    ]


# --- as people see it ---


def test_the_contract_is_told_in_rows() -> None:
    assert CONTRACT.rows()[0] == ("timestamp", "timestamp", "no", "UTC", "–", "forbid", "when", "2018-04-01")
    assert CONTRACT.rows()[1][2:4] == ("yes", "–")
    assert CONTRACT.rows()[2][4] == "from -0.5 up to 10,000,000"


@pytest.mark.parametrize(("low", "high", "told"), [(0, None, "from 0"), (None, 0.25, "up to 0.25")])
def test_a_range_may_be_open(low: float | None, high: float | None, told: str) -> None:
    column = Column(name="x", kind="number", meaning="", low=low, high=high)
    assert Contract("x", (column,)).rows()[0][4] == told


@pytest.mark.parametrize(("kind", "missing"), [("number", "impute"), ("category", "own value")])
def test_a_feature_may_be_absent(kind: str, missing: str) -> None:
    column = feature_column("x", kind)
    assert (column.name, column.kind, column.missing) == ("x", kind, missing)


# --- whatever the cells ---

AWKWARD = st.sampled_from(
    [
        "", "NA", "1_0", "1e400", "-inf", "NaN", "0x10", "²", "१", "9" * 40, "0001-01-01T00:00+23:59",
        "9999-12-31T23:59-23:59", "2018-W14", "20180401", "24:00", "2018-04-01T24:00", "1,5", "1.0",
        "true", "\x00", "\ud800", "\u2028", "'", "-0",
    ]
)  # fmt: skip
CELLS = st.one_of(
    AWKWARD, st.text(max_size=12), st.floats().map(str), st.integers().map(str), st.datetimes().map(str), st.none()
)
TYPES = {"timestamp": "i", "identifier": "O", "money": "i", "number": "f", "category": "O", "label": "i"}


@pytest.mark.parametrize("kind", READERS)
@settings(max_examples=80, deadline=None, derandomize=True)
@given(cells=st.lists(CELLS, min_size=1, max_size=6))
def test_any_text_is_typed_or_refused(kind: Kind, cells: list[str | None]) -> None:
    contract = Contract("anything", (Column(name="role", kind=kind, meaning="", required=True),))
    columns = {"own": np.array(cells, dtype=object), "other": np.array(cells, dtype=object)}
    inferred = infer_kind(columns["other"])
    try:
        table = contract.check(RawTable(columns, "cells"), mapping={"role": "own"})
    except ContractError as error:
        assert "row " in str(error)
    else:
        _assert_typed(table, {"role": kind, "other": inferred}, len(cells))


def _assert_typed(table: Table, kinds: dict[str, Kind], rows: int) -> None:
    found = {name: values.dtype.kind for name, values in table.columns.items()}
    assert found == {name: TYPES[kind] for name, kind in kinds.items()}
    assert {len(values) for values in table.columns.values()} == {rows}


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    names=st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=4, unique=True),
    mapping=st.dictionaries(st.sampled_from(["customer", "amount", "x"]), st.text(max_size=5), max_size=3),
    exclude=st.lists(st.text(max_size=5), max_size=2),
)
def test_any_names_are_resolved_or_refused(names: list[str], mapping: dict[str, str], exclude: list[str]) -> None:
    raw = from_columns({name: ["1"] for name in names})
    try:
        table = CONTRACT.check(raw, mapping=mapping, exclude=exclude)
    except ContractError as error:
        assert "  - " in str(error)
    else:
        assert table.has("customer")
