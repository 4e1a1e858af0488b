"""A whole run: its evidence, its determinism, and what happens when it is stopped or has nothing to ship."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edgekit.shared.files import sha256
from edgekit.tflite_export.runtime import load_model, verify

EDGEKIT = [sys.executable, "-m", "edgekit"]
QUICK = (
    "synthetic.customers=60",
    "synthetic.terminals=80",
    "synthetic.days=70",
    "model.width=8",
    "model.members=2",
    "training.epochs=1",
    'export.recipes=["float32"]',
)


@pytest.fixture(scope="module")
def report(small_run: Any) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((small_run.folder / "report.json").read_text())
    return facts


def test_the_folder_holds_the_evidence(small_run: Any) -> None:
    found = {path.relative_to(small_run.folder).as_posix() for path in small_run.folder.rglob("*") if path.is_file()}
    assert found >= {
        "finance_fraud.tflite",
        "finance_fraud.server.tflite",
        "model.keras",
        "report.json",
        "report.html",
        "model_card.md",
        "manifest.json",
        "training.csv",
        "export/float32.tflite",
    }


def test_the_manifest_has_the_sum_of_every_other_file(small_run: Any) -> None:
    manifest = json.loads((small_run.folder / "manifest.json").read_text())
    files = {path for path in small_run.folder.rglob("*") if path.is_file() and path.name != "manifest.json"}
    assert {path.relative_to(small_run.folder).as_posix(): sha256(path) for path in files} == manifest["files"]
    assert {"versions", "seed", "data", "command"} <= manifest.keys()


def test_report_json_keeps_its_format(report: dict[str, Any]) -> None:
    assert report["format"] == 1
    assert report["domain"] == "finance_fraud"
    assert report["primary_metric"] == "average_precision"
    assert set(report["metrics"]) == {"keras", "tflite", "rivals"}
    assert set(report["metrics"]["rivals"]) == {"hist_gradient_boosting", "logistic_regression"}
    assert set(report["metrics"]["tflite"]["average_precision"]) == {"value", "low", "high", "n"}
    assert set(report["verdict"]) == {"earns_its_place", "best_rival", "difference"}
    assert set(report["parity"]) >= {"max_abs_error", "decision_flips", "n"}
    assert {"fit", "total"} <= report["seconds"].keys()
    assert {"rows", "source", "fingerprint"} <= report["data"].keys()
    assert report["split"]["train"] > report["split"]["test"] > 0


def test_the_smallest_accepted_rung_ships(report: dict[str, Any]) -> None:
    accepted = [rung for rung in report["export"]["rungs"] if rung["accepted"]]
    assert report["export"]["chosen"] == min(accepted, key=lambda rung: rung["bytes"])["recipe"]


def test_the_card_repeats_the_figures_of_the_report(small_run: Any, report: dict[str, Any]) -> None:
    card = load_model(small_run.folder / "finance_fraud.tflite").card
    assert card.metrics == report["metrics"]["tflite"]
    assert card.recipe == report["export"]["chosen"]
    assert card.data["fingerprint"] == report["data"]["fingerprint"]


def test_every_device_file_passes_its_own_golden_vectors(small_run: Any) -> None:
    files = sorted(small_run.folder.rglob("*.tflite"))
    assert len(files) >= 4
    assert all(verify(path).passed for path in files)


def test_the_terminal_ends_with_verdict_ladder_and_path(small_run: Any) -> None:
    for expected in ("tflite", "hist_gradient_boosting", "The gate", "dynamic_int8"):
        assert expected in small_run.printed
    assert small_run.printed.rstrip().splitlines()[-2].endswith("report.html")


def test_a_changed_byte_is_refused_with_and_without_the_manifest(small_run: Any, tmp_path: Path) -> None:
    content = bytearray((small_run.folder / "finance_fraud.tflite").read_bytes())
    content[len(content) // 2] ^= 1
    alone = tmp_path / "finance_fraud.tflite"
    alone.write_bytes(content)
    assert _message(["verify", str(alone)])
    (tmp_path / "manifest.json").write_bytes((small_run.folder / "manifest.json").read_bytes())
    assert "manifest.json" in _message(["verify", str(alone)])


def test_the_same_run_gives_the_same_device_file(tmp_path: Path) -> None:
    sums = []
    for name in ("first", "second"):
        _run(["run", "finance_fraud", "--quiet", "--out", str(tmp_path / name), "--set", *QUICK])
        sums.append(sha256(tmp_path / name / "finance_fraud.tflite"))
    assert sums[0] == sums[1]


def test_nothing_ships_when_no_rung_is_inside_the_budget(tmp_path: Path) -> None:
    out = tmp_path / "run"
    ladder = 'export.recipes=["float32", "dynamic_int4"]'
    done = _run(["run", "finance_fraud", "--quiet", "--out", str(out), "--set", *QUICK, ladder, "export.max_bytes=10"])
    assert not done.stderr, "quiet is quiet, whatever a quantizer has to tell"
    assert not (out / "finance_fraud.tflite").exists()
    assert json.loads((out / "report.json").read_text())["export"]["chosen"] is None
    assert "No device file ships" in " ".join(done.stdout.split())


def test_a_killed_run_leaves_no_final_name_and_does_not_hinder_the_next(tmp_path: Path) -> None:
    out = tmp_path / "run"
    slow = [*EDGEKIT, "run", "finance_fraud", "--out", str(out), "--set", *QUICK, "training.epochs=500"]
    process = subprocess.Popen(slow, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    started = time.monotonic()
    while not list(tmp_path.glob(".run.*/training.csv")) and time.monotonic() - started < 120:
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists()
    assert list(tmp_path.iterdir()), "the kill came before anything was written: the test shows nothing"
    _run(["run", "finance_fraud", "--quiet", "--out", str(out), "--set", *QUICK])
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def _run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*EDGEKIT, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def _message(arguments: list[str]) -> str:
    done = subprocess.run([*EDGEKIT, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    return done.stderr
