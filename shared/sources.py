"""Data passports: where a data set comes from, under which licence, and what it cannot show."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from .errors import ContractError


@dataclass(frozen=True, kw_only=True)
class Source:
    """The passport of one data set.

    Attributes:
        title: name of the data set; synthetic data say so in it.
        url: page or file it was taken from (http or https); None for synthetic data only.
        sha256: 64 lower-case hexadecimal digits of the file that was used; None where the
            publisher changes the file or the data are synthetic.
        licence: the terms of use, as the publisher names them.
        cite: the work to cite.
        retrieved: day it was fetched, ``YYYY-MM-DD``; for synthetic data the generator's version.
        caveats: who is missing from the data, and what must not be concluded from them.

    Raises:
        ContractError: a field is empty or malformed; the message lists every problem.
    """

    title: str
    url: str | None
    sha256: str | None
    licence: str
    cite: str
    retrieved: str
    caveats: str

    def __post_init__(self) -> None:
        problems = [*_empty_fields(self), *_origin_problems(self)]
        if problems:
            raise ContractError(f"The passport of {self.title!r} is not valid: {' '.join(problems)}")

    @property
    def synthetic(self) -> bool:
        """Whether the data are generated."""
        return self.url is None

    def as_rows(self) -> tuple[tuple[str, str], ...]:
        """Return label and value of every field, for a report's table."""
        return (
            ("Data set", self.title),
            ("Address", self.url or "none (synthetic)"),
            ("SHA-256", self.sha256 or ("none (synthetic)" if self.synthetic else "not fixed")),
            ("Licence", self.licence),
            ("Cite", self.cite),
            ("Generator" if self.synthetic else "Retrieved", self.retrieved),
            ("Caveats", self.caveats),
        )


def _empty_fields(source: Source) -> list[str]:
    values = {item.name: getattr(source, item.name) for item in fields(source)}
    return [
        f"{name!r} is empty; state it, or say why it is not known."
        for name, value in values.items()
        if value is not None and not value.strip()
    ]


def _origin_problems(source: Source) -> list[str]:
    if source.url is None:
        return _synthetic_problems(source)
    problems = []
    if source.url.strip() and not re.fullmatch(r"https?://[^\s/]+\S*", source.url):
        problems.append(f"'url' is {source.url!r}, expected an http or https address.")
    if source.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", source.sha256):
        problems.append(f"'sha256' is {source.sha256!r}, expected 64 lower-case hexadecimal digits or None.")
    if source.retrieved.strip() and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", source.retrieved):
        problems.append(f"'retrieved' is {source.retrieved!r}, expected YYYY-MM-DD.")
    return problems


def _synthetic_problems(source: Source) -> list[str]:
    problems = []
    if "synthetic" not in source.title.lower():
        problems.append("'url' is None, which only synthetic data may have; give it, or say 'synthetic' in the title.")
    if source.sha256 is not None:
        problems.append(f"'sha256' is {source.sha256!r} without a url; expected None.")
    return problems
