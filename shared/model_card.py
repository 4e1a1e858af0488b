"""The model card in Markdown: what a model is for, how well it works, where it must not be used.

Source: Mitchell et al. 2019, Model Cards for Model Reporting, FAT* '19. Its sections are kept; the
rivals, the gate and the self-test are added, because they are this kit's evidence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .report import Cell, Unit, format_value, printable, read_estimate, to_json
from .sources import Source

NOT_STATED = "Not stated."
# What Markdown or HTML would act on. An underscore acts at the edge of a word only.
_SPECIAL = re.compile(r"[\\`*\[\]|~!#{}$]|(?<!\w)_|_(?!\w)")
_LINE_START = re.compile(r"^(?=[-+](?:\s|$)|[-=]+$)|^(\d+)(?=[.)](?:\s|$))")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def render_model_card(facts: Mapping[str, Any], *, source: Source | None, card: Mapping[str, Any]) -> str:
    """Return the model card as Markdown.

    Args:
        facts: content of report.json; what it does not hold is left out or named as not stated.
        source: the data's passport, or None for a user's own data.
        card: the device file's card as JSON: summary, inputs, outputs, labels, decision, recipe,
            versions, licence, intended_use, limits.

    Raises:
        ContractError: a fact is of a type that JSON does not know.
    """
    known, stated = to_json(facts), to_json(card, "card")
    domain = str(known.get("domain") or stated.get("domain") or "model")
    parts = (
        f"# Model card: {escape(domain)}",
        _sentence(stated.get("summary")),
        _section("Model details", _details(known, stated), _tensors(stated)),
        _section("Intended use", _sentence(stated.get("intended_use"))),
        _section("Data", _data(known, source)),
        _section("Metrics", _protocol(known), _metrics(known)),
        _section("Rivals", _rivals(known)),
        _section("Decision threshold", _decision(stated)),
        _section("Device file", _gate(known)),
        _section("Limits", _limits(stated, source)),
        _section("How to verify", _verify(known, domain)),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: Any) -> str:
    """Return ``text`` as one line of Markdown that shows exactly it, in prose or a table cell."""
    line = re.sub(r"[ \n]+", " ", printable(str(text))).strip(" ")
    line = _SPECIAL.sub(lambda found: "\\" + found[0], line)
    line = "".join(_ENTITIES.get(sign, sign) for sign in line)
    return _LINE_START.sub(lambda found: f"{found[1] or ''}\\", line)


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], units: Sequence[Unit] = ()) -> str:
    """Return a Markdown table; every cell is formatted as in the report and escaped."""
    units = units or [""] * len(columns)
    lines = [[escape(column) for column in columns], ["---"] * len(columns)]
    for row in rows:
        cells = zip(row, units, strict=True)
        # A formatted number is safe; escaping its brackets would only make the source hard to read.
        lines.append([escape(c) if isinstance(c, str) else format_value(c, unit) for c, unit in cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _section(title: str, *blocks: str) -> str:
    body = [block for block in blocks if block]
    return "\n\n".join([f"## {title}", *(body or [NOT_STATED])])


def _sentence(value: Any) -> str:
    """Return prose; blank lines and lists stay, everything inside them is escaped."""
    paragraphs = []
    for part in re.split(r"\n\s*\n", str(value or "")):
        lines = [line.strip() for line in part.strip().split("\n") if line.strip()]
        if lines and all(line.startswith("- ") for line in lines):
            paragraphs.append("\n".join(f"- {escape(line[2:])}" for line in lines))
        elif lines:
            paragraphs.append(escape(" ".join(lines)))
    return "\n\n".join(paragraphs)


def _details(facts: Mapping[str, Any], card: Mapping[str, Any]) -> str:
    versions = card.get("versions") or {}
    size = (facts.get("export") or {}).get("bytes")
    rows: list[tuple[str, Cell]] = [
        ("Recipe", card.get("recipe") or (facts.get("export") or {}).get("chosen")),
        ("File size", format_value(size, "bytes")),
        ("Licence", card.get("licence") or NOT_STATED),
        ("Labels", ", ".join(map(str, card.get("labels") or ())) or "none"),
        ("Made with", ", ".join(f"{name} {number}" for name, number in versions.items())),
        ("Seed", facts.get("seed")),
    ]
    return markdown_table(("Detail", "Value"), rows)


def _tensors(card: Mapping[str, Any]) -> str:
    rows = [
        (
            side,
            tensor.get("name"),
            _type(tensor),
            tensor.get("unit") or "none",
            tensor.get("meaning"),
            tensor.get("missing") or "not allowed" if side == "input" else None,
        )
        for side in ("input", "output")
        for tensor in card.get(f"{side}s") or ()
    ]
    columns = ("Side", "Name", "Type", "Unit", "Meaning", "Missing values")
    return markdown_table(columns, rows) if rows else ""


def _type(tensor: Mapping[str, Any]) -> str:
    sizes = ", ".join(str(size) for size in tensor.get("shape") or ())
    return f"{tensor.get('dtype')} ({sizes})"


def _data(facts: Mapping[str, Any], source: Source | None) -> str:
    data, split = facts.get("data") or {}, facts.get("split") or {}
    rows: list[tuple[str, Cell]] = list(source.as_rows()) if source else []
    if not source:
        rows.append(("Data set", data.get("source")))
    rows += [("Rows", data.get("rows")), ("Fingerprint", data.get("fingerprint"))]
    rows += [(f"Rows, {part}", split.get(part)) for part in ("train", "validation", "test")]
    return markdown_table(("Data", "Value"), [row for row in rows if row[1] is not None])


def _protocol(facts: Mapping[str, Any]) -> str:
    rule = (facts.get("split") or {}).get("rule")
    metric = facts.get("primary_metric")
    direction = "higher" if facts.get("higher_is_better", True) else "lower"
    reading = (
        "All figures are measured on test, which is read once, after every choice. "
        "Brackets hold bootstrap intervals; n counts independent units."
    )
    parts = [
        f"Split: {escape(rule)}." if rule else "",
        f"The primary metric is {escape(metric)}; {direction} is better." if metric else "",
        reading,
    ]
    return " ".join(part for part in parts if part)


def _metrics(facts: Mapping[str, Any]) -> str:
    metrics = facts.get("metrics") or {}
    keras, device = (metrics.get(name) or {} for name in ("keras", "tflite"))
    names = list(dict.fromkeys([*device, *keras]))
    rows = [
        (
            name,
            read_estimate(device.get(name)),
            read_estimate(keras.get(name)),
            getattr(read_estimate(device.get(name)), "n", None) or None,
        )
        for name in names
    ]
    return markdown_table(("Metric", "Device file", "Keras", "n"), rows) if rows else ""


def _rivals(facts: Mapping[str, Any]) -> str:
    rivals = (facts.get("metrics") or {}).get("rivals") or {}
    if not rivals:
        return ""
    names = list(dict.fromkeys(name for figures in rivals.values() for name in figures))
    rows = [(rival, *(read_estimate(figures.get(name)) for name in names)) for rival, figures in rivals.items()]
    return "\n\n".join([_verdict(facts), markdown_table(("Rival", *names), rows)]).strip()


def _verdict(facts: Mapping[str, Any]) -> str:
    verdict = facts.get("verdict") or {}
    if "earns_its_place" not in verdict:
        return ""
    earns = "earns" if verdict["earns_its_place"] else "does not earn"
    difference = format_value(read_estimate(verdict.get("difference")), "change")
    return (
        f"The network **{earns}** its place: {difference} against the best rival, {escape(verdict.get('best_rival'))}."
    )


def _decision(card: Mapping[str, Any]) -> str:
    decision = card.get("decision")
    if not decision:
        return "The file gives no decision; its outputs are used as they are."
    threshold = decision.get("threshold")
    output = escape(decision.get("output"))
    rule = escape(decision.get("rule") or NOT_STATED)
    if threshold is None:
        return f"There is no threshold; the highest of {output} is taken. The rule: {rule}"
    # All digits: a device compares with exactly this number.
    return f"A value of {output} at or above {threshold!r} is a yes. How it was chosen: {rule}"


def _gate(facts: Mapping[str, Any]) -> str:
    export = facts.get("export") or {}
    rungs = export.get("rungs") or ()
    if not rungs:
        return ""
    chosen = export.get("chosen")
    lead = f"{escape(chosen)} ships." if chosen else "No rung is inside the budget; nothing ships."
    limits = {name: limit for name, limit in (export.get("budget") or {}).items() if limit is not None}
    budget = ", ".join(f"{escape(name)} {escape(limit)}" for name, limit in limits.items())
    rows = [
        (
            rung.get("recipe"),
            rung.get("bytes"),
            read_estimate(rung.get("drop")),
            (rung.get("latency_ms") or {}).get("median"),
            rung.get("accepted"),
            rung.get("reason"),
        )
        for rung in rungs
    ]
    columns = ("Recipe", "Size", "Drop", "Median latency", "Verdict", "Reason")
    table = markdown_table(columns, rows, ("", "bytes", "change", "ms", "verdict", ""))
    return "\n\n".join([f"{lead} Budget: {budget}." if budget else lead, table])


def _limits(card: Mapping[str, Any], source: Source | None) -> str:
    caveats = f"The data: {escape(source.caveats)}" if source else ""
    listed = "\n".join(f"- {escape(limit)}" for limit in card.get("limits") or ())
    return "\n\n".join(part for part in (listed, caveats) if part)


def _verify(facts: Mapping[str, Any], domain: str) -> str:
    name = re.sub(r"\W+", "_", domain)
    parity = facts.get("parity") or {}
    lines = [
        "The file holds recorded inputs and outputs. Replay them on the machine that will run it:",
        f"```\nedgekit verify {name}.tflite\n```",
    ]
    if parity.get("decision_flips") is not None:
        lines.append(
            f"When it was made, {format_value(parity['decision_flips'])} of "
            f"{format_value(parity.get('n'))} decisions differed from Keras; the largest deviation "
            f"of an output was {format_value(parity.get('max_abs_error'))}."
        )
    return "\n\n".join(lines)
