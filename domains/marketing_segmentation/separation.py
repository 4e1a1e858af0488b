"""How far segments lie apart, in the code and in the plain behaviour."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sklearn.metrics import davies_bouldin_score, silhouette_score

from ...shared.domain import Arrays, Examples
from ...shared.report import Cell, Section, Table
from .clusterings import standardised
from .features import BEHAVIOUR, CODE, SEGMENTS

MOST_CUSTOMERS = 2000
"""The silhouette compares every two of them."""


def separation(outputs: Mapping[str, Arrays], test: Examples) -> Section:
    """Return silhouette and Davies-Bouldin index of every predictor with segments, on at most so many customers.

    Source: Rousseeuw 1987, Journal of Computational and Applied Mathematics 20; Davies and Bouldin 1979, IEEE TPAMI 1.
    """
    shown = np.unique(np.linspace(0, len(test) - 1, min(len(test), MOST_CUSTOMERS)).astype(int))
    plain = standardised(test.inputs[BEHAVIOUR])(test.inputs[BEHAVIOUR][shown])
    rows: list[tuple[Cell, ...]] = []
    for name, answer in outputs.items():
        if SEGMENTS in answer:
            segment = answer[SEGMENTS][shown].argmax(axis=1)
            places = (answer[CODE][shown], plain) if CODE in answer else (None, plain)
            rows.append((name, *(figure for place in places for figure in _figures(place, segment))))
    columns = ("predictor", "silhouette, code", "Davies-Bouldin, code", "silhouette", "Davies-Bouldin")
    caption = (
        "Silhouette: 1 if segments lie far apart, 0 if they touch; Davies-Bouldin: the smaller the further apart. The "
        "last two columns are on all standardised behaviour, for all alike. Neither says that segments are of use."
    )
    return Section("Separation", (Table(columns, tuple(rows), caption, 0),))


def _figures(place: np.ndarray | None, segment: np.ndarray) -> tuple[float | None, float | None]:
    if place is None or not 1 < len(np.unique(segment)) < len(segment):
        return None, None
    return float(silhouette_score(place, segment)), float(davies_bouldin_score(place, segment))
