"""Customers that never were, for the golden vectors of a device file."""

from __future__ import annotations

import numpy as np

from .features import NAMES, SECONDS_A_DAY, Plan, behaviour
from .orders import Lines

START = 1_600_000_000
CUSTOMERS = 8
DAYS = 800
RETURNED = 0.2
"""Share of the lines of which half comes back."""


def made_up(plan: Plan) -> np.ndarray:
    """Return float32 (customer, name) behaviour: of customers with 1, 2, 4, … orders, and of one hardly known."""
    rng = np.random.default_rng(0)
    customer = np.repeat(np.arange(CUSTOMERS - 1), 2 ** np.arange(CUSTOMERS - 1))
    time = START + (rng.random(len(customer)) * DAYS * SECONDS_A_DAY).astype(np.int64)
    item, quantity = rng.integers(0, 40, len(customer)), rng.integers(1, 9, len(customer)).astype(np.float64)
    amount = rng.lognormal(3.5, 1.0, len(customer)).round(2)
    back = np.flatnonzero(rng.random(len(customer)) < RETURNED)
    columns = {
        "customer": (customer, customer[back]),
        "time": (time, time[back] + SECONDS_A_DAY),
        "order": (np.arange(len(customer)), len(customer) + back),
        "item": (item, item[back]),
        "quantity": (quantity, -quantity[back] / 2),
        "amount": (amount, -amount[back] / 2),
        "takes_back": (np.full(len(customer), -1), back),
    }
    told = {name: np.concatenate(parts) for name, parts in columns.items()}
    order = np.lexsort((told["time"], told["customer"]))
    place = np.append(np.argsort(order), -1)  # -1, which takes back nothing, stays
    told["takes_back"] = place[told["takes_back"]]
    lines = Lines(**{name: values[order] for name, values in told.items()})
    known = behaviour(lines, START + DAYS * SECONDS_A_DAY, horizon_days=plan.horizon_days)[1]
    must = [NAMES.index(name) for name in ("orders", "spend", "recency_days", "age_days")]
    little = np.full((1, len(NAMES)), np.nan, np.float32)
    little[0, must] = known[2, must]
    return np.concatenate([known, little])
