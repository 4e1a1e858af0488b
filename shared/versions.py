"""Which versions made a file: enough to make it again."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from .. import __version__

PACKAGES = ("tensorflow", "keras", "ai-edge-litert", "ai-edge-quantizer", "numpy", "scikit-learn")


def versions() -> dict[str, str]:
    """Return the versions of edgekit, Python and the packages that shape a run, those that are installed."""
    found = {"edgekit": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
