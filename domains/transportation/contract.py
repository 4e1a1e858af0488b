"""What a network's readings must look like, and the passports of the data this domain knows."""

from __future__ import annotations

from ...shared.columns import Column
from ...shared.contract import Contract
from ...shared.sources import Source

CONTRACT = Contract(
    name="readings (wide: one row for each time and one column for each sensor; or long: one row for each reading)",
    beside="In a wide table every other column is a sensor, unless --exclude names it; in a long one other columns are "
    "left out. Without a column of times --interval and --start name them. Instead of a table: a .npz file with an "
    "array `data` (step, sensor, feature), or an .h5 file that pandas wrote in its fixed format. A second file "
    "(--adjacency) says which sensors are neighbours: a matrix, or a list with the columns from, to and weight, or "
    "from, to and distance.",
    roles=(
        Column(
            name="time",
            kind="timestamp",
            meaning="when; the clock on the wall counts, and gaps, repeats and unsteady times are put on a grid",
            unit="local time, or seconds since 1970",
            example="2012-03-01T00:05:00",
        ),
        Column(
            name="sensor",
            kind="identifier",
            meaning="which sensor; in a long table only",
            example="773869",
        ),
        Column(
            name="value",
            kind="number",
            meaning="the reading; in a long table only. An empty cell, and data.missing_code, is a missing one",
            unit="data.unit",
            missing="impute",
            example="64.375",
        ),
    ),
)

SYNTHETIC = Source(
    title="edgekit synthetic road network",
    url=None,
    sha256=None,
    licence="MIT, as edgekit",
    cite="Simulated roads of edgekit, with rush hours and incidents that follow known rules",
    retrieved="generator version 1",
    caveats="Traffic follows simple known rules: a score on these data says that the pipeline works, not how well it "
    "would do on a road.",
)
SOURCES = (
    SYNTHETIC,
    Source(
        title="Los-loop, the first week of METR-LA",
        url="https://github.com/lehaifeng/T-GCN",
        sha256=None,
        licence="none stated",
        cite="Zhao et al. 2020, T-GCN: A Temporal Graph Convolutional Network for Traffic Prediction, IEEE T-ITS 21(9)",
        retrieved="2026-11-22",
        caveats="One week of March 2012: no weekday is seen twice. Gaps were filled by its authors, so nothing is "
        "missing and nothing is masked; figures do not compare with those on METR-LA.",
    ),
    Source(
        title="METR-LA and PEMS-BAY",
        url="https://github.com/liyaguang/DCRNN",
        sha256=None,
        licence="none stated for the data",
        cite="Li, Yu, Shahabi, Liu 2018, Diffusion Convolutional Recurrent Neural Network, ICLR; METR-LA: Jagadish et "
        "al. 2014, CACM 57(7)",
        retrieved="2026-11-22",
        caveats="Motorways of Los Angeles and the Bay Area only, in miles an hour. In METR-LA a reading of 0 means "
        "missing (about 8 %): figures with and without that mask do not compare. "
        "Described from its publications, not from the files themselves.",
    ),
    Source(
        title="PEMS04 and PEMS08",
        url="https://github.com/Davidham3/ASTGCN-2019-mxnet",
        sha256=None,
        licence="none stated for the data",
        cite="Guo et al. 2019, Attention Based Spatial-Temporal Graph Convolutional Networks, AAAI 33; California "
        "Department of Transportation, Performance Measurement System",
        retrieved="2026-11-22",
        caveats="Two months each of motorway flow in 5-minute counts, gaps filled by the publisher. The files hold no "
        "times: PEMS04 begins on 2018-01-01, PEMS08 on 2016-07-01. Described from publications, not from the files "
        "themselves.",
    ),
)
