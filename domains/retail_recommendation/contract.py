"""What a shop's log and its items table must look like, and the passports of the data this domain knows."""

from __future__ import annotations

from ...shared.columns import Column
from ...shared.contract import Contract
from ...shared.sources import Source

CONTRACT = Contract(
    name="interactions (one row for each time a user had an item)",
    beside="Other columns are left out. Instead of a table: a text file with lines `user item item …`, items in order "
    "of time. A second table (--items) describes the items: columns item and title (named otherwise: --columns "
    "items.item=NAME items.title=NAME), and every other text column becomes attributes, several values joined by |.",
    roles=(
        Column(
            name="user",
            kind="identifier",
            meaning="who; only a code without meaning is kept",
            required=True,
            example="U2071",
        ),
        Column(
            name="item",
            kind="identifier",
            meaning="what was bought, seen or rated",
            required=True,
            example="007-B",
        ),
        Column(
            name="timestamp",
            kind="timestamp",
            meaning="when; without it the order of the file counts, and no split in time is possible",
            unit="UTC, or seconds",
            example="2024-03-05T18:20:00",
        ),
        Column(
            name="event",
            kind="category",
            meaning="what kind of interaction; data.events names those that count",
            missing="own value",
            example="purchase",
        ),
        Column(
            name="rating",
            kind="number",
            meaning="how it was liked, read for data.min_rating only; a missing one is ignored",
            missing="impute",
            example="4.5",
        ),
        Column(
            name="quantity",
            kind="number",
            meaning="how many; rows with 0 or fewer are returns and do not count",
            missing="impute",
            example="1",
        ),
    ),
)

ITEMS_CONTRACT = Contract(
    name="items (one row an item, every other text column an attribute)",
    beside="Every other text column becomes attributes; several values in a cell are joined by |.",
    roles=(
        Column(
            name="item",
            kind="identifier",
            meaning="as in the interactions",
            required=True,
            example="007-B",
        ),
        Column(
            name="title",
            kind="category",
            meaning="what a shopper reads",
            missing="own value",
            example="Rose hand cream",
        ),
    ),
)

SYNTHETIC = Source(
    title="edgekit synthetic shop",
    url=None,
    sha256=None,
    licence="MIT, as edgekit",
    cite="Simulated shoppers of edgekit, with tastes that follow known rules",
    retrieved="generator version 1",
    caveats="Shoppers follow simple known rules: a score on these data says that the pipeline works, not how well it "
    "would do in a shop.",
)
SOURCES = (
    SYNTHETIC,
    Source(
        title="Amazon Beauty, 5-core sequences",
        url="https://cseweb.ucsd.edu/~jmcauley/datasets.html",
        sha256=None,
        licence="research use",
        cite="McAuley, Targett, Shi, van den Hengel 2015, Image-based Recommendations on Styles and Substitutes, SIGIR",
        retrieved="2026-11-22",
        caveats="Reviews, not purchases; users and items with fewer than five reviews were left out, so nobody is new; "
        "an order without times, so other users' later reviews are in train. Another version with 40,226 users goes by "
        "the same name: figures of the two do not compare.",
    ),
    Source(
        title="MovieLens latest-small",
        url="https://grouplens.org/datasets/movielens/latest/",
        sha256=None,
        licence="GroupLens: research use, redistribution on the same terms, not for commerce",
        cite="Harper and Konstan 2015, The MovieLens Datasets: History and Context, ACM TiiS 5(4)",
        retrieved="2026-11-22",
        caveats="Ratings typed in one after the other from a list that MovieLens itself ordered, not films in the "
        "order in which they were seen; 610 users with at least 20 ratings each.",
    ),
)
