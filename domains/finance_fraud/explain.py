"""Why a transaction got its score, in the words of an investigator.

Method: the columns are grouped by the question they answer (``features.Plan.groups``). A group's contribution
is the mean of two changes of the log-odds: putting the group of an ordinary transaction into this one, and
putting this transaction's group into the ordinary one. The first alone would miss what two groups say
alike, the second alone what only works together. The ordinary transaction holds the medians, and the most
frequent categories, of the genuine training rows. It is the mean of a group's marginal contributions when it
comes last and first, the two ends of the average that defines its Shapley value (Shapley 1953).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .features import Plan

if TYPE_CHECKING:
    from ...shared.domain import Predictor

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
CERTAIN = 1e-7  # probabilities are kept this far from 0 and 1, where the log-odds end
HISTORY_GROUP = "last transactions"


@dataclass(frozen=True)
class Reason:
    """One reason for a score.

    Attributes:
        name: the group of columns, e.g. ``amount``.
        text: what was seen, e.g. ``amount 512.00, 6.1 times the customer's usual 84.10``.
        contribution: change of the log-odds of fraud; above 0 speaks for fraud.
    """

    name: str
    text: str
    contribution: float


def explain(
    inputs: Mapping[str, np.ndarray], baseline: Mapping[str, np.ndarray], plan: Plan, predict: Predictor
) -> tuple[Reason, ...]:
    """Return a reason per group, the largest contribution first.

    Args:
        inputs: model inputs of one transaction, first axis 1.
        baseline: model inputs of an ordinary transaction, first axis 1.
        plan: what the inputs hold.
        predict: the model; called with two rows a group.
    """
    swaps = _swaps(plan)
    rows = [inputs, baseline]
    for swap in swaps.values():
        rows += [_with(inputs, baseline, swap), _with(baseline, inputs, swap)]
    stacked = {name: np.concatenate([row[name] for row in rows]) for name in inputs}
    probability = predict(stacked)["probability"].reshape(-1).astype(np.float64)
    odds = np.log(np.clip(probability, CERTAIN, 1 - CERTAIN)) - np.log(np.clip(1 - probability, CERTAIN, 1 - CERTAIN))
    without, alone = odds[2::2], odds[3::2]
    contribution = ((odds[0] - without) + (alone - odds[1])) / 2
    seen = _seen(inputs, plan)
    reasons = [Reason(name, _text(name, seen), float(value)) for name, value in zip(swaps, contribution, strict=True)]
    return tuple(sorted(reasons, key=lambda reason: -reason.contribution))


def ordinary(inputs: Mapping[str, np.ndarray], target: np.ndarray) -> dict[str, np.ndarray]:
    """Return the ordinary transaction, first axis 1, of training ``inputs`` and their 0/1 ``target``."""
    genuine = {name: values[target == 0] for name, values in inputs.items()}
    made: dict[str, np.ndarray] = {}
    for name, values in genuine.items():
        if name == "numeric":
            made[name] = np.array([[_median(column) for column in values.T]], dtype=np.float32)
        elif name == "categorical":
            made[name] = np.array([[np.bincount(column).argmax() for column in values.T]], dtype=np.int32)
        else:
            made[name] = np.full((1, *values.shape[1:]), np.nan, dtype=np.float32)
    return made


def _median(column: np.ndarray) -> float:
    known = column[~np.isnan(column)]
    return float(np.median(known)) if len(known) else float("nan")


def _swaps(plan: Plan) -> dict[str, tuple[str, list[int]]]:
    """Return for each group the input it lies in and its columns there."""
    places = {name: ("numeric", index) for index, name in enumerate(plan.columns)}
    places |= {name: ("categorical", index) for index, name in enumerate(plan.vocabularies)}
    swaps = {
        group: (places[names[0]][0], [places[name][1] for name in names]) for group, names in plan.groups().items()
    }
    return swaps | ({HISTORY_GROUP: ("history", [])} if plan.history else {})


def _with(
    inputs: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray], swap: tuple[str, list[int]]
) -> dict[str, np.ndarray]:
    name, columns = swap
    changed = inputs[name].copy()
    if columns:
        changed[:, columns] = other[name][:, columns]
    else:
        changed[:] = other[name]
    return {**inputs, name: changed}


def _seen(inputs: Mapping[str, np.ndarray], plan: Plan) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    if plan.columns:
        seen |= dict(zip(plan.columns, inputs["numeric"][0].tolist(), strict=True))
    for index, (name, words) in enumerate(plan.vocabularies.items()):
        code = int(inputs["categorical"][0, index])
        seen[name] = repr(words[code - 1]) if code else "a value not known from training"
    return seen


def _text(name: str, seen: Mapping[str, Any]) -> str:
    if name == "amount":
        return _amount(seen)
    if name == "time of day":
        minutes = round(seen["hour"] * 3600) // 60
        return f"{minutes // 60:02d}:{minutes % 60:02d} UTC on a {WEEKDAYS[int(seen['weekday'])]}"
    if name == "customer activity":
        return f"{seen['customer_count_1d']:.0f} transactions in a day, {seen['customer_count_7d']:.0f} in 7 days"
    if name == "recent unusual amounts":
        return f"{seen['customer_unusual_14d']:.0f} unusual amounts of this customer in the 14 days before"
    if name == "terminal activity":
        day, week = seen["terminal_count_1d"], seen["terminal_count_7d"]
        return f"{day:.0f} transactions at the terminal in a day, {week:.0f} in 7 days"
    if name == "known frauds at the terminal":
        known = seen["terminal_known_30d"]
        if not known:
            return "nothing known of the terminal from the last 30 days before the label delay"
        return f"{seen['terminal_risk_30d'] * known:.0f} of {known:.0f} known transactions at the terminal were frauds"
    if name == HISTORY_GROUP:
        return "the order of the customer's last transactions"
    value = seen[name]
    if isinstance(value, str):
        return f"{name} is {value}"
    return f"{name} is missing" if np.isnan(value) else f"{name} is {value:,.6g}"


def _amount(seen: Mapping[str, Any]) -> str:
    text = f"amount {seen['amount']:,.2f}"
    times = seen.get("amount_to_habit", float("nan"))
    return text if np.isnan(times) else f"{text}, {times:.1f} times the customer's usual {seen['habit_amount']:,.2f}"
