"""The synthetic bank: repeatable, in order, and with the three kinds of fraud it promises."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.domains.finance_fraud import synthesis
from edgekit.domains.finance_fraud.config import SyntheticSettings
from edgekit.shared.tables import RawTable

SMALL = SyntheticSettings(customers=80, terminals=60, days=60)
NEVER = 1e12  # no amount is that unusual


def bank(seed: int = 0) -> RawTable:
    return synthesis.synthesize(SMALL, seed=seed)


def days(table: RawTable) -> np.ndarray:
    return table.columns["timestamp"].astype(np.int64) // synthesis.DAY


def test_the_same_seed_gives_the_same_table() -> None:
    first, again, other = bank(), bank(), bank(seed=1)
    assert all(np.array_equal(first.columns[name], again.columns[name]) for name in first.columns)
    assert len(first) != len(other) or not np.array_equal(first.columns["amount"], other.columns["amount"])


def test_rows_are_in_time_order_and_within_the_period() -> None:
    table = bank()
    seconds = table.columns["timestamp"].astype(np.int64)
    assert (np.diff(seconds) >= 0).all() and len(table) > 5_000
    assert seconds[0] >= synthesis.START and seconds[-1] < synthesis.START + SMALL.days * synthesis.DAY


def test_frauds_are_rare_and_known_in_every_part_of_the_period() -> None:
    table = bank()
    thirds = np.array_split(table.columns["label"], 3)
    assert 0.003 < table.columns["label"].mean() < 0.08
    assert min(part.sum() for part in thirds) > 0


def test_unusual_amounts_are_frauds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesis, "TERMINAL_RATE", 0.0)
    monkeypatch.setattr(synthesis, "CUSTOMER_RATE", 0.0)
    table = bank()
    np.testing.assert_array_equal(table.columns["label"] == 1, table.columns["amount"] > synthesis.UNUSUAL_AMOUNT)
    assert table.columns["label"].any()


def test_everything_at_a_compromised_terminal_is_a_fraud_for_four_weeks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesis, "UNUSUAL_AMOUNT", NEVER)
    monkeypatch.setattr(synthesis, "CUSTOMER_RATE", 0.0)
    table = bank()
    fraud, day = table.columns["label"] == 1, days(table)
    place = table.columns["terminal"] + "/" + day.astype(str)
    assert fraud.any()
    assert set(place[fraud]).isdisjoint(place[~fraud])  # a day at a terminal is all fraud or all genuine
    first = table.columns["terminal"][fraud][0]
    spell = day[fraud & (table.columns["terminal"] == first)]
    assert 1 <= len(np.unique(spell)) <= synthesis.TERMINAL_DAYS
    assert spell.max() - spell.min() < synthesis.TERMINAL_DAYS


def test_frauds_with_a_stolen_card_are_five_times_as_dear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesis, "UNUSUAL_AMOUNT", NEVER)
    monkeypatch.setattr(synthesis, "TERMINAL_RATE", 0.0)
    table = bank()
    monkeypatch.setattr(synthesis, "CUSTOMER_FACTOR", 1.0)
    honest = bank().columns["amount"]
    fraud = table.columns["label"] == 1
    assert len(np.unique(table.columns["customer"][fraud])) > 2
    np.testing.assert_array_equal(table.columns["amount"][~fraud], honest[~fraud])
    np.testing.assert_allclose(table.columns["amount"][fraud], honest[fraud] * 5, atol=0.03)


def test_the_share_of_frauds_while_a_card_is_stolen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesis, "UNUSUAL_AMOUNT", NEVER)
    monkeypatch.setattr(synthesis, "TERMINAL_RATE", 0.0)
    monkeypatch.setattr(synthesis, "CUSTOMER_RATE", 1.0)  # every card, every day
    assert bank().columns["label"].mean() == pytest.approx(synthesis.CUSTOMER_SHARE, abs=0.02)


def test_a_spell_begins_on_its_day_and_lasts_its_length() -> None:
    rng = np.random.default_rng(0)
    spells = synthesis._compromised(rng, 500, 1e-3, 14, 200)
    hit = np.random.default_rng(0).random((500, 200)) < 1e-3
    expected = np.zeros_like(hit)
    for who, day in np.argwhere(hit):
        expected[who, day : day + 14] = True
    np.testing.assert_array_equal(spells, expected)
    assert expected.any()


def test_customers_use_terminals_near_their_home() -> None:
    table = bank()
    used = {name: len(set(table.columns["terminal"][table.columns["customer"] == name])) for name in ("C1", "C2", "C3")}
    assert max(used.values()) <= synthesis.TERMINALS_IN_REACH < SMALL.terminals
