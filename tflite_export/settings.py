"""The settings of an export, a section of every domain's configuration."""

from __future__ import annotations

from pydantic import Field, field_validator

from ..shared.config import Settings
from .recipes import DEFAULT_LADDER, recipe


class ExportSettings(Settings):
    """Which rungs are tried and what a device file may cost.

    Attributes:
        recipes: rungs to try, at least one, see ``recipes``.
        max_drop: how much of the primary metric may be lost against Keras (upper bound of the
            interval).
        max_bytes: largest network in bytes, if there is a limit; card and golden vectors come on top (about 10 kB).
        max_latency_ms: largest median time of one call on this machine, if there is a limit.
        server: whether to write a second file with a dynamic batch, for servers.
    """

    recipes: tuple[str, ...] = Field(default=DEFAULT_LADDER, min_length=1)
    max_drop: float = Field(default=0.005, ge=0)
    max_bytes: int | None = Field(default=None, ge=1)
    max_latency_ms: float | None = Field(default=None, gt=0)
    server: bool = True

    @field_validator("recipes")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(recipe(name).name for name in names)
