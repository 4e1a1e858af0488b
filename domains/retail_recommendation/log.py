"""What reading a shop's log gives: who had which item, in order of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Log:
    """A shop's interactions in order of time.

    Rows are sorted by time, then user, then their order in the file; without real times by user, then position. So a
    user's rows always stand in the order in which they happened.

    Attributes:
        user: int64 (row,) codes 0…users-1; the users' own identifiers are not kept.
        item: int32 (row,) codes 1…items; 0 is padding everywhere.
        time: int64 (row,) seconds since 1970; where the file has an order only, the position in the user's sequence.
        timed: whether ``time`` is a real time.
        items: the items' own identifiers by code - 1.
        titles: by code - 1, an empty text where there is none; or no entry at all.
        attributes: uint8 (items + 1, attribute) of 0 and 1, row 0 all 0; an attribute is one value of a category
            column of the items table.
        attribute_names: such as ``genres: Comedy``.
        source, fingerprint, notes: where the rows come from, and what was assumed or changed; no users' data.
    """

    user: np.ndarray
    item: np.ndarray
    time: np.ndarray
    timed: bool
    items: tuple[str, ...]
    titles: tuple[str, ...]
    attributes: np.ndarray
    attribute_names: tuple[str, ...]
    source: str
    fingerprint: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.user)

    @property
    def num_users(self) -> int:
        """Number of different users."""
        return int(self.user.max(initial=-1)) + 1

    @property
    def num_items(self) -> int:
        """Number of different items; codes go from 1 up to it."""
        return len(self.items)
