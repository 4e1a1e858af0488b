"""Settings of the export: recipes are known by name, and there is at least one."""

from __future__ import annotations

from typing import Any

import pytest

from edgekit.shared.config import Settings, override
from edgekit.shared.errors import ConfigError
from edgekit.tflite_export.recipes import DEFAULT_LADDER, RECIPES
from edgekit.tflite_export.settings import ExportSettings


class Config(Settings):
    """A configuration that holds nothing but the export's."""

    export: ExportSettings = ExportSettings()


def exported(recipes: Any) -> tuple[str, ...]:
    return override(Config(), {"export": {"recipes": recipes}}).export.recipes


def test_the_default_is_the_default_ladder() -> None:
    assert ExportSettings().recipes == DEFAULT_LADDER


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_may_be_asked_for(name: str) -> None:
    assert exported([name]) == (name,)


@pytest.mark.parametrize(
    ("recipes", "said"),
    [
        (["float32", "dynamic-int8"], r"export\.recipes.*Did you mean 'dynamic_int8'\?"),
        (["gzip"], r"export\.recipes.*'gzip'"),
        ([], r"export\.recipes.*at least 1"),
        ([8], r"export\.recipes"),
    ],
)
def test_unknown_recipes_and_none_at_all_are_refused(recipes: list[Any], said: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s){said}"):
        exported(recipes)
