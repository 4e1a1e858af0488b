"""The folder of a run: built beside its final place and moved there whole, so that a kill leaves nothing half-written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import RunError
from .files import sha256, write_json

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class RunFolder:
    """A folder in the making.

    Attributes:
        final: where the evidence will lie.
        working: where it is built, beside it.
        overwrite: whether an earlier run at ``final`` is replaced.
    """

    final: Path
    working: Path
    overwrite: bool

    def path(self, name: str) -> Path:
        """Return the working path of an artefact; folders on the way are made."""
        path = self.working / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def finish(self, facts: Mapping[str, Any]) -> Path:
        """Write the manifest, with the sha256 of every file, and move the folder to its place.

        Raises:
            RunError: the folder cannot be moved; the evidence stays in ``working``.
        """
        files = sorted(path for path in self.working.rglob("*") if path.is_file())
        sums = {path.relative_to(self.working).as_posix(): sha256(path) for path in files}
        write_json(self.working / MANIFEST, {"format": 1, **facts, "files": sums})
        earlier = self.working.with_name(f"{self.working.name}.earlier")
        try:
            if self.final.exists():
                _require_replaceable(self.final, self.overwrite)
                os.replace(self.final, earlier)
            os.replace(self.working, self.final)
        except OSError as error:
            raise RunError(
                f"Cannot move the run to {self.final}: {error.strerror}. It lies in {self.working}."
            ) from error
        shutil.rmtree(earlier, ignore_errors=True)
        return self.final

    def discard(self) -> None:
        """Remove what was built so far."""
        shutil.rmtree(self.working, ignore_errors=True)


def start(final: Path, *, overwrite: bool = False) -> RunFolder:
    """Make the working folder, before any long work begins.

    Raises:
        RunError: ``final`` exists and may not be replaced, or its place cannot be written.
    """
    if final.exists():
        _require_replaceable(final, overwrite)
    working = final.with_name(f".{final.name}.{os.getpid()}.partial")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        _sweep(final)
        working.mkdir()
    except OSError as error:
        raise RunError(
            f"Cannot write in {final.parent}: {error.strerror}. Choose a folder that can be written with --out."
        ) from error
    return RunFolder(final, working, overwrite)


def _require_replaceable(final: Path, overwrite: bool) -> None:
    if not overwrite:
        raise RunError(f"{final} exists already. Nothing was changed. Choose another --out, or add --overwrite.")
    if not (final / MANIFEST).is_file():
        raise RunError(
            f"{final} is not the folder of an earlier run (it has no {MANIFEST}), so --overwrite leaves it alone. "
            "Choose another --out."
        )


def _sweep(final: Path) -> None:
    """Remove what killed runs left beside ``final``."""
    for left in final.parent.glob(f".{final.name}.*.partial"):
        process = left.name.split(".")[-2]
        if process.isdigit() and not _alive(int(process)):
            shutil.rmtree(left, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
