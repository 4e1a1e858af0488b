"""Numbers written for people are read as they are meant, or refused with the reason."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.domains.marketing_segmentation.money_text import Numbers, read_numbers


def read(*texts: str | None, decimal: str = "auto", currency: str = "") -> Numbers:
    return read_numbers({"price": np.array(texts, dtype=object)}, decimal=decimal, currency=currency)


def refused(*texts: str | None, decimal: str = "auto", currency: str = "") -> str:
    found = read(*texts, decimal=decimal, currency=currency)
    assert found.problems and not found.columns["price"].any()
    return "\n".join(found.problems)


@pytest.mark.parametrize(
    ("text", "value", "currency"),
    [
        ("£1,234.50", 1234.5, "£"),
        ("1.234,50 €", 1234.5, "€"),
        ("(12.00)", -12.0, ""),
        ("($12.00)", -12.0, "$"),
        ("-3", -3.0, ""),
        ("−3.5", -3.5, ""),
        ("3.50-", -3.5, ""),
        (" 7 ", 7.0, ""),
        ("-£5.10", -5.1, "£"),
        ("£ -5.10", -5.1, "£"),
        ("+4", 4.0, ""),
        ("1 234,50 zł", 1234.5, "zł"),
        ("1\u202f234\u00a0567,5", 1234567.5, ""),
        ("CHF 1'234.50", 1234.5, "CHF"),
        ("US$0.99", 0.99, "US$"),
        ("R$ 1.234.567", 1234567.0, "R$"),
        ("₹1,23,456.00", 123456.0, "₹"),
        (".5", 0.5, ""),
        ("0.125", 0.125, ""),
        ("1e-05", 1e-5, ""),
        ("2.5500001", 2.5500001, ""),
        ("12 kr", 12.0, "kr"),
    ],
)
def test_one_number(text: str, value: float, currency: str) -> None:
    found = read(text)
    assert found.problems == () and found.currency == currency
    assert found.columns["price"].tolist() == [value]


def test_one_number_tells_what_the_others_mean() -> None:
    assert read("1,234", "2.55", "7").columns["price"].tolist() == [1234, 2.55, 7]
    assert read("1,234", "2,55", "7").columns["price"].tolist() == [1.234, 2.55, 7]


def test_one_column_tells_what_another_means() -> None:
    columns = {"quantity": np.array(["1,000", "2"], object), "price": np.array(["2.55", "3"], object)}
    assert read_numbers(columns).columns["quantity"].tolist() == [1000, 2]


def test_absent_cells_are_unknown() -> None:
    assert np.isnan(read("", None, "NaN", "1").columns["price"]).tolist() == [True, True, True, False]


@pytest.mark.parametrize("text", ["1,234", "1.234"])
def test_what_may_be_thousands_or_decimals_is_refused_until_it_is_said(text: str) -> None:
    told = refused("5", text)
    assert f"{text!r} (column 'price', row 2) may be 1234 or 1.234" in told
    assert '--set data.decimal="."' in told and '--set data.decimal=","' in told
    assert {read("5", text, decimal=sign).columns["price"][1] for sign in ".,"} == {1234, 1.234}


def test_two_ways_of_writing_are_refused() -> None:
    told = refused("2.55", "3", "2,55")
    assert "'2.55' (column 'price', row 1) has a decimal point, '2,55' (column 'price', row 3)" in told


def test_a_number_against_the_declared_sign_is_refused() -> None:
    assert "row 2: found '1.234,50', expected a number with '.' before its decimals" in refused(
        "1", "1.234,50", decimal="."
    )


def test_two_currencies_are_refused() -> None:
    told = refused("£1", "2", "€3.00")
    assert "2 currencies in one file: '£1' (column 'price', row 1), '€3.00' (column 'price', row 3)" in told


def test_another_currency_than_declared_is_refused() -> None:
    assert "data.currency is GBP, but found '€3.00'" in refused("€3.00", currency="GBP")


@pytest.mark.parametrize("declared", ["EUR", "€", "eur", "euro"])
def test_the_declared_currency_may_be_written_otherwise(declared: str) -> None:
    assert read("€3.00", currency=declared).problems == ()


@pytest.mark.parametrize(
    "text",
    ["free", "1-2", "(5", "--5", "(-5)", "1,2.3.4", "12 34", "£5€", "5 CR", "1_000", "inf", "0x10", "12/3", "$",
     "1,2,3"],
)  # fmt: skip
def test_what_is_no_number_is_named(text: str) -> None:
    assert f"column 'price': row 2: found {text!r}, expected a number" in refused("1.50", text)


def test_bad_texts_are_counted() -> None:
    assert "row 2: found 'free' (and 1 more texts)" in refused("1", "free", "gift", "free")
