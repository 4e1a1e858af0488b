"""Domains by name."""

from __future__ import annotations

import pytest

from edgekit.domains import registry
from edgekit.shared.errors import ConfigError


@pytest.mark.parametrize("name", registry.NAMES)
def test_every_name_leads_to_its_record(name: str) -> None:
    assert registry.get(name).name == name
    assert registry.summary(name)
    assert callable(registry.device(name).predict_file)


@pytest.mark.parametrize("function", [registry.get, registry.device, registry.summary])
def test_a_misspelt_name_gets_a_hint(function: object) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'finance_fraud'"):
        function("finance_fruad")  # type: ignore[operator]
