"""The verdict in words: a rival that wins is named first."""

from __future__ import annotations

import pytest

from edgekit.evidence import Verdict
from edgekit.shared.estimates import Estimate


@pytest.mark.parametrize(
    ("low", "high", "earns", "begins"),
    [
        (0.01, 0.03, True, "The network beats the best rival, boosting"),
        (-0.03, -0.01, False, "boosting beats the network"),
        (-0.01, 0.02, False, "The network and boosting cannot be told apart"),
        (0.0, 0.02, False, "The network and boosting cannot be told apart"),
    ],
)
def test_the_interval_decides(low: float, high: float, earns: bool, begins: str) -> None:
    verdict = Verdict("boosting", Estimate((low + high) / 2, low, high, 100))
    assert verdict.earns_its_place is earns
    assert verdict.sentence("average_precision").startswith(begins)
