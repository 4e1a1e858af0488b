"""Settings: defaults that fit together, and refusals of what does not."""

from __future__ import annotations

from typing import Any

import pytest

from edgekit.domains.transportation.config import TrafficConfig
from edgekit.shared.config import override
from edgekit.shared.errors import ConfigError


def test_defaults_survive_their_own_check() -> None:
    config = TrafficConfig()
    assert override(config, {}) == config
    assert (config.model.window, config.model.horizon, config.decision.coverage) == (12, 12, 0.9)


def test_what_the_command_line_gives_is_taken() -> None:
    given = {"interval": "300 s", "start": "2012-03-01", "adjacency": "adj.csv", "missing_code": 0.0}
    data = override(TrafficConfig(), {"data": given}).data
    assert (data.interval, data.start, str(data.adjacency)) == ("5min", "2012-03-01", "adj.csv")


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        ("data", "interval", "7min", "must divide a day"),
        ("data", "interval", "soon", "Not an interval"),
        ("data", "start", "yesterday", "Not a time"),
        ("data", "start", "20120301", "Not a time"),
        ("data", "start", "1970-01-01", "from 1990 until 2100"),
        ("data", "unit", "km\u200b/h\n", "printable text"),
        ("data", "aggregate", "max", "mean"),
        ("data", "adjacency_kind", "graph", "edges"),
        ("data", "kernel_cutoff", 1.0, "less than 1"),
        ("data", "feature", -1, "greater than or equal to 0"),
        ("data", "test_share", 0.0, "greater than 0"),
        ("model", "kind", "lstm", "recurrent"),
        ("model", "horizon", 0, "greater than or equal to 1"),
        ("decision", "coverage", 1.0, "less than or equal to 0.99"),
        ("synthetic", "interval_minutes", 7, "Input should be"),
    ],
)
def test_what_does_not_fit_is_refused(section: str, key: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        override(TrafficConfig(), {section: {key: value}})
    assert f"{section}.{key}" in str(caught.value) and said in str(caught.value)


def test_bounds_must_leave_something_possible() -> None:
    with pytest.raises(ConfigError, match=r"data.low \(80\) must be below data.high \(80\)"):
        override(TrafficConfig(), {"data": {"low": 80.0, "high": 80.0}})


def test_the_shares_must_leave_something_to_train_on() -> None:
    with pytest.raises(ConfigError, match="too little to train on"):
        override(TrafficConfig(), {"data": {"validation_share": 0.4, "test_share": 0.45}})
