"""What a shop's order lines or its table of customers must look like, and the passports of the data known here."""

from __future__ import annotations

from ...shared.columns import Column
from ...shared.contract import Contract
from ...shared.sources import Source
from .features import NAMES

MOST_PIECES, MOST_MONEY = 1e9, 1e12
"""Of a line; more is a mistake, and sums of it would leave the range of a network's numbers."""

CONTRACT = Contract(
    name="order lines (one row a line, or a row an order)",
    beside="Other columns are left out. Money: amount, or price (times quantity). A line with a negative quantity or a "
    "negative amount is a return: it takes back the customer's latest earlier purchases of the item (without items: of "
    "as much money), valued at what they cost; a return that finds none is counted and left out. Instead of lines: a "
    "table with a row a customer, with future_orders and future_spend of the days that followed.",
    roles=(
        Column(
            name="customer",
            kind="category",
            meaning="who; only a code without meaning is kept; lines without are counted and left out",
            required=True,
            missing="own value",
            example="17850",
        ),
        Column(
            name="timestamp",
            kind="timestamp",
            meaning="when; other text than ISO is read if it is clear, or as data.date_format says",
            unit="UTC, or seconds",
            required=True,
            example="2010-12-01T08:26:00",
        ),
        Column(
            name="order",
            kind="category",
            meaning="which order the line belongs to; without it, all of a customer's day is one order",
            missing="own value",
            example="536365",
        ),
        Column(
            name="item",
            kind="category",
            meaning="what was bought; tells returns and breadth",
            missing="own value",
            example="85123A",
        ),
        Column(
            name="quantity",
            kind="number",
            meaning="pieces, below 0 of returns; 1 where there is no such column",
            unit="pieces",
            low=-MOST_PIECES,
            high=MOST_PIECES,
            missing="impute",
            example="6",
        ),
        Column(
            name="price",
            kind="number",
            meaning="money for one piece",
            unit="data.currency",
            low=-MOST_MONEY,
            high=MOST_MONEY,
            missing="impute",
            example="2.55",
        ),
        Column(
            name="amount",
            kind="number",
            meaning="money for the line, instead of price; below 0 of returns",
            unit="data.currency",
            low=-MOST_MONEY,
            high=MOST_MONEY,
            missing="impute",
            example="15.30",
        ),
        Column(
            name="category",
            kind="category",
            meaning="what kind of item; not used",
            missing="own value",
            example="Gifts",
        ),
        Column(
            name="country",
            kind="category",
            meaning="where to; not used: behaviour alone makes segments",
            missing="own value",
            example="France",
        ),
    ),
)

NOT_USED = ("category", "country")
MUST = ("orders", "spend", "recency_days", "age_days")
"""Columns of behaviour that a table of customers cannot be without."""
FUTURE = ("future_orders", "future_spend")

CUSTOMER_CONTRACT = Contract(
    name="customers (one row a customer, behaviour up to a day and what followed it)",
    beside=f"Further columns may be any of: {', '.join(name for name in NAMES if name not in MUST)}.",
    roles=(
        Column(name="customer", kind="identifier", meaning="who, once each", required=True, example="17850"),
        Column(name=FUTURE[0], kind="number", meaning="orders in the horizon", low=0, required=True, example="2"),
        Column(
            name=FUTURE[1],
            kind="number",
            meaning="money spent in the horizon",
            unit="data.currency",
            low=0,
            required=True,
            example="310.40",
        ),
        *(
            Column(
                name=name,
                kind="number",
                meaning="behaviour up to that day",
                low=1 if name == "orders" else 0,
                required=name in MUST,
                missing="forbid" if name in MUST else "impute",
                example="3",
            )
            for name in NAMES
        ),
    ),
)

SYNTHETIC = Source(
    title="edgekit synthetic customers",
    url=None,
    sha256=None,
    licence="MIT, as edgekit",
    cite="Simulated customers of edgekit, of latent kinds that are known",
    retrieved="generator version 1",
    caveats="Customers follow simple known rules: a score on these data says that the pipeline works, not how well it "
    "would do in a shop.",
)
SOURCES = (
    SYNTHETIC,
    Source(
        title="Online Retail",
        url="https://archive.ics.uci.edu/dataset/352/online+retail",
        sha256=None,
        licence="CC BY 4.0",
        cite="Chen 2015, Online Retail, UCI Machine Learning Repository, doi:10.24432/C5BW33",
        retrieved="2026-11-22",
        caveats="One British shop of gifts, many of whose customers are wholesalers; one year and nine days, so a "
        "season is seen once, and the last three months hold Christmas; a quarter of the lines name no customer.",
    ),
)
