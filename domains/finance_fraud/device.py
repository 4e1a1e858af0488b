"""The fraud API on a device: numpy and ai-edge-litert, no TensorFlow.

scorer = FraudScorer("finance_fraud.tflite")
alert = scorer.score({"timestamp": …, "customer": …, "terminal": …, "amount": …})
scorer.confirm(alert, fraud=True)            # once it is known; works behind the label delay
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...shared.columns import Column, absent_cells
from ...shared.contract import Table, feature_column
from ...shared.errors import ConfigError, ContractError, DeviceFileError, nearest
from ...shared.files import write_json
from ...shared.spreadsheet import write_csv
from ...shared.tables import RawTable, from_columns, read_table
from ...tflite_export.runtime import DeviceModel, load_model, require_domain
from . import features
from .contract import CONTRACT
from .explain import Reason, explain
from .features import Plan
from .stream import Stream

NAME = "finance_fraud"


@dataclass(frozen=True)
class Alert:
    """What the scorer says of one transaction.

    Attributes:
        probability: of fraud, 0…1, calibrated on validation.
        flagged: whether it reaches the threshold in the file.
        reasons: what speaks for fraud, strongest first; empty when nothing does.
        number: the scorer's own number of the transaction, for :meth:`FraudScorer.confirm`.
        terminal: where it happened, or an empty string.
    """

    probability: float
    flagged: bool
    reasons: tuple[Reason, ...]
    number: int
    terminal: str


class FraudScorer:
    """Scores transactions with a device file and carries the customers' and terminals' windows along.

    Not thread-safe. The windows hold customers' data: keep saved windows as safe as the transactions.

    Args:
        source: path or bytes of a ``finance_fraud`` device file.

    Raises:
        DeviceFileError: the file is refused, or belongs to another domain.
    """

    def __init__(self, source: str | Path | bytes) -> None:
        self.model: DeviceModel = load_model(source)
        settings = _settings(self.model)
        self.plan: Plan = settings.plan
        self.threshold: float = settings.threshold
        self._mapping, self._features, self._ordinary = settings.mapping, settings.features, settings.ordinary
        self._stream = Stream(self.plan)

    def score(self, transaction: Mapping[str, Any], *, max_reasons: int = 3) -> Alert:
        """Score one transaction and move the windows on.

        Args:
            transaction: cells by role (``timestamp``, ``customer``, …) or by the training file's own column
                names. A feature may be ``None``; other keys, a label among them, are ignored.
            max_reasons: how many reasons to give; 0 saves the time they take.

        Raises:
            ContractError: a cell is missing or broken, or the transaction is older than the one before. The
                windows then stay as they were.
        """
        raw = from_columns({name: [cell] for name, cell in transaction.items()}, source="transaction")
        table = self._check(raw, labels=False)
        row = {name: values[0] for name, values in table.columns.items()}
        counted, number = self._stream.push(row)
        inputs = features.assemble(counted, table.columns, self.plan)
        probability = float(self.model.predict(inputs)["probability"].reshape(-1)[0])
        reasons = explain(inputs, self._ordinary, self.plan, self.model.predict) if max_reasons else ()
        speaking = tuple(reason for reason in reasons if reason.contribution > 0)[:max_reasons]
        terminal = str(row["terminal"]) if self.plan.has("terminal") else ""
        return Alert(probability, probability >= self.threshold, speaking, number, terminal)

    def confirm(self, alert: Alert, *, fraud: bool) -> bool:
        """Note what a transaction turned out to be; counts once it is older than the label delay.

        Returns:
            Whether the transaction was still in the windows.
        """
        return self._stream.confirm(alert.terminal, alert.number, fraud=fraud)

    def score_table(self, rows: Any, *, history: Any = None) -> np.ndarray:
        """Score many transactions at once; the scorer's own windows are neither used nor moved.

        Args:
            rows: columns by role or own name (a mapping or a DataFrame); order does not matter.
            history: earlier transactions of the same form that the windows shall see; a ``label`` among
                them, and in ``rows``, counts behind the label delay.

        Returns:
            float32 (row,) probabilities in the order of ``rows``.

        Raises:
            ContractError: the columns break the contract.
        """
        return self.model.predict(self.inputs(rows, history=history))["probability"].reshape(-1)

    def inputs(self, rows: Any, *, history: Any = None) -> dict[str, np.ndarray]:
        """Return the model inputs that :meth:`score_table` uses, in the order of ``rows``."""
        tables = [self._check(_raw(part)) for part in (history, rows) if part is not None]
        columns = _joined(tables)
        count, new = len(columns[next(iter(columns))]), len(tables[-1])
        order = np.argsort(columns["timestamp"], kind="stable") if "timestamp" in columns else np.arange(count)
        made = features.inputs({name: values[order] for name, values in columns.items()}, self.plan)
        place = np.empty(count, dtype=np.int64)
        place[order] = np.arange(count)
        return {name: values[place[count - new :]] for name, values in made.items()}

    def reasons(self, inputs: Mapping[str, np.ndarray], row: int) -> tuple[Reason, ...]:
        """Return the reasons for one row of :meth:`inputs`, strongest first."""
        one = {name: values[row : row + 1] for name, values in inputs.items()}
        return explain(one, self._ordinary, self.plan, self.model.predict)

    def save(self, path: str | Path) -> None:
        """Save the windows as a versioned JSON file, atomically."""
        write_json(Path(path), self._stream.state())

    def restore(self, path: str | Path) -> None:
        """Go on with saved windows.

        Raises:
            ContractError: the file cannot be read as saved windows.
        """
        try:
            state = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ContractError(f"{path} cannot be read as saved windows: {error}. Start with new windows.") from error
        self._stream = Stream.from_state(self.plan, state)

    def _check(self, raw: RawTable, *, labels: bool = True) -> Table:
        """Read the columns this model uses; a role it does without may hold anything."""
        unused = {role.name for role in CONTRACT.roles} - {*self.plan.roles, *(["label"] if labels else [])}
        mapping = {role: own for role, own in self._mapping.items() if own in raw.columns and role not in unused}
        ignored = unused - set(mapping.values()) - {column.name for column in self._features}
        columns = {name: cells for name, cells in raw.columns.items() if name not in ignored}
        known = mapping.get("label", "label")
        if known in columns and "label" not in unused:
            absent = absent_cells(columns[known])
            if absent.any():
                columns[known] = np.where(absent, 0, columns[known].astype(object))  # not known yet: no fraud so far
        return CONTRACT.check(
            replace(raw, columns=columns), mapping=mapping, required=self.plan.roles, features=self._features
        )


def predict_file(
    model: Path,
    data: Sequence[Path],
    *,
    out: Path,
    history: Path | None = None,
    columns: Mapping[str, str] | None = None,
) -> dict[str, int]:
    """Score a file of transactions into a CSV with row, probability, flagged and the strongest reason.

    Args:
        model: the device file.
        data: one CSV or Parquet file with the columns of the training file.
        out: CSV to write, atomically; one line a row of ``data``, in its order.
        history: earlier transactions for the windows to see.
        columns: role to own column name, where it differs from the training file.

    Returns:
        Number of rows, and of those flagged.

    Raises:
        EdgekitError: any of the files is refused.
    """
    if len(data) != 1:
        raise ConfigError(f"Found {len(data)} files; a model of tables scores one. Run it once for each file.")
    (table,) = data
    scorer = FraudScorer(model)
    scorer._mapping = {**scorer._mapping, **(columns or {})}
    rows, earlier = read_table(table), None if history is None else read_table(history)
    for role, own in (columns or {}).items():
        if own not in rows.columns:
            raise ContractError(f"--columns {role}={own}: {table} has no such column.{nearest(own, rows.columns)}")
    inputs = scorer.inputs(rows, history=earlier)
    probability = scorer.model.predict(inputs)["probability"].reshape(-1)
    flagged = probability >= scorer.threshold
    lines = []
    for row, (value, alarm) in enumerate(zip(probability, flagged, strict=True)):
        strongest = scorer.reasons(inputs, row)[:1] if alarm else ()
        reason = "".join(item.text for item in strongest if item.contribution > 0)
        lines.append((row + 1, float(value), int(alarm), reason))
    write_csv(out, ("row", "probability", "flagged", "reason"), lines)
    return {"rows": len(probability), "flagged": int(flagged.sum())}


@dataclass(frozen=True)
class _Settings:
    plan: Plan
    threshold: float
    mapping: dict[str, str]
    features: tuple[Column, ...]
    ordinary: dict[str, np.ndarray]


def _settings(model: DeviceModel) -> _Settings:
    card = model.card
    require_domain(model, NAME)
    try:
        stored, decision = card.settings, card.decision
        plan = Plan(
            roles=tuple(stored["plan"]["roles"]),
            numeric=tuple(stored["plan"]["numeric"]),
            vocabularies={name: tuple(words) for name, words in stored["plan"]["vocabularies"]},
            delay_seconds=int(stored["plan"]["delay_seconds"]),
            history=int(stored["plan"]["history"]),
        )
        ordinary = {
            name: np.array(_from_json(values), dtype=model.signatures["predict"].inputs[name].dtype)
            for name, values in stored["ordinary"].items()
        }
        columns = tuple(feature_column(name, kind) for name, kind in stored["features"])
        threshold = float(decision.threshold)  # type: ignore[union-attr, arg-type]
        settings = _Settings(plan, threshold, dict(stored["columns"]), columns, ordinary)
        _require_fit(settings, {name: tensor.shape for name, tensor in model.signatures["predict"].inputs.items()})
        return settings
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise DeviceFileError(
            f"The card's settings are not those of {NAME} ({error!r}). Export the file again."
        ) from error


def _require_fit(settings: _Settings, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ValueError unless windows, features and network go together, so that no row can fail on them later."""
    plan, kinds = settings.plan, {column.name: column.kind for column in settings.features}
    sizes = {"numeric": (len(plan.columns),), "categorical": (len(plan.vocabularies),), "history": (plan.history, 3)}
    made = {name: size for name, size in sizes.items() if size[0]}
    own = {**dict.fromkeys(plan.numeric, "number"), **dict.fromkeys(plan.vocabularies, "category")}
    words = [*kinds, *settings.mapping, *settings.mapping.values(), *plan.roles]
    if not 0 < plan.delay_seconds <= features.LONGEST_DELAY_DAYS * features.DAY:
        raise ValueError("the label delay is out of range")
    if not (all(isinstance(word, str) for word in words) and set(plan.roles) <= set(features.ROLES)):
        raise ValueError("a role or a column has no name")
    if not own.items() <= kinds.items():
        raise ValueError("a feature is not among the columns")
    if not made == {name: shape[1:] for name, shape in shapes.items()}:
        raise ValueError("the features are not the inputs of the network")
    if not {name: values.shape for name, values in settings.ordinary.items()} == {n: (1, *s) for n, s in made.items()}:
        raise ValueError("the ordinary transaction is not one of the network's inputs")


def store_settings(
    plan: Plan, mapping: Mapping[str, str], columns: tuple[Column, ...], ordinary: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Return what :class:`FraudScorer` needs, in JSON types, for the card of a device file."""
    return {
        "plan": {
            "roles": list(plan.roles),
            "numeric": list(plan.numeric),
            "vocabularies": [[name, list(words)] for name, words in plan.vocabularies.items()],
            "delay_seconds": plan.delay_seconds,
            "history": plan.history,
        },
        "columns": dict(mapping),
        "features": [[column.name, column.kind] for column in columns],
        "ordinary": {name: _to_json(values) for name, values in ordinary.items()},
    }


def _to_json(values: np.ndarray) -> Any:
    """Return nested lists with ``None`` for NaN, which JSON does not know."""
    plain = values.astype(object)
    plain[np.isnan(values)] = None
    return plain.tolist()


def _from_json(values: Any) -> Any:
    return [_from_json(value) for value in values] if isinstance(values, list) else np.nan if values is None else values


def _raw(rows: Any) -> RawTable:
    return rows if isinstance(rows, RawTable) else from_columns(rows, source="transactions")


def _joined(tables: list[Table]) -> dict[str, np.ndarray]:
    """Put tables below each other; a label that one of them lacks is taken as no fraud reported."""
    names = {name for table in tables for name in table.columns}
    return {
        name: np.concatenate([table.columns.get(name, np.zeros(len(table), dtype=np.int8)) for table in tables])
        for name in sorted(names)
    }
