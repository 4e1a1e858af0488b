from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgekit.shared.errors import ContractError
from edgekit.shared.sources import Source

REAL = Source(
    title="Card payments 2013",
    url="https://example.org/cards.csv",
    sha256="0f" * 32,
    licence="DbCL 1.0",
    cite="Dal Pozzolo et al. 2015",
    retrieved="2026-11-22",
    caveats="Two days of one issuer.",
)
MADE = replace(REAL, title="Synthetic card payments", url=None, sha256=None, retrieved="generator 1")


def test_rows_hold_every_field_of_a_real_source() -> None:
    assert REAL.as_rows() == (
        ("Data set", "Card payments 2013"),
        ("Address", "https://example.org/cards.csv"),
        ("SHA-256", "0f" * 32),
        ("Licence", "DbCL 1.0"),
        ("Cite", "Dal Pozzolo et al. 2015"),
        ("Retrieved", "2026-11-22"),
        ("Caveats", "Two days of one issuer."),
    )


def test_rows_say_that_data_are_synthetic() -> None:
    rows = dict(MADE.as_rows())
    assert MADE.synthetic
    assert (rows["Address"], rows["SHA-256"]) == ("none (synthetic)", "none (synthetic)")
    assert rows["Generator"] == "generator 1"


def test_a_file_that_changes_has_no_hash() -> None:
    assert dict(replace(REAL, sha256=None).as_rows())["SHA-256"] == "not fixed"


@pytest.mark.parametrize("name", ["title", "url", "sha256", "licence", "cite", "retrieved", "caveats"])
def test_no_field_may_be_empty(name: str) -> None:
    with pytest.raises(ContractError, match=f"'{name}' is empty"):
        replace(REAL, **{name: " "})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"url": "ftp://example.org/x"}, "expected an http or https address"),
        ({"sha256": "0F" * 32}, "expected 64 lower-case hexadecimal digits"),
        ({"sha256": "0f" * 31}, "expected 64 lower-case hexadecimal digits"),
        ({"retrieved": "22 November"}, "'retrieved' is '22 November', expected YYYY-MM-DD"),
        ({"url": None, "sha256": None}, "only synthetic data may have"),
    ],
)
def test_a_malformed_field_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        replace(REAL, **changes)


def test_synthetic_data_have_no_file_hash() -> None:
    with pytest.raises(ContractError, match="without a url"):
        replace(MADE, sha256="0f" * 32)


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(ContractError, match="'licence' is empty.*'cite' is empty.*'retrieved' is"):
        replace(REAL, licence="", cite="", retrieved="soon")
