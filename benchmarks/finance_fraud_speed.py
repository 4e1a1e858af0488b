"""The speed figures of the fraud domain, each a ratio of two things measured in one run."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ai_edge_litert.interpreter import Interpreter
from rich.console import Console

from edgekit.domains.finance_fraud import features
from edgekit.shared.contract import Table
from edgekit.tflite_export.engine import Engine

REPEATS = 5
CALLS = 3000
BATCH_ROWS = 50_000
console = Console(stderr=True)
IMPORT = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"
PEAK = """
import resource, sys
from pathlib import Path
from edgekit.domains.finance_fraud import data, features
from edgekit.domains.finance_fraud.config import FraudConfig
from edgekit.shared.domain import Request
columns = dict(pair.split("=") for pair in sys.argv[2].split())
table = data.load(Request(Path(sys.argv[1]), columns, ("TX_FRAUD_SCENARIO",)), FraudConfig())
features.inputs(table.columns, data.learn_plan(table, table.columns["label"][:0].astype(int), FraudConfig()))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def measure_speed(path: Path, table: Table, own: Any, shipped: Any) -> dict[str, Any]:
    """Return ``{"ratios": …, "memory": …}``.

    Args:
        path: the file of transactions.
        table: the same, read.
        own: all rows as model inputs, and their plan.
        shipped: a network and its export.
    """
    inputs = own.examples.inputs
    faster, same_batch = batch_vs_keras(shipped, {name: values[:BATCH_ROWS] for name, values in inputs.items()})
    ratios = {
        "windows_vs_pandas": windows_vs_pandas(table, own.plan),
        "score_vs_invoke": score_vs_invoke(
            shipped.chosen.content, {name: values[:1] for name, values in inputs.items()}
        ),
        "batch_vs_keras": faster,
        "batch_vs_keras_same_batch": same_batch,
        "import_vs_tensorflow": import_vs_tensorflow(),
    }
    console.print(ratios)
    mapping = " ".join(f"{role}={name}" for role, name in table.mapping.items())
    peak = float(_printed(PEAK, str(path), mapping))
    return {"ratios": ratios, "memory": {"load_and_features_peak_bytes": int(peak)}}


def windows_vs_pandas(table: Table, plan: features.Plan) -> float:
    """Return how many times faster all our features are than pandas for the rolling ones among them alone.

    Both end with columns in the order of the table's rows, ready to be learnt from.
    """
    ours = float(np.median([_timed(lambda: features.inputs(table.columns, plan)) for _ in range(3)]))
    return _timed(lambda: pandas_windows(table)) / ours


def pandas_windows(table: Table) -> pd.DataFrame:
    """Return the window columns that groupby-rolling can express: counts, sums, known frauds behind the delay."""
    frame = pd.DataFrame(
        {
            "customer": pd.factorize(table.columns["customer"])[0],
            "terminal": pd.factorize(table.columns["terminal"])[0],
            "amount": table.columns["amount"] / 100,
            "fraud": table.columns["label"].astype(float),
        },
        index=pd.DatetimeIndex(table.columns["timestamp"].astype("datetime64[s]")),
    )
    delay = 7
    wanted = [("customer", "amount", features.CUSTOMER_DAYS, ("count", "sum"))]
    wanted += [("customer", "fraud", features.UNUSUAL_DAYS, ("sum",))]
    wanted += [("terminal", "amount", features.TERMINAL_DAYS, ("count",))]
    behind = (delay, *(delay + days for days in features.RISK_DAYS))
    wanted += [("terminal", "fraud", behind, ("count", "sum"))]
    made = {}
    for entity, column, spans, figures in wanted:
        order = np.argsort(frame[entity].to_numpy(), kind="stable")  # rolling returns the rows entity by entity
        for days in spans:
            rolling = frame.groupby(entity)[column].rolling(f"{days}D")
            for figure in figures:
                values = np.empty(len(frame), dtype=np.float32)
                values[order] = getattr(rolling, figure)().to_numpy()
                made[f"{entity}_{column}_{figure}_{days}d"] = values
    return pd.DataFrame(made)


def score_vs_invoke(content: bytes, one: dict[str, np.ndarray]) -> float:
    """Return the time of a score through the runtime as a multiple of the bare interpreter's."""
    engine = Engine(content)
    bare = Interpreter(model_content=content, num_threads=1)
    bare.allocate_tensors()
    runner = bare.get_signature_runner("predict")
    places = {name: detail["index"] for name, detail in runner.get_input_details().items()}
    answers = [detail["index"] for detail in runner.get_output_details().values()]
    del runner

    def invoke() -> None:
        for name, index in places.items():
            bare.set_tensor(index, one[name])
        bare.invoke()
        for index in answers:
            bare.get_tensor(index)

    return _median_ratio(lambda: engine.predict(one), invoke, calls=CALLS)


def batch_vs_keras(shipped: Any, inputs: dict[str, np.ndarray]) -> tuple[float, float]:
    """Return rows a second of the server file against ``Keras predict`` as it is called, and in batches of 1024."""
    engine = Engine(shipped.chosen.server_content)
    rows = len(next(iter(inputs.values())))
    ours = _seconds(lambda: engine.predict(inputs))
    keras = _seconds(lambda: shipped.network.predict(inputs, verbose=0))
    same = _seconds(lambda: shipped.network.predict(inputs, batch_size=1024, verbose=0))
    console.print(f"{rows / ours:,.0f} rows/s, Keras {rows / keras:,.0f}, in batches of 1024 {rows / same:,.0f}")
    return keras / ours, same / ours


def import_vs_tensorflow() -> float:
    """Return the time to import the runtime as a share of that of TensorFlow, each in fresh processes."""
    ours, theirs = [], []
    for _ in range(REPEATS):
        ours.append(float(_printed(IMPORT.format("edgekit.tflite_export.runtime"))))
        theirs.append(float(_printed(IMPORT.format("tensorflow"))))
    return float(np.median(ours) / np.median(theirs))


def _printed(code: str, *arguments: str) -> str:
    result = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
    return result.stdout.strip().splitlines()[-1]


def _seconds(call: Callable[[], Any]) -> float:
    call()
    return float(np.median([_timed(call) for _ in range(REPEATS)]))


def _median_ratio(first: Callable[[], Any], second: Callable[[], Any], *, calls: int) -> float:
    """Time both in turns, so that a busy machine slows both alike."""
    taken = np.array([(_timed(first), _timed(second)) for _ in range(calls)])
    above, below = np.median(taken, axis=0)
    return float(above / below)


def _timed(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
