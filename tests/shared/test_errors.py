from __future__ import annotations

import json

import pytest

from edgekit.shared import errors
from edgekit.shared.errors import ConfigError, EdgekitError, MissingExtraError, choose, nearest, require

KINDS = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_an_edgekit_error(kind: type[Exception]) -> None:
    assert issubclass(kind, EdgekitError)


@pytest.mark.parametrize(
    ("got", "hint"),
    [
        ("TX_AMUONT", " Did you mean 'TX_AMOUNT'?"),
        ("tx_amount", " Did you mean 'TX_AMOUNT'?"),
        ("straße2", " Did you mean 'Straße'?"),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_nearest_names_the_closest_whatever_its_case(got: str, hint: str) -> None:
    assert nearest(got, ["TX_AMOUNT", "Straße", "label"]) == hint


def test_nearest_of_nothing_is_nothing() -> None:
    assert nearest("x", []) == ""


def test_choose_returns_what_is_allowed() -> None:
    assert choose("recipe", "float16", iter(["float32", "float16"])) == "float16"


def test_choose_names_what_is_known_and_what_is_near() -> None:
    with pytest.raises(ConfigError) as error:
        choose("recipe", "flaot16", ["float32", "float16"])
    assert str(error.value) == "Unknown recipe: 'flaot16'. Known: float32, float16. Did you mean 'float16'?"


def test_require_returns_the_module() -> None:
    assert require("json", extra="train") is json


def test_require_names_the_extra_and_the_cause() -> None:
    with pytest.raises(MissingExtraError, match=r"'edgekit_none'.*No module named.*\"\.\[medical\]\""):
        require("edgekit_none", extra="medical")


def test_a_long_list_of_names_is_cut() -> None:
    names = [f"sensor-{number}" for number in range(1000)]
    with pytest.raises(ConfigError, match=r"sensor-29 and 970 more\. Did you mean 'sensor-777'\?"):
        choose("sensor", "sensr-777", names)
