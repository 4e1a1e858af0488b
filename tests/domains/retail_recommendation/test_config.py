"""Settings: defaults that fit together, and refusals of what does not."""

from __future__ import annotations

from typing import Any

import pytest

from edgekit.domains.retail_recommendation.config import RetailConfig
from edgekit.domains.retail_recommendation.features import LONGEST_WINDOW, TOP
from edgekit.shared.config import override
from edgekit.shared.errors import ConfigError


def test_defaults_survive_their_own_check() -> None:
    config = RetailConfig()
    assert override(config, {}) == config
    assert (config.data.split, config.model.window, config.decision.k) == ("auto", 50, 10)


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        ("data", "split", "random", "time"),
        ("data", "validation_share", 0.45, "too little to train on"),
        ("data", "repeats", "never", "drop_consecutive"),
        ("data", "min_user_events", 0, "greater than or equal to 1"),
        ("data", "max_events_per_user", 1, "greater than or equal to 2"),
        ("data", "min_rating", "high", "number"),
        ("model", "kind", "lstm", "transformer"),
        ("model", "heads", 3, "multiple of model.heads"),
        ("model", "window", LONGEST_WINDOW + 1, "less than or equal"),
        ("model", "excluded", 0, "greater than or equal to 1"),
        ("training", "loss", "bpr", "sampled"),
        ("decision", "k", TOP + 1, "less than or equal"),
    ],
)
def test_what_does_not_fit_is_refused(section: str, key: str, value: Any, said: str) -> None:
    base = override(RetailConfig(), {"data": {"test_share": 0.4}}) if key == "validation_share" else RetailConfig()
    with pytest.raises(ConfigError, match=said):
        override(base, {section: {key: value}})


def test_a_gru_has_no_heads() -> None:
    assert override(RetailConfig(), {"model": {"kind": "gru", "heads": 3}}).model.kind == "gru"


def test_events_are_given_as_a_list() -> None:
    assert override(RetailConfig(), {"data": {"events": ["view", "buy"]}}).data.events == ("view", "buy")
