"""Settings: frozen, typed, checked when they are made, and overridable from a file or the command line."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, time
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from .errors import ConfigError, nearest


class Settings(BaseModel):
    """Base of every settings record: frozen, strict types, unknown keys, NaN and infinity refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class TrainingSettings(Settings):
    """How a network is fitted; every value can be changed with ``--set training.key=value``.

    Attributes:
        patience: epochs without a better validation score after which fitting stops, where the best epoch is kept.
        keep: weights of the ``best`` epoch on validation, or of the ``last``.
    """

    epochs: int = Field(default=20, ge=1)
    patience: int = Field(default=4, ge=1)
    keep: Literal["best", "last"] = "best"
    batch_size: int = Field(default=512, ge=1)
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)


Config = TypeVar("Config", bound=Settings)


def override(config: Config, changes: Mapping[str, Any]) -> Config:
    """Return ``config`` with the nested ``changes`` applied and everything checked again.

    Raises:
        ConfigError: a key is unknown or a value has the wrong type or range; all problems are listed.
    """
    merged = _merge(config.model_dump(mode="json"), changes)
    try:
        # through JSON, so that a list from TOML is accepted where the settings hold a tuple
        return type(config).model_validate_json(json.dumps(merged), strict=True)
    except ValidationError as error:
        problems = "\n".join(f"  - {_explain(item, config)}" for item in error.errors())
        raise ConfigError(f"The settings are not valid:\n{problems}") from error
    except TypeError as error:
        raise ConfigError(f"A setting has a value of a kind that settings cannot hold: {error}.") from error


def read_toml(path: Path) -> dict[str, Any]:
    """Read a settings file.

    Raises:
        ConfigError: the file is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"Cannot read the settings file {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The settings file {path} is not valid TOML: {error}.") from error


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Turn ``["training.epochs=5"]`` into ``{"training": {"epochs": 5}}``.

    A value is read as TOML (numbers, true/false, lists); anything else, dates too, is taken as text. Where the
    shell has eaten the quotes, ``[a, b]`` is still a list. The last of several values counts.

    Raises:
        ConfigError: an entry is not of the form ``section.key=value``, or sets a section and a key inside it.
    """
    changes: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        *sections, last = (part.strip() for part in key.split("."))
        if not equals or not all([*sections, last]):
            raise ConfigError(f"Not a setting: {assignment!r}. Write it as section.key=value, e.g. training.epochs=5.")
        place = changes
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise ConfigError(f"{assignment!r} sets a key inside {section!r}, which another --set gives one value.")
        place[last] = _toml_value(text.strip())
    return changes


def _toml_value(text: str) -> Any:
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        if text.startswith("[") and text.endswith("]"):
            return [_toml_value(part.strip()) for part in text[1:-1].split(",") if part.strip()]
        return text
    return text if isinstance(value, date | time) else value


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(below, value) if both else value  # type: ignore[arg-type]
    return merged


def _explain(item: ErrorDetails, config: Settings) -> str:
    place = ".".join(str(part) for part in item["loc"])
    if item["type"] == "model_type":
        keys = ", ".join(f"{place}.{key}" for key in _keys_beside(config, (*item["loc"], "")))
        return f"{place}: a section cannot be set to one value (found {item['input']!r}). Set one of {keys}."
    if item["type"] != "extra_forbidden":
        quotes = " Write it in quotes: '\"…\"'." if item["type"] == "string_type" else ""
        return f"{place}: {item['msg']} (found {item['input']!r}).{quotes}"
    known = _keys_beside(config, item["loc"])
    last = str(item["loc"][-1])
    hint = nearest(last, known)
    return f"{place}: unknown setting.{hint} Known here: {', '.join(known)}."


def _keys_beside(config: Settings, location: tuple[int | str, ...]) -> list[str]:
    place: Any = config
    for part in location[:-1]:
        place = getattr(place, str(part), place)
    return sorted(type(place).model_fields) if isinstance(place, Settings) else []
