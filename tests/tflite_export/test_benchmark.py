"""Measurements are plausible and reach the right model."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edgekit.shared.domain import Arrays
from edgekit.shared.errors import RunError
from edgekit.tflite_export.benchmark import latency, memory

INPUTS = {"x": np.arange(3.0)[:, None]}


class Sleeper:
    """A model that takes a known time."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def predict(self, inputs: Arrays) -> dict[str, np.ndarray]:
        self.seen.append(float(inputs["x"].item()))
        time.sleep(0.002)
        return dict(inputs)


def test_latency_is_that_of_one_call() -> None:
    found = latency(Sleeper(), INPUTS, calls=20)
    assert 2.0 <= found.median_ms <= found.p95_ms
    assert found.median_ms < 10.0
    assert found.as_json() == {"median": found.median_ms, "p95": found.p95_ms}


def test_calls_go_through_the_examples_one_by_one() -> None:
    sleeper = Sleeper()
    latency(sleeper, INPUTS, calls=6)
    assert sleeper.seen[-6:] == [0.0, 1.0, 2.0, 0.0, 1.0, 2.0]


@pytest.mark.skipif(sys.platform == "win32", reason="resident memory is read the Unix way")
def test_memory_of_a_file_is_measured(tmp_path: Path, tiny_file: bytes) -> None:
    path = tmp_path / "tiny.tflite"
    path.write_bytes(tiny_file)
    assert 0 < memory(path).added_bytes < 50 << 20


def test_memory_of_a_refused_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "page.tflite"
    path.write_text("<html>")
    with pytest.raises(RunError, match="Found text"):
        memory(path)
