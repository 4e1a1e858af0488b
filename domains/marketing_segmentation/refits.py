"""Stability of every segmentation: each is fitted again to customers drawn anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from ...shared.config import override
from ...shared.domain import Arrays, Examples, Prepared
from ...shared.errors import ConfigError
from ...shared.estimates import Statistic
from .clusterings import CLUSTERINGS
from .config import MarketingConfig
from .features import BEHAVIOUR, CODE, SEGMENTS
from .model import fitted_segmentation
from .rivals import refit
from .stability import UNIT, resampled, stability


def beyond(
    outputs: Mapping[str, Arrays], prepared: Prepared, config: MarketingConfig, *, seed: int
) -> dict[str, dict[str, Statistic]]:
    """Return ``stability_ari`` of the networks and the clusterings: mean adjusted Rand index over the bootstrap refits.

    Code, centres and memberships of the network are fitted again as they were; what it expects plays no part. The
    customers compared are those of test, by what was known of them at the calibration date.
    """
    draws = [resampled(prepared.train, 1000 * seed + number) for number in range(1, config.training.refits + 1)]
    units, made, of_network = prepared.test.context[UNIT], {}, list[np.ndarray]()
    for name, answer in outputs.items():
        segments = answer[SEGMENTS].shape[1] if SEGMENTS in answer else 0
        if name in CLUSTERINGS:
            asked = override(config, {"model": {"segments": segments}})
            labels = [refit(name, draw, asked, seed=seed)(prepared.test.inputs)[SEGMENTS].argmax(1) for draw in draws]
        elif CODE in answer:
            of_network = of_network or list(_labels(draws, prepared, config, segments))
            labels = of_network
        else:
            continue  # groups by boosting follow from a regression, which is not fitted 20 times
        made[name] = {"stability_ari": stability(answer[SEGMENTS].argmax(axis=1), labels, units)}
    return made


def _labels(
    draws: Iterable[Examples], prepared: Prepared, config: MarketingConfig, segments: int
) -> Iterator[np.ndarray]:
    """Yield the labels of each refit; a draw with too few different behaviours finds nothing again: one segment."""
    for draw in draws:
        try:
            fitted = fitted_segmentation(draw, config.model, segments=segments)
        except ConfigError:
            yield np.zeros(len(prepared.test), np.int64)
        else:
            yield fitted.labels(prepared.test.inputs[BEHAVIOUR])
