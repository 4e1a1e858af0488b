"""The same features one transaction at a time: what a device keeps between two transactions.

Per customer and terminal the stream keeps the rows of the longest window and running totals of what lies
before them, all as whole numbers. It can be saved as JSON and restored.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...shared.errors import ContractError
from .features import (
    CALM_DAYS,
    CUSTOMER_DAYS,
    DAY,
    LONGEST,
    LOUD,
    NONE,
    NOTABLE,
    RISK_DAYS,
    TERMINAL_DAYS,
    UNUSUAL,
    UNUSUAL_DAYS,
    Aggregates,
    Plan,
    exceeds,
    in_tenths,
)

FORMAT = 1  # rises when a saved state can no longer be read as this one; an older reader then refuses it


@dataclass
class _Customer:
    """A customer's rows of the last 30 days (and at least the history asked for), and totals since ever."""

    seconds: list[int] = field(default_factory=list)
    cents: list[int] = field(default_factory=list)
    unusual: list[int] = field(default_factory=list)
    count: int = 0
    total: int = 0
    usual_count: int = 0
    usual_total: int = 0


@dataclass
class _Terminal:
    """A terminal's rows of the last 30 days behind the delay; ``numbers`` are the stream's own row numbers."""

    seconds: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    fraud: list[int] = field(default_factory=list)
    calm: list[int] = field(default_factory=list)


class Stream:
    """The running windows of all customers and terminals a device has seen.

    Not thread-safe: transactions move the windows in the order in which they are pushed.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._customers: dict[str, _Customer] = {}
        self._terminals: dict[str, _Terminal] = {}
        self._now: int | None = None
        self._pushed = 0

    def push(self, transaction: Mapping[str, Any]) -> tuple[Aggregates, int]:
        """Count a transaction in and return its aggregates, as (1,) or (1, step) int64, and its row number.

        Args:
            transaction: ``timestamp`` in seconds, ``customer``, ``terminal``, ``amount`` in cents, as planned.

        Raises:
            ContractError: it is older than the one before; the windows then stay as they were.
        """
        plan, counted = self._plan, dict[str, Any]()
        cents = int(transaction["amount"]) if plan.has("amount") else 0
        if plan.has("amount"):
            counted["cents"] = cents
        if plan.has("timestamp"):
            counted["seconds"] = now = int(transaction["timestamp"])
            self._require_order(now)
            calm = 1
            if plan.has("customer"):
                counted |= self._push_customer(str(transaction["customer"]), now, cents)
                calm = counted["calm"]
            if plan.has("terminal"):
                counted |= self._push_terminal(str(transaction["terminal"]), now, calm)
            self._now = now
        self._pushed += 1
        return {name: np.array([value], dtype=np.int64) for name, value in counted.items()}, self._pushed - 1

    def confirm(self, terminal: str, number: int, *, fraud: bool) -> bool:
        """Note whether transaction ``number`` was a fraud; returns whether it was still in the windows."""
        known = self._terminals.get(terminal)
        if known is None or number not in known.numbers:
            return False
        known.fraud[known.numbers.index(number)] = int(fraud)
        return True

    def _require_order(self, now: int) -> None:
        if self._now is not None and now < self._now:
            raise ContractError(
                f"A transaction of second {now} came after one of second {self._now}. "
                "Score transactions in the order of their timestamps."
            )

    def _push_customer(self, name: str, now: int, cents: int) -> dict[str, Any]:
        customer = self._customers.setdefault(name, _Customer())
        counted = _customer_before(customer, now, cents)
        habit = customer.usual_count, customer.usual_total
        unusual, notable = int(exceeds(UNUSUAL, cents, *habit)), exceeds(NOTABLE, cents, *habit)
        loud = exceeds(LOUD, cents, customer.count, customer.total)
        customer.seconds.append(now)
        customer.cents.append(cents)
        customer.unusual.append(unusual)
        customer.count, customer.total = customer.count + 1, customer.total + cents
        if not loud:
            customer.usual_count, customer.usual_total = customer.usual_count + 1, customer.usual_total + cents
        for days in CUSTOMER_DAYS:
            start = bisect_right(customer.seconds, now - days * DAY)
            counted[f"customer_count_{days}d"] = len(customer.seconds) - start
            counted[f"customer_cents_{days}d"] = sum(customer.cents[start:])
        lately = customer.unusual[bisect_right(customer.seconds, now - CALM_DAYS * DAY) :]
        counted["unusual"], counted["calm"] = unusual, int(not any(lately) and not notable)
        counted |= _history(customer, now, self._plan.history)
        _forget(customer, bisect_right(customer.seconds, now - LONGEST), keep=self._plan.history)
        return counted

    def _push_terminal(self, name: str, now: int, calm: int) -> dict[str, Any]:
        terminal = self._terminals.setdefault(name, _Terminal())
        terminal.seconds.append(now)
        terminal.numbers.append(self._pushed)
        terminal.fraud.append(0)
        terminal.calm.append(calm)
        counted = _terminal_now(terminal, now, self._plan.delay_seconds)
        _forget(terminal, bisect_right(terminal.seconds, now - self._plan.delay_seconds - LONGEST))
        return counted

    def state(self) -> dict[str, Any]:
        """Return everything kept, ready for JSON."""
        return {
            "format": FORMAT,
            "windows": _windows(self._plan),
            "now": self._now,
            "pushed": self._pushed,
            "customers": {name: vars(customer) for name, customer in self._customers.items()},
            "terminals": {name: vars(terminal) for name, terminal in self._terminals.items()},
        }

    @classmethod
    def from_state(cls, plan: Plan, state: Any) -> Stream:
        """Restore a stream.

        Raises:
            ContractError: the state is damaged, of another format, or of a model with other windows.
        """
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            found = state.get("format") if isinstance(state, dict) else type(state).__name__
            raise ContractError(f"The saved windows have format {found!r}, expected {FORMAT}. Start with new windows.")
        if state.get("windows") != _windows(plan):
            raise ContractError(
                f"The saved windows are those of another model ({state.get('windows')}), expected {_windows(plan)}. "
                "Start with new windows."
            )
        stream = cls(plan)
        try:
            stream._now = None if state["now"] is None else int(state["now"])
            stream._pushed = int(state["pushed"])
            stream._customers = {str(name): _restored(_Customer(), kept) for name, kept in state["customers"].items()}
            stream._terminals = {str(name): _restored(_Terminal(), kept) for name, kept in state["terminals"].items()}
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise ContractError(f"The saved windows are damaged ({error!r}). Start with new windows.") from error
        return stream


def _windows(plan: Plan) -> dict[str, Any]:
    """Return what decides which rows are kept, in JSON types."""
    return {"roles": list(plan.roles), "delay_seconds": plan.delay_seconds, "history": plan.history}


def _customer_before(customer: _Customer, now: int, cents: int) -> dict[str, Any]:
    """Count what lies before the current transaction."""
    counted: dict[str, Any] = {"usual_count": customer.usual_count, "usual_cents": customer.usual_total}
    for days in UNUSUAL_DAYS:
        counted[f"customer_unusual_{days}d"] = sum(customer.unusual[bisect_right(customer.seconds, now - days * DAY) :])
    past = customer.cents[bisect_right(customer.seconds, now - LONGEST) :]
    tenths = in_tenths(np.array(past, dtype=np.int64)).tolist()
    counted["past_count"] = len(tenths)
    counted["past_tenths"] = sum(tenths)
    counted["past_squares"] = sum(value * value for value in tenths)
    return counted


def _history(customer: _Customer, now: int, steps: int) -> dict[str, Any]:
    if not steps:
        return {}
    absent = [NONE] * (steps - len(customer.seconds))
    return {
        "history_cents": absent + customer.cents[-steps:],
        "history_seconds": absent + [now - second for second in customer.seconds[-steps:]],
        "history_unusual": absent + customer.unusual[-steps:],
    }


def _terminal_now(terminal: _Terminal, now: int, delay: int) -> dict[str, Any]:
    seconds, fraud = terminal.seconds, terminal.fraud
    known = bisect_right(seconds, now - delay)
    counted: dict[str, Any] = {
        f"terminal_count_{days}d": len(seconds) - bisect_right(seconds, now - days * DAY) for days in TERMINAL_DAYS
    }
    for days in RISK_DAYS:
        start = bisect_right(seconds, now - delay - days * DAY)
        counted[f"terminal_known_{days}d"] = known - start
        counted[f"terminal_fraud_{days}d"] = sum(fraud[start:known])
    within = range(bisect_right(seconds, now - delay - LONGEST), known)
    quiet = [position for position in within if fraud[position] and terminal.calm[position]]
    genuine = max((position for position in within if not fraud[position]), default=NONE)
    run = max(genuine + 1, within.start)
    in_run = [position for position in quiet if position >= run]
    counted["terminal_run"] = known - run
    counted["terminal_quiet_run"] = len(in_run)
    places = {"run": in_run[:1], "genuine": [genuine] if genuine != NONE else []}
    for name, place in places.items():
        counted[f"terminal_{name}_seconds"] = now - seconds[place[0]] if place else NONE
    return counted


def _forget(entity: _Customer | _Terminal, rows: int, keep: int = 0) -> None:
    """Drop the oldest ``rows`` rows, but leave ``keep``."""
    rows = min(rows, len(entity.seconds) - keep)
    for values in vars(entity).values():
        if isinstance(values, list) and rows > 0:
            del values[:rows]


def _restored(entity: Any, kept: Mapping[str, Any]) -> Any:
    for name, empty in vars(entity).items():
        value = kept[name]
        setattr(entity, name, [int(item) for item in value] if isinstance(empty, list) else int(value))
    lengths = {len(value) for value in vars(entity).values() if isinstance(value, list)}
    if len(lengths) != 1:
        raise ValueError(f"columns of unequal length {sorted(lengths)}")
    if entity.seconds != sorted(entity.seconds):
        raise ValueError("rows out of order")
    return entity
