"""Segments on the device: numpy and ai-edge-litert, no TensorFlow.

segmenter = Segmenter("marketing_segmentation.tflite")
answer = segmenter.segment(orders_of_one_customer, at="2011-12-09")     # mappings with timestamp, quantity, price, …
print(answer.name, answer.probability, answer.orders, answer.spend, answer.comes_back)

customer = Customer()                                                   # or kept on the phone, line by line
customer.add({"timestamp": "2011-12-01T10:00", "order": "A1", "item": "mug", "quantity": 2, "price": 3.5})
segmenter.segment(customer, at="2011-12-09")
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from ...shared.columns import absent_cells, read_category
from ...shared.domain import Request
from ...shared.errors import ConfigError, ContractError, DeviceFileError, nearest
from ...shared.files import write_text
from ...shared.spreadsheet import write_csv
from ...shared.tables import from_columns, read_table
from ...tflite_export.runtime import DeviceModel, load_model, require_domain
from .features import BEHAVIOUR, CODE, COMES_BACK, NAMES, ORDERS, SECONDS_A_DAY, SEGMENTS, SPEND, Plan, behaviour
from .orders import Orders
from .reading import LATEST, MONEY, read_orders
from .text_columns import Texts, TextSettings

NAME = "marketing_segmentation"
COLUMNS = ("customer", "segment", "name", "probability", "orders", "spend", "comes_back")
FORMAT = 1
FIELDS = ("timestamp", "order", "item", "quantity", *MONEY)

Moment = str | int | float | date | datetime
"""ISO text, seconds since 1970, a ``date`` or a ``datetime`` (UTC without a zone)."""
Line = Mapping[str, Any]
"""An order line: ``timestamp`` (a :data:`Moment`), ``price`` of a piece or ``amount`` of the line, and ``order``,
``item`` and ``quantity`` where there are any. Without orders, all of a day is one; without a quantity, it is one piece.
What is ``None`` or NaN is unknown. Prices that are text are read as the training data were; better bring numbers.
"""


@dataclass(frozen=True)
class Answer:
    """What is known of a customer.

    Attributes:
        segment: code from 0, in order of foreseen spend.
        name: of the segment.
        probability: of the segment.
        probabilities: of each segment.
        orders, spend: expected within the horizon; spend in ``currency``.
        comes_back: probability of at least one order within the horizon.
        horizon_days, currency: as the file was trained.
        code: the numbers that stand for the customer's behaviour.
    """

    segment: int
    name: str
    probability: float
    probabilities: tuple[float, ...]
    orders: float
    spend: float
    comes_back: float
    horizon_days: int
    currency: str
    code: tuple[float, ...]


class Customer:
    """One customer's order lines, kept where the customer is: nothing leaves the device."""

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        """Begin with some lines.

        Raises:
            ContractError: a line is broken.
        """
        self._lines: list[dict[str, str | float]] = []
        if not isinstance(lines, Iterable):
            raise ContractError(f"Found {lines!r:.80} for order lines. Expected a list of mappings.")
        for number, line in enumerate(lines, start=1):
            try:
                self.add(line)
            except ContractError as error:
                raise ContractError(f"Line {number}: {error}") from error

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, line: Line) -> None:
        """Keep one more line; a return has a negative quantity or amount.

        Raises:
            ContractError: it has an unknown field, no time that can be read, no money or no plain values, or it has a
                price where the lines before have an amount, or the other way round.
        """
        new = _line(line)
        if self._lines and ("amount" in new) != ("amount" in self._lines[0]):
            old = "an amount" if "amount" in self._lines[0] else "a price"
            raise ContractError(f"The order lines before have {old}, but not this one. Expected the same in all lines.")
        self._lines.append(new)

    def lines(self) -> tuple[dict[str, Any], ...]:
        """Return the lines as they were added, without what is unknown; dates are ISO text."""
        return tuple(dict(line) for line in self._lines)

    def save(self, path: str | Path) -> None:
        """Write the lines as JSON, atomically. They are a customer's data: keep them as safe as those."""
        write_text(Path(path), json.dumps({"format": FORMAT, "lines": self._lines}))

    @classmethod
    def restore(cls, path: str | Path) -> Customer:
        """Read what :meth:`save` wrote.

        Raises:
            ContractError: the file holds something else.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']!r}")
            return cls(content["lines"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ContractError(
                f"{path} holds no saved customer ({error}). Expected a file that Customer.save wrote, of format "
                f"{FORMAT}."
            ) from error


class Segmenter:
    """Segments with a device file. Not safe to share between threads: make one per thread."""

    def __init__(self, source: str | Path, *, threads: int = 1) -> None:
        """Load and check the file.

        Raises:
            DeviceFileError: the file is damaged, or not one of this domain.
        """
        self.model: DeviceModel = load_model(Path(source), threads=threads)
        require_domain(self.model, NAME)
        self.plan, self.texts = _settings(self.model)
        self.names = self.model.card.labels

    def segment(self, orders: Customer | Iterable[Line], at: Moment) -> Answer:
        """Return segment and expectations of one customer.

        Args:
            orders: the customer's order lines, in any order (lines of one second happened in the order given); what
                happened after ``at`` is not looked at.
            at: the last second that is known, from where expectations begin; of a mere day all of it counts.

        Raises:
            ContractError: a line is broken, or nothing was bought by then.
            ConfigError: ``at`` is no time.
        """
        lines = (orders if isinstance(orders, Customer) else Customer(orders)).lines()
        if not lines:
            raise ContractError("Found no order lines. A customer who never ordered has no behaviour to tell from.")
        given = {name for line in lines for name in line}
        rows = [{"quantity": 1} | line | {"timestamp": _seconds(line["timestamp"])} for line in lines]
        columns = {name: np.array([row.get(name) for row in rows], object) for name in given | {"quantity"}}
        columns["customer"] = np.full(len(rows), "customer", object)
        raw = from_columns(columns, source="the customer's orders")
        texts = replace(self.texts, date_format=None)
        (answer,) = [answer for _, answer in self.answers(read_orders(raw, Request(), texts, least=0), at)]
        return answer

    def answers(self, orders: Orders, at: Moment) -> Iterator[tuple[str, Answer]]:
        """Yield each customer who bought something by ``at``, with the answer.

        Raises:
            ContractError: nobody bought anything by then.
            ConfigError: ``at`` is no time.
        """
        moment = _seconds(at, whole_day=True)
        customers, known = behaviour(orders, moment, horizon_days=self.plan.horizon_days)
        if not len(customers):
            raise ContractError(
                f"{orders.source}: found no purchase by {datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC. "
                "Expected one with a price, not wholly taken back. Ask for a later moment, or leave the customers out."
            )
        for customer, row in zip(customers.tolist(), known, strict=True):
            yield orders.customers[customer], self._answer(row)

    def _answer(self, known: np.ndarray) -> Answer:
        found = self.model.predict({BEHAVIOUR: known[None]})
        share = found[SEGMENTS][0]
        best = int(share.argmax())
        return Answer(
            segment=best,
            name=self.names[best],
            probability=float(share[best]),
            probabilities=tuple(map(float, share)),
            orders=float(found[ORDERS][0, 0]),
            spend=float(found[SPEND][0, 0]),
            comes_back=float(found[COMES_BACK][0, 0]),
            horizon_days=self.plan.horizon_days,
            currency=self.plan.currency,
            code=tuple(map(float, found[CODE][0])),
        )


def _line(line: Any) -> dict[str, str | float]:
    """Return what is known of an order line, as JSON has it.

    Raises:
        ContractError: see :meth:`Customer.add`.
    """
    if not isinstance(line, Mapping):
        raise ContractError(f"Found {line!r:.80} for an order line. Expected a mapping with {', '.join(FIELDS)}.")
    for name in line:
        if name not in FIELDS:
            hint = nearest(str(name), FIELDS)
            raise ContractError(
                f"An order line has the unknown field {name!r:.80}.{hint} Expected {', '.join(FIELDS)}."
            )
    told = {name: _plain(name, value) for name, value in line.items()}
    known = {name: value for name, value in told.items() if value is not None}
    if "quantity" in told and "quantity" not in known:
        raise ContractError("An order line has an unknown quantity. Name it, or leave the field out for one piece.")
    if not known.keys() & set(MONEY):
        raise ContractError("An order line has no price and no amount. Name one of them, or leave the line out.")
    try:
        _seconds(known.get("timestamp"))
    except ConfigError as error:
        raise ContractError(f"An order line has no timestamp that can be read. {error}") from error
    return known


def _plain(name: str, value: Any) -> str | float | None:
    """Return a field's value as JSON has it, ``None`` if it is unknown.

    Raises:
        ContractError: it is neither a text, nor a finite number, nor a date.
    """
    if isinstance(value, np.generic):
        value = _python(value)
    if isinstance(value, Decimal):
        value = math.nan if value.is_nan() else float(value)
    if absent_cells(np.array([value, None], object))[0]:
        return None
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ContractError(f"An order line has {value!r:.80} for {name}. Expected a text, a finite number or a date.")


def _python(value: np.generic) -> Any:
    found = value.item()
    return value.astype("datetime64[us]").item() if value.dtype.kind == "M" and isinstance(found, int) else found


def _seconds(at: Any, *, whole_day: bool = False) -> int:
    """Return seconds since 1970.

    Args:
        at: a :data:`Moment`.
        whole_day: of a mere day, return the last second, not the first.

    Raises:
        ConfigError: it is no time before 2100.
    """
    found = _python(at) if isinstance(at, np.generic) else at
    is_day = isinstance(found, date) and not isinstance(found, datetime)
    try:
        if isinstance(found, str):
            is_day = len(found.strip()) <= len("2011-12-09")
            # bare digits may be a day (20111209) or seconds
            found = None if found.strip().isdigit() else datetime.fromisoformat(found.strip())
        if isinstance(found, date):
            moment = found if isinstance(found, datetime) else datetime(found.year, found.month, found.day)
            found = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        if not isinstance(found, int | float) or not abs(found) < LATEST:
            raise ValueError
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(
            f"Not a time: {at!r:.80}. Expected a day such as 2011-12-09, an ISO time such as 2011-12-09T17:30, or a "
            "number of seconds since 1970, before the year 2100."
        ) from error
    return math.floor(found) + (SECONDS_A_DAY - 1 if is_day and whole_day else 0)


def predict_file(
    model: Path,
    data: Sequence[Path],
    *,
    out: Path,
    columns: Mapping[str, str] | None = None,
    at: str | None = None,
) -> dict[str, int]:
    """Segment the customers of a table of order lines: customer, segment, name, probability, expectations.

    Args:
        model: the device file.
        data: one CSV or Parquet file of order lines, as in training.
        out: CSV to write, atomically.
        columns: role to own column name.
        at: the day or moment that expectations begin; the end of the log if left out.

    Returns:
        Number of customers with a line, and of those in the file who had bought nothing by then.

    Raises:
        EdgekitError: a file is refused.
    """
    if len(data) != 1:
        raise ConfigError(f"Found {len(data)} files; a segmenter takes one. Run it once for each file.")
    segmenter = Segmenter(model)
    raw, own = read_table(data[0]), columns or {}
    orders = read_orders(raw, Request(columns=own), segmenter.texts, least=0)
    cells = raw.columns[own.get("customer", "customer")]
    named = set(read_category(cells, absent_cells(cells)).values) - {""}
    lines = [
        (customer, one.segment, one.name, one.probability, one.orders, one.spend, one.comes_back)
        for customer, one in segmenter.answers(orders, orders.until - 1 if at is None else at)
    ]
    write_csv(out, COLUMNS, lines)
    return {"customers": len(lines), "without a purchase by then": len(named) - len(lines)}


def store_settings(plan: Plan, texts: TextSettings) -> dict[str, Any]:
    """Return what :class:`Segmenter` needs, in JSON types, for the card of a device file."""
    reading = {"decimal": texts.decimal, "date_format": texts.date_format}
    told = {"horizon_days": plan.horizon_days, "currency": plan.currency, "names": list(plan.names)}
    return {"plan": told, "reading": reading}


def _settings(model: DeviceModel) -> tuple[Plan, Texts]:
    """Read the settings of a card, which may come from anyone, and hold them against the network."""
    try:
        told, reading = model.card.settings["plan"], model.card.settings["reading"]
        plan = Plan(told["horizon_days"], told["currency"], tuple(told["names"]))
        texts = Texts(reading["decimal"], reading["date_format"], plan.currency)
        _require_shapes(model)
        if plan.names != NAMES:
            raise ValueError("the behaviour has other columns than this version of edgekit makes")
        if type(plan.horizon_days) is not int or not 1 <= plan.horizon_days <= 366:
            raise ValueError("the horizon is no number of days from 1 to 366")
        for text in (plan.currency, "" if texts.date_format is None else texts.date_format):
            if not isinstance(text, str) or not text.isprintable():
                raise ValueError("the currency or the format of dates is no printable text")
        if texts.decimal not in ("auto", ".", ","):
            raise ValueError("the sign before decimals is neither a point nor a comma")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DeviceFileError(
            f"Found settings on the card that {NAME} cannot use ({error}). Export the file again with edgekit."
        ) from error
    return plan, texts


def _require_shapes(model: DeviceModel) -> None:
    """Hold what goes in and comes out against what a segmenter feeds and reads.

    Raises:
        ValueError: it is another network.
    """
    given = {slot.name: (slot.dtype, slot.shape) for slot in model.card.inputs}
    if given != {BEHAVIOUR: ("float32", (len(NAMES),))}:
        raise ValueError("the behaviour has other columns than this version of edgekit makes")
    made = {slot.name: slot.shape for slot in model.card.outputs}
    if not model.card.labels or made[SEGMENTS] != (len(model.card.labels),):
        raise ValueError("the segments and their names differ in number")
    if len(made[CODE]) != 1 or any(made[name] != (1,) for name in (ORDERS, SPEND, COMES_BACK)):
        raise ValueError("the expectations have other shapes")
