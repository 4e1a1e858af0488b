"""Fixtures that several test files share: a tiny network with its files, and one small run of the whole pipeline.

The tiny network is untrained and holds everything an export meets: NaN, codes, an embedding, two outputs.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.tflite_export.card import Card, Decision, Field, Tensor

if TYPE_CHECKING:
    import keras


@pytest.fixture(scope="session")
def tiny_model() -> keras.Model:
    """Return numeric float32 (3,) and codes int32 (2,) → score (1,), parts (2,)."""
    import keras

    keras.utils.set_random_seed(7)
    inputs = {
        "numeric": keras.Input((3,), name="numeric"),
        "codes": keras.Input((2,), name="codes", dtype="int32"),
    }
    numeric = inputs["numeric"]
    missing = keras.ops.not_equal(numeric, numeric)
    imputed = keras.ops.where(missing, keras.ops.zeros_like(numeric), numeric)
    looked_up = keras.layers.Embedding(300, 8, name="table")(inputs["codes"])
    body = keras.layers.Concatenate()([imputed, keras.layers.Flatten()(looked_up)])
    body = keras.layers.Dense(64, activation="relu", name="body")(body)
    score = keras.layers.Dense(1, activation="sigmoid", name="score")(body)
    parts = keras.layers.Dense(2, name="parts")(body)
    return keras.Model(inputs, {"score": score, "parts": parts}, name="tiny")


@pytest.fixture(scope="session")
def tiny_inputs() -> dict[str, np.ndarray]:
    """Return 40 examples; every fifth misses its first number."""
    rng = np.random.default_rng(7)
    numeric = rng.normal(size=(40, 3)).astype(np.float32)
    numeric[::5, 0] = np.nan
    return {"numeric": numeric, "codes": rng.integers(0, 300, (40, 2)).astype(np.int32)}


@pytest.fixture(scope="session")
def tiny_content(tiny_model: keras.Model) -> bytes:
    """Return the batch-1 float32 ``.tflite``, not yet assembled."""
    from edgekit.tflite_export.convert import convert

    return convert(tiny_model)


@pytest.fixture(scope="session")
def tiny_server_content(tiny_model: keras.Model) -> bytes:
    """Return the free-batch float32 ``.tflite``, not yet assembled."""
    from edgekit.tflite_export.convert import convert

    return convert(tiny_model, profile="server")


@pytest.fixture(scope="session")
def viewed_content(tiny_model: keras.Model) -> bytes:
    """Return the batch-1 float32 ``.tflite`` whose ``parts`` are had under ``explain``."""
    from edgekit.tflite_export.convert import convert

    return convert(tiny_model, views={"explain": ("parts",)})


@pytest.fixture(scope="session")
def viewed_server_content(tiny_model: keras.Model) -> bytes:
    """Return the free-batch float32 ``.tflite`` whose ``parts`` are had under ``explain``."""
    from edgekit.tflite_export.convert import convert

    return convert(tiny_model, profile="server", views={"explain": ("parts",)})


@pytest.fixture(scope="session")
def tiny_card() -> Card:
    """Return a card that fits the tiny network."""
    country = Field("country", vocabulary=("unknown", "DE", "FR"))
    return Card(
        domain="tiny",
        summary="A network for tests.",
        inputs=(
            Tensor("numeric", "float32", (3,), "amounts", unit="EUR", missing="NaN"),
            Tensor("codes", "int32", (2,), "codes", fields=(country, Field("shop"))),
        ),
        outputs=(
            Tensor("score", "float32", (1,), "probability"),
            Tensor("parts", "float32", (2,), "two numbers"),
        ),
        labels=("fraud",),
        decision=Decision("score", 0.5, "fixed"),
        licence="MIT",
        intended_use="Testing.",
        limits=("Nothing else.",),
        settings={"window": 3},
    )


@pytest.fixture(scope="session")
def tiny_file(tiny_content: bytes, tiny_card: Card, tiny_inputs: dict[str, np.ndarray]) -> bytes:
    """Return the assembled device file."""
    from edgekit.tflite_export.assemble import assemble

    return assemble(tiny_content, tiny_card, {name: values[:8] for name, values in tiny_inputs.items()})


@dataclass(frozen=True)
class SmallRun:
    """One run of the whole pipeline on a small synthetic bank."""

    folder: Path
    printed: str


SMALL = (
    "synthetic.customers=120",
    "synthetic.terminals=200",
    "synthetic.days=90",
    "model.width=16",
    "model.members=2",
    "training.epochs=4",
    "export.max_drop=0.2",
)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """Return the folder and the terminal output of ``edgekit run finance_fraud`` on a small bank."""
    folder = tmp_path_factory.mktemp("run") / "fraud"
    command = [sys.executable, "-m", "edgekit", "run", "finance_fraud", "--out", str(folder), "--set", *SMALL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return SmallRun(folder, done.stdout)
