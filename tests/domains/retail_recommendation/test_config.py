"""Settings: defaults that fit together, and refusals of what does not."""

from __future__ import annotations

from typing import Any

import pytest

from edgekit.domains.retail_recommendation.config import RECIPES, RetailConfig
from edgekit.domains.retail_recommendation.features import LONGEST_WINDOW, TOP
from edgekit.shared.config import override
from edgekit.shared.errors import ConfigError


def test_defaults_survive_their_own_check() -> None:
    config = RetailConfig()
    assert override(config, {}) == config
    assert (config.data.split, config.data.new_items, config.decision.k) == ("auto", "auto", 10)


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
        ("model", "window", LONGEST_WINDOW + 1, "less than or equal"),
        ("model", "excluded", 0, "greater than or equal to 1"),
        ("data", "new_items", "maybe", "leave_out"),
        ("training", "loss", "bpr", "sampled"),
        ("training", "average", 1.0, "less than 1"),
        ("training", "hidden_items", 1.0, "less than 1"),
        ("training", "batch_size", -1, "greater than or equal to 0"),
        ("training", "next_weights", [], "at least 1"),
        ("training", "next_weights", [1.0] * 21, "at most 20"),
        ("training", "next_weights", [0.0, 1.0], "first weight must be above 0"),
        ("training", "next_weights", [1.0, -0.5], "the others 0 or more"),
        ("training", "next_weights", [1.0, float("inf")], "finite|the others 0 or more"),
        ("decision", "k", TOP + 1, "less than or equal"),
    ],
)
def test_what_does_not_fit_is_refused(section: str, key: str, value: Any, said: str) -> None:
    base = override(RetailConfig(), {"data": {"test_share": 0.4}}) if key == "validation_share" else RetailConfig()
    with pytest.raises(ConfigError, match=said):
        override(base, {section: {key: value}})


def test_heads_share_the_width() -> None:
    with pytest.raises(ConfigError, match=r"model\.width \(32\) must be a multiple of model\.heads \(3\)"):
        override(RetailConfig(), {"model": {"kind": "transformer", "width": 32, "heads": 3}})


def test_a_gru_has_no_heads() -> None:
    assert override(RetailConfig(), {"model": {"kind": "gru", "width": 32, "heads": 3}}).model.kind == "gru"


@pytest.mark.parametrize(("given", "counts"), [(None, (1.0,)), ([2.0], (2.0,)), ([1.0, 0.5], (1.0, 0.5))])
def test_the_next_item_alone_counts_where_nothing_is_said(given: Any, counts: tuple[float, ...]) -> None:
    assert override(RetailConfig(), {"training": {"next_weights": given}}).training.weights == counts


@pytest.mark.parametrize("name", list(RECIPES))
def test_recipes_set_what_is_left_out(name: str) -> None:
    config = override(RetailConfig(), RECIPES[name])
    assert config.model.dropout is not None and config.training.next_weights is not None
    assert {section: set(values) for section, values in RECIPES[name].items()} == {
        "model": {"dropout"}, "training": {"next_weights"},
    }  # fmt: skip


def test_a_later_item_may_count_nothing() -> None:
    changed = override(RetailConfig(), {"training": {"next_weights": [2.0, 0.0, 0.5]}})
    assert changed.training.next_weights == (2.0, 0.0, 0.5)


def test_events_are_given_as_a_list() -> None:
    assert override(RetailConfig(), {"data": {"events": ["view", "buy"]}}).data.events == ("view", "buy")
