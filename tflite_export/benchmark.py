"""Speed and memory of a file on this machine: for comparing files, not for predicting a phone."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..shared.errors import RunError

if TYPE_CHECKING:  # at run time a device needs none of what stands behind these names
    from ..shared.domain import Arrays

_WARM_UP_CALLS = 20
_PROBE = """
import sys
from edgekit.tflite_export import benchmark
print(benchmark.added_memory_bytes(sys.argv[1]))
"""


class Predicts(Protocol):
    """What :func:`latency` needs of a model."""

    def predict(self, inputs: Arrays) -> dict[str, np.ndarray]:
        """Return the outputs for named inputs."""


@dataclass(frozen=True)
class Latency:
    """Time of one call, in milliseconds, over ``calls`` calls after warming up."""

    median_ms: float
    p95_ms: float
    calls: int

    def as_json(self) -> dict[str, float]:
        """Return median and 95th percentile as JSON values."""
        return {"median": self.median_ms, "p95": self.p95_ms}


@dataclass(frozen=True)
class Memory:
    """Resident bytes that a loaded model adds to a process that already imported the runtime."""

    added_bytes: int


def latency(model: Predicts, inputs: Arrays, *, calls: int = 200) -> Latency:
    """Time ``model.predict`` on one example at a time.

    Args:
        model: a :class:`.runtime.DeviceModel` or an engine.
        inputs: named arrays, at least one example; calls go through the examples in turn.
        calls: number of timed calls, at least 1.
    """
    count = len(next(iter(inputs.values())))
    rows = [{name: values[i : i + 1] for name, values in inputs.items()} for i in range(min(count, calls))]
    for call in range(_WARM_UP_CALLS):
        model.predict(rows[call % len(rows)])
    seconds = np.empty(calls)
    for call in range(calls):
        row = rows[call % len(rows)]
        start = time.perf_counter()
        model.predict(row)
        seconds[call] = time.perf_counter() - start
    median, p95 = np.percentile(seconds * 1e3, [50, 95])
    return Latency(float(median), float(p95), calls)


def memory(path: Path) -> Memory:
    """Measure the memory of a device file in a fresh process.

    Raises:
        RunError: the process failed, e.g. because the file is refused.
    """
    command = [sys.executable, "-P", "-c", _PROBE, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise RunError(f"Cannot measure the memory of {path}: {last}. Check the file with `edgekit verify`.")
    return Memory(int(result.stdout))


def added_memory_bytes(path: str) -> int:
    """Return the resident bytes that loading and running ``path`` adds to this process."""
    from .runtime import load_model

    before = _resident_bytes()
    model = load_model(path)
    model.predict(model.golden.inputs)
    return max(_resident_bytes() - before, 0)


def _resident_bytes() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
