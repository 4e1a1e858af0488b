from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from edgekit.shared import plots
from edgekit.shared.errors import ContractError
from edgekit.shared.estimates import Estimate
from edgekit.shared.report import Figure, Report, Section, Table, Text
from edgekit.shared.report_html import drawing, render_html

HOSTILE = """<script>alert("x")</script>'"><img src=x onerror=y> {{ 7*7 }} & \x1b[31m"""
VOID = {"meta", "link", "br", "img", "hr", "input"}
LOADING = {"src", "srcset", "action", "poster", "data", "background", "ping", "formaction"}
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1">{}</svg>'


PICTURE = np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8)
PNG = "data:image/png;base64,iVBORw0KGgo="


class Page(HTMLParser):
    """Reads a page and keeps its tags, text and every fault in its structure."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.faults: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.outside_drawings: list[tuple[str, list[str]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if "svg" not in self.open:  # a drawing's ticks depend on the room that its names leave
            self.outside_drawings.append((tag, sorted(name for name, _ in attrs)))
        if len(dict(attrs)) != len(attrs):
            self.faults.append(f"<{tag}> has an attribute twice")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def figure(name: str = "a") -> Figure:
    x = np.linspace(0, 1, 5)
    svg = plots.curve(x, {name: x, "b": 1 - x}, xlabel=name, ylabel=name, mark=0.5)
    return Figure(svg, name, name)


def sample(name: str = "plain name") -> Report:
    estimate = Estimate(0.731, 0.712, 0.748, 12)
    refused: Any = np.False_  # what a comparison of arrays gives
    table = Table(
        (name, "value", "verdict"),
        ((name, estimate, True), ("other", None, refused)),
        caption=name,
        highlight=0,
        units=("", "", "verdict"),
    )
    pictures = Figure(plots.pictures([(name, (PICTURE,))], columns=(name,)), name, name)
    blocks = (Text(name), Text(f"- {name}\n- b", "warning"), table, figure(name), figure(name), pictures)
    facts: dict[str, Any] = {
        "primary_metric": name,
        "metrics": {"tflite": {name: estimate}},
        "export": {"chosen": name, "bytes": 41216},
    }
    sections = (Section(name, blocks, note=name), Section("Limits", (Text("None known."),)))
    return Report(name, Text(name, "good"), sections, facts)


@pytest.fixture(scope="module")
def hostile() -> Page:
    return Page(render_html(sample(HOSTILE)))


@pytest.fixture(scope="module")
def plain() -> Page:
    return Page(render_html(sample("a" * len(HOSTILE))))


def test_every_tag_is_closed(plain: Page, hostile: Page) -> None:
    assert (plain.faults, plain.open) == ([], [])
    assert (hostile.faults, hostile.open) == ([], [])


def test_a_hostile_name_adds_no_tag_and_no_attribute_in_any_position(plain: Page, hostile: Page) -> None:
    assert hostile.outside_drawings == plain.outside_drawings
    assert {tag for tag, _ in hostile.tags} == {tag for tag, _ in plain.tags}


def test_a_hostile_name_is_shown_as_it_is(hostile: Page) -> None:
    shown = HOSTILE.replace("\x1b", "\ufffd")
    assert hostile.text.count(shown) >= 15
    assert "\x1b" not in hostile.text


def test_the_page_asks_for_nothing_outside(hostile: Page) -> None:
    for tag, attributes in hostile.tags:
        assert not LOADING & attributes.keys(), tag
    links = [attributes["href"] or "" for _, attributes in hostile.tags if "href" in attributes]
    assert links
    assert {link[:1] for link in links if not link.startswith("data:image/png;base64,")} == {"#"}
    assert {tag for tag, a in hostile.tags if (a.get("href") or "").startswith("data:")} == {"image"}
    assert "url(" not in hostile.text
    assert "@import" not in hostile.text


def test_the_page_forbids_itself_to_load_anything(plain: Page) -> None:
    policy = {a.get("http-equiv"): a.get("content") for tag, a in plain.tags if tag == "meta"}
    assert policy["Content-Security-Policy"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert not {"script", "link", "iframe", "object", "embed"} & {tag for tag, _ in plain.tags}


def test_ids_are_unique_and_links_lead_to_them(plain: Page) -> None:
    ids = [attributes["id"] for _, attributes in plain.tags if "id" in attributes]
    targets = {str(a["href"])[1:] for tag, a in plain.tags if "href" in a and tag != "image"}
    assert len(ids) == len(set(ids))
    assert targets <= set(ids)


def test_contents_list_the_sections(plain: Page) -> None:
    targets = [a["href"] for tag, a in plain.tags if tag == "a"]
    assert targets == ["#section-1", "#section-2"]


@pytest.mark.parametrize(
    "part",
    [
        '<div class="lead tone good"><strong>Verdict: passed</strong>',
        '<tr class="highlight"><th scope="row" class="whole">plain name</th>',
        '<td class="number-cell">0.731 <span class="interval">[0.712, 0.748]</span></td>',
        '<span class="mark good">✓ accepted</span>',
        '<span class="mark bad">✗ refused</span>',
        '<div class="tone warning"><ul><li>plain name</li><li>b</li></ul>',
        '<dd class="value">41.2\u202fkB</dd>',
        "@media (prefers-color-scheme: dark)",
        "@media print",
    ],
)
def test_the_page_holds(part: str) -> None:
    assert part in render_html(sample())


def test_a_table_without_titles_has_no_head() -> None:
    table = Table(("", ""), (("Licence", "MIT"),))
    page = Page(render_html(Report("T", Text("L"), (Section("S", (table,)),))))
    assert (page.count("table"), page.count("thead"), page.count("tr")) == (1, 0, 1)


def test_a_table_without_rows_is_drawn() -> None:
    page = Page(render_html(Report("T", Text("L"), (Section("S", (Table(("a", "b"), ()),)),))))
    assert (page.faults, page.count("tr")) == ([], 1)


@pytest.mark.parametrize("columns", [2, 6])
def test_intervals_go_under_values_in_wide_tables_only(columns: int) -> None:
    row = tuple(Estimate(0.5, 0.4, 0.6, 9) for _ in range(columns))
    table = Table(tuple("abcdef"[:columns]), (row,))
    page = render_html(Report("T", Text("L"), (Section("S", (table,)),)))
    assert ('<table class="stacked">' in page) == (columns == 6)


def test_the_same_report_gives_the_same_bytes() -> None:
    assert render_html(sample(HOSTILE)) == render_html(sample(HOSTILE))


def test_a_drawing_keeps_its_shapes_and_gets_its_own_ids() -> None:
    inner = '<defs><clipPath id="c"><rect x="0"/></clipPath></defs><g clip-path="url(#c)"/>'
    assert drawing(SVG.format(inner), "f1-") == (
        '<svg viewBox="0 0 1 1" aria-hidden="true"><defs><clipPath id="f1-c"><rect x="0" />'
        '</clipPath></defs><g clip-path="url(#f1-c)" /></svg>'
    )


@pytest.mark.parametrize(
    ("svg", "message"),
    [
        (SVG.format("<script>x</script>"), "<script>"),
        (SVG.format("<style>*{}</style>"), "<style>"),
        (SVG.format("<foreignObject/>"), "<foreignObject>"),
        (SVG.format("<img src='x.png'/>"), "<img>"),
        (SVG.format("<feImage href='#a'/>"), "<feImage>"),
        (SVG.format("<a href='#a'/>"), "<a>"),
        (SVG.format('<g onload="x"/>'), "onload"),
        (SVG.format('<use href="https://example.org/#a"/>'), "a reference to"),
        (SVG.format('<g style="fill: url(https://example.org)"/>'), "style="),
        (SVG.format('<g style="fill: u\\72l(x)"/>'), "style="),
        (SVG.format("<!-- x -->"), "comment"),
        ("<!DOCTYPE svg><svg/>", "document type"),
        ("<g/>", "<g> as its root"),
        ("<svg><g></svg>", "not well formed"),
        ("plain text", "not well formed"),
    ],
)
def test_a_drawing_refuses_all_but_a_drawing(svg: str, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        drawing(svg, "f1-")


# === Pictures ===


def test_a_picture_keeps_its_own_pixels_and_gets_its_own_id() -> None:
    link = 'xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href'
    assert drawing(SVG.format(f'<image {link}="{PNG}" id="i" x="1"/>'), "f1-") == (
        f'<svg viewBox="0 0 1 1" aria-hidden="true"><image href="{PNG}" id="f1-i" x="1" /></svg>'
    )


def test_a_picture_may_be_broken_into_lines() -> None:
    broken = PNG.replace("Rw0K", "Rw0K\n")
    assert "iVBORw0K" in drawing(SVG.format(f'<image href="{broken}"/>'), "f1-")


@pytest.mark.parametrize(
    "reference",
    [
        "x.png",
        "/x.png",
        "//example.org/x.png",
        "http://example.org/x.png",
        "https://example.org/x.png",
        "file:///etc/passwd",
        "ftp://example.org/x.png",
        "blob:https://example.org/1",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:alert(1)",
        "java&#10;script:alert(1)",
        "vbscript:x",
        "",
        "#a",
        "#",
        "data:,x",
        "data:text/html,x",
        "data:text/html;base64,PHNjcmlwdD4=",
        "data:image/svg+xml,x",
        "data:image/svg+xml;base64,PHN2Zy8+",
        "data:image/jpeg;base64,iVBORw0KGgo=",
        "data:image/png,x",
        "data:image/png;base64,",
        "data:image/png;charset=utf-8;base64,iVBORw0KGgo=",
        "data:image/png;base64;x,iVBORw0KGgo=",
        "DATA:image/png;base64,iVBORw0KGgo=",
        f" {PNG}",
        f"{PNG}#a",
        f"{PNG}&lt;svg",
        f"{PNG}, https://example.org/x.png 2x",
        f"{PNG}&quot; onload=&quot;x",
        "data:image/png;base64,data:text/html;base64,PHNjcmlwdD4=",
        "data:image/png;base64,../../x.png%00",
        f"https://example.org/{PNG}",
        f"javascript:{PNG}",
    ],
)
@pytest.mark.parametrize("attribute", ["href", "x:href"])
def test_a_picture_from_elsewhere_or_of_another_kind_is_refused(reference: str, attribute: str) -> None:
    image = f'<image xmlns:x="http://www.w3.org/1999/xlink" {attribute}="{reference}"/>'
    with pytest.raises(ContractError, match="a reference to"):
        drawing(SVG.format(image), "f1-")


@pytest.mark.parametrize("tag", ["svg", "g", "defs", "clipPath", "path", "rect", "text", "use", "IMAGE", "Image"])
def test_nothing_but_an_image_holds_pixels(tag: str) -> None:
    with pytest.raises(ContractError, match="a reference to|<IMAGE>|<Image>"):
        drawing(SVG.format(f'<{tag} href="{PNG}"/>'), "f1-")


@pytest.mark.parametrize(
    "attribute",
    [
        'onload="x"',
        'onerror="x"',
        'ONLOAD="x"',
        'onclick="x"',
        'src="x.png"',
        'srcset="x.png"',
        'crossorigin="anonymous"',
        'xml:base="https://example.org"',
        'class="x"',
        'x:onload="x"',
    ],
)
def test_a_picture_brings_no_attribute_of_its_own(attribute: str) -> None:
    with pytest.raises(ContractError, match="the attribute"):
        drawing(SVG.format(f'<image xmlns:x="http://example.org" href="{PNG}" {attribute}/>'), "f1-")


@pytest.mark.parametrize("inner", ["<script>x</script>", '<animate attributeName="href" to="x"/>', "<set/>"])
def test_a_picture_holds_no_element_that_changes_it(inner: str) -> None:
    with pytest.raises(ContractError, match="<script>|<animate>|<set>"):
        drawing(SVG.format(f'<image href="{PNG}">{inner}</image>'), "f1-")


@pytest.mark.parametrize("first", ["href", "x:href"])
def test_of_two_references_none_slips_through(first: str) -> None:
    second = {"href": "x:href", "x:href": "href"}[first]
    image = f'<image xmlns:x="http://www.w3.org/1999/xlink" {first}="{PNG}" {second}="https://example.org/x.png"/>'
    with pytest.raises(ContractError, match="a reference to"):
        drawing(SVG.format(image), "f1-")
    turned = f'<image xmlns:x="http://www.w3.org/1999/xlink" {second}="https://example.org/x.png" {first}="{PNG}"/>'
    assert "example.org" not in drawing(SVG.format(turned), "f1-")


def test_an_image_as_the_root_is_refused() -> None:
    with pytest.raises(ContractError, match="<image> as its root"):
        drawing(f'<image href="{PNG}"/>', "f1-")
