"""Stability of every segmentation: each is fitted again to customers drawn anew."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from ...shared.config import override
from ...shared.domain import Arrays, Examples, Prepared
from ...shared.errors import ConfigError
from ...shared.estimates import Statistic
from .clusterings import CLUSTERINGS
from .config import MarketingConfig
from .features import BEHAVIOUR, SEGMENTS
from .model import fitted_segmentation
from .rivals import refit
from .stability import UNIT, resampled, stability


def beyond(
    outputs: Mapping[str, Arrays], prepared: Prepared, config: MarketingConfig, *, seed: int
) -> dict[str, dict[str, Statistic]]:
    """Return ``stability_ari`` of every predictor with segments: mean adjusted Rand index over the bootstrap refits.

    Code, centres and memberships of the network are fitted again as they were; what it expects plays no part. The
    customers compared are those of test, by what was known of them at the calibration date.
    """
    draws = [resampled(prepared.train, 1000 * seed + number) for number in range(1, config.training.refits + 1)]
    units, made, of_network = prepared.test.context[UNIT], {}, list[np.ndarray]()
    for name, answer in outputs.items():
        if SEGMENTS not in answer:
            continue
        segments = answer[SEGMENTS].shape[1]
        if name in CLUSTERINGS:
            asked = override(config, {"model": {"segments": segments}})
            labels = [refit(name, draw, asked, seed=seed)(prepared.test.inputs)[SEGMENTS].argmax(1) for draw in draws]
        else:
            of_network = of_network or list(_labels(draws, prepared, config, segments))
            labels = of_network
        if labels:
            made[name] = {"stability_ari": stability(answer[SEGMENTS].argmax(axis=1), labels, units)}
    return made


def _labels(
    draws: Iterable[Examples], prepared: Prepared, config: MarketingConfig, segments: int
) -> Iterator[np.ndarray]:
    """Yield the labels of each refit; a draw that misses too many rare behaviours has none."""
    for draw in draws:
        with contextlib.suppress(ConfigError):
            yield fitted_segmentation(draw, config.model, segments=segments).labels(prepared.test.inputs[BEHAVIOUR])
