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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ...shared.domain import Request
from ...shared.errors import ConfigError, ContractError, DeviceFileError
from ...shared.files import write_text
from ...shared.spreadsheet import write_csv
from ...shared.tables import from_columns, read_table
from ...tflite_export.runtime import DeviceModel, load_model, require_domain
from .features import BEHAVIOUR, CODE, COMES_BACK, NAMES, ORDERS, SECONDS_A_DAY, SEGMENTS, SPEND, Plan, behaviour
from .orders import Orders
from .reading import read_orders
from .text_columns import Texts, TextSettings

NAME = "marketing_segmentation"
COLUMNS = ("customer", "segment", "name", "probability", "orders", "spend", "comes_back")
FORMAT = 1
FIELDS = ("timestamp", "order", "item", "quantity", "price", "amount")

Moment = str | int | float | date | datetime
"""ISO text, seconds since 1970, a ``date`` or a ``datetime`` (UTC without a zone); of a mere day all of it counts."""
Line = Mapping[str, Any]
"""An order line: ``timestamp``, ``price`` or ``amount``; ``order``, ``item`` and ``quantity`` where there are any."""


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
            ContractError: a line has a field that is not known.
        """
        self._lines: list[dict[str, Any]] = []
        for line in lines:
            self.add(line)

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, line: Line) -> None:
        """Keep one more line; a return has a negative quantity or amount.

        Raises:
            ContractError: the line has a field that is not known, or no time.
        """
        unknown = [name for name in line if name not in FIELDS]
        if unknown or line.get("timestamp") is None:
            found = f"the unknown field {unknown[0]!r}" if unknown else "no timestamp"
            raise ContractError(f"An order line has {found}. Expected {', '.join(FIELDS)}, as far as they are known.")
        moment = line["timestamp"]
        kept = {name: value for name, value in line.items() if value is not None}
        self._lines.append(kept | {"timestamp": moment.isoformat() if isinstance(moment, date) else moment})

    def lines(self) -> tuple[dict[str, Any], ...]:
        """Return the lines as they were added."""
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
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
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
            orders: the customer's order lines, in any order; those after ``at`` are not looked at.
            at: the moment that expectations begin; a day without a time counts with its end.

        Raises:
            ContractError: a line is broken, or nothing was bought by then.
            ConfigError: ``at`` is no time.
        """
        lines = orders.lines() if isinstance(orders, Customer) else Customer(orders).lines()
        if not lines:
            raise ContractError("Found no order lines. A customer who never ordered has no behaviour to tell from.")
        columns = {name: [line.get(name) for line in lines] for name in FIELDS if any(name in line for line in lines)}
        told = {name: np.array(values, dtype=object) for name, values in columns.items()}
        told["customer"] = np.array(["customer"] * len(lines), dtype=object)
        raw = from_columns(told, source="the customer's orders")
        (answer,) = [answer for _, answer in self.answers(read_orders(raw, Request(), Texts(), least=1), at)]
        return answer

    def answers(self, orders: Orders, at: Moment) -> Iterator[tuple[str, Answer]]:
        """Yield each customer who bought something by ``at``, with the answer.

        Raises:
            ContractError: nobody bought anything by then.
        """
        customers, known = behaviour(orders, _seconds(at), horizon_days=self.plan.horizon_days)
        if not len(customers):
            raise ContractError(f"{orders.source}: found no purchase by {at}. Expected orders before that moment.")
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


def _seconds(at: Moment) -> int:
    """Return the last second that may be known.

    Raises:
        ConfigError: it is no time.
    """
    try:
        if isinstance(at, str):
            whole_day = len(at.strip()) <= len("2011-12-09")
            at = datetime.fromisoformat(at.strip())
        else:
            whole_day = isinstance(at, date) and not isinstance(at, datetime)
        if isinstance(at, date):
            moment = at if isinstance(at, datetime) else datetime(at.year, at.month, at.day)
            aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return int(aware.timestamp()) + (SECONDS_A_DAY - 1 if whole_day else 0)
        return int(at)
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"Not a time: {at!r:.80}. Expected a day such as 2011-12-09 or an ISO time.") from error


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
        Number of customers, and of those who had bought nothing by then.

    Raises:
        EdgekitError: a file is refused.
    """
    if len(data) != 1:
        raise ConfigError(f"Found {len(data)} files; a segmenter takes one. Run it once for each file.")
    segmenter = Segmenter(model)
    orders = read_orders(read_table(data[0]), Request(columns=columns or {}), segmenter.texts, least=1)
    lines = [
        (customer, one.segment, one.name, one.probability, one.orders, one.spend, one.comes_back)
        for customer, one in segmenter.answers(orders, orders.until - 1 if at is None else at)
    ]
    write_csv(out, COLUMNS, lines)
    return {"customers": len(lines), "without a purchase by then": len(orders.customers) - len(lines)}


def store_settings(plan: Plan, texts: TextSettings) -> dict[str, Any]:
    """Return what :class:`Segmenter` needs, in JSON types, for the card of a device file."""
    reading = {"decimal": texts.decimal, "date_format": texts.date_format}
    told = {"horizon_days": plan.horizon_days, "currency": plan.currency, "names": list(plan.names)}
    return {"plan": told, "reading": reading}


def _settings(model: DeviceModel) -> tuple[Plan, Texts]:
    """Read the settings of a card, which may come from anyone, and hold them against the network."""
    try:
        told = model.card.settings["plan"]
        plan = Plan(int(told["horizon_days"]), str(told["currency"]), tuple(map(str, told["names"])))
        shapes = {slot.name: slot.shape for slot in (*model.card.inputs, *model.card.outputs)}
        if plan.names != NAMES or shapes[BEHAVIOUR] != (len(NAMES),):
            raise ValueError("the behaviour has other columns than this version of edgekit makes")
        if shapes[SEGMENTS] != (len(model.card.labels),):
            raise ValueError("the segments and their names differ in number")
        if not plan.currency.isprintable() or not 1 <= plan.horizon_days <= 366:
            raise ValueError("currency or horizon are not plausible")
        reading = model.card.settings["reading"]
        texts = Texts(reading["decimal"], reading["date_format"], plan.currency)
        if texts.decimal not in ("auto", ".", ",") or not isinstance(texts.date_format, str | None):
            raise ValueError("how texts are read is not plausible")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DeviceFileError(
            f"Found settings on the card that {NAME} cannot use ({error}). Export the file again with edgekit."
        ) from error
    return plan, texts
