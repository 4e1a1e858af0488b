"""What transactions must look like, and the passports of the data this domain knows."""

from __future__ import annotations

from ...shared.columns import Column
from ...shared.contract import Contract
from ...shared.sources import Source

CONTRACT = Contract(
    name="labelled transactions (one row an event)",
    roles=(
        Column(
            name="timestamp",
            kind="timestamp",
            meaning="when it happened; without it no windows and no split in time",
            unit="UTC, or seconds",
            example="2018-04-01T00:00:31",
        ),
        Column(
            name="customer",
            kind="identifier",
            meaning="who paid; without it no habits and no card precision",
            example="C596",
        ),
        Column(
            name="terminal",
            kind="identifier",
            meaning="where it was paid; without it no terminal risk",
            example="T3156",
        ),
        Column(
            name="amount",
            kind="money",
            meaning="what was paid, refunds below zero",
            unit="money, two decimals",
            low=-10_000_000,
            high=10_000_000,
            example="57.16",
        ),
        Column(
            name="label",
            kind="label",
            meaning="whether it was a fraud; needed for training",
            example="0",
        ),
    ),
)

SYNTHETIC = Source(
    title="edgekit synthetic bank",
    url=None,
    sha256=None,
    licence="MIT, as edgekit",
    cite="Simulation after Le Borgne et al. 2022, Fraud Detection Handbook, chapter 3",
    retrieved="generator version 1",
    caveats="Frauds follow three known rules and customers never change their habits: a score on these data "
    "says that the pipeline works, not how well it would do at a bank.",
)
SOURCES = (
    SYNTHETIC,
    Source(
        title="Fraud Detection Handbook, simulated transactions",
        url="https://github.com/Fraud-Detection-Handbook/simulated-data-raw",
        sha256=None,
        licence="none stated for the data",
        cite="Le Borgne, Siblini, Lebichot, Bontempi 2022, Reproducible Machine Learning for Credit Card Fraud "
        "Detection",
        retrieved="2026-11-22",
        caveats="Simulated: no real customer. TX_FRAUD_SCENARIO tells which rule made a fraud: an answer, not a "
        "feature.",
    ),
    Source(
        title="Default of credit card clients",
        url="https://archive.ics.uci.edu/dataset/350/default+of+credit+card+clients",
        sha256=None,
        licence="CC BY 4.0",
        cite="Yeh and Lien 2009, Expert Systems with Applications 36(2)",
        retrieved="2026-11-22",
        caveats="Defaults, not frauds; one country in 2005; no time, customer or terminal, so no windows and no time "
        "split.",
    ),
)
