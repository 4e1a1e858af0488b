"""From the results of a run to its evidence: the report's facts and sections, and the files of the run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from .shared import plots
from .shared.audit import Finding
from .shared.decisions import Threshold
from .shared.domain import Arrays, Domain, Predictor, Prepared
from .shared.estimates import Estimate, Statistic
from .shared.files import write_json, write_text
from .shared.model_card import render_model_card
from .shared.report import Block, Cell, Figure, Report, Section, Table, Text, Tone, as_json, format_value
from .shared.report_html import render_html
from .shared.run_folder import RunFolder
from .shared.sources import Source
from .shared.splits import Splits
from .shared.training import Fitted
from .tflite_export.card import Card, Decision
from .tflite_export.gate import Budget, Rung
from .tflite_export.golden import Verification
from .tflite_export.parity import Parity

Figures = dict[str, Estimate]
NETWORKS = ("keras", "tflite")
MOST_COLUMNS = 6


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
class Material:
    """What a run works on: data, their split, what the audit found in them, and the model inputs."""

    data: Any
    splits: Splits
    findings: tuple[Finding, ...]
    prepared: Prepared


@dataclass(frozen=True)
class Learnt:
    """What was fitted and chosen on validation: the network, its threshold, and all predictors by name."""

    fitted: Fitted
    answers: Arrays
    threshold: Threshold
    decision: Decision | None
    predictors: Mapping[str, Predictor]


@dataclass(frozen=True)
class Export:
    """The rungs of the ladder and the one that ships, if one does."""

    rungs: tuple[Rung, ...]
    chosen: Rung | None


@dataclass(frozen=True)
class Measured:
    """What the test split said of every predictor, the device file among them, and the verdict on the network.

    ``statistics`` are what the figures were drawn from, for those who join several runs.
    """

    predictors: Mapping[str, Predictor]
    thresholds: Mapping[str, Threshold]
    outputs: Mapping[str, Arrays]
    figures: Mapping[str, Figures]
    verdict: Verdict
    parity: Parity | None
    statistics: Mapping[str, Mapping[str, Statistic]] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """Everything a run found out, stage by stage.

    Attributes:
        domain, config, seed: what was run, and how.
        synthetic: whether the data are the domain's own synthesis.
        sizes: bytes of every device file by its place in the folder.
        verification: the replayed golden vectors of the shipped file.
        card: what the shipped file says about itself.
        seconds: time by stage.
    """

    domain: Domain
    config: Any
    seed: int
    synthetic: bool
    material: Material
    learnt: Learnt
    export: Export
    measured: Measured
    sizes: Mapping[str, int]
    verification: Verification | None
    card: Card
    seconds: Mapping[str, float]


def compose(evidence: Evidence) -> Report:
    """Return the report: facts for machines, sections for people, the verdict first."""
    lead = Text(" ".join(_lead(evidence)), _tone(evidence))
    sections = (
        _metrics(evidence),
        _ladder(evidence),
        *_own_sections(evidence),
        _data(evidence),
        _training(evidence),
        *_other_metrics(evidence),
        _limits(evidence),
    )
    return Report(f"{evidence.domain.title}: report of a run", lead, sections, _facts(evidence))


def summary(report: Report) -> Report:
    """Return what ends a run in the terminal: the verdict, the predictors, the gate's ladder, what a domain adds."""
    return replace(report, sections=tuple(section for section in report.sections if section.brief))


def write(folder: RunFolder, report: Report, evidence: Evidence) -> None:
    """Write report.json, report.html and model_card.md."""
    write_json(folder.path("report.json"), as_json(report))
    write_text(folder.path("report.html"), render_html(report))
    chosen = evidence.export.chosen
    card = asdict(replace(evidence.card, recipe=chosen.recipe if chosen else "none"))
    write_text(folder.path("model_card.md"), render_model_card(report.facts, source=_passport(evidence), card=card))


def _passport(evidence: Evidence) -> Source | None:
    """Return the passport of the synthetic data; a user's own data have none."""
    return next((source for source in evidence.domain.sources if evidence.synthetic and source.synthetic), None)


def _lead(evidence: Evidence) -> tuple[str, ...]:
    """Return the verdict: what cannot be trusted first, then the network against its rivals, then what ships."""
    broken = tuple(f"The figures cannot be trusted. {finding.title}. {finding.detail}" for finding in _errors(evidence))
    synthetic = ("On synthetic data:",) if evidence.synthetic else ()
    verdict = evidence.measured.verdict.sentence(evidence.domain.primary_metric)
    return (*broken, *synthetic, verdict, _shipping(evidence))


def _errors(evidence: Evidence) -> tuple[Finding, ...]:
    return tuple(finding for finding in evidence.material.findings if finding.severity == "error")


def _tone(evidence: Evidence) -> Tone:
    if evidence.export.chosen is None or evidence.measured.verdict.difference.high < 0 or _errors(evidence):
        return "bad"
    return "good" if evidence.measured.verdict.earns_its_place else "warning"


def _shipping(evidence: Evidence) -> str:
    if evidence.export.chosen is None:
        return "No device file ships: no rung of the export ladder is inside the budget."
    size = format_value(evidence.sizes[f"{evidence.domain.name}.tflite"], "bytes")
    return f"The device file is {evidence.export.chosen.recipe}, {size}."


def _facts(evidence: Evidence) -> dict[str, Any]:
    domain, verdict = evidence.domain, evidence.measured.verdict
    export = evidence.config.export
    budget = Budget(export.max_drop, export.max_bytes, export.max_latency_ms)
    networks = {name: evidence.measured.figures[name] for name in NETWORKS if name in evidence.measured.figures}
    rivals = {name: figures for name, figures in evidence.measured.figures.items() if name not in NETWORKS}
    return {
        "format": 1,
        "domain": domain.name,
        "seed": evidence.seed,
        "data": {
            "rows": len(evidence.material.data),
            "source": evidence.material.data.source,
            "fingerprint": evidence.material.data.fingerprint,
        },
        "split": {
            "rule": evidence.material.splits.rule,
            **{name: len(rows) for name, rows in evidence.material.splits.parts().items()},
        },
        "primary_metric": domain.primary_metric,
        "higher_is_better": domain.higher_is_better,
        "metrics": {**networks, "rivals": rivals},
        "verdict": {
            "earns_its_place": verdict.earns_its_place,
            "best_rival": verdict.best_rival,
            "difference": verdict.difference,
        },
        "decision": evidence.learnt.threshold.as_json(),
        "export": {
            "chosen": evidence.export.chosen and evidence.export.chosen.recipe,
            "budget": budget.as_json(),
            "bytes": evidence.sizes.get(f"{domain.name}.tflite", 0),
            "float32_bytes": evidence.sizes.get("export/float32.tflite"),
            "rungs": [rung.as_json() for rung in evidence.export.rungs],
        },
        "parity": evidence.measured.parity and evidence.measured.parity.as_json(),
        "training": {
            "best_epoch": evidence.learnt.fitted.best_epoch,
            "notes": list(evidence.learnt.fitted.notes),
            "chosen": {section: dict(values) for section, values in evidence.learnt.fitted.chosen.items()},
        },
        "seconds": dict(evidence.seconds),
        "findings": list(evidence.material.findings),
        "config": evidence.config.model_dump(mode="json"),
    }


def _metrics(evidence: Evidence) -> Section:
    known = list(next(iter(evidence.measured.figures.values())))
    names = [name for name in evidence.domain.headline if name in known] or known
    shown = _in_order(evidence)
    table = _figures_table(evidence.measured.figures, shown, names)
    primary = evidence.domain.primary_metric
    every = evidence.measured.figures
    values = {name: every[name][primary] for name in shown if primary in every[name]}
    figure = Figure(
        plots.bars(values, xlabel=primary, highlight="tflite" if "tflite" in values else "keras"),
        f"{primary} on test, with intervals.",
        "; ".join(f"{name} {format_value(value)}" for name, value in values.items()),
    )
    note = f"Split: {evidence.material.splits.rule}."
    return Section("The network and its rivals", (table, figure), note, brief=True)


def _in_order(evidence: Evidence) -> list[str]:
    """Return the predictors, networks first."""
    return sorted(evidence.measured.figures, key=lambda name: (name not in NETWORKS, name))


def _other_metrics(evidence: Evidence) -> tuple[Section, ...]:
    """Return what does not stand at the head of the report."""
    names = [name for name in next(iter(evidence.measured.figures.values())) if name not in evidence.domain.headline]
    if not evidence.domain.headline or not names:
        return ()
    return (Section("All other metrics", (_figures_table(evidence.measured.figures, _in_order(evidence), names),)),)


def _figures_table(figures: Mapping[str, Figures], shown: Sequence[str], names: Sequence[str]) -> Table:
    """Set the predictors under each other, or side by side where there are more metrics than a page is wide."""
    caption = "On test, which was read once; brackets are 95 % bootstrap intervals."
    if len(names) > MOST_COLUMNS:
        across = tuple((metric, *(figures[name].get(metric) for name in shown)) for metric in names)
        return Table(("metric", *shown), across, caption)
    rows = tuple((name, *(figures[name].get(metric) for metric in names)) for name in shown)
    return Table(("predictor", *names), rows, caption, shown.index("tflite" if "tflite" in shown else "keras"))


def _ladder(evidence: Evidence) -> Section:
    rows = tuple(_rung_row(rung) for rung in evidence.export.rungs)
    index = evidence.export.rungs.index(evidence.export.chosen) if evidence.export.chosen else None
    table = Table(
        ("recipe", "size", "drop on validation", "median", "p95", "verdict", "reason"),
        rows,
        "Every rung of the export ladder, measured on validation. The smallest accepted one ships.",
        index,
        ("", "bytes", "change", "ms", "ms", "verdict", ""),
    )
    blocks: list[Block] = [table]
    measured = {rung.recipe: (rung.bytes, rung.drop) for rung in evidence.export.rungs if rung.drop}
    if measured:
        svg = plots.ladder(
            measured,
            max_drop=evidence.config.export.max_drop,
            chosen=evidence.export.chosen.recipe if evidence.export.chosen else None,
        )
        blocks.append(Figure(svg, "Size of each rung, and what it loses against Keras.", "Bars of sizes and drops."))
    if evidence.verification and evidence.measured.parity:
        check, parity = evidence.verification, evidence.measured.parity
        blocks.append(
            Text(
                f"Replaying the {check.n} golden vectors of the shipped file: largest deviation "
                f"{check.max_abs_error:.2g} (allowed {check.tolerance:.2g}), {check.decision_flips} decision flips. "
                f"On test, {parity.decision_flips:,} of {parity.n:,} decisions differ from Keras; the largest "
                f"difference of an output is {parity.max_abs_error:.2g}.",
                "good" if check.passed else "bad",
            )
        )
    note = "Sizes are before the card and the golden vectors are added."
    return Section("The gate", tuple(blocks), note, brief=True)


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
    """Return the domain's sections; the predictor that ships, else the Keras model, comes first."""
    outputs = evidence.measured.outputs
    featured = "tflite" if "tflite" in outputs else "keras"
    ordered = {featured: outputs[featured], **outputs}
    return evidence.domain.illustrate(
        ordered,
        evidence.material.prepared,
        evidence.learnt.threshold,
        evidence.config,
        predict=evidence.measured.predictors[featured],
    )


def _data(evidence: Evidence) -> Section:
    data, splits = evidence.material.data, evidence.material.splits
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
    notes = (*data.notes, *splits.notes, *evidence.material.prepared.notes)
    if notes:
        blocks.append(Text("\n".join(f"- {note}" for note in notes)))
    findings = tuple((finding.severity, finding.title, finding.detail) for finding in evidence.material.findings)
    if findings:
        blocks.append(Table(("audit", "finding", "detail"), findings, "What the audit found."))
    return Section("Data, split and audit", tuple(blocks), note=f"Split: {splits.rule}.")


def _training(evidence: Evidence) -> Section:
    history = {name: np.array(values) for name, values in evidence.learnt.fitted.history.items()}
    epochs = np.arange(1, len(history["loss"]) + 1)
    figures = tuple(
        Figure(
            plots.curve(
                epochs, {label: history[name]}, xlabel="epoch", ylabel=label, mark=evidence.learnt.fitted.best_epoch
            ),
            f"{label.capitalize()} by epoch; the weights of epoch {evidence.learnt.fitted.best_epoch} were kept.",
            f"Curve of the {label} over {len(epochs)} epochs.",
        )
        for name, label in (("loss", "training loss"), ("score", "validation score"))
    )
    taken = tuple((name, seconds) for name, seconds in evidence.seconds.items())
    notes = tuple(Text(note) for note in evidence.learnt.fitted.notes)
    return Section(
        "Training", (*notes, *figures, Table(("stage", "time"), taken, "Where the time went.", None, ("", "s")))
    )


def _limits(evidence: Evidence) -> Section:
    listed = "\n".join(f"- {limit}" for limit in evidence.card.limits)
    return Section("Use and limits", (Text(evidence.card.intended_use), Text(listed)))
