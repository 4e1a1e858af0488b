"""Customers that never were, for the golden vectors of a device file."""

from __future__ import annotations

import numpy as np

from .features import NAMES, SECONDS_A_DAY, Plan, behaviour
from .orders import Lines

START = 1_600_000_000
CUSTOMERS = 8
DAYS = 800


def made_up(plan: Plan) -> np.ndarray:
    """Return float32 (customer, name) behaviour: of customers with 1, 2, 4, … orders, and of one hardly known."""
    rng = np.random.default_rng(0)
    count = 2 ** np.arange(CUSTOMERS - 1)
    customer = np.repeat(np.arange(CUSTOMERS - 1), count)
    time = START + (rng.random(len(customer)) * DAYS * SECONDS_A_DAY).astype(np.int64)
    order = np.lexsort((time, customer))
    lines = Lines(
        customer=customer,
        time=time[order],
        order=np.arange(len(customer)),
        item=rng.integers(0, 40, len(customer)),
        quantity=rng.integers(1, 9, len(customer)).astype(np.float64),
        amount=rng.lognormal(3.5, 1.0, len(customer)).round(2),
        takes_back=np.full(len(customer), -1),
    )
    known = behaviour(lines, START + DAYS * SECONDS_A_DAY, horizon_days=plan.horizon_days)[1]
    must = [NAMES.index(name) for name in ("orders", "spend", "recency_days", "age_days")]
    little = np.full((1, len(NAMES)), np.nan, np.float32)
    little[0, must] = known[2, must]
    return np.concatenate([known, little])
