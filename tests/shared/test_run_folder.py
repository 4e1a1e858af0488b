from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edgekit.shared import run_folder
from edgekit.shared.errors import RunError
from edgekit.shared.files import sha256
from edgekit.shared.run_folder import RunFolder, start

# Starts a run, writes a part of it, says so, and waits to be killed.
HALF_A_RUN = """
import sys, time
from pathlib import Path
from edgekit.shared.run_folder import start
folder = start(Path(sys.argv[1]), overwrite=True)
folder.path("half.txt").write_text("half")
print(folder.working, flush=True)
{then}
time.sleep(60)
"""
# Finishes too, but stops between the two renames.
BETWEEN_RENAMES = """
import os
rename = os.replace
def replace(source, target):
    rename(source, target)
    if str(target).endswith(".earlier"):
        print("between", flush=True)
        time.sleep(60)
os.replace = replace
folder.finish({"command": "edgekit run"})
"""
FACTS = {"command": "edgekit run"}


def _finished(final: Path, content: str = "old", **how: Any) -> Path:
    folder = start(final, **how)
    folder.path("report.json").write_text(content)
    return folder.finish({**FACTS, "seed": 0})


def _kill(final: Path, then: str = "", wait_for: str = "") -> Path:
    """Run until it has said ``wait_for``, kill it, and return its working folder."""
    process, working = _spawn(final, then)
    while wait_for and process.stdout.readline().strip() != wait_for:
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    return working


def _spawn(final: Path, then: str = "") -> tuple[Any, Path]:
    command = [sys.executable, "-c", HALF_A_RUN.format(then=then), str(final)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def dead() -> int:
    """Return the number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


# --- a run that goes well ---


def test_a_run_appears_whole_with_the_sums_of_its_files(tmp_path: Path) -> None:
    final = tmp_path / "runs" / "größe [1]"
    folder = start(final)
    folder.path("model.tflite").write_bytes(b"abc")
    folder.path("export/float16/model.tflite").write_bytes(b"")
    assert not final.exists()
    assert folder.finish({"seed": 3, "command": "edgekit run"}) == final
    manifest = json.loads((final / "manifest.json").read_text())
    assert manifest == {
        "format": 1,
        "seed": 3,
        "command": "edgekit run",
        "files": {"export/float16/model.tflite": sha256(b""), "model.tflite": sha256(b"abc")},
    }
    assert _names(final) == ["export", "manifest.json", "model.tflite"]
    assert _names(final.parent) == [final.name]


def test_a_relative_place_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _finished(Path("out"))
    assert _names(tmp_path) == ["out"]


def test_a_run_that_is_discarded_leaves_nothing(tmp_path: Path) -> None:
    folder = start(tmp_path / "out")
    folder.path("a/b").touch()
    folder.discard()
    assert _names(tmp_path) == []


def test_a_finished_run_is_not_discarded(tmp_path: Path) -> None:
    folder = start(tmp_path / "out")
    folder.finish(FACTS)
    folder.discard()
    assert _names(tmp_path / "out") == ["manifest.json"]


def test_two_runs_of_one_process_do_not_meet(tmp_path: Path) -> None:
    first, second = start(tmp_path / "out"), start(tmp_path / "out")
    first.path("first").touch()
    second.path("second").touch()
    first.finish(FACTS)
    assert _names(tmp_path / "out") == ["first", "manifest.json"]
    assert _names(second.working) == ["second"]


# --- what is there already ---


def test_an_existing_run_is_not_touched(tmp_path: Path) -> None:
    final = _finished(tmp_path / "out")
    with pytest.raises(RunError, match=r"exists already. Nothing was changed.*--overwrite"):
        start(final)
    assert (final / "report.json").read_text() == "old"
    assert _names(tmp_path) == ["out"]


def test_an_earlier_run_is_replaced_when_asked(tmp_path: Path) -> None:
    final = _finished(tmp_path / "out")
    folder = start(final, overwrite=True)
    folder.path("new").touch()
    assert (final / "report.json").read_text() == "old"
    folder.finish(FACTS)
    assert _names(final) == ["manifest.json", "new"]
    assert _names(tmp_path) == ["out"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", ["empty folder", "own folder", "file"])
def test_what_is_no_run_is_never_replaced(kind: str, overwrite: bool, tmp_path: Path) -> None:
    final = tmp_path / "out"
    if kind == "file":
        final.write_text("mine")
    else:
        final.mkdir()
    if kind == "own folder":
        (final / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="leaves it alone" if overwrite else "exists already"):
        start(final, overwrite=overwrite)
    assert _names(tmp_path) == ["out"]
    assert final.is_file() or _names(final) == ["thesis.txt"] * (kind == "own folder")


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param('{"name": "My app"}', id="a web app"),
        pytest.param('{"format": 1, "files": {"index.html": "ab"}}', id="no command"),
        pytest.param('{"format": 1, "files": ["index.html"], "command": "build"}', id="a list of files"),
        pytest.param('{"format": "1", "files": {}, "command": "build"}', id="another format"),
        pytest.param('{"format": 0, "files": {}, "command": "build"}', id="format 0"),
        pytest.param('{"files": {}, "command": "build"}', id="no format"),
        pytest.param('["files", "format", "command"]', id="a list"),
        pytest.param('{"format": 1,', id="half"),
        pytest.param("[" * 100_000, id="deep"),
        pytest.param("\xff", id="other bytes"),
    ],
)
def test_a_folder_with_the_manifest_of_another_program_is_never_replaced(manifest: str, tmp_path: Path) -> None:
    final = tmp_path / "out"
    final.mkdir()
    (final / "manifest.json").write_text(manifest, encoding="latin-1")
    with pytest.raises(RunError, match="not the folder of an earlier run"):
        start(final, overwrite=True)
    assert (final / "manifest.json").read_text(encoding="latin-1") == manifest
    assert _names(tmp_path) == ["out"]


@pytest.mark.parametrize("name", ["thesis.txt", "export/notes/thesis.txt", ".hidden"])
def test_a_run_with_a_file_of_the_users_own_is_never_replaced(name: str, tmp_path: Path) -> None:
    final = _finished(tmp_path / "out")
    (final / name).parent.mkdir(parents=True, exist_ok=True)
    (final / name).write_text("mine")
    with pytest.raises(RunError, match=rf"did not write \({re.escape(name)}\), so --overwrite leaves it alone"):
        start(final, overwrite=True)
    assert (final / name).read_text() == "mine" and (final / "report.json").read_text() == "old"


def test_a_file_that_appears_during_the_run_is_kept_and_so_is_the_evidence(tmp_path: Path) -> None:
    final = _finished(tmp_path / "out")
    folder = start(final, overwrite=True)
    (final / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match=r"Cannot move .*\(thesis\.txt\).*It lies in .*\.partial"):
        folder.finish(FACTS)
    assert _names(final) == ["manifest.json", "report.json", "thesis.txt"]
    assert _names(folder.working) == ["manifest.json"]


def test_a_run_that_lost_a_file_is_replaced_all_the_same(tmp_path: Path) -> None:
    final = _finished(tmp_path / "out")
    (final / "report.json").unlink()
    start(final, overwrite=True).finish(FACTS)
    assert _names(final) == ["manifest.json"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_appears_meanwhile_is_kept_and_so_is_the_evidence(overwrite: bool, tmp_path: Path) -> None:
    folder = start(tmp_path / "out", overwrite=overwrite)
    folder.path("report.json").write_text("new")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").touch()
    with pytest.raises(RunError, match=r"Cannot move .*(exists already|leaves it alone).*It lies in .*\.partial"):
        folder.finish(FACTS)
    folder.discard()
    start(tmp_path / "other").discard()
    assert _names(tmp_path / "out") == ["thesis.txt"]
    assert _names(folder.working) == ["manifest.json", "report.json"]


# --- places that cannot be written ---


@pytest.mark.parametrize("place", ["file/out", "file/below/out", "x" * 300, "x" * 250])
def test_an_impossible_place_is_refused_before_work(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match=r"(Cannot write in|cannot be the folder of a run).*--out"):
        start(tmp_path / place)
    assert _names(tmp_path) == ["file"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_name_too_long_is_told_before_anything_is_touched(overwrite: bool, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"x cannot be the folder of a run: File name too long\. Choose another --out\."):
        run_folder.require_free(tmp_path / ("x" * 300), overwrite=overwrite)


def test_a_folder_without_permission_is_refused_before_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(RunError, match=r"Cannot write in .*: Permission denied"):
        start(tmp_path / "out")


@pytest.mark.parametrize("place", [".", "..", "a/..", "/"])
def test_a_place_without_a_name_is_refused(place: str) -> None:
    with pytest.raises(RunError, match="Name a new folder with --out"):
        start(Path(place), overwrite=True)


# --- runs that are killed ---


def test_a_killed_run_leaves_nothing_under_the_final_name_and_the_next_clears_up(tmp_path: Path) -> None:
    final = tmp_path / "out"
    working = _kill(final)
    assert _names(working) == ["half.txt"]
    assert not final.exists()
    _finished(final)
    assert _names(tmp_path) == ["out"]


def test_a_live_run_is_left_alone(tmp_path: Path) -> None:
    process, working = _spawn(tmp_path / "out")
    try:
        start(tmp_path / "out").discard()
        assert _names(working) == ["half.txt"]
        time.sleep(0.1)
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


def test_a_run_killed_between_the_renames_loses_nothing(tmp_path: Path) -> None:
    final = _finished(tmp_path / "out")
    working = _kill(final, BETWEEN_RENAMES, wait_for="between")
    assert not final.exists()
    with pytest.raises(RunError, match="exists already"):
        start(final)
    assert (final / "report.json").read_text() == "old"
    assert _names(working) == ["half.txt", "manifest.json"]
    assert _names(tmp_path) == sorted([working.name, "out"])


def test_a_second_rename_that_fails_puts_the_earlier_run_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    final = _finished(tmp_path / "out")
    folder = start(final, overwrite=True)
    rename = os.replace

    def replace(source: Path, target: Path) -> None:
        if source == folder.working:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(source, target)

    monkeypatch.setattr(run_folder.os, "replace", replace)
    with pytest.raises(RunError, match=r"Cannot move the run to .*: Input/output error\. It lies in"):
        folder.finish(FACTS)
    assert (final / "report.json").read_text() == "old"
    assert _names(tmp_path) == sorted([folder.working.name, "out"])


def test_a_rename_that_fails_keeps_the_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(source: Path, target: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    folder = start(tmp_path / "out")
    folder.path("manifest.json").touch()
    monkeypatch.setattr(run_folder, "write_json", lambda path, value: None)
    monkeypatch.setattr(run_folder.os, "replace", replace)
    with pytest.raises(RunError, match="Input/output error"):
        folder.finish(FACTS)
    assert _names(folder.working) == ["manifest.json"]


@pytest.mark.parametrize("ending", [".partial", ".earlier"])
def test_leftovers_of_the_dead_are_swept(ending: str, dead: int, tmp_path: Path) -> None:
    final = _finished(tmp_path / "out")
    (tmp_path / f".out.{dead}.5{ending}").mkdir()
    start(final, overwrite=True).discard()
    assert _names(tmp_path) == ["out"]


@pytest.mark.parametrize("born", [0, -1])
def test_a_new_process_with_an_old_number_sweeps_what_the_old_one_left(born: int, tmp_path: Path) -> None:
    left = tmp_path / f".out.{os.getpid()}.{run_folder._STARTED + born}.partial"
    left.mkdir()
    start(tmp_path / "out").discard()
    assert left.exists() is (born == 0)


def test_an_earlier_run_is_kept_while_its_place_is_taken_by_something_else(dead: int, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / f".out.{dead}.5.earlier").mkdir()
    with pytest.raises(RunError):
        start(tmp_path / "out", overwrite=True)
    assert _names(tmp_path) == [f".out.{dead}.5.earlier", "out"]


@pytest.mark.parametrize(
    "name", [".out.{}.partial", ".out.{}.5", ".other.{}.5.partial", ".out.x.{}.5.partial", "o.{}.5.partial"]
)
def test_what_no_run_of_this_place_left_is_left_alone(name: str, dead: int, tmp_path: Path) -> None:
    other = tmp_path / name.format(dead)
    other.mkdir()
    start(tmp_path / "out").discard()
    assert _names(tmp_path) == [other.name]


def test_leftovers_are_found_by_their_age(tmp_path: Path) -> None:
    before = time.time_ns()
    folder = start(tmp_path / "out")
    assert isinstance(folder, RunFolder)
    assert before <= int(folder.working.name.split(".")[-2]) <= time.time_ns()
