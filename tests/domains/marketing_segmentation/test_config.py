"""Settings: defaults that fit together, and refusals of what does not."""

from __future__ import annotations

from typing import Any

import pytest

from edgekit.domains.marketing_segmentation.config import MarketingConfig
from edgekit.shared.config import override
from edgekit.shared.errors import ConfigError


def test_defaults_survive_their_own_check() -> None:
    config = MarketingConfig()
    assert override(config, {}) == config
    assert (config.data.calibration, config.data.horizon_days, config.model.segments) == (None, 91, None)
    assert config.model.candidates == (4, 5, 6, 7, 8)


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        ("synthetic", "customers", 59, "greater than or equal to 60"),
        ("synthetic", "days", 199, "greater than or equal to 200"),
        ("data", "horizon_days", 6, "greater than or equal to 7"),
        ("data", "horizon_days", 367, "less than or equal to 366"),
        ("data", "horizon_days", "a quarter", "integer"),
        ("data", "cuts_every_days", 0, "greater than or equal to 7"),
        ("data", "most_cuts", 0, "greater than or equal to 1"),
        ("data", "validation_share", 0.0, "greater than 0"),
        ("data", "validation_share", 0.6, "less than 0.6"),
        ("data", "decimal", ";", "auto"),
        ("data", "currency", "EU\nR", "printable text, such as EUR"),
        ("data", "currency", "E" * 13, "at most 12"),
        ("data", "calibrated", "2024-03-31", "Did you mean 'calibration'"),
        ("model", "segments", 1, "greater than or equal to 2"),
        ("model", "segments", 21, "less than or equal to 20"),
        ("model", "candidates", [], "at least 1"),
        ("model", "candidates", [1, 4], "numbers of segments are 2 to 20"),
        ("model", "candidates", [4, 21], "numbers of segments are 2 to 20"),
        ("model", "assignment", "hard", "student_t"),
        ("model", "code", 2, "greater than or equal to 3"),
        ("training", "refits", 1, "greater than or equal to 2"),
        ("training", "batch_size", 7, "greater than or equal to 8"),
        ("decision", "threshold", 0.5, "threshold"),
    ],
)
def test_what_does_not_fit_is_refused(section: str, key: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        override(MarketingConfig(), {section: {key: value}})


@pytest.mark.parametrize(("given", "kept"), [([6, 3, 6], (3, 6)), ([20], (20,)), ([8, 7, 2], (2, 7, 8))])
def test_candidates_are_in_order_and_each_once(given: list[int], kept: tuple[int, ...]) -> None:
    assert override(MarketingConfig(), {"model": {"candidates": given}}).model.candidates == kept


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"(?s)horizon_days.*segments"):
        override(MarketingConfig(), {"data": {"horizon_days": 0}, "model": {"segments": 99}})
