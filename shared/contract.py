"""The data contract: checked at the door, readable by people, all problems in one error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from shlex import quote

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
    """Columns with roles, and what becomes of the others.

    Attributes:
        name: what a row is, for messages.
        roles: the columns with a role.
        beside: what becomes of other columns, and what else may be brought, for people to read.
    """

    name: str
    roles: tuple[Column, ...]
    beside: str = "Every other column becomes a feature, unless --exclude names it."

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
        optional = {column.name for column in wanted} if features is None else set()
        columns: dict[str, np.ndarray] = {}
        for column, own_name in chosen:
            if own_name not in raw.columns:
                role = "" if column.name == own_name else f" (role {column.name!r})"
                problems.append(f"column {own_name!r}{role} is missing.{nearest(own_name, raw.columns)}")
                continue
            columns[column.name], found = column.read(raw.columns[own_name])
            aside = (
                f" Mend it, or leave the column out with --exclude {quote(own_name)}." if own_name in optional else ""
            )
            problems += [f"column {own_name!r}: {problem}.{aside}" for problem in found]
        if problems:
            raise ContractError(f"{raw.source} does not keep the contract of {self.name}:\n" + _listed(problems))
        notes = (*raw.notes, *(self._notes(raw, names, exclude, wanted) if features is None else ()))
        return Table(columns, wanted, names, raw.source, raw.fingerprint, notes)

    def rows(self) -> list[tuple[str, ...]]:
        """Return the contract as text rows: role, kind, required, unit, range, missing, meaning, example."""
        return [
            (
                column.name,
                column.kind,
                "yes" if column.required else "no",
                column.unit or "–",
                column.limits() or "–",
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
        names = {role: own for role, own in mapping.items() if role in known}
        names |= {
            role: role
            for role in known
            if role not in names and role in raw.columns and role not in exclude and role not in names.values()
        }
        left = [name for name in raw.columns if name not in exclude]
        return names, [*self._misnamed(raw, mapping, exclude, known), *self._unfilled(left, names, required)]

    def _misnamed(
        self, raw: RawTable, mapping: Mapping[str, str], exclude: Sequence[str], known: Sequence[str]
    ) -> Iterator[str]:
        """Tell what is wrong with the names the user gave."""
        roles_of: dict[str, list[str]] = {}
        for role, own in mapping.items():
            roles_of.setdefault(own, []).append(role)
            if role not in known:
                hint = nearest(role, known)
                yield f"--columns {role}={own}: there is no role {role!r}.{hint} Roles: {', '.join(known)}."
            if own in exclude:
                yield f"column {own!r} plays the role {role!r} and is excluded too. Take back one of the two."
        for own, roles in roles_of.items():
            if len(roles) > 1:
                yield f"column {own!r} is to play the roles {', '.join(roles)}. Give each role a column of its own."
        for name in exclude:
            if name not in raw.columns:
                yield f"--exclude {name}: there is no such column.{nearest(name, raw.columns)}"

    def _unfilled(self, left: Sequence[str], names: Mapping[str, str], required: Sequence[str]) -> Iterator[str]:
        for column in self.roles:
            if column.name not in names and (column.required or column.name in required):
                yield (
                    f"no column for the role {column.name!r} ({column.meaning}).{nearest(column.name, left)} "
                    f"Name it with --columns {column.name}=YOUR_COLUMN. Columns: {', '.join(left)}."
                )

    def _features(self, raw: RawTable, names: Mapping[str, str], exclude: Sequence[str]) -> tuple[Column, ...]:
        taken = {*names.values(), *names, *exclude}
        left = [name for name in raw.columns if name not in taken]
        return tuple(feature_column(name, infer_kind(raw.columns[name])) for name in left)

    def _notes(
        self, raw: RawTable, names: Mapping[str, str], exclude: Sequence[str], features: Sequence[Column]
    ) -> Iterator[str]:
        """Tell which columns bear a role's name that another plays, and which features may be a role misspelt."""
        for role, own in names.items():
            if role in raw.columns and role not in (*names.values(), *exclude):
                yield f"column {role!r} is left out: {own!r} plays that role"
        for column in self.roles:
            hint = nearest(column.name, [feature.name for feature in features])
            if hint and column.name not in names and column.name not in exclude:
                yield f"no column plays the role {column.name!r}.{hint} If so: --columns {column.name}=…"


def feature_column(name: str, kind: str) -> Column:
    """Return the contract of a feature: numbers are imputed when missing, absent text is a value of its own."""
    if kind == "number":
        return Column(name=name, kind="number", meaning="numeric feature", missing="impute")
    if kind == "timestamp":
        return Column(name=name, kind="timestamp", meaning="a date, not used as a feature", missing="own value")
    return Column(name=name, kind="category", meaning="categorical feature", missing="own value")


def _listed(problems: Sequence[str]) -> str:
    return "\n".join(f"  - {problem}" for problem in problems)
