"""Questions asked at several days: what is known before, what follows after, and nothing the other way round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from edgekit.domains.marketing_segmentation.config import DataSettings, MarketingConfig
from edgekit.domains.marketing_segmentation.customers import CustomerTable
from edgekit.domains.marketing_segmentation.data import calibration, cuts, prepare, split
from edgekit.domains.marketing_segmentation.features import BEHAVIOUR, NAMES, SECONDS_A_DAY, behaviour
from edgekit.domains.marketing_segmentation.orders import Lines, Orders
from edgekit.shared.domain import Examples
from edgekit.shared.errors import ConfigError, ContractError
from edgekit.shared.splits import Splits

START = 1_672_531_200  # 2023-01-01T00:00:00Z
DAYS, HORIZON = 400, 60  # the log ends with 2024-02-04; its last 60 days begin with 2023-12-07
AT = START + (DAYS - HORIZON) * SECONDS_A_DAY - 1
Change = Callable[[Orders], Orders]


def config(**data: Any) -> MarketingConfig:
    given = {"horizon_days": HORIZON, "most_cuts": 3, "validation_share": 0.4} | data
    return MarketingConfig(data=DataSettings(**given))


CONFIG = config()


def shop(customers: int = 150, *, seed: int = 0) -> Orders:
    """Return a dozen orders a customer, each of one line, some of which come back."""
    rng = np.random.default_rng(seed)
    customer = np.repeat(np.arange(customers), 12)
    time = START + np.sort(rng.integers(0, DAYS * SECONDS_A_DAY, (customers, 12)), axis=1).ravel()
    lines, price = len(customer), rng.lognormal(3, 1, len(customer))
    back = (np.arange(lines) % 12 == 11) & (rng.random(lines) < 0.5)  # the last line takes back the one before
    takes = np.where(back, np.arange(lines) - 1, -1)
    return Orders(
        customer=customer,
        time=time,
        order=np.arange(lines),
        item=rng.integers(0, 20, lines),
        quantity=np.where(back, -1.0, 1.0),
        amount=np.where(back, -np.roll(price, 1), price),
        takes_back=takes,
        customers=tuple(f"c{number}" for number in range(customers)),
        until=START + DAYS * SECONDS_A_DAY,
        currency="EUR",
        source="made.csv",
        fingerprint="",
    )


def some(data: Orders, chosen: np.ndarray) -> Orders:
    """Return the chosen lines, without returns of purchases that are not."""
    place = np.cumsum(chosen) - 1
    kept = {field.name: getattr(data, field.name)[chosen] for field in fields(Lines)}
    kept["takes_back"] = np.where(kept["takes_back"] < 0, -1, place[kept["takes_back"]])
    return replace(data, **kept)


def told(examples: Examples) -> list[list[Any]]:
    arrays = (*examples.inputs.values(), examples.target, *examples.context.values())
    return [np.where(np.isnan(array), -1, array).tolist() for array in arrays]


# === Splits in time ===


def test_the_future_is_in_test_alone() -> None:
    made = shop()
    splits = split(made, CONFIG, seed=0)
    assert calibration(made, CONFIG.data) == AT
    assert max(made.time[splits.train].max(), made.time[splits.validation].max()) <= AT < made.time[splits.test].min()
    assert sum(map(len, splits.parts().values())) == len(made)
    assert not set(made.customer[splits.train]) & set(made.customer[splits.validation])
    assert len(np.unique(made.customer[splits.validation])) == 60
    assert splits.rule == (
        "by time: what is known at the end of 2023-12-06, and what follows in 60 days; "
        "validation by customer (60 of 150) at earlier days"
    )


def test_a_seed_says_who_is_kept_apart() -> None:
    first, again, other = (split(shop(), CONFIG, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.validation, again.validation)
    np.testing.assert_array_equal(first.test, other.test)
    assert set(first.validation) != set(other.validation)


def test_the_day_of_calibration_is_known_to_its_end() -> None:
    given = config(calibration="2023-10-15").data
    assert calibration(shop(), given) == START + 288 * SECONDS_A_DAY - 1


def test_the_latest_day_may_be_named() -> None:
    assert calibration(shop(), config(calibration="2023-12-06").data) == AT


@pytest.mark.parametrize(
    ("data", "days"),
    [
        ({}, [220, 250, 280]),
        ({"most_cuts": 20}, [70, 100, 130, 160, 190, 220, 250, 280]),
        ({"cuts_every_days": 7, "most_cuts": 2}, [273, 280]),
        ({"shortest_history_days": 270}, [280]),
    ],
)
def test_earlier_days_by_hand(data: dict[str, Any], days: list[int]) -> None:
    made = shop()
    made.time[0] = START
    found = cuts(made, config(**data).data)
    assert [(cut + 1 - START) / SECONDS_A_DAY for cut in found] == days


@pytest.mark.parametrize(("seconds", "days"), [(-1, [70, 100, 130]), (0, [100, 130])])
def test_the_shortest_history_is_long_enough(seconds: int, days: list[int]) -> None:
    """The log begins so many seconds after midnight, seventy days before the first day, or one second later."""
    made = shop()
    made.time[0] = START + seconds
    found = cuts(made, config(shortest_history_days=70, most_cuts=20).data)
    assert [(cut + 1 - START) / SECONDS_A_DAY for cut in found][: len(days)] == days


@pytest.mark.parametrize("found", ["yesterday", "2023-13-01", "", "31.12.2023"])
def test_what_is_no_day_is_refused(found: str) -> None:
    with pytest.raises(ConfigError, match=rf"found '{found}', expected a day such as 2024-03-31"):
        split(shop(), config(calibration=found), seed=0)


@pytest.mark.parametrize("found", ["2023-12-07", "2024-02-04", "2031-01-01", "9999-12-31"])
def test_a_day_without_a_horizon_after_it_is_refused(found: str) -> None:
    with pytest.raises(ConfigError, match=r"ends with 2024-02-04\. Take 2023-12-06 or earlier"):
        split(shop(), config(calibration=found), seed=0)


@pytest.mark.parametrize("found", ["1970-01-01", "2022-06-01", "2023-01-01", "2023-04-28"])
def test_a_day_with_too_little_before_it_is_refused(found: str) -> None:
    with pytest.raises(ContractError, match=rf"up to {found} may be learnt from\. At least 180 days are needed"):
        split(shop(), config(calibration=found), seed=0)


def test_a_log_that_is_too_short_is_refused() -> None:
    made = some(shop(), shop().time < START + 170 * SECONDS_A_DAY)
    with pytest.raises(ContractError, match=r"made\.csv: the log holds 170 days.*At least 180 days"):
        split(replace(made, until=START + 170 * SECONDS_A_DAY), CONFIG, seed=0)


def test_a_future_without_orders_is_refused() -> None:
    made = some(shop(), shop().time <= AT)
    with pytest.raises(ContractError, match="no order follows 2023-12-06 in 60 days, so that nothing can be judged"):
        split(made, CONFIG, seed=0)


def test_a_future_of_returns_alone_is_refused() -> None:
    made = shop()
    made = some(made, (made.time <= AT) | ((made.takes_back >= 0) & (np.roll(made.time, 1) <= AT)))
    assert (made.time > AT).any()
    with pytest.raises(ContractError, match="no order follows 2023-12-06"):
        split(made, CONFIG, seed=0)


def test_orders_after_the_horizon_are_none_within_it() -> None:
    at = START + 300 * SECONDS_A_DAY - 1
    made = some(shop(), (shop().time <= at) | (shop().time > at + HORIZON * SECONDS_A_DAY))
    with pytest.raises(ContractError, match="no order follows 2023-10-27"):
        split(made, config(calibration="2023-10-27"), seed=0)


# === Examples ===


def test_parts_ask_at_their_days() -> None:
    made = shop()
    splits = split(made, CONFIG, seed=0)
    prepared = prepare(made, splits, CONFIG)
    apart = set(made.customer[splits.validation].tolist())
    earlier, train, validation = cuts(made, CONFIG.data), prepared.train, prepared.validation
    assert set(validation.context["unit"].tolist()) == apart
    assert not set(train.context["unit"].tolist()) & apart
    assert set(prepared.test.context["unit"].tolist()) == set(made.customer[made.time <= AT].tolist())
    known = np.isfinite(train.target).all(axis=1)
    assert set(train.context["cut"][known].tolist()) == set(earlier)
    assert (train.context["cut"][known] + train.context["horizon_days"][known] * SECONDS_A_DAY <= AT).all()
    assert set(train.context["cut"][~known].tolist()) == set(prepared.test.context["cut"].tolist()) == {AT}
    assert np.isnan(train.target[~known]).all() and np.isfinite(prepared.test.target).all()
    assert prepared.plan.horizon_days == HORIZON and prepared.plan.currency == "EUR"
    assert train.inputs[BEHAVIOUR].dtype == train.target.dtype == np.float32
    assert train.inputs[BEHAVIOUR].shape == (len(train), len(NAMES)) and train.target.shape == (len(train), 2)


def test_customers_kept_apart_are_asked_at_the_calibration_date_too() -> None:
    made = shop()
    prepared = prepare(made, split(made, CONFIG, seed=0), CONFIG)
    validation, test = prepared.validation, prepared.test
    known = np.isfinite(validation.target).all(axis=1)
    assert set(validation.context["cut"][known].tolist()) == set(cuts(made, CONFIG.data))
    assert set(validation.context["cut"][~known].tolist()) == {AT} and np.isnan(validation.target[~known]).all()
    assert (validation.context["cut"][known] + HORIZON * SECONDS_A_DAY <= AT).all()
    theirs = np.isin(test.context["unit"], validation.context["unit"])
    np.testing.assert_array_equal(validation.context["unit"][~known], test.context["unit"][theirs])
    np.testing.assert_array_equal(validation.inputs[BEHAVIOUR][~known], test.inputs[BEHAVIOUR][theirs])
    assert np.isfinite(test.target).all()


@pytest.mark.parametrize("part", ["train", "validation"])
def test_an_unlabelled_example_tells_nothing_of_its_future(part: str) -> None:
    made = shop()
    examples = getattr(prepare(made, split(made, CONFIG, seed=0), CONFIG), part)
    unknown = np.isnan(examples.target[:, 0])
    assert unknown.any() and np.isnan(examples.target[unknown]).all()
    assert np.isnan(examples.context["lines"][unknown]).all() and np.isfinite(examples.context["lines"][~unknown]).all()


def test_the_horizon_by_hand() -> None:
    """Orders in the last second known, the first and last of the horizon, and the first after it."""
    at, end = START + 300 * SECONDS_A_DAY - 1, START + 360 * SECONDS_A_DAY - 1
    made = shop()
    # lines 2 and 3 share an order; line 5 takes back half of line 4 within the horizon; line 7 line 0, bought before
    made.time[:12] = [at, at, at + 1, at + 1, end, end, end, end, end + 1, end + 2, end + 3, end + 4]
    made.order[:12] = [0, 1, 2, 2, 4, 5, 6, 7, 8, 9, 10, 11]
    made.amount[:12] = [10, 20, 30, 40, 50, -25, 60, -10, 70, 80, 90, 100]
    made.takes_back[:12] = [-1, -1, -1, -1, -1, 4, -1, 0, -1, -1, -1, -1]
    settings = config(calibration="2023-10-27")
    test = prepare(made, split(made, settings, seed=0), settings).test
    assert test.context["unit"][0] == 0
    assert test.target[0].tolist() == [3, 30 + 40 + 25 + 60] and test.context["lines"][0] == 4
    assert test.inputs[BEHAVIOUR][0, [NAMES.index(name) for name in ("orders", "spend")]].tolist() == [2, 30]


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_behaviour_is_of_lines_up_to_the_day(part: str) -> None:
    made = shop()
    examples = getattr(prepare(made, split(made, CONFIG, seed=0), CONFIG), part)
    cut = int(examples.context["cut"].max())
    customers, known = behaviour(some(made, made.time <= cut), cut, horizon_days=HORIZON)
    rows = examples.context["cut"] == cut
    place = np.searchsorted(customers, examples.context["unit"][rows])
    np.testing.assert_array_equal(examples.inputs[BEHAVIOUR][rows], known[place])


def dearer(data: Orders) -> Orders:
    later = data.time > AT
    item = np.where(later, 3, data.item)
    return replace(
        data, amount=np.where(later, 7, 1) * data.amount, quantity=np.where(later, 2, 1) * data.quantity, item=item
    )


def delayed(data: Orders) -> Orders:
    """Return the shop where some later lines are in the horizon's first second, and the others after its end."""
    moved = np.where(np.arange(len(data)) % 3 == 0, AT + 1, data.until)
    return replace(data, time=np.where(data.time > AT, moved, data.time))


def taken_back(data: Orders) -> Orders:
    """Return the shop whose every third later purchase is a return of the customer's first purchase."""
    later = (data.time > AT) & (np.arange(len(data)) % 3 == 0) & (data.takes_back < 0)
    later &= ~np.isin(np.arange(len(data)), data.takes_back)
    first = np.searchsorted(data.customer, data.customer)
    amount = np.where(later, -data.amount[first] / 9, data.amount)
    return replace(data, amount=amount, takes_back=np.where(later, first, data.takes_back))


@pytest.mark.parametrize("change", [delayed, taken_back, dearer])
def test_nothing_of_the_future_changes_an_example_to_learn_from(change: Change) -> None:
    made = shop()
    other = change(made)
    splits = split(made, CONFIG, seed=0)
    assert told_rows(split(other, CONFIG, seed=0)) == told_rows(splits)
    first, second = (prepare(each, splits, CONFIG) for each in (made, other))
    assert told(first.train) == told(second.train) and told(first.validation) == told(second.validation)
    np.testing.assert_array_equal(first.test.inputs[BEHAVIOUR], second.test.inputs[BEHAVIOUR])
    assert (first.test.target != second.test.target).any(), "the change is seen where it may be"
    assert first.plan == second.plan


def told_rows(splits: Splits) -> list[list[int]]:
    return [rows.tolist() for rows in splits.parts().values()]


def test_newcomers_after_the_day_are_asked_nothing() -> None:
    made = shop()
    made.time[:12] = AT + 1 + np.arange(12)
    prepared = prepare(made, split(made, CONFIG, seed=0), CONFIG)
    assert 0 not in prepared.test.context["unit"] and len(prepared.test) == 149


@pytest.mark.parametrize(
    ("customers", "share", "part"), [(120, 0.4, "validation"), (110, 0.55, "train"), (60, 0.5, "train")]
)
def test_too_few_customers_are_refused(customers: int, share: float, part: str) -> None:
    made, settings = shop(customers), config(validation_share=share)
    with pytest.raises(
        ContractError, match=rf"made\.csv, a log from 2023-\S+ to \d{{4}}-\S+: {part} holds \d+ customers.*at least 50"
    ):
        prepare(made, split(made, settings, seed=0), settings)


def test_customers_who_never_come_back_teach_nothing() -> None:
    """All order in the first 100 days, and newcomers alone after the calibration date."""
    made = shop()
    offset = (made.time - START) // 4
    made = replace(made, time=np.where(made.customer < 140, START + offset, AT + 1 + offset // 20))
    with pytest.raises(ContractError, match="no customer of validation orders and pays within the horizon"):
        prepare(made, split(made, CONFIG, seed=0), CONFIG)


def test_a_future_of_newcomers_alone_is_refused() -> None:
    """All known customers order up to the calibration date only, as if they got new identifiers then."""
    made = shop()
    offset = made.time - START
    known = START + offset * (DAYS - HORIZON) // DAYS
    made = replace(made, time=np.where(made.customer < 140, known, AT + 1 + offset // 20))
    with pytest.raises(ContractError, match=r"who was known before, orders and pays.*new identifiers"):
        prepare(made, split(made, CONFIG, seed=0), CONFIG)


def test_what_cannot_be_known_is_said() -> None:
    made = shop()
    made.time[0] = START
    asked, season = prepare(made, split(made, CONFIG, seed=0), CONFIG).notes
    assert asked == "training asks at 3 days, from 2023-08-08 to 2023-10-07"
    assert season.startswith("no horizon of training lies at the time of year from 2023-12-07 to 2024-02-04: ")
    assert "before a yearly peak they are too low" in season


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        ({}, False),
        ({"most_cuts": 9}, False),
        ({"most_cuts": 10}, True),
        ({"most_cuts": 20}, True),
        ({"cuts_every_days": 245, "most_cuts": 2}, False),
        ({"cuts_every_days": 246, "most_cuts": 2}, True),
        ({"cuts_every_days": 364, "most_cuts": 2}, True),
        ({"cuts_every_days": 365, "most_cuts": 2}, False),
    ],
)
def test_a_season_is_learnt_only_by_a_horizon_in_it(data: dict[str, Any], seen: bool) -> None:
    """The log holds 800 days; training first asks 60 days before day 740, and the season began at day 375."""
    made, settings = shop(), config(**data)
    made = replace(made, time=START + 2 * (made.time - START), until=START + 2 * DAYS * SECONDS_A_DAY)
    made.time[0] = START
    notes = prepare(made, split(made, settings, seed=0), settings).notes
    assert len(notes) == 2 - seen and ("no horizon of training" in notes[-1]) != seen


# === Ready tables of customers ===


def table(customers: int = 240, *, seed: int = 0) -> CustomerTable:
    rng = np.random.default_rng(seed)
    known = rng.lognormal(1, 1, (customers, len(NAMES))).astype(np.float32)
    known[:, -1] = np.nan
    orders = rng.poisson(1.0, customers)
    target = np.stack([orders, orders * 20.0], axis=1).astype(np.float32)
    names = tuple(f"c{number}" for number in range(customers))
    return CustomerTable(known, target, names, NAMES[:-1], "EUR", "table.csv", "")


def test_a_table_is_divided_by_customer_and_says_so() -> None:
    made = table()
    splits = split(made, config(validation_share=0.25), seed=0)
    assert [len(part) for part in splits.parts().values()] == [120, 60, 60]
    assert sorted(np.concatenate(list(splits.parts().values())).tolist()) == list(range(240))
    assert splits.rule.startswith("by customer, at random: weaker evidence than a split in time")
    prepared = prepare(made, splits, CONFIG)
    test = prepared.test
    np.testing.assert_array_equal(test.inputs[BEHAVIOUR], made.behaviour[splits.test])
    np.testing.assert_array_equal(test.target, made.target[splits.test])
    assert test.context["unit"].tolist() == splits.test.tolist()
    assert np.isnan(test.context["lines"]).all() and len(test.context["lines"]) == 60
    assert "cannot show how segments age" in prepared.notes[0]
    assert (prepared.plan.horizon_days, prepared.plan.currency) == (HORIZON, "EUR")


def test_another_seed_divides_a_table_otherwise() -> None:
    first, other = (split(table(), config(validation_share=0.25), seed=seed) for seed in (0, 1))
    assert set(first.test) != set(other.test)


@pytest.mark.parametrize(("customers", "share"), [(199, 0.25), (120, 0.4), (240, 0.41), (240, 0.55)])
def test_a_small_table_is_refused(customers: int, share: float) -> None:
    with pytest.raises(ContractError, match=rf"table\.csv: {customers} customers leave fewer than 50 in a part"):
        split(table(customers), config(validation_share=share), seed=0)


@pytest.mark.parametrize("orders", [0, 1])
def test_a_table_of_customers_who_never_come_back_or_pay_is_refused(orders: int) -> None:
    made = replace(table(), target=np.full((240, 2), (orders, 0), np.float32))
    settings = config(validation_share=0.25)
    with pytest.raises(ContractError, match="no customer of validation orders and pays within the horizon"):
        prepare(made, split(made, settings, seed=0), settings)


@pytest.mark.parametrize("orders", [0, 1])
def test_a_table_whose_test_brings_nothing_is_refused(orders: int) -> None:
    made, settings = table(), config(validation_share=0.25)
    splits = split(made, settings, seed=0)
    made.target[splits.test] = orders, 0
    with pytest.raises(ContractError, match=r"table\.csv: no customer of test, who was known before, orders"):
        prepare(made, splits, settings)
