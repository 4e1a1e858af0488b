"""Segments on the device: one customer as among all, times, tables of orders, and files that are not right."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.domains.marketing_segmentation import Answer, Customer, Segmenter
from edgekit.domains.marketing_segmentation.config import ModelSettings
from edgekit.domains.marketing_segmentation.device import COLUMNS, NAME, predict_file, store_settings
from edgekit.domains.marketing_segmentation.features import BEHAVIOUR, NAMES, SECONDS_A_DAY, Plan, behaviour
from edgekit.domains.marketing_segmentation.made_up import made_up
from edgekit.domains.marketing_segmentation.model import build_model
from edgekit.domains.marketing_segmentation.reading import read_orders
from edgekit.domains.marketing_segmentation.standards import learn_standards
from edgekit.domains.marketing_segmentation.text_columns import Texts
from edgekit.shared.domain import Request
from edgekit.shared.errors import ConfigError, ContractError, DeviceFileError, RunError, SourceError
from edgekit.shared.tables import read_table
from edgekit.tflite_export.assemble import assemble
from edgekit.tflite_export.card import Card, Tensor
from edgekit.tflite_export.quantize import export

PLAN = Plan(91, "GBP")
LABELS = ("highest value: frequent", "=middle", "lapsed")
DAY = "2011-12-09"
MIDNIGHT = 1_323_388_800  # the beginning of that day
NAN = np.nan
ORDERS = (
    {"timestamp": "2011-01-05T10:00", "order": "A1", "item": "mug", "quantity": 4, "price": 2.5},
    {"timestamp": "2011-01-05T10:00", "order": "A1", "item": "jug", "quantity": 1, "price": 12.0},
    {"timestamp": "2011-03-01T09:30", "order": "C1", "item": "mug", "quantity": -1, "price": 2.5},
    {"timestamp": "2011-08-20T17:00", "order": "A2", "item": "jug", "quantity": 2, "price": 11.0},
    {"timestamp": "2011-12-09T12:00", "order": "A3", "item": "tray", "quantity": 1, "price": 30.0},
)
OUTPUTS = {"segments": (len(LABELS),), "code": (5,), "orders": (1,), "spend": (1,), "comes_back": (1,)}


@pytest.fixture(scope="module")
def content() -> bytes:
    keras.utils.set_random_seed(1)
    model = build_model(PLAN, ModelSettings(width=8, members=1, code=5), segments=len(LABELS))
    known = made_up(PLAN)
    model.get_layer("standardized").set(learn_standards(known, known))
    for place, variable in enumerate(model.trainable_variables):
        noise = np.random.default_rng(place).normal(size=variable.shape)
        variable.assign(np.asarray(variable.value) + 0.1 * noise)
    return export(model, "float32")


def written(content: bytes, path: Path, **changes: Any) -> Path:
    card = Card(
        domain=NAME,
        summary="tiny",
        inputs=(Tensor(BEHAVIOUR, "float32", (len(NAMES),), "behaviour", missing="NaN"),),
        outputs=tuple(Tensor(name, "float32", shape, "made up") for name, shape in OUTPUTS.items()),
        labels=LABELS,
        settings=store_settings(PLAN, Texts()),
    )
    path.write_bytes(assemble(content, replace(card, **changes), {BEHAVIOUR: made_up(PLAN)}))
    return path


@pytest.fixture(scope="module")
def file(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(content, tmp_path_factory.mktemp("device") / "m.tflite")


@pytest.fixture(scope="module")
def segmenter(file: Path) -> Segmenter:
    return Segmenter(file)


def line(**changes: Any) -> dict[str, Any]:
    return {**ORDERS[0], **changes}


def without(*names: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in line.items() if name not in names} for line in ORDERS]


# === A customer ===


def test_an_answer_is_that_of_the_network(segmenter: Segmenter) -> None:
    orders = read_orders_of([("c", *line.values()) for line in ORDERS])
    known = behaviour(orders, MIDNIGHT + SECONDS_A_DAY - 1, horizon_days=91)[1]
    found = segmenter.model.predict({BEHAVIOUR: known})
    answer = segmenter.segment(ORDERS, DAY)
    assert answer.probabilities == tuple(found["segments"][0].tolist()) and answer.code == tuple(found["code"][0])
    assert (answer.orders, answer.spend, answer.comes_back) == tuple(
        float(found[name][0, 0]) for name in ("orders", "spend", "comes_back")
    )
    assert answer.segment == found["segments"][0].argmax() and answer.name == LABELS[answer.segment]
    assert answer.probability == max(answer.probabilities) and sum(answer.probabilities) == pytest.approx(1, abs=1e-6)
    assert (answer.horizon_days, answer.currency) == (91, "GBP")


def test_customers_who_differ_get_other_answers(segmenter: Segmenter) -> None:
    answers = [
        segmenter.segment(ORDERS[:1], DAY),
        segmenter.segment(ORDERS, DAY),
        segmenter.segment(ORDERS, "2015-06-01"),
    ]
    assert len({answer.code for answer in answers}) == 3 and len({answer.spend for answer in answers}) == 3


@pytest.mark.parametrize("seed", range(3))
def test_lines_come_in_any_order(segmenter: Segmenter, seed: int) -> None:
    turned = [ORDERS[place] for place in np.random.default_rng(seed).permutation(len(ORDERS))]
    assert segmenter.segment(turned, DAY) == segmenter.segment(ORDERS, DAY)


def test_lines_are_mappings_a_customer_or_come_one_by_one(segmenter: Segmenter) -> None:
    expected = segmenter.segment(ORDERS, DAY)
    turned = [dict(reversed(line.items())) for line in ORDERS]
    assert segmenter.segment(iter(turned), DAY) == expected == segmenter.segment(Customer(ORDERS), DAY)


def test_a_return_takes_its_purchase_back(segmenter: Segmenter) -> None:
    kept = [*ORDERS[:2], *ORDERS[3:]]
    assert segmenter.segment(ORDERS, "2011-02-28") == segmenter.segment(kept, "2011-02-28")
    assert segmenter.segment(ORDERS, "2011-03-01") != segmenter.segment(kept, "2011-03-01")
    lost = line(timestamp="2011-03-01", item="plate", quantity=-1)
    assert segmenter.segment([*ORDERS, lost], DAY) == segmenter.segment(ORDERS, DAY), "bought nowhere: left out"


def test_lines_after_the_moment_are_not_looked_at(segmenter: Segmenter) -> None:
    at = "2011-08-20T17:00"
    expected = segmenter.segment(ORDERS[:4], at)
    back = line(timestamp="2011-10-01", item="jug", quantity=-3)
    assert segmenter.segment([*ORDERS, back, line(timestamp="2050-01-01")], at) == expected
    assert segmenter.segment(ORDERS, "2011-08-20T16:59:59") == segmenter.segment(ORDERS[:3], "2011-08-20T16:59:59")
    assert segmenter.segment(ORDERS, "2011-08-20T16:59:59") != expected


@pytest.mark.parametrize("fields", [("order",), ("item",), ("quantity",), ("order", "item", "quantity")])
def test_fields_may_be_left_out(segmenter: Segmenter, fields: tuple[str, ...]) -> None:
    lines = without(*fields)
    assert segmenter.segment(lines, DAY) != segmenter.segment(ORDERS, DAY) or fields == ("order",)
    unknown = [line | dict.fromkeys(set(fields) - {"quantity"}) for line in lines]
    assert segmenter.segment(unknown, DAY) == segmenter.segment(lines, DAY), "None is unknown"


def test_lines_without_a_quantity_are_one_piece(segmenter: Segmenter) -> None:
    mixed = [line | ({"quantity": 1} if place % 2 else {}) for place, line in enumerate(without("quantity"))]
    assert segmenter.segment(mixed, DAY) == segmenter.segment(without("quantity"), DAY)


def test_amounts_count_as_prices_times_pieces(segmenter: Segmenter) -> None:
    summed = [line | {"amount": ORDERS[place]["quantity"] * ORDERS[place]["price"]} for place, line in
              enumerate(without("price"))]  # fmt: skip
    assert segmenter.segment(summed, DAY) == segmenter.segment(ORDERS, DAY)
    both = [line | {"price": 99} for line in summed]
    assert segmenter.segment(both, DAY) == segmenter.segment(ORDERS, DAY)


@pytest.mark.parametrize(
    "written_as",
    [
        lambda price: f"£{price:.2f}", lambda price: f"{price:.2f}".replace(".", ","), lambda price: f"GBP {price:.2f}",
        str, np.float64, lambda price: Decimal(str(price)), lambda price: int(price) if price == int(price) else price,
    ],
)  # fmt: skip
def test_prices_may_be_text_and_other_numbers(segmenter: Segmenter, written_as: Callable[[float], Any]) -> None:
    told = [line | {"price": written_as(line["price"])} for line in ORDERS]
    assert segmenter.segment(told, DAY) == segmenter.segment(ORDERS, DAY)


def test_text_is_read_as_in_training(content: bytes, tmp_path: Path, segmenter: Segmenter) -> None:
    stored = store_settings(PLAN, Texts(",", "%d/%m/%Y"))
    other = Segmenter(written(content, tmp_path / "m.tflite", settings=stored))
    assert other.segment([line(price="1.234")], DAY) == segmenter.segment([line(price=1234)], DAY)
    with pytest.raises(ContractError, match=r"'1.234' \(column 'price', row 1\) may be 1\.?234"):
        segmenter.segment([line(price="1.234")], DAY)
    with pytest.raises(ContractError, match="GBP, but found '€3'"):
        segmenter.segment([line(price="3"), line(price="€3")], DAY)


# === Times ===


@pytest.mark.parametrize(
    "at",
    [
        DAY, date(2011, 12, 9), np.datetime64(DAY), "2011-12-09T23:59:59", MIDNIGHT + SECONDS_A_DAY - 1,
        np.int64(MIDNIGHT + SECONDS_A_DAY - 1), MIDNIGHT + SECONDS_A_DAY - 0.5, datetime(2011, 12, 9, 23, 59, 59, 9),
        datetime(2011, 12, 9, 23, 59, 59, tzinfo=UTC), datetime(2011, 12, 10, 1, 59, 59, tzinfo=timezone(
            timedelta(hours=2))), "2011-12-09 15:59:59-08:00", np.datetime64("2011-12-09T23:59:59", "ns"),
    ],
    ids=repr,
)  # fmt: skip
def test_a_day_counts_whole_and_a_moment_to_the_second(segmenter: Segmenter, at: Any) -> None:
    last = line(timestamp="2011-12-09T23:59:59", order="last")
    found = segmenter.segment([*ORDERS, last], at)
    assert found == segmenter.segment([*ORDERS, last, line(timestamp="2011-12-10")], DAY)
    assert found != segmenter.segment([*ORDERS, last], MIDNIGHT + SECONDS_A_DAY - 2)


@pytest.mark.parametrize(
    "at",
    ["soon", "", "1331141400", "20111209", MIDNIGHT * 1000, np.int64(MIDNIGHT * 1000), 10**30, -(10**30), NAN,
     float("inf"), [], b"12", None, "2100-01-01", np.datetime64("NaT"), "2011-12-09T25:00", {}, 1j],
    ids=repr,
)  # fmt: skip
def test_what_is_no_time_is_refused(segmenter: Segmenter, at: Any) -> None:
    with pytest.raises(ConfigError, match="^Not a time: .* Expected a day such as 2011-12-09"):
        segmenter.segment(ORDERS, at)
    with pytest.raises(ContractError, match="^Line 2: An order line "):
        Customer([line(), line(timestamp=at)])


@pytest.mark.parametrize(
    "moment",
    [1_294_221_600, 1_294_221_600.9, np.int64(1_294_221_600), datetime(2011, 1, 5, 10), "2011-01-05 10:00:00.5",
     datetime(2011, 1, 5, 12, tzinfo=timezone(timedelta(hours=2))), "2011-01-05T10:00Z",
     np.datetime64("2011-01-05T10:00", "ns")],
    ids=repr,
)  # fmt: skip
def test_times_of_lines_may_be_mixed(segmenter: Segmenter, moment: Any) -> None:
    lines = [line(timestamp=moment), *ORDERS[1:]]
    assert segmenter.segment(lines, DAY) == segmenter.segment(ORDERS, DAY)


def test_a_line_of_a_mere_day_is_of_its_beginning(segmenter: Segmenter) -> None:
    day = [line(timestamp=date(2011, 12, 9))]
    assert segmenter.segment(day, MIDNIGHT) == segmenter.segment([line(timestamp=DAY)], "2011-12-09T00:00")


# === Kept on the device ===


def test_lines_are_kept_saved_and_restored(segmenter: Segmenter, tmp_path: Path) -> None:
    customer = Customer()
    for place, one in enumerate(ORDERS):
        customer.add(one)
        assert len(customer) == place + 1
    customer.save(tmp_path / "c.json")
    other = Customer.restore(tmp_path / "c.json")
    assert other.lines() == customer.lines() == ORDERS
    assert segmenter.segment(other, DAY) == segmenter.segment(ORDERS, DAY)
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"timestamp": datetime(2011, 1, 5, 10)}, {"timestamp": "2011-01-05T10:00:00"}),
        ({"timestamp": np.datetime64("2011-01-05T10:00", "ns")}, {"timestamp": "2011-01-05T10:00:00"}),
        ({"price": Decimal("2.5"), "quantity": np.int32(4)}, {}),
        ({"order": None, "item": NAN}, {"order": None, "item": None}),
        ({"item": "\ud800 ", "order": 7}, {"item": "\ud800 ", "order": 7}),
    ],
)
def test_all_that_can_be_added_can_be_saved(tmp_path: Path, given: dict[str, Any], kept: dict[str, Any]) -> None:
    customer = Customer([line(**given)])
    customer.save(tmp_path / "c.json")
    assert json.loads((tmp_path / "c.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    expected = {name: value for name, value in line(**kept).items() if value is not None}
    assert Customer.restore(tmp_path / "c.json").lines() == customer.lines() == (expected,)


def test_what_is_handed_out_is_a_copy() -> None:
    given = line()
    customer = Customer([given])
    given["price"] = customer.lines()[0]["price"] = "free"
    assert customer.lines() == (ORDERS[0],)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"prize": 2}, r"unknown field 'prize'\. Did you mean 'price'\? Expected timestamp, order, item"),
        ({7: 2}, "unknown field 7"), ({"customer": "me"}, "unknown field 'customer'"),
        ({"timestamp": None}, "no timestamp that can be read"), ({"timestamp": "1/12/2011"}, "Not a time: '1/12/2011'"),
        ({"timestamp": [1]}, r"\[1\] for timestamp"), ({"price": None}, "no price and no amount"),
        ({"price": NAN}, "no price and no amount"), ({"price": ""}, "no price and no amount"),
        ({"price": float("inf")}, "inf for price"), ({"price": np.float32("-inf")}, "-inf for price"),
        ({"price": [2.5]}, r"\[2.5\] for price"), ({"price": np.ones(2)}, "for price"), ({"item": b"mug"}, "for item"),
        ({"price": Decimal("inf")}, "inf for price"), ({"price": Decimal("sNaN")}, "no price"),
        ({"item": {}}, "for item"), ({"quantity": None}, "unknown quantity"), ({"quantity": NAN}, "unknown quantity"),
        ({"amount": 7}, "lines before have a price, but not this one"),
    ],
)  # fmt: skip
def test_a_broken_line_is_refused_and_not_kept(broken: dict[Any, Any], said: str) -> None:
    customer = Customer([line()])
    with pytest.raises(ContractError, match=said):
        customer.add({**ORDERS[1], **broken})
    assert customer.lines() == (ORDERS[0],)


@pytest.mark.parametrize("given", ["line", 5, None, {"timestamp": DAY, "price": 2}, [None], [["timestamp", DAY]], [7]])
def test_what_is_no_line_is_refused(segmenter: Segmenter, given: Any) -> None:
    with pytest.raises(ContractError, match="Found .* for (an )?order line"):
        segmenter.segment(given, DAY)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "Found no order lines"),
        ([line(quantity=-4)], "found no purchase by 2011-12-09 23:59:59 UTC. Expected one with a price, not wholly"),
        ([line(), line(timestamp="2011-02-01", quantity=-4)], "found no purchase by 2011-12-09 23:59:59"),
        ([line(timestamp="2011-12-10")], "found no purchase by 2011-12-09 23:59:59"),
        ([line(price=0)], "found no purchase by"),
        ([line(quantity=0)], "found no purchase by"),
        ([line(), line(price="free")], "column 'price': row 2: found 'free', expected a number such as"),
        ([line(quantity="many")], "column 'quantity': row 1: found 'many'"),
        ([line(price=1e300)], r"column 'price': row 1: found 1e\+300, expected a value from -1,000,000,000,000"),
        ([line(price=10**400)], "column 'price': row 1: found 1000000000000"),
        ([line(quantity=-1e10)], "column 'quantity': row 1: found -10000000000.0, expected a value from"),
    ],
)
def test_who_bought_nothing_is_told_from_what_is_wrong(
    segmenter: Segmenter, lines: list[dict[str, Any]], said: str
) -> None:
    with pytest.raises(ContractError, match=said):
        segmenter.segment(lines, DAY)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "7", "null", '"text"', '{"format": 1}', '{"format": 2, "lines": []}', '{"lines": []}',
        '{"format": 1, "lines": 5}', '{"format": 1, "lines": "abc"}', '{"format": 1, "lines": {"price": 1}}',
        '{"format": 1, "lines": [[]]}', '{"format": 1, "lines": [{"price": 1}]}', '{"format": 1, "lines": [null]}',
        '{"format": 1, "lines": [{"timestamp": "2011-12-09", "price": 1, "__class__": "x"}]}',
        '{"format": 1, "lines": [{"timestamp": "2011-12-09", "price": {"$": 1}}]}',
        '{"format": 1, "lines": [{"timestamp": "2011-12-09", "price": 1e999}]}',
        '{"format": 1, "lines": [{"timestamp": 1e308, "price": 1}]}', '{"format": 1, "lines": [1' + "0" * 5000 + "]}",
        '{"format": 1, "domain": "retail_recommendation", "history": []}', "[" * 100_000, "\x00",
    ],
    ids=lambda text: text[:60],
)  # fmt: skip
def test_what_is_no_saved_customer_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(ContractError, match=r"c\.json holds no saved customer .* Expected a file that Customer\.save"):
        Customer.restore(tmp_path / "c.json")


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="holds no saved customer"):
        Customer.restore(tmp_path / "none.json")
    (tmp_path / "c.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ContractError, match="holds no saved customer"):
        Customer.restore(tmp_path / "c.json")
    with pytest.raises(RunError, match="Cannot write"):
        Customer(ORDERS).save(tmp_path / "none" / "c.json")


# === A customer alone is as among all ===

HEAD = ("customer", "timestamp", "order", "item", "quantity", "price")


def read_orders_of(rows: list[tuple[Any, ...]]) -> Any:
    """Read rows as the cells of a CSV are read."""
    from edgekit.shared.tables import RawTable

    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    columns = {name: np.array(column, object) for name, column in zip(HEAD, zip(*cells, strict=True), strict=True)}
    return read_orders(RawTable(columns, "a shop"), Request(), Texts(), least=0)


@st.composite
def shops(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    """Draw the rows of a shop: up to six customers over two years, days and seconds that repeat, copies, returns."""
    moments = st.builds(
        lambda day, second: (datetime(2024, 1, 1) + timedelta(day, second)).isoformat(),
        st.one_of(st.integers(0, 729), st.sampled_from([3, 40])),
        st.sampled_from([0, 0, 1, 36_000, 86_399]),
    )
    rows = st.tuples(
        st.sampled_from(["", "7", "007", "ann", "=b", "zoë"]),
        moments,
        st.sampled_from(["", "o1", "o2", "10", "9", "x" * 9]),
        st.sampled_from(["", "mug", "jug", "1", "tray"]),
        st.sampled_from([-3, -1, 0, 1, 1, 2, 7]),
        st.sampled_from([0.0, 0.1, 1.99, 2.5, 33.33, -2.5]),
    )
    made = draw(st.lists(rows, min_size=1, max_size=40))
    copies = draw(st.lists(st.sampled_from(made), max_size=3))
    return [*made, *copies, ("ann", "2024-06-01T12:00:00", "sure", "mug", 1, 5.0)]


def alone(rows: list[tuple[Any, ...]], customer: str, at: int) -> tuple[np.ndarray, bool]:
    """Return what a segmenter feeds its network for a customer who was added line by line, and whether it does."""
    seen: list[np.ndarray] = []
    device = object.__new__(Segmenter)
    device.plan, device.texts, device.names = PLAN, Texts(), LABELS

    def answer(known: np.ndarray) -> Answer:
        seen.append(known)
        return Answer(0, "", 0.0, (), 0.0, 0.0, 0.0, 91, "", ())

    device._answer = answer  # type: ignore[method-assign]
    kept = Customer()
    for who, *cells in rows:
        if who == customer:
            kept.add({name: cell for name, cell in zip(HEAD[1:], cells, strict=True) if cell != ""})
    try:
        device.segment(kept, at)
    except ContractError as error:
        assert "found no purchase" in str(error)
        return np.zeros(0), False
    return seen[0], True


@settings(max_examples=80, deadline=None)
@given(rows=shops(), day=st.integers(0, 760))
def test_a_customer_line_by_line_is_as_among_the_whole_shop(rows: list[tuple[Any, ...]], day: int) -> None:
    orders, at = read_orders_of(rows), 1_704_067_200 + day * SECONDS_A_DAY + 7
    codes, known = behaviour(orders, at, horizon_days=PLAN.horizon_days)
    among = {orders.customers[code]: row for code, row in zip(codes.tolist(), known, strict=True)}
    for customer in {row[0] for row in rows} - {""}:
        found, bought = alone(rows, customer, at)
        assert bought == (customer in among)
        np.testing.assert_array_equal(found, among.get(customer, found))


# === Tables of orders ===

TABLE = """customer,timestamp,order,item,quantity,price
bob,2011-02-01T10:00,B1,mug,1,2.50
ann,2011-01-05T10:00,A1,mug,4,2.50
ann,2011-01-05T10:00,A1,jug,1,12.00
,2011-01-05T11:00,A1,jug,1,12.00
ann,2011-03-01T09:30,C1,mug,-1,2.50
=cy,2011-12-09T23:59:59,D1,mug,1,2.50
ann,2011-08-20T17:00,A2,jug,2,11.00
eve,2011-06-01T17:00,E1,jug,-2,11.00
ann,2011-12-09T12:00,A3,tray,1,30.00
dan,2011-12-10T00:00,F1,mug,1,2.50
"""


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as opened:
        return list(csv.DictReader(opened))


def table(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def is_told(row: dict[str, str], answer: Answer) -> bool:
    told = (int(row["segment"]), *(float(row[name]) for name in ("probability", "orders", "spend", "comes_back")))
    expected = (answer.segment, answer.probability, answer.orders, answer.spend, answer.comes_back)
    return told == pytest.approx(expected, abs=1e-6) and row["name"].removeprefix("'") == answer.name


@pytest.mark.parametrize(
    ("at", "customers"),
    [
        (None, ["=cy", "ann", "bob", "dan"]),
        ("2011-12-10", ["=cy", "ann", "bob", "dan"]),
        (DAY, ["=cy", "ann", "bob"]),
        ("2011-12-09T23:59:58", ["ann", "bob"]),
        ("2011-01-31", ["ann"]),
    ],
)
def test_a_line_for_each_customer_with_a_purchase_by_then(
    file: Path, tmp_path: Path, segmenter: Segmenter, at: str | None, customers: list[str]
) -> None:
    counts = predict_file(file, [table(tmp_path / "o.csv", TABLE)], out=tmp_path / "s.csv", at=at)
    rows = rows_of(tmp_path / "s.csv")
    assert counts == {"customers": len(customers), "without a purchase by then": 5 - len(customers)}
    assert tuple(rows[0]) == COLUMNS and [row["customer"].removeprefix("'") for row in rows] == customers
    (ann,) = [row for row in rows if row["customer"] == "ann"]
    assert is_told(ann, segmenter.segment(ORDERS, at or "2011-12-10"))


def test_no_cell_is_run_as_a_formula(content: bytes, tmp_path: Path) -> None:
    names = tuple(f"={name}" for name in LABELS)
    model = written(content, tmp_path / "m.tflite", labels=names)
    predict_file(model, [table(tmp_path / "o.csv", TABLE)], out=tmp_path / "s.csv")
    cells = [cell for row in rows_of(tmp_path / "s.csv") for cell in row.values()]
    assert "'=cy" in cells and not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)


def test_columns_can_be_named(file: Path, tmp_path: Path) -> None:
    own = TABLE.replace("customer,timestamp", "CustomerID,InvoiceDate").replace("quantity", "Quantity")
    columns = {"customer": "CustomerID", "timestamp": "InvoiceDate", "quantity": "Quantity"}
    for name, text, mapping in (("a", TABLE, None), ("b", own, columns)):
        counts = predict_file(file, [table(tmp_path / name, text).rename(tmp_path / f"{name}.csv")],
                              out=tmp_path / f"{name}-s.csv", columns=mapping)  # fmt: skip
        assert counts["customers"] == 4
    assert (tmp_path / "a-s.csv").read_text() == (tmp_path / "b-s.csv").read_text()


def test_tables_are_read_as_in_training(content: bytes, file: Path, tmp_path: Path) -> None:
    stored = store_settings(PLAN, Texts(",", "%m/%d/%Y"))
    other = written(content, tmp_path / "m.tflite", settings=stored)
    own = "customer;timestamp;amount\nann;02/01/2011;1.234\nann;03/04/2011;£7,50\n"
    plain = "customer,timestamp,amount\nann,2011-02-01,1234\nann,2011-03-04,7.50\n"
    predict_file(other, [table(tmp_path / "a.csv", own)], out=tmp_path / "a-s.csv")
    predict_file(file, [table(tmp_path / "b.csv", plain)], out=tmp_path / "b-s.csv")
    assert (tmp_path / "a-s.csv").read_text() == (tmp_path / "b-s.csv").read_text()


@pytest.mark.parametrize(
    ("text", "at", "error", "said"),
    [
        (TABLE, "soon", ConfigError, "Not a time: 'soon'"),
        (TABLE, "2010-12-31", ContractError, r"o\.csv: found no purchase by 2010-12-31 23:59:59 UTC"),
        (TABLE.replace("customer,", "client,"), None, ContractError, "no column for the role 'customer'"),
        (TABLE.replace("price", "cost"), None, ContractError, "no column for the role 'price' or 'amount'"),
        (TABLE.replace(",2.50\nann", ",dear\nann"), None, ContractError, "row 1: found 'dear', expected a number"),
        (TABLE.replace(",2.50\nann", ",€2.50\nann"), None, ContractError, "data.currency is GBP, but found"),
        (TABLE.replace("2011-02-01T10:00", "01/02/2011"), None, ContractError, "dates in 2 formats"),
        ("customer,timestamp,price\n,2011-01-01,3\n", None, ContractError, "none of 1 lines names a customer"),
        ("customer,timestamp,quantity,price\na,2011-01-01,-1,3\n", None, ContractError,
         "found no purchase by 2011-01-01 23:59:59 UTC"),
        ("customer,timestamp,price\n", None, SourceError, "no rows"),
        ("", None, SourceError, "empty"),
    ],
)  # fmt: skip
def test_tables_that_are_refused_are_one_error_and_nothing_is_written(
    file: Path, tmp_path: Path, text: str, at: str | None, error: type[Exception], said: str
) -> None:
    data = table(tmp_path / "o.csv", text)
    with pytest.raises(error, match=said):
        predict_file(file, [data], out=tmp_path / "s.csv", at=at)
    assert [path.name for path in tmp_path.iterdir()] == ["o.csv"]


def test_a_result_that_was_there_is_kept_on_errors(file: Path, tmp_path: Path) -> None:
    data, out = table(tmp_path / "o.csv", TABLE), table(tmp_path / "s.csv", "kept")
    with pytest.raises(ConfigError):
        predict_file(file, [data], out=out, at="soon")
    assert out.read_text() == "kept" and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("count", [0, 2])
def test_orders_come_in_one_file(file: Path, tmp_path: Path, count: int) -> None:
    with pytest.raises(ConfigError, match=f"Found {count} files; a segmenter takes one"):
        predict_file(file, [tmp_path / f"{number}.csv" for number in range(count)], out=tmp_path / "s.csv")


def test_the_table_of_the_tests_is_the_customer_of_the_tests(tmp_path: Path) -> None:
    raw = read_table(table(tmp_path / "o.csv", TABLE))
    assert (raw.columns["customer"] == "ann").sum() == len(ORDERS)


# === Device files ===

STORED = store_settings(PLAN, Texts())


def stored(**changes: Any) -> dict[str, Any]:
    plan = {name: value for name, value in changes.items() if name in STORED["plan"]}
    reading = {name: value for name, value in changes.items() if name in STORED["reading"]}
    return {"plan": STORED["plan"] | plan, "reading": STORED["reading"] | reading}


@pytest.mark.parametrize(
    "settings",
    [
        {}, {"plan": None}, {"plan": []}, {"plan": "text", "reading": {}}, {"plan": STORED["plan"]},
        {"reading": STORED["reading"]}, {**STORED, "reading": None}, {**STORED, "reading": []},
        stored(names=[]), stored(names=None), stored(names=list(reversed(NAMES))), stored(names=[*NAMES[:-1], "age"]),
        stored(names=[*NAMES, "age"]), stored(names=[[]] * len(NAMES)), stored(names=7),
        stored(horizon_days=0), stored(horizon_days=-1), stored(horizon_days=367), stored(horizon_days=10**30),
        stored(horizon_days="91"), stored(horizon_days=None), stored(horizon_days=True), stored(horizon_days=91.5),
        stored(currency="\x1b[31mEUR"), stored(currency="E\nUR"), stored(currency=None), stored(currency=["EUR"]),
        stored(decimal="x"), stored(decimal=None), stored(decimal=[]), stored(date_format=7),
        stored(date_format="%d\x00"),
    ],
    ids=lambda settings: json.dumps(settings)[-60:],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(content: bytes, tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(DeviceFileError, match=r"^Found settings on the card .*cannot use .* Export the file again"):
        Segmenter(written(content, tmp_path / "m.tflite", settings=settings))


@pytest.mark.parametrize("labels", [(), LABELS[:2], (*LABELS, "more")], ids=len)
def test_names_of_other_segments_are_refused(content: bytes, tmp_path: Path, labels: tuple[str, ...]) -> None:
    with pytest.raises(DeviceFileError, match="the segments and their names differ in number"):
        Segmenter(written(content, tmp_path / "m.tflite", labels=labels))


def test_a_file_of_another_domain_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(DeviceFileError, match="transportation"):
        Segmenter(written(content, tmp_path / "m.tflite", domain="transportation"))


@pytest.mark.parametrize("missing", ["code", "orders", "spend", "comes_back"])
def test_a_network_that_says_less_is_refused(tmp_path: Path, missing: str) -> None:
    from types import SimpleNamespace

    from edgekit.domains.marketing_segmentation.device import _settings

    outputs = [Tensor(name, "float32", shape, "") for name, shape in OUTPUTS.items() if name != missing]
    inputs = [Tensor(BEHAVIOUR, "float32", (len(NAMES),), "")]
    for more in ([], [Tensor(missing, "float32", (2, 2), "")]):
        card = SimpleNamespace(inputs=inputs, outputs=[*outputs, *more], labels=LABELS, settings=STORED)
        with pytest.raises(DeviceFileError, match="cannot use"):
            _settings(SimpleNamespace(card=card))  # type: ignore[arg-type]


@pytest.mark.parametrize("inputs", [(), (("behaviour", "float32", 12),), (("behaviour", "int32", len(NAMES)),),
                                    (("behaviour", "float32", len(NAMES)), ("more", "float32", 1))])  # fmt: skip
def test_a_network_that_is_fed_otherwise_is_refused(inputs: tuple[tuple[str, str, int], ...]) -> None:
    from types import SimpleNamespace

    from edgekit.domains.marketing_segmentation.device import _settings

    given = [Tensor(name, kind, (width,), "") for name, kind, width in inputs]
    outputs = [Tensor(name, "float32", shape, "") for name, shape in OUTPUTS.items()]
    card = SimpleNamespace(inputs=given, outputs=outputs, labels=LABELS, settings=STORED)
    with pytest.raises(DeviceFileError, match="the behaviour has other columns"):
        _settings(SimpleNamespace(card=card))  # type: ignore[arg-type]


def test_a_format_of_dates_that_is_none_reads_no_date(content: bytes, tmp_path: Path) -> None:
    model = written(content, tmp_path / "m.tflite", settings=stored(date_format="%d/%d"))
    with pytest.raises(ContractError, match="expected a date as %d/%d"):
        predict_file(model, [table(tmp_path / "o.csv", TABLE)], out=tmp_path / "s.csv")
    assert not (tmp_path / "s.csv").exists()


def test_it_runs_without_anything_heavy(file: Path, tmp_path: Path) -> None:
    data = table(tmp_path / "o.csv", TABLE)
    code = (
        "import sys; from pathlib import Path\n"
        "from edgekit.domains.marketing_segmentation import Customer, Segmenter\n"
        "from edgekit.domains.marketing_segmentation.device import predict_file\n"
        f"kept = Customer([{dict(ORDERS[0])!r}]); Segmenter({str(file)!r}).segment(kept, {DAY!r})\n"
        f"predict_file(Path({str(file)!r}), [Path({str(data)!r})], out=Path({str(tmp_path / 's.csv')!r}))\n"
        "heavy = 'tensorflow keras pandas scipy sklearn matplotlib pyarrow pydantic typer rich jinja2'.split()\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
