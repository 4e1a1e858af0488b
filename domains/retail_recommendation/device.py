"""Recommendations on the shopper's own device: numpy and ai-edge-litert, no TensorFlow; no history leaves the device.

recommender = Recommender("retail_recommendation.tflite")
recommender.remember("item-17")                      # the history is kept here, and saved where the app wants it
for found in recommender.recommend(k=10).items:
    print(found.item, found.title, found.score, found.why)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...shared.columns import Reading, absent_cells, read_identifier, read_timestamp
from ...shared.errors import ConfigError, ContractError, DeviceFileError, SourceError, choose
from ...shared.files import write_json
from ...shared.spreadsheet import write_csv
from ...shared.tables import RawTable, read_table
from ...tflite_export.runtime import DeviceModel, load_model, require_domain
from . import features
from .features import Plan
from .sequence_text import read_sequences

NAME = "retail_recommendation"
ITEMS, SCORES, ALL_SCORES = "items", "scores", "all_scores"
SCORE = "score"
"""The signature that scores every item; ``predict`` answers with the highest only."""
MAX_REASONS = 3
ROLES = ("user", "item", "timestamp")


@dataclass(frozen=True)
class Reason:
    """An item of the history that speaks for a recommendation.

    Attributes:
        item, title: which one.
        gain: by how much it raised the score: the score with it less the score without it.
    """

    item: str
    title: str
    gain: float


@dataclass(frozen=True)
class Recommendation:
    """One recommended item.

    Attributes:
        item: the shop's own identifier.
        title: its title, or an empty text.
        score: the higher the likelier next; comparable within one answer only.
        why: what in the history raised its score most, strongest first; empty without a history.
    """

    item: str
    title: str
    score: float
    why: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What is recommended, and which identifiers of the history or of the exclusions the file does not know.

    Attributes:
        items: highest score first; fewer than asked for where the rules leave no more.
        unknown: identifiers that were ignored.
    """

    items: tuple[Recommendation, ...]
    unknown: tuple[str, ...] = ()


class Recommender:
    """Recommends the next items with a device file. Not safe to share between threads: make one per thread."""

    def __init__(self, source: str | Path, *, threads: int = 1) -> None:
        """Load and check the file.

        Raises:
            DeviceFileError: the file is damaged, or not one of this domain.
        """
        self.model: DeviceModel = load_model(Path(source), threads=threads)
        require_domain(self.model, NAME)
        self.plan = _plan(self.model)
        self.history: list[str] = []
        self._attributes = self.plan.attribute_matrix()

    def recommend(
        self,
        history: Iterable[str] | None = None,
        k: int = 10,
        *,
        exclude: Iterable[str] = (),
        only: Iterable[str] = (),
        repeats: bool = False,
        explain: bool = True,
    ) -> Answer:
        """Return the ``k`` items with the highest scores.

        Args:
            history: identifiers of what the shopper had, newest last; ``None`` takes what was remembered. Any length:
                the newest ``plan.window`` count. Unknown identifiers are ignored and named in the answer.
            k: how many, at most as many as the catalogue has.
            exclude: identifiers never to recommend (out of stock, not for this shopper).
            only: attributes such as ``genres: Comedy``; items with none of them are left out. Empty allows all.
            repeats: whether items of the history may be recommended again.
            explain: whether to say why; costs one call an item of the history.

        Raises:
            ContractError: ``k`` is out of range, or there is no such attribute.
        """
        for given in (history, exclude, only):
            if isinstance(given, str):
                raise ContractError(f"Found the text {given!r}, expected a list of them: [{given!r}].")
        names = [str(name) for name in (self.history if history is None else history)]
        exclude = [str(name) for name in exclude]
        self._require_count(k)
        codes, unknown = features.codes_of(names, self.plan)
        scores = self._scores(codes)
        allowed = self._allowed(codes, exclude, only, repeats=repeats)
        order = _best(np.where(allowed, scores, -np.inf), min(k, int(allowed.sum())))
        reasons = self._reasons(codes, scores, order) if explain and codes else [()] * len(order)
        found = (
            Recommendation(self.plan.items[code - 1], self._title(code), float(scores[code]), why)
            for code, why in zip(order.tolist(), reasons, strict=True)
        )
        unknown += features.codes_of(exclude, self.plan)[1]
        return Answer(tuple(found), tuple(dict.fromkeys(unknown)))

    def remember(self, item: str) -> None:
        """Put an item at the end of the kept history; one that is newer than the file is kept for the next file."""
        self.history.append(str(item))

    def forget(self) -> None:
        """Empty the kept history."""
        self.history.clear()

    def save(self, path: str | Path) -> None:
        """Write the kept history as JSON, atomically."""
        write_json(Path(path), {"format": 1, "domain": NAME, "history": self.history})

    def restore(self, path: str | Path) -> tuple[str, ...]:
        """Take a saved history in place of the kept one.

        Returns:
            Identifiers that this file does not know; they are kept, and count once a file knows them.

        Raises:
            SourceError: it is not a saved history.
        """
        try:
            saved = json.loads(Path(path).read_text(encoding="utf-8"))
            names = saved["history"]
            if saved["format"] != 1 or saved["domain"] != NAME or not isinstance(names, list):
                raise ValueError("another format")
            if not all(isinstance(name, str) for name in names):
                raise ValueError("items that are no texts")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise SourceError(f"{path} is not a history saved by {NAME} ({error}). Begin with an empty one.") from error
        self.history = list(names)
        return tuple(name for name in names if name not in self.plan.code_of)

    def _scores(self, codes: Sequence[int]) -> np.ndarray:
        """Return float32 (items + 1,) the score of every item; that of the padding is of no use."""
        scores: np.ndarray = self.model.run(SCORE, features.inputs([codes], self.plan))[ALL_SCORES][0]
        return scores

    def _allowed(
        self, codes: Sequence[int], exclude: Iterable[str], only: Iterable[str], *, repeats: bool
    ) -> np.ndarray:
        """Return bool (items + 1,): what the rules leave."""
        wanted = [choose("attribute", name, self.plan.attribute_names) for name in only]
        allowed = np.ones(len(self.plan.items) + 1, dtype=bool)
        if wanted:
            columns = [self.plan.attribute_names.index(name) for name in wanted]
            allowed = np.asarray(self._attributes[:, columns].any(axis=1))
        allowed[0] = False
        allowed[features.codes_of(exclude, self.plan)[0]] = False
        if not repeats:
            allowed[list(codes)] = False
        return allowed

    def _reasons(self, codes: Sequence[int], scores: np.ndarray, chosen: np.ndarray) -> list[tuple[Reason, ...]]:
        """Leave each item of the window out in turn and see which of the chosen items' scores fall most."""
        window = list(codes[-self.plan.window :])
        without = np.stack([self._scores(window[:place] + window[place + 1 :])[chosen] for place in range(len(window))])
        gains = scores[chosen] - without  # (place, chosen)
        told = []
        for column in gains.T:
            strongest = np.argsort(-column, kind="stable")[:MAX_REASONS]
            told.append(
                tuple(
                    Reason(self.plan.items[window[place] - 1], self._title(window[place]), float(column[place]))
                    for place in strongest.tolist()
                    if column[place] > 0
                )
            )
        return told

    def _title(self, code: int) -> str:
        return self.plan.titles[code - 1] if self.plan.titles else ""

    def _require_count(self, k: int) -> None:
        if not 1 <= k <= len(self.plan.items):
            raise ContractError(f"Found k = {k}, expected 1 to {len(self.plan.items):,}, the size of the catalogue.")


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    """Return the places of the highest scores, highest first, of equal ones the first."""
    lowest = -np.partition(-scores, count - 1)[count - 1] if count else np.inf
    found = np.flatnonzero(scores >= lowest)
    return np.asarray(found[np.argsort(-scores[found], kind="stable")][:count])


def predict_file(
    model: Path, data: Sequence[Path], *, out: Path, columns: Mapping[str, str] | None = None, k: int = 10
) -> dict[str, int]:
    """Recommend for the histories of a file: user, rank, item, title, score, why, one line a recommendation.

    Args:
        model: the device file.
        data: one table with the columns user and item (and timestamp), or lines of ``user item item …``.
        out: CSV to write, atomically.
        columns: role to own column name.
        k: items a user.

    Returns:
        Number of users and of recommendations, and of identifiers in the file that the model does not know.

    Raises:
        EdgekitError: the file is refused.
    """
    if len(data) != 1:
        raise ConfigError(f"Found {len(data)} files; a recommender takes one of histories. Run it once for each file.")
    recommender = Recommender(model)
    users, lines, unknown = 0, list[tuple[str | float, ...]](), set[str]()
    for user, names in histories(data[0], columns or {}).items():
        answer = recommender.recommend(names, min(k, len(recommender.plan.items)))
        users, unknown = users + 1, unknown | set(answer.unknown)
        for rank, found in enumerate(answer.items, start=1):
            why = "; ".join(reason.title or reason.item for reason in found.why)
            lines.append((user, rank, found.item, found.title, found.score, why))
    write_csv(out, ("user", "rank", "item", "title", "score", "why"), lines)
    return {"users": users, "recommendations": len(lines), "unknown items": len(unknown)}


def histories(path: Path, columns: Mapping[str, str]) -> dict[str, list[str]]:
    """Read each user's item identifiers, oldest first.

    Raises:
        SourceError: the file cannot be read.
        ContractError: it lacks a column.
    """
    sequences = read_sequences(path, columns)
    if sequences is not None and columns:
        raise ConfigError(f"--columns names columns of a table, but {path} holds lines `user item …`. Leave it out.")
    if sequences is not None:
        return _by_user(sequences.columns["user"].tolist(), sequences.columns["item"].tolist())
    table = read_table(path)
    for role in columns:
        choose("role", role, ROLES)
    names = {role: columns.get(role, role) for role in ROLES}
    needed = ("user", "item", *columns)
    missing = [f"{role}={names[role]}" for role in dict.fromkeys(needed) if names[role] not in table.columns]
    if missing:
        raise ContractError(
            f"{path} has no column for {', '.join(missing)}. Name them with --columns user=… item=…. "
            f"Columns: {', '.join(table.columns)}."
        )
    users, items = (_read(table, names[role], read_identifier) for role in ("user", "item"))
    order = np.arange(len(users))
    if names["timestamp"] in table.columns:
        order = np.argsort(_read(table, names["timestamp"], read_timestamp), kind="stable")
    return _by_user(users[order].tolist(), items[order].tolist())


def _by_user(users: Sequence[str], items: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for user, item in zip(users, items, strict=True):
        found.setdefault(user, []).append(item)
    return found


def _read(table: RawTable, name: str, reader: Callable[[np.ndarray, np.ndarray], Reading]) -> np.ndarray:
    """Return one column's values.

    Raises:
        ContractError: a cell is absent or cannot be read.
    """
    cells = table.columns[name]
    absent = absent_cells(cells)
    values, wrong, expected = reader(cells, absent)
    if (wrong | absent).any():
        row = int((wrong | absent).argmax())
        raise ContractError(f"{table.source}: row {row + 1} of column {name!r} is {cells[row]!r}, expected {expected}.")
    return values


def store_settings(plan: Plan) -> dict[str, Any]:
    """Return what :class:`Recommender` needs, in JSON types, for the card of a device file."""
    return {"plan": plan.as_json()}


def _plan(model: DeviceModel) -> Plan:
    """Read the plan of a card, which may come from anyone, and hold it against the network."""
    try:
        plan = Plan.from_json(model.card.settings["plan"])
        shapes = {slot.name: slot.shape for slot in (*model.card.inputs, *model.card.outputs)}
        if shapes["history"] != (plan.window,) or shapes["exclude"] != (plan.excluded,):
            raise ValueError("the plan is not that of the network")
        scored = model.signatures[SCORE].outputs[ALL_SCORES].shape
        if scored[-1] != len(plan.items) + 1:
            raise ValueError("the network scores another catalogue")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DeviceFileError(
            f"Found settings on the card that {NAME} cannot use ({error}). Export the file again with edgekit."
        ) from error
    return plan
