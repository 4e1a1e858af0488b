"""A synthetic bank: customers with habits, terminals in a plane, three kinds of fraud.

The simulation follows chapter 3 of the Fraud Detection Handbook (Le Borgne, Siblini, Lebichot, Bontempi 2022,
"A baseline fraud detection simulator"): the same three kinds of fraud, with rates instead of fixed numbers a
day so that a bank of any size looks alike, and with merchant categories and channels beside the amounts.
"""

from __future__ import annotations

import numpy as np

from ...shared.tables import RawTable
from .config import SyntheticSettings

START = 1_522_540_800  # 2018-04-01T00:00:00Z, a Sunday
DAY = 86_400
SIDE = 100.0
UNUSUAL_AMOUNT = 220.0
TERMINALS_IN_REACH = 20
TERMINAL_RATE, TERMINAL_DAYS = 4e-4, 28  # compromised terminals per terminal and day, and for how long
CUSTOMER_RATE, CUSTOMER_DAYS = 1e-3, 14
CUSTOMER_SHARE, CUSTOMER_FACTOR = 1 / 3, 5.0
CATEGORIES = np.array(["groceries", "fuel", "restaurant", "clothing", "travel", "electronics"], dtype=object)
CHANNELS = np.array(["chip", "contactless", "online"], dtype=object)


def synthesize(settings: SyntheticSettings, *, seed: int) -> RawTable:
    """Simulate transactions, in time order.

    Returns:
        Columns timestamp (datetime64[s]), customer, terminal (text), amount (units of money), category, channel,
        label (0/1).
    """
    rng = np.random.default_rng(seed)
    mean_amount = rng.uniform(5, 100, settings.customers)
    customer, day, second = _events(rng, settings)
    terminal = _visits(rng, settings, customer)
    amount = rng.normal(mean_amount[customer], mean_amount[customer] / 2)
    amount = np.where(amount < 0, rng.uniform(0, 2 * mean_amount[customer]), amount)
    stolen = _compromised(rng, settings.customers, CUSTOMER_RATE, CUSTOMER_DAYS, settings.days)[customer, day]
    stolen &= rng.random(len(customer)) < CUSTOMER_SHARE
    amount = np.round(np.where(stolen, amount * CUSTOMER_FACTOR, amount), 2)
    tapped = _compromised(rng, settings.terminals, TERMINAL_RATE, TERMINAL_DAYS, settings.days)[terminal, day]
    label = (amount > UNUSUAL_AMOUNT) | tapped | stolen
    columns = {
        "timestamp": (START + day * DAY + second).astype("datetime64[s]"),
        "customer": np.char.add("C", customer.astype(str)).astype(object),
        "terminal": np.char.add("T", terminal.astype(str)).astype(object),
        "amount": amount,
        "category": CATEGORIES[rng.integers(0, len(CATEGORIES), settings.terminals)][terminal],
        "channel": CHANNELS[rng.choice(len(CHANNELS), len(customer), p=(0.5, 0.3, 0.2))],
        "label": label.astype(np.int8),
    }
    order = np.argsort(columns["timestamp"], kind="stable")
    return RawTable({name: values[order] for name, values in columns.items()}, f"synthetic bank, seed {seed}")


def _events(rng: np.random.Generator, settings: SyntheticSettings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return customer, day and second of day of every transaction; most happen around noon."""
    per_day = rng.uniform(0, 4, settings.customers)
    counts = rng.poisson(per_day[:, None], (settings.customers, settings.days))
    customer, day = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    second = rng.normal(DAY / 2, 20_000, len(customer)).astype(np.int64)
    awake = (second > 0) & (second < DAY)
    return customer[awake], day[awake], second[awake]


def _visits(rng: np.random.Generator, settings: SyntheticSettings, customer: np.ndarray) -> np.ndarray:
    """Return the terminal of every transaction: one of those nearest to the customer's home."""
    homes = rng.uniform(0, SIDE, (settings.customers, 2))
    places = rng.uniform(0, SIDE, (settings.terminals, 2))
    reach = min(TERMINALS_IN_REACH, settings.terminals)
    nearby = np.stack([np.argsort(((places - home) ** 2).sum(1), kind="stable")[:reach] for home in homes])
    choice: np.ndarray = nearby[customer, rng.integers(0, reach, len(customer))]
    return choice


def _compromised(rng: np.random.Generator, count: int, rate: float, length: int, days: int) -> np.ndarray:
    """Return (count, days) booleans: on which days each one is in a criminal's hands."""
    hit = rng.random((count, days)) < rate
    begun = np.cumsum(np.pad(hit, ((0, 0), (length, 0))), axis=1)
    return np.asarray(begun[:, length:] > begun[:, :-length])
