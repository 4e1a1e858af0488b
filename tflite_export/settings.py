"""The settings of an export, a section of every domain's configuration."""

from __future__ import annotations

from pydantic import Field

from ..shared.config import Settings


class ExportSettings(Settings):
    """Which rungs are tried and what a device file may cost.

    Attributes:
        recipes: rungs to try, see ``recipes``.
        max_drop: how much of the primary metric may be lost against Keras (upper bound of the
            interval).
        max_bytes, max_latency_ms: further limits, if any.
        server: whether to write a second file with a dynamic batch, for servers.
    """

    recipes: tuple[str, ...] = ("float32", "float16", "dynamic_int8", "dynamic_int4")
    max_drop: float = Field(default=0.005, ge=0)
    max_bytes: int | None = Field(default=None, ge=1)
    max_latency_ms: float | None = Field(default=None, gt=0)
    server: bool = True
