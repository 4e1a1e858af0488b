"""The data contract: checked at the door, readable by people, all problems in one error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .columns import Column, infer_kind
from .errors import ContractError, nearest
from .tables import RawTable


@dataclass(frozen=True)
class Table:
    """Typed columns that keep a contract.

    Attributes:
        columns: role or own name to (row,) typed values, see ``columns.READERS``.
        features: the columns that play no role, with their kind.
        mapping: role to the file's own column name.
        source, fingerprint: where the rows come from.
        notes: what was assumed or changed, to be told to the user.
    """

    columns: dict[str, np.ndarray]
    features: tuple[Column, ...]
    mapping: dict[str, str]
    source: str
    fingerprint: str
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def has(self, *roles: str) -> bool:
        """Tell whether every one of ``roles`` is filled."""
        return all(role in self.columns for role in roles)

    def take(self, index: np.ndarray, *notes: str) -> Table:
        """Return the rows at ``index`` in that order, with further ``notes``."""
        columns = {name: values[index] for name, values in self.columns.items()}
        return Table(columns, self.features, self.mapping, self.source, self.fingerprint, self.notes + notes)


@dataclass(frozen=True)
class Contract:
    """Columns with roles; every other column of a file becomes a feature.

    Attributes:
        name: what a row is, for messages.
        roles: the columns with a role.
    """

    name: str
    roles: tuple[Column, ...]

    def check(
        self,
        raw: RawTable,
        *,
        mapping: Mapping[str, str] | None = None,
        exclude: Sequence[str] = (),
        required: Sequence[str] = (),
        features: Sequence[Column] | None = None,
    ) -> Table:
        """Read ``raw`` by this contract.

        Args:
            raw: columns as they stand in a file.
            mapping: role to the file's own column name; a role left out is looked up under its own name.
            exclude: file columns to leave out.
            required: roles required here beside those always required (the label, in training).
            features: the feature columns that must be present, with their kind (on a device);
                ``None`` takes every column without a role and infers its kind (in training).

        Raises:
            ContractError: lists every missing, misspelt or broken column with the first bad row and value.
        """
        names, problems = self._resolve(raw, dict(mapping or {}), exclude, required)
        wanted = self._features(raw, names, exclude) if features is None else tuple(features)
        chosen = [(column, names[column.name]) for column in self.roles if column.name in names]
        chosen += [(column, column.name) for column in wanted]
        columns: dict[str, np.ndarray] = {}
        for column, own_name in chosen:
            if own_name not in raw.columns:
                problems.append(f"column {own_name!r} is missing.{nearest(own_name, raw.columns)}")
                continue
            columns[column.name], found = column.read(raw.columns[own_name])
            problems += [f"column {own_name!r}: {problem}." for problem in found]
        if problems:
            raise ContractError(f"{raw.source} does not keep the contract of {self.name}:\n" + _listed(problems))
        notes = raw.notes + self._near_misses(wanted, names)
        return Table(columns, wanted, names, raw.source, raw.fingerprint, notes)

    def rows(self) -> list[tuple[str, ...]]:
        """Return the contract as text rows: role, kind, required, unit, range, missing, meaning, example."""
        return [
            (
                column.name,
                column.kind,
                "yes" if column.required else "no",
                column.unit or "–",
                "–" if column.low is None else f"{column.low:,.0f} … {column.high:,.0f}",
                column.missing,
                column.meaning,
                column.example,
            )
            for column in self.roles
        ]

    def _resolve(
        self, raw: RawTable, mapping: dict[str, str], exclude: Sequence[str], required: Sequence[str]
    ) -> tuple[dict[str, str], list[str]]:
        known = [column.name for column in self.roles]
        problems = [
            f"--columns {role}={own}: there is no role {role!r}.{nearest(role, known)} Roles: {', '.join(known)}"
            for role, own in mapping.items()
            if role not in known
        ]
        problems += [
            f"--exclude {name}: there is no such column.{nearest(name, raw.columns)}"
            for name in exclude
            if name not in raw.columns
        ]
        names = {role: own for role, own in mapping.items() if role in known}
        taken = set(names.values())
        names |= {role: role for role in known if role not in names and role in raw.columns and role not in taken}
        for column in self.roles:
            if column.name not in names and (column.required or column.name in required):
                hint = nearest(column.name, raw.columns)
                problems.append(
                    f"no column for the role {column.name!r} ({column.meaning}).{hint} "
                    f"Name it with --columns {column.name}=YOUR_COLUMN. Columns: {', '.join(raw.columns)}"
                )
        return names, problems

    def _features(self, raw: RawTable, names: Mapping[str, str], exclude: Sequence[str]) -> tuple[Column, ...]:
        left = [name for name in raw.columns if name not in names.values() and name not in exclude]
        return tuple(feature_column(name, infer_kind(raw.columns[name])) for name in left)

    def _near_misses(self, features: Sequence[Column], names: Mapping[str, str]) -> tuple[str, ...]:
        absent = [column.name for column in self.roles if column.name not in names]
        close = [(role, nearest(role, [column.name for column in features])) for role in absent]
        return tuple(
            f"no column plays the role {role!r}.{hint} If so: --columns {role}=…" for role, hint in close if hint
        )


def feature_column(name: str, kind: str) -> Column:
    """Return the contract of a feature: numbers are imputed when missing, absent text is a value of its own."""
    if kind == "number":
        return Column(name=name, kind="number", meaning="numeric feature", missing="impute")
    if kind == "timestamp":
        return Column(name=name, kind="timestamp", meaning="a date, not used as a feature")
    return Column(name=name, kind="category", meaning="categorical feature", missing="own value")


def _listed(problems: Sequence[str]) -> str:
    return "\n".join(f"  - {problem}" for problem in problems)
