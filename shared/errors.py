"""Every error a user can cause, and the two ways to word one.

A message says what was found (with the value, row or file), what was expected, and how to fix it.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType

MOST_NAMED = 30
"""Names that a message lists."""


class EdgekitError(Exception):
    """Root of all errors a user can cause; the command line prints it and exits with code 2."""


class ConfigError(EdgekitError, ValueError):
    """A setting is unknown, of the wrong type or out of range."""


class ContractError(EdgekitError, ValueError):
    """Data break a domain's contract; the message lists every problem found."""


class SourceError(EdgekitError):
    """A data file cannot be read at all."""


class DeviceFileError(EdgekitError, ValueError):
    """A model file is refused: damaged, foreign, or of a newer format."""


class ExportError(EdgekitError, RuntimeError):
    """A model cannot be turned into a device file."""


class RunError(EdgekitError):
    """A run cannot start or cannot write its evidence."""


class MissingExtraError(EdgekitError, ImportError):
    """An optional dependency is needed and not installed."""


def nearest(got: str, allowed: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the allowed name closest to ``got``, or an empty string."""
    by_lower = {name.lower(): name for name in allowed}
    matches = difflib.get_close_matches(got.lower(), by_lower, n=1)
    return f" Did you mean {by_lower[matches[0]]!r}?" if matches else ""


def choose(what: str, got: str, allowed: Iterable[str]) -> str:
    """Return ``got`` when it is one of ``allowed``.

    Raises:
        ConfigError: ``got`` is not allowed; the message names the nearest allowed value.
    """
    names = list(allowed)
    if got in names:
        return got
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    raise ConfigError(f"Unknown {what}: {got!r}. Known: {', '.join(names[:MOST_NAMED])}{more}.{nearest(got, names)}")


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional dependency.

    Raises:
        MissingExtraError: it is not installed; the message names the extra that brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"This needs {module!r}, which is not installed or does not load ({error}). "
            f'In the clone of edgekit, run: pip install -e ".[{extra}]"'
        ) from error
