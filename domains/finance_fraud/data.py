"""Transactions in: the user's file or the synthetic bank, the split, the audit, the model inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...shared import audit as checks
from ...shared import splits as rules
from ...shared.audit import Finding
from ...shared.columns import Column
from ...shared.contract import Table
from ...shared.domain import Examples, Prepared, Progress, Request
from ...shared.errors import ConfigError, ContractError
from ...shared.splits import Splits
from ...shared.tables import RawTable, fingerprint, read_table
from . import features, synthesis
from .config import FraudConfig
from .contract import CONTRACT

DAY = features.DAY


def load(request: Request, config: FraudConfig, *, report: Progress | None = None) -> Table:
    """Read the user's file, hold it to the contract and put it into time order.

    A table is read in one go, so ``report`` is not called.

    Raises:
        SourceError: the file cannot be read.
        ContractError: it breaks the contract; every problem is listed.
        ConfigError: a second table is named.
    """
    if request.path is None:
        raise ContractError("No file was given. Name one with --data PATH.")
    if request.items is not None:
        raise ConfigError("--items names a second table, but finance_fraud reads one table. Leave it out.")
    raw = read_table(request.path)
    return _checked(raw, request)


def synthesize(config: FraudConfig, *, seed: int) -> Table:
    """Return synthetic transactions in time order; the same seed gives the same table."""
    raw = synthesis.synthesize(config.synthetic, seed=seed)
    return replace(_checked(raw, Request()), fingerprint=fingerprint(raw.columns))


def _checked(raw: RawTable, request: Request) -> Table:
    table = CONTRACT.check(raw, mapping=request.columns, exclude=request.exclude, required=("label",))
    label = table.columns["label"]
    if label.min() == label.max():
        raise ContractError(
            f"{raw.source}: every label is {label[0]}. Training needs both frauds (1) and genuine transactions (0)."
        )
    return _without_duplicates(_without_useless(in_time_order(table)))


def in_time_order(table: Table) -> Table:
    """Return the rows sorted by time, those of one second in the order of the file; says so if that changed them."""
    if not table.has("timestamp"):
        return table
    seconds = table.columns["timestamp"]
    if np.all(seconds[1:] >= seconds[:-1]):
        return table
    return table.take(np.argsort(seconds, kind="stable"), "the rows were not in time order and have been sorted")


def _without_useless(table: Table) -> Table:
    """Leave out own columns that cannot be features: constant, one value a row, dates, or a second clock."""
    reasons = {column.name: _useless(column, table) for column in table.features}
    kept = tuple(column for column in table.features if not reasons[column.name])
    left = [name for name, reason in reasons.items() if reason]
    columns = {name: values for name, values in table.columns.items() if name not in left}
    notes = tuple(f"column {name!r} is left out: {reasons[name]}" for name in left)
    return Table(columns, kept, table.mapping, table.source, table.fingerprint, table.notes + notes)


def _useless(column: Column, table: Table) -> str:
    values = table.columns[column.name]
    if column.name in features.reserved(_roles(table)):
        return "a feature made here has that name; rename the column to use it"
    if column.kind == "timestamp":
        return "a date without a role (name it with --columns timestamp=… if it is the time of the event)"
    if column.kind == "category":
        different = len(set(values))
        return (
            "it never changes" if different == 1 else "every row has its own value" if different == len(values) else ""
        )
    known = values[~np.isnan(values)]
    if not len(known) or known.min() == known.max():
        return "it never changes"
    if len(known) == len(values) and np.all(known == np.round(known)):
        if len(np.unique(known)) == len(known):
            return "every row has its own whole number, like an identifier"
        if table.has("timestamp") and np.all(np.diff(known) >= 0):
            return "it only ever grows with time, like a clock; a later period has values never seen in training"
    return ""


def _without_duplicates(table: Table) -> Table:
    """Drop rows that equal an earlier one in every column: one event booked twice, or a leak between splits.

    Without a time equal rows may well be different people; they stay, and the audit counts them.
    """
    if not table.has("timestamp"):
        return table
    copies = checks.identical_rows(table.columns)
    _, first = np.unique(np.where(copies < 0, -1 - np.arange(len(table)), copies), return_index=True)
    repeated = len(table) - len(first)
    if not repeated:
        return table
    return table.take(np.sort(first), f"{repeated:,} rows repeat an earlier row in every column and have been dropped")


def split(table: Table, config: FraudConfig, *, seed: int) -> Splits:
    """Split in time with the label delay as a gap; without timestamps at random, stratified by label.

    Raises:
        ContractError: a split would be empty or hold one class only.
    """
    shares = {"validation_share": config.data.validation_share, "test_share": config.data.test_share}
    label = table.columns["label"]
    if not table.has("timestamp"):
        return rules.stratified(label, seed=seed, **shares)
    delay = delay_seconds(config)
    return rules.by_time(table.columns["timestamp"], delay_seconds=delay, labels=label, **shares)


def delay_seconds(config: FraudConfig) -> int:
    """Return the label delay in whole seconds, at least one."""
    return max(1, round(config.data.label_delay_days * DAY))


def audit(table: Table, splits: Splits, config: FraudConfig) -> list[Finding]:
    """Look for leaks between the splits and for columns that give the answer away."""
    own = {column.name: table.columns[column.name] for column in table.features}
    findings = checks.duplicates_across_splits(table.columns, splits)
    findings += checks.giveaway(own, table.columns["label"], splits.train)
    findings += checks.label_drift(table.columns["label"], splits)
    for role in ("customer", "terminal"):
        if table.has(role):
            findings += checks.entity_overlap(table.columns[role], splits, f"{role}s")
    return findings


def prepare(table: Table, splits: Splits, config: FraudConfig) -> Prepared:
    """Make the model inputs; vocabularies are learnt on the training rows."""
    plan = learn_plan(table, splits.train, config)
    made = features.inputs(table.columns, plan)
    if not made:
        raise ContractError(f"{table.source}: no column is left to learn from. Expected at least one beside the label.")
    everything = Examples(made, table.columns["label"].astype(np.float32), context(table))
    train, validation, test = (everything.take(index) for index in (splits.train, splits.validation, splits.test))
    return Prepared(plan, train, validation, test, limits(table))


def learn_plan(table: Table, train: np.ndarray, config: FraudConfig) -> features.Plan:
    """Fix which columns there are and which category values are known."""
    sequence = config.model.kind == "sequence"
    if sequence and not table.has("timestamp", "customer", "amount"):
        raise ContractError(
            "model.kind = sequence needs the roles timestamp, customer and amount. Use model.kind = tabular."
        )
    categories = [column.name for column in table.features if column.kind == "category"]
    return features.Plan(
        roles=_roles(table),
        numeric=tuple(column.name for column in table.features if column.kind == "number"),
        vocabularies={
            name: features.learn_vocabulary(table.columns[name][train], config.data.max_categories)
            for name in categories
        },
        delay_seconds=delay_seconds(config),
        history=config.model.history if sequence else 0,
    )


def _roles(table: Table) -> tuple[str, ...]:
    return tuple(role for role in features.ROLES if table.has(role))


def context(table: Table) -> dict[str, np.ndarray]:
    """Return what the metrics need beside labels: day and customer codes, amounts in units of money."""
    made: dict[str, np.ndarray] = {}
    if table.has("timestamp"):
        made["day"] = table.columns["timestamp"] // DAY
    if table.has("customer"):
        made["customer"] = features.codes(table.columns["customer"])
    if table.has("amount"):
        made["amount"] = table.columns["amount"] / 100
    return made


def limits(table: Table) -> tuple[str, ...]:
    """Say what cannot be done with the roles a table has."""
    lines: Sequence[tuple[tuple[str, ...], str]] = (
        (("timestamp",), "no timestamp: the split is random and stratified, not in time order, which is weaker: it "
         "cannot show how the model ages; and there are no windows and no alerts a day"),
        (("customer",), "no customer: no habits, and no card precision"),
        (("terminal",), "no terminal: no known-fraud risk of terminals"),
        (("amount",), "no amount: every missed fraud is taken to cost decision.missed_cost"),
    )  # fmt: skip
    return tuple(line for roles, line in lines if not table.has(*roles))
