"""From orders to model inputs: the same question asked at several days, the last of which is the test."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

import numpy as np

from ...shared.domain import Examples, Prepared
from ...shared.errors import ConfigError, ContractError
from ...shared.splits import BY_TIME, Splits
from .cleaning import LEAST_CUSTOMERS
from .config import DataSettings, MarketingConfig
from .customers import CustomerTable
from .features import BEHAVIOUR, SECONDS_A_DAY, YEAR, Plan, baskets, behaviour
from .orders import Orders


def split(data: Orders | CustomerTable, config: MarketingConfig, *, seed: int) -> Splits:
    """Keep everything after the calibration date for test, and some customers for validation.

    A ready customer table has no dates: its customers are divided at random, which is weaker evidence.

    Raises:
        ConfigError: the calibration date is no date, or lies outside the log.
        ContractError: the log is too short, or nothing follows the calibration date.
    """
    if isinstance(data, CustomerTable):
        return _by_customer(data, config.data, seed)
    at, apart = calibration(data, config.data), _kept_apart(len(data.customers), config.data, seed)
    cuts(data, config.data)
    later, held = data.time > at, apart[data.customer]
    if not (later & (data.time <= at + config.data.horizon_days * SECONDS_A_DAY) & (data.takes_back < 0)).any():
        raise ContractError(
            f"{data.source}: no order follows {_day(at)} in {config.data.horizon_days} days, so that nothing can be "
            "judged. Set data.calibration to an earlier day, or bring a longer log."
        )
    rule = (
        f"{BY_TIME}: what is known at the end of {_day(at)}, and what follows in {config.data.horizon_days} days; "
        f"validation by customer ({int(apart.sum()):,} of {len(apart):,}) at earlier days"
    )
    train, validation = np.flatnonzero(~later & ~held), np.flatnonzero(~later & held)
    return Splits(train, validation, np.flatnonzero(later), rule)


def _by_customer(data: CustomerTable, settings: DataSettings, seed: int) -> Splits:
    order = np.random.default_rng(seed).permutation(len(data))
    first, second = (int(len(data) * settings.validation_share * times) for times in (1, 2))
    validation, test, train = (np.sort(part) for part in np.split(order, (first, second)))
    made = Splits(
        train,
        validation,
        test,
        "by customer, at random: weaker evidence than a split in time, for all lived through one time",
    )
    if min(map(len, made.parts().values())) < LEAST_CUSTOMERS:
        raise ContractError(
            f"{data.source}: {len(data):,} customers leave fewer than {LEAST_CUSTOMERS} in a part of the split. Bring "
            "more customers."
        )
    return made


def _kept_apart(customers: int, settings: DataSettings, seed: int) -> np.ndarray:
    """Return bool (customer,): whether choices are made on them."""
    order = np.random.default_rng(seed).permutation(customers)
    return order < customers * settings.validation_share


def calibration(data: Orders, settings: DataSettings) -> int:
    """Return the last second that may be known, in seconds since 1970.

    Raises:
        ConfigError: the date cannot be read, or the horizon after it leaves the log.
    """
    latest = data.until - settings.horizon_days * SECONDS_A_DAY - 1
    if settings.calibration is None:
        return latest
    try:
        day = datetime.combine(date.fromisoformat(settings.calibration), datetime.min.time(), tzinfo=UTC)
    except ValueError as error:
        raise ConfigError(
            f"data.calibration: found {settings.calibration!r}, expected a day such as 2024-03-31."
        ) from error
    at = int(day.timestamp()) + SECONDS_A_DAY - 1
    if at > latest:
        raise ConfigError(
            f"data.calibration is {settings.calibration}, and {settings.horizon_days} days (data.horizon_days) must "
            f"follow it in the log, which ends with {_day(data.until - 1)}. Take {_day(latest)} or earlier."
        )
    return at


def cuts(data: Orders, settings: DataSettings) -> list[int]:
    """Return the earlier days at which training asks, oldest first; their horizons end by the calibration date.

    Raises:
        ContractError: the log before the calibration date is too short for one.
    """
    at, horizon = calibration(data, settings), settings.horizon_days * SECONDS_A_DAY
    first = int(data.time.min()) + settings.shortest_history_days * SECONDS_A_DAY
    every = settings.cuts_every_days * SECONDS_A_DAY
    found = [at - horizon - number * every for number in range(settings.most_cuts)]
    found = [cut for cut in found if cut >= first]
    if not found:
        needed = 2 * settings.horizon_days + settings.shortest_history_days
        raise ContractError(
            f"{data.source}: the log holds {(data.until - int(data.time.min())) / SECONDS_A_DAY:.0f} days, of which "
            f"those up to {_day(at)} may be learnt from. At least {needed} days are needed: twice data.horizon_days "
            f"({settings.horizon_days}) and data.shortest_history_days ({settings.shortest_history_days}). Bring a "
            "longer log, shorten them, or take a later data.calibration."
        )
    return found[::-1]


def _day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(int(seconds), tz=UTC):%Y-%m-%d}"


def prepare(data: Orders | CustomerTable, splits: Splits, config: MarketingConfig) -> Prepared:
    """Make one example a customer and day.

    Returns:
        Inputs ``behaviour`` float32 (example, name) as in ``features.NAMES``; target float32 (example, 2), orders and
        spend in the horizon, NaN where it is not known before test; context ``unit`` (customer), ``cut`` (seconds),
        ``horizon_days`` and ``lines`` (order lines in the horizon, which no network is trained on). Train holds the
        training customers at the earlier days and, without a target, at the calibration date; validation likewise the
        others; test all customers at the calibration date.

    Raises:
        ContractError: a part holds too few customers.
    """
    plan = Plan(config.data.horizon_days, data.currency)
    if isinstance(data, CustomerTable):
        return _from_table(data, splits, plan)
    at, earlier = calibration(data, config.data), cuts(data, config.data)
    apart = np.zeros(len(data.customers), bool)
    apart[data.customer[splits.validation]] = True
    asked = [_asked(data, cut, plan) for cut in earlier]
    test = _asked(data, at, plan)
    everything = [*asked, _without_target(test)]
    train, validation = (
        _joined([one.take(apart[one.context["unit"]] == kept) for one in everything]) for kept in (False, True)
    )
    source = f"{data.source}, a log from {_day(data.time.min())} to {_day(data.until - 1)}"
    _require_enough(source, {"train": train, "validation": validation, "test": test})
    return Prepared(plan, train, validation, test, tuple(_limits(data, at, earlier, config.data)))


def _asked(data: Orders, at: int, plan: Plan) -> Examples:
    """Return every customer with an order by then: what is known, and what follows."""
    customers, known = behaviour(data, at, horizon_days=plan.horizon_days)
    made = baskets(data, at + plan.horizon_days * SECONDS_A_DAY, since=at)
    theirs = np.isin(made.customer, customers)
    place, size = np.searchsorted(customers, made.customer[theirs]), len(customers)
    orders, spend, lines = (
        np.bincount(place, values[theirs], size) for values in (np.ones(len(theirs)), made.amount, made.lines)
    )
    context = {
        "unit": customers,
        "cut": np.full(size, at, np.int64),
        "horizon_days": np.full(size, float(plan.horizon_days)),
        "lines": lines,
    }
    return Examples({BEHAVIOUR: known}, np.stack([orders, spend], axis=1).astype(np.float32), context)


def _without_target(test: Examples) -> Examples:
    unknown = test.context | {"lines": np.full(len(test), np.nan)}
    return Examples(test.inputs, np.full_like(test.target, np.nan), unknown)


def _joined(parts: Sequence[Examples]) -> Examples:
    return Examples(
        {name: np.concatenate([part.inputs[name] for part in parts]) for name in parts[0].inputs},
        np.concatenate([part.target for part in parts]),
        {name: np.concatenate([part.context[name] for part in parts]) for name in parts[0].context},
    )


def _from_table(data: CustomerTable, splits: Splits, plan: Plan) -> Prepared:
    rows = np.arange(len(data))
    context = {
        "unit": rows,
        "cut": np.zeros(len(rows), np.int64),
        "horizon_days": np.full(len(rows), float(plan.horizon_days)),
        "lines": np.full(len(rows), np.nan),
    }
    everything = Examples({BEHAVIOUR: data.behaviour}, data.target, context)
    notes = (
        "a ready table of customers has no dates: the split is by customer, which cannot show how segments age, and no "
        "migration can be told",
    )
    train, validation, test = (everything.take(part) for part in splits.parts().values())
    _require_enough(data.source, {"train": train, "validation": validation, "test": test})
    return Prepared(plan, train, validation, test, notes)


def _require_enough(source: str, parts: dict[str, Examples]) -> None:
    for name, part in parts.items():
        found = len(np.unique(part.context["unit"]))
        if found < LEAST_CUSTOMERS:
            raise ContractError(
                f"{source}: {name} holds {found} customers with an order, and at least {LEAST_CUSTOMERS} are needed. "
                "Bring more customers, or a longer log."
            )
    if not np.nansum(parts["validation"].target, axis=0).all():
        raise ContractError(
            f"{source}: no customer of validation orders and pays within the horizon, so that nothing can be "
            "learnt about what follows. Lengthen data.horizon_days, or bring a longer log."
        )
    if not parts["test"].target.sum(axis=0).all():
        raise ContractError(
            f"{source}: no customer of test, who was known before, orders and pays within the horizon, so that nothing "
            "can be judged. Were customers given new identifiers? Mend them, or take an earlier data.calibration."
        )


def _limits(data: Orders, at: int, earlier: Sequence[int], settings: DataSettings) -> list[str]:
    notes = [f"training asks at {len(earlier)} days, from {_day(earlier[0])} to {_day(earlier[-1])}"]
    horizon, year = settings.horizon_days * SECONDS_A_DAY, YEAR * SECONDS_A_DAY
    if not any(cut < at + horizon - year and cut + horizon > at - year for cut in earlier):
        notes.append(
            f"no horizon of training lies at the time of year from {_day(at + SECONDS_A_DAY)} to {_day(at + horizon)}: "
            "expectations repeat the level of the days learnt from; before a yearly peak they are too low, after it "
            "too high"
        )
    return notes
