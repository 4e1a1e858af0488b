"""What the fraud domain tells the rest: its card, its golden rows, its sections."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.domains.finance_fraud import data
from edgekit.domains.finance_fraud.config import FraudConfig, SyntheticSettings
from edgekit.domains.finance_fraud.solution import DOMAIN
from edgekit.shared.chosen_rows import shuffled_rows
from edgekit.shared.contract import Table
from edgekit.shared.decisions import Threshold
from edgekit.shared.domain import Arrays, Prepared

CONFIG = FraudConfig(synthetic=SyntheticSettings(customers=40, terminals=40, days=60))
Made = tuple[Table, Prepared]


@pytest.fixture(scope="module")
def made() -> Made:
    """Return a small bank and its model inputs."""
    table = data.synthesize(CONFIG, seed=0)
    return table, data.prepare(table, data.split(table, CONFIG, seed=0), CONFIG)


def answers(rows: int) -> dict[str, np.ndarray]:
    return {DOMAIN.score_output: np.random.default_rng(0).random((rows, 1)).astype(np.float32)}


def test_golden_rows_are_shuffled_rows_of_validation(made: Made) -> None:
    validation = made[1].validation
    given = answers(len(validation))
    found, expected = DOMAIN.golden(made[1], given), shuffled_rows(validation, given["probability"])
    assert {name: values.tobytes() for name, values in found.items()} == {
        name: values.tobytes() for name, values in expected.items()
    }


def test_the_card_says_the_same_at_any_threshold(made: Made) -> None:
    low, high = (DOMAIN.describe(*made, CONFIG, threshold=Threshold(value, "", {})) for value in (0.1, 0.9))
    assert low == high


def test_the_sections_follow_from_the_answers_to_the_test_split(made: Made) -> None:
    def unasked(inputs: Arrays) -> dict[str, np.ndarray]:
        raise AssertionError("no question was expected")

    outputs = {"tflite": answers(len(made[1].test))}
    sections = DOMAIN.illustrate(outputs, made[1], Threshold(0.5, "", {}), CONFIG, predict=unasked)
    assert sections[0].title == "Ranking" and len(sections) >= 3


def test_nothing_is_had_under_another_signature() -> None:
    assert (dict(DOMAIN.views), dict(DOMAIN.guards)) == ({}, {})
