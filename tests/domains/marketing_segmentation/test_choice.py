"""How many segments: as many as are useful and stable, and no more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgekit.domains.marketing_segmentation import choice
from edgekit.domains.marketing_segmentation.choice import AS_USEFUL, STEADY, choose_segments
from edgekit.domains.marketing_segmentation.config import MarketingConfig, ModelSettings
from edgekit.domains.marketing_segmentation.features import BEHAVIOUR, NAMES, Plan
from edgekit.shared.domain import Examples, Prepared
from edgekit.shared.errors import ConfigError

Compared = list[tuple[int, float, float]]
CONFIG = MarketingConfig(model=ModelSettings(candidates=(2, 3, 6)))
KINDS = np.arange(120) % 3


def part(*, seed: int) -> Examples:
    """Return customers of three kinds that are far apart, each spending as its kind does."""
    rng = np.random.default_rng(seed)
    size = np.array([1.0, 10.0, 100.0])[KINDS]
    known = (size[:, None] * rng.lognormal(0, 0.1, (len(KINDS), len(NAMES)))).astype(np.float32)
    spend = np.array([2.0, 50.0, 1200.0])[KINDS] * rng.lognormal(0, 0.2, len(KINDS))
    target = np.stack([1 + KINDS, spend], axis=1).astype(np.float32)
    return Examples({BEHAVIOUR: known}, target, {"unit": np.arange(len(KINDS))})


def prepared() -> Prepared:
    return Prepared(Plan(91), part(seed=0), part(seed=1), part(seed=2), ())


def few(different: int, *, rare: int = 20) -> Prepared:
    """Return customers of so many different behaviours, the last of them shown by ``rare`` customers only."""
    made = prepared()
    kind = np.arange(120) % max(different - 1, 1)
    kind[:rare] = different - 1
    train = replace(made.train, inputs={BEHAVIOUR: made.train.inputs[BEHAVIOUR][kind]})
    return replace(made, train=train)


def silent(_: str) -> None:
    return None


def chosen(found: Compared, monkeypatch: pytest.MonkeyPatch) -> choice.Choice:
    monkeypatch.setattr(choice, "_compared", lambda *_: iter(found))
    return choose_segments(prepared(), CONFIG, report=silent)


@pytest.mark.parametrize("segments", [2, 5, 20])
def test_what_is_asked_for_is_kept(segments: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(choice, "_compared")
    config = CONFIG.model_copy(update={"model": ModelSettings(segments=segments)})
    made = choose_segments(prepared(), config, report=silent)
    assert made == choice.Choice(segments, (f"{segments} segments, as model.segments asks for",))


@pytest.mark.parametrize(
    ("found", "best"),
    [
        pytest.param([(4, 0.20, 0.9), (5, 0.25, 0.9), (6, 0.30, 0.9)], 6, id="the most useful"),
        pytest.param([(4, 0.295, 0.9), (5, 0.30, 0.9), (6, 0.299, 0.99)], 4, id="the fewest that are as useful"),
        pytest.param([(4, 0.28, 0.9), (5, 0.295, 0.9), (6, 0.30, 0.9)], 5, id="the fewest within the margin"),
        pytest.param([(4, 0.20, 0.9), (5, 0.25, 0.9), (6, 0.40, 0.84)], 5, id="unstable ones fall out"),
        pytest.param([(4, 0.20, 0.84), (5, 0.19, 0.85), (6, 0.10, 0.9)], 5, id="just stable"),
        pytest.param([(4, 0.30, 0.5), (5, 0.20, 0.7), (6, 0.40, 0.6)], 5, id="none stable: the stablest"),
        pytest.param([(7, -0.10, 0.9)], 7, id="one alone"),
    ],
)
def test_the_rule_by_hand(found: Compared, best: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (STEADY, AS_USEFUL) == (0.85, 0.01)
    assert chosen(found, monkeypatch).segments == best


def test_the_note_tells_all_that_was_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    made = chosen([(4, 0.2, 0.91), (5, 0.2512, 0.9), (6, 0.4, 0.5)], monkeypatch)
    assert made.notes == (
        "5 segments, chosen by usefulness on validation among stable numbers (4: explains 0.200, stability 0.91; "
        "5: explains 0.251, stability 0.90; 6: explains 0.400, stability 0.50)",
    )


def test_three_kinds_ask_for_three_segments() -> None:
    said: list[str] = []
    made = choose_segments(prepared(), CONFIG, report=said.append)
    assert made.segments == 3 and made.notes[0].startswith("3 segments, chosen by usefulness")
    assert [line.split(" segments: explain ")[0] for line in said] == ["2", "3", "6"]
    assert "stability 1.00" in said[1]
    assert choose_segments(prepared(), CONFIG, report=silent) == made


@pytest.mark.parametrize("place", ["validation", "test"])
def test_what_follows_for_others_is_not_learnt_from(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Test is never judged, and usefulness is that of validation: without a pattern there, fewest are enough."""
    monkeypatch.setattr(choice, "STEADY", 0.8)
    made = prepared()
    other: Examples = getattr(made, place)
    shuffled = replace(other, target=np.random.default_rng(0).permutation(other.target))
    picked = choose_segments(replace(made, **{place: shuffled}), CONFIG, report=silent).segments
    assert picked == (3 if place == "test" else 2)


def test_more_segments_than_different_customers_are_passed_over() -> None:
    said: list[str] = []
    assert choose_segments(few(4), CONFIG, report=said.append).segments in {2, 3}
    assert said[-1].startswith("6 segments: model.segments = 6, but the training customers show only 4 different")


def test_a_draw_may_miss_the_rarest_customer() -> None:
    """One customer of 120 is different: most draws hold no third behaviour, and two segments are had all the same."""
    assert choose_segments(few(3, rare=1), CONFIG, report=silent).segments == 2


def test_where_all_spend_alike_the_fewest_stable_segments_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "STEADY", 0.8)
    made = prepared()
    alike = replace(made.validation, target=np.full_like(made.validation.target, 7))
    found = choose_segments(replace(made, validation=alike), CONFIG, report=silent)
    assert found.segments == 2 and "2: explains 0.000" in found.notes[0]


@pytest.mark.parametrize("different", [1, 2])
def test_customers_who_are_all_alike_are_refused(different: int) -> None:
    config = CONFIG.model_copy(update={"model": ModelSettings(candidates=(3, 4))})
    with pytest.raises(ConfigError, match="fewer different behaviours than 3 segments need"):
        choose_segments(few(different), config, report=silent)
