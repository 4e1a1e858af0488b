"""Export recipes. A name says how activations are handled, then how weights are stored.

float32       weights and arithmetic in 32-bit floating point; the reference
float16       weights stored in 16 bits, widened at load; half the size
dynamic_int8  weights and embedding tables in 8 bits, activations scaled row by row at run time;
              preprocessing stays float, so badly scaled inputs do no harm
tied_int8     as dynamic_int8, with one scale for a whole table, so that a table that is looked up and multiplied
              by (tied item embeddings) is stored once
dynamic_int4  dense weights in 4 bits per channel, activations as above; embedding tables stay float
static_int8   weights and activations in 8 bits with ranges learnt from calibration data;
              for convolutional models, ruinous for tabular ones (one scale for all columns)
"""

from __future__ import annotations

from dataclasses import dataclass

from ..shared.errors import choose


@dataclass(frozen=True)
class Recipe:
    """One way to store and run a network.

    Attributes:
        name: see the module's key.
        weights: storage type of large weights.
        activations: arithmetic between layers.
        engine: which quantizer makes it, ``converter`` or ``quantizer``.
        needs_calibration: whether example inputs must be run first.
        tolerance: largest difference between two devices running the same file, see below.
    """

    name: str
    weights: str
    activations: str
    engine: str
    needs_calibration: bool
    tolerance: float


# Tolerances are relative to the largest recorded output, at least 1. They cover one file on two
# devices, never two files. float32: order of summation and fused multiply-add differ between CPUs;
# a few hundred roundings of 6e-8 stay far under 1e-4, a wrong weight does not. float16: a phone may
# compute in half precision, 5e-4 per rounding. int8: a float difference in the last bit can move an
# activation by one of 255 steps.
FLOAT32 = Recipe("float32", "float32", "float32", "converter", False, 1e-4)
FLOAT16 = Recipe("float16", "float16", "float32", "converter", False, 5e-3)
DYNAMIC_INT8 = Recipe("dynamic_int8", "int8", "dynamic int8", "converter", False, 2e-2)
TIED_INT8 = Recipe("tied_int8", "int8", "dynamic int8", "converter", False, 2e-2)
DYNAMIC_INT4 = Recipe("dynamic_int4", "int4", "dynamic int8", "quantizer", False, 2e-2)
STATIC_INT8 = Recipe("static_int8", "int8", "int8", "converter", True, 3e-2)

RECIPES = {r.name: r for r in (FLOAT32, FLOAT16, DYNAMIC_INT8, TIED_INT8, DYNAMIC_INT4, STATIC_INT8)}
DEFAULT_LADDER = ("float32", "float16", "dynamic_int8", "dynamic_int4")


def recipe(name: str) -> Recipe:
    """Return the recipe called ``name``.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    return RECIPES[choose("export recipe", name, RECIPES)]
