"""Recipes are found by name."""

from __future__ import annotations

import pytest

from edgekit.shared.errors import ConfigError
from edgekit.tflite_export.recipes import DEFAULT_LADDER, RECIPES, recipe


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_found_under_its_name(name: str) -> None:
    assert recipe(name).name == name


def test_default_ladder_starts_with_the_reference_and_needs_no_calibration() -> None:
    assert DEFAULT_LADDER[0] == "float32"
    assert not any(recipe(name).needs_calibration for name in DEFAULT_LADDER)


def test_the_default_ladder_goes_down_to_four_bits() -> None:
    assert DEFAULT_LADDER == ("float32", "float16", "dynamic_int8", "dynamic_int4")


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'dynamic_int8'"):
        recipe("dynamic-int8")
