"""The domains by name, imported only when they are asked for."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from ..shared.errors import choose

if TYPE_CHECKING:
    from ..shared.domain import Domain

NAMES = (
    "finance_fraud",
    "healthcare_imaging",
    "marketing_segmentation",
    "retail_recommendation",
    "transportation",
)


def summary(name: str) -> str:
    """Return the first line of a domain's description; imports nothing heavy."""
    return (_package(name).__doc__ or "").strip().splitlines()[0]


def device(name: str) -> ModuleType:
    """Return a domain's device module: what works without TensorFlow.

    Raises:
        ConfigError: there is no such domain.
    """
    return importlib.import_module(f".{choose('domain', name, NAMES)}.device", __package__)


def get(name: str) -> Domain:
    """Return a domain's record; needs the ``train`` extra.

    Raises:
        ConfigError: there is no such domain.
    """
    domain: Domain = importlib.import_module(f".{choose('domain', name, NAMES)}.solution", __package__).DOMAIN
    return domain


def _package(name: str) -> ModuleType:
    return importlib.import_module(f".{choose('domain', name, NAMES)}", __package__)
