"""The folder of a run: built beside its final place and moved there whole, so that a kill leaves nothing half done."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import RunError
from .files import sha256, write_json

MANIFEST = "manifest.json"
PARTIAL, EARLIER = ".partial", ".earlier"
_STARTED = time.time_ns()


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
            RunError: the folder cannot be moved; the evidence stays in ``working``, the earlier run in its place.
        """
        files = sorted(path for path in self.working.rglob("*") if path.is_file())
        sums = {path.relative_to(self.working).as_posix(): sha256(path) for path in files}
        write_json(self.working / MANIFEST, {"format": 1, **facts, "files": sums})
        earlier = self.working.with_suffix(EARLIER)
        try:
            if self.final.exists():
                _require_replaceable(self.final, self.overwrite)
                os.replace(self.final, earlier)
            os.replace(self.working, self.final)
        except (RunError, OSError) as error:
            _restore(earlier, self.final)
            reason = getattr(error, "strerror", None) or error
            raise RunError(f"Cannot move the run to {self.final}: {reason}. It lies in {self.working}.") from error
        shutil.rmtree(earlier, ignore_errors=True)
        return self.final

    def discard(self) -> None:
        """Remove what was built so far; evidence that is whole is kept."""
        if not _whole(self.working):
            shutil.rmtree(self.working, ignore_errors=True)


def start(final: Path, *, overwrite: bool = False) -> RunFolder:
    """Make the working folder, before any long work begins.

    Raises:
        RunError: ``final`` exists and may not be replaced, or its place cannot be written.
    """
    if final.name in ("", ".."):
        raise RunError(f"{final} cannot be the folder of a run. Name a new folder with --out.")
    working = final.with_name(f".{final.name}.{os.getpid()}.{time.time_ns()}{PARTIAL}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        _sweep(final)
        require_free(final, overwrite=overwrite)
        working.mkdir()
    except OSError as error:
        raise RunError(
            f"Cannot write in {final.parent}: {error.strerror}. Choose a folder that can be written with --out."
        ) from error
    return RunFolder(final, working, overwrite)


def require_free(final: Path, *, overwrite: bool = False) -> None:
    """Check, without touching anything, that a run may put its folder at ``final``.

    Raises:
        RunError: something lies there that may not be replaced.
    """
    try:
        taken = final.exists()
    except OSError as error:
        raise RunError(f"{final} cannot be the folder of a run: {error.strerror}. Choose another --out.") from error
    if taken:
        _require_replaceable(final, overwrite)


def _require_replaceable(final: Path, overwrite: bool) -> None:
    if not overwrite:
        raise RunError(f"{final} exists already. Nothing was changed. Choose another --out, or add --overwrite.")
    if not _whole(final):
        raise RunError(
            f"{final} is not the folder of an earlier run (it has no {MANIFEST} of edgekit), so --overwrite leaves it "
            "alone. Choose another --out."
        )
    foreign = sorted(_files(final) - _listed(final))
    if foreign:
        raise RunError(
            f"{final} holds files that the earlier run did not write ({', '.join(foreign[:3])}), so --overwrite leaves "
            "it alone. Move them away, or choose another --out."
        )


def _whole(folder: Path) -> bool:
    return bool(_listed(folder))


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _listed(folder: Path) -> set[str]:
    """Return the files that a run's manifest names, and itself; empty if there is no manifest of a run."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        known = manifest["format"] >= 1 and isinstance(manifest["files"], dict) and "command" in manifest
        return {*manifest["files"], MANIFEST} if known else set()
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return set()


def _restore(earlier: Path, final: Path) -> None:
    """Put a run that was about to be replaced back in its place."""
    if earlier.exists() and not final.exists():
        os.replace(earlier, final)


def _sweep(final: Path) -> None:
    """Clear up what killed runs left beside ``final``: what is whole is kept, an earlier run goes back to its place."""
    pattern = re.compile(rf"\.{re.escape(final.name)}\.(\d{{1,9}})\.(\d+)({PARTIAL}|{EARLIER})")
    for left in sorted(final.parent.iterdir()):
        match = pattern.fullmatch(left.name)
        if not match or _alive(int(match[1]), int(match[2])):
            continue
        if match[3] == EARLIER:
            _restore(left, final)
        if _whole(final) if match[3] == EARLIER else not _whole(left):
            shutil.rmtree(left, ignore_errors=True)


def _alive(process: int, born: int) -> bool:
    """Tell whether the process that made a folder still runs; in a container the next one has the same number."""
    if process == os.getpid():
        return born >= _STARTED
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
