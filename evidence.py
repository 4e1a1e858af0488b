"""From the results of a run to its evidence: the report's facts and sections, and the files of the run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .shared import plots
from .shared.audit import Finding
from .shared.decisions import Threshold
from .shared.domain import Arrays, Domain, Prepared
from .shared.estimates import Estimate
from .shared.files import write_json, write_text
from .shared.model_card import render_model_card
from .shared.report import Block, Cell, Figure, Report, Section, Table, Text, as_json, format_value
from .shared.report_html import render_html
from .shared.run_folder import RunFolder
from .shared.sources import Source
from .shared.splits import Splits
from .shared.training import Fitted
from .tflite_export.card import Card
from .tflite_export.gate import Budget, Rung
from .tflite_export.golden import Verification
from .tflite_export.parity import Parity

Figures = dict[str, Estimate]
NETWORKS = ("keras", "tflite")


@dataclass(frozen=True)
class Verdict:
    """The network against the best rival; ``difference`` above zero speaks for the network."""

    best_rival: str
    difference: Estimate

    @property
    def earns_its_place(self) -> bool:
        """Whether the whole interval of the difference lies above zero."""
        return self.difference.low > 0

    def sentence(self, metric: str) -> str:
        """Return the verdict in words; a rival that wins is named first."""
        shown = format_value(self.difference, "change")
        if self.earns_its_place:
            return f"The network beats the best rival, {self.best_rival}, in {metric}: {shown}."
        if self.difference.high < 0:
            return (
                f"{self.best_rival} beats the network in {metric}: {shown} for the network. It does not earn its place."
            )
        return (
            f"The network and {self.best_rival} cannot be told apart in {metric}: {shown}. "
            "On these data the network has not shown that it earns its place."
        )


@dataclass(frozen=True)
class Evidence:
    """Everything a run found out, in the order of its stages."""

    domain: Domain
    config: Any
    seed: int
    synthetic: bool
    data: Any
    splits: Splits
    findings: tuple[Finding, ...]
    prepared: Prepared
    fitted: Fitted
    threshold: Threshold
    outputs: Mapping[str, Arrays]
    figures: Mapping[str, Figures]
    verdict: Verdict
    rungs: tuple[Rung, ...]
    chosen: Rung | None
    sizes: Mapping[str, int]
    verification: Verification | None
    card: Card
    parity: Parity | None
    seconds: Mapping[str, float]


def compose(evidence: Evidence) -> Report:
    """Return the report: facts for machines, sections for people, the verdict first."""
    lead = Text(f"{evidence.verdict.sentence(evidence.domain.primary_metric)} {_shipping(evidence)}", _tone(evidence))
    sections = (
        _metrics(evidence),
        _ladder(evidence),
        *_own_sections(evidence),
        _data(evidence),
        _training(evidence),
        _limits(evidence),
    )
    return Report(f"{evidence.domain.title}: report of a run", lead, sections, _facts(evidence))


def write(folder: RunFolder, report: Report, evidence: Evidence) -> None:
    """Write report.json, report.html and model_card.md."""
    write_json(folder.path("report.json"), as_json(report))
    write_text(folder.path("report.html"), render_html(report))
    card = asdict(evidence.card)
    write_text(folder.path("model_card.md"), render_model_card(report.facts, source=_passport(evidence), card=card))


def _passport(evidence: Evidence) -> Source | None:
    """Return the passport of the synthetic data; a user's own data have none."""
    return next((source for source in evidence.domain.sources if evidence.synthetic and source.synthetic), None)


def _tone(evidence: Evidence) -> Any:
    if evidence.chosen is None or evidence.verdict.difference.high < 0:
        return "bad"
    return "good" if evidence.verdict.earns_its_place else "warning"


def _shipping(evidence: Evidence) -> str:
    if evidence.chosen is None:
        return "No device file ships: no rung of the export ladder is inside the budget."
    size = format_value(evidence.sizes[f"{evidence.domain.name}.tflite"], "bytes")
    return f"The device file is {evidence.chosen.recipe}, {size}."


def _facts(evidence: Evidence) -> dict[str, Any]:
    domain, verdict = evidence.domain, evidence.verdict
    export = evidence.config.export
    budget = Budget(export.max_drop, export.max_bytes, export.max_latency_ms)
    networks = {name: evidence.figures[name] for name in NETWORKS if name in evidence.figures}
    rivals = {name: figures for name, figures in evidence.figures.items() if name not in NETWORKS}
    return {
        "format": 1,
        "domain": domain.name,
        "seed": evidence.seed,
        "data": {
            "rows": len(evidence.data),
            "source": evidence.data.source,
            "fingerprint": evidence.data.fingerprint,
        },
        "split": {
            "rule": evidence.splits.rule,
            **{name: len(rows) for name, rows in evidence.splits.parts().items()},
        },
        "primary_metric": domain.primary_metric,
        "higher_is_better": domain.higher_is_better,
        "metrics": {**networks, "rivals": rivals},
        "verdict": {
            "earns_its_place": verdict.earns_its_place,
            "best_rival": verdict.best_rival,
            "difference": verdict.difference,
        },
        "decision": evidence.threshold.as_json(),
        "export": {
            "chosen": evidence.chosen and evidence.chosen.recipe,
            "budget": budget.as_json(),
            "bytes": evidence.sizes.get(f"{domain.name}.tflite", 0),
            "float32_bytes": evidence.sizes.get("export/float32.tflite"),
            "rungs": [rung.as_json() for rung in evidence.rungs],
        },
        "parity": evidence.parity and evidence.parity.as_json(),
        "seconds": dict(evidence.seconds),
        "findings": list(evidence.findings),
        "config": evidence.config.model_dump(mode="json"),
    }


def _metrics(evidence: Evidence) -> Section:
    names = list(next(iter(evidence.figures.values())))
    shown = sorted(evidence.figures, key=lambda name: (name not in NETWORKS, name))
    rows = tuple((name, *(evidence.figures[name].get(metric) for metric in names)) for name in shown)
    table = Table(
        ("predictor", *names),
        rows,
        "On test, which was read once; brackets are 95 % bootstrap intervals.",
        shown.index("tflite" if "tflite" in shown else "keras"),
    )
    primary = evidence.domain.primary_metric
    values = {name: evidence.figures[name][primary] for name in shown}
    figure = Figure(
        plots.bars(values, xlabel=primary, highlight="tflite" if "tflite" in values else "keras"),
        f"{primary} on test, with intervals.",
        "; ".join(f"{name} {format_value(value)}" for name, value in values.items()),
    )
    return Section("The network and its rivals", (table, figure), note=f"Split: {evidence.splits.rule}.")


def _ladder(evidence: Evidence) -> Section:
    rows = tuple(_rung_row(rung) for rung in evidence.rungs)
    index = evidence.rungs.index(evidence.chosen) if evidence.chosen else None
    table = Table(
        ("recipe", "size", "drop on validation", "median", "p95", "verdict", "reason"),
        rows,
        "Every rung of the export ladder, measured on validation. The smallest accepted one ships.",
        index,
        ("", "bytes", "change", "ms", "ms", "verdict", ""),
    )
    blocks: list[Block] = [table]
    measured = {rung.recipe: (rung.bytes, rung.drop) for rung in evidence.rungs if rung.drop}
    if measured:
        svg = plots.ladder(
            measured,
            max_drop=evidence.config.export.max_drop,
            chosen=evidence.chosen.recipe if evidence.chosen else None,
        )
        blocks.append(Figure(svg, "Size of each rung, and what it loses against Keras.", "Bars of sizes and drops."))
    if evidence.verification and evidence.parity:
        check, parity = evidence.verification, evidence.parity
        blocks.append(
            Text(
                f"Replaying the {check.n} golden vectors of the shipped file: largest deviation "
                f"{check.max_abs_error:.2g} (allowed {check.tolerance:.2g}), {check.decision_flips} decision flips. "
                f"On test, {parity.decision_flips:,} of {parity.n:,} decisions differ from Keras; the largest "
                f"difference of an output is {parity.max_abs_error:.2g}.",
                "good" if check.passed else "bad",
            )
        )
    return Section("The gate", tuple(blocks), note="Sizes are before the card and the golden vectors are added.")


def _rung_row(rung: Rung) -> tuple[Cell, ...]:
    latency = rung.latency
    return (
        rung.recipe,
        rung.bytes or None,
        rung.drop,
        latency.median_ms if latency else None,
        latency.p95_ms if latency else None,
        rung.accepted,
        rung.reason,
    )


def _own_sections(evidence: Evidence) -> tuple[Section, ...]:
    outputs = (
        evidence.outputs if "tflite" in evidence.outputs else {**evidence.outputs, "tflite": evidence.outputs["keras"]}
    )
    return evidence.domain.illustrate(outputs, evidence.prepared.test, evidence.threshold, evidence.config)


def _data(evidence: Evidence) -> Section:
    data, splits = evidence.data, evidence.splits
    rows: tuple[tuple[Cell, ...], ...] = (
        ("source", data.source),
        ("rows", len(data)),
        ("fingerprint", data.fingerprint),
        *((f"rows in {name}", len(part)) for name, part in splits.parts().items()),
    )
    blocks: list[Block] = [Table(("data", ""), rows)]
    passport = _passport(evidence)
    if passport:
        blocks.append(Table(("", ""), tuple(passport.as_rows()), "Passport of the data."))
    notes = (*data.notes, *splits.notes, *evidence.prepared.notes)
    if notes:
        blocks.append(Text("\n".join(f"- {note}" for note in notes)))
    findings = tuple((finding.severity, finding.title, finding.detail) for finding in evidence.findings)
    if findings:
        blocks.append(Table(("audit", "finding", "detail"), findings, "What the audit found."))
    return Section("Data, split and audit", tuple(blocks), note=f"Split: {splits.rule}.")


def _training(evidence: Evidence) -> Section:
    history = {name: np.array(values) for name, values in evidence.fitted.history.items()}
    epochs = np.arange(1, len(history["loss"]) + 1)
    figures = tuple(
        Figure(
            plots.curve(epochs, {label: history[name]}, xlabel="epoch", ylabel=label, mark=evidence.fitted.best_epoch),
            f"{label.capitalize()} by epoch; the weights of epoch {evidence.fitted.best_epoch} were kept.",
            f"Curve of the {label} over {len(epochs)} epochs.",
        )
        for name, label in (("loss", "training loss"), ("score", "validation score"))
    )
    taken = tuple((name, seconds) for name, seconds in evidence.seconds.items())
    return Section("Training", (*figures, Table(("stage", "time"), taken, "Where the time went.", None, ("", "s"))))


def _limits(evidence: Evidence) -> Section:
    listed = "\n".join(f"- {limit}" for limit in evidence.card.limits)
    return Section("Use and limits", (Text(evidence.card.intended_use), Text(listed)))
