"""The story of a run, stage by stage: own data in, a verified device file with its evidence out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from .evidence import Evidence, Export, Figures, Learnt, Material, Measured, Verdict, compose, summary, write
from .shared.config import override
from .shared.domain import Arrays, Domain, Predictor, Prepared, Progress, Request
from .shared.estimates import Statistic, bootstrap, paired_difference
from .shared.files import write_bytes
from .shared.report import Report
from .shared.run_folder import RunFolder
from .shared.training import predictor
from .shared.versions import versions
from .tflite_export.assemble import assemble
from .tflite_export.card import Card, Decision
from .tflite_export.engine import Engine
from .tflite_export.gate import Budget, Rung, smallest_accepted
from .tflite_export.golden import Verification
from .tflite_export.ladder import Guard, Validation, climb
from .tflite_export.parity import compare_outputs
from .tflite_export.runtime import verify

KERAS, DEVICE = "keras", "tflite"


@dataclass(frozen=True)
class Outcome:
    """What a run leaves behind: the folder of evidence, the report's summary, and the rung that ships, if one does."""

    folder: Path
    summary: Report
    chosen: str | None


def run(
    domain: Domain, config: Any, request: Request, *, folder: RunFolder, seed: int = 0, report: Progress
) -> Outcome:
    """Take a domain from data to a device file.

    Args:
        domain: what to solve.
        config: its settings.
        request: the user's data, or none for synthetic data.
        folder: where the evidence is built; it gets its final name when everything in it is whole.
        seed: of data, split, training and bootstrap.
        report: receives a line for each step.

    Raises:
        EdgekitError: anything the user can cause; a note names the stage it happened in.
    """
    clock = Clock(report)
    material = gather(domain, config, request, clock, seed=seed)
    learnt = learn(domain, config, material.prepared, clock, seed=seed, log=folder.path("training.csv"))
    export = export_ladder(domain, config, material.prepared, learnt, clock, seed=seed)
    with clock.stage("evaluate"):
        measured = measure(domain, config, material.prepared, learnt, export, seed=seed)
    with clock.stage("verify"):
        card = card_of(domain, config, material, learnt, measured.figures)
        contents = device_files(export, card, domain.golden(material.prepared, learnt.answers), config)
        verification = _write_files(folder, domain, contents, export)
        learnt.fitted.model.save(folder.path("model.keras"))
    with clock.stage("report"):
        sizes = {name: len(content) for name, content in contents.items()}
        evidence = Evidence(
            domain, config, seed, request.path is None, material, learnt, export, measured, sizes, verification, card,
            clock.seconds(),
        )  # fmt: skip
        composed = compose(evidence)
        write(folder, composed, evidence)
    facts = {"command": request.command, "seed": seed, "data": _data_facts(material.data), "versions": versions()}
    return Outcome(folder.finish(facts), summary(composed), export.chosen.recipe if export.chosen else None)


def gather(domain: Domain, config: Any, request: Request, clock: Clock, *, seed: int) -> Material:
    """Load or synthesize data, split and audit them, and make the model inputs."""
    with clock.stage("load"):
        data = domain.load(request, config, report=clock.say) if request.path else domain.synthesize(config, seed=seed)
        clock.say(f"{len(data):,} rows from {data.source}", *data.notes)
    with clock.stage("split"):
        splits = domain.split(data, config, seed=seed)
        clock.say(splits.rule, *splits.notes)
    with clock.stage("audit"):
        findings = tuple(domain.audit(data, splits, config))
        clock.say(*(f"{finding.severity}: {finding.title}. {finding.detail}" for finding in findings))
    with clock.stage("features"):
        prepared = domain.prepare(data, splits, config)
        clock.say(*prepared.notes)
    return Material(data, splits, findings, prepared)


def learn(
    domain: Domain, config: Any, prepared: Prepared, clock: Clock, *, seed: int, log: Path | None = None
) -> Learnt:
    """Fit the network, choose its threshold on validation, and fit the rivals; ``log`` is a CSV of the epochs."""
    with clock.stage("fit"):
        fitted = domain.fit(prepared, config, seed=seed, report=clock.say, log=log)
    with clock.stage("decide"):
        network = predictor(_measured_part(fitted.model, domain))
        answers = network(prepared.validation.inputs)
        threshold = domain.decide(answers, prepared.validation, config)
        clock.say(threshold.rule)
    with clock.stage("rivals"):
        rivals = domain.rivals(prepared, override(config, fitted.chosen), seed=seed, report=clock.say)
    rule = threshold.rule if threshold.value is None else f"{threshold.rule}; chosen on validation"
    decision = Decision(domain.score_output, threshold.value, rule) if domain.score_output else None
    return Learnt(fitted, answers, threshold, decision, {KERAS: network, **rivals})


def _measured_part(model: keras.Model, domain: Domain) -> keras.Model:
    """Return the network without the outputs that are too large to be kept for every example."""
    kept = {name: output for name, output in model.output.items() if name not in domain.unmeasured}
    return model if len(kept) == len(model.output) else keras.Model(model.input, kept)


def export_ladder(
    domain: Domain, config: Any, prepared: Prepared, learnt: Learnt, clock: Clock, *, seed: int
) -> Export:
    """Climb the export ladder on validation and choose the smallest rung inside the budget."""
    with clock.stage("export"):
        rungs = climb(
            learnt.fitted.model,
            _validation(domain, config, prepared, learnt, seed),
            recipes=config.export.recipes,
            budget=Budget(config.export.max_drop, config.export.max_bytes, config.export.max_latency_ms),
            views=domain.views,
            progress=clock.say,
        )
    with clock.stage("gate"):
        chosen = smallest_accepted(rungs)
        clock.say(f"{chosen.recipe} ships" if chosen else "no rung is inside the budget: nothing ships")
    return Export(rungs, chosen)


def measure(domain: Domain, config: Any, prepared: Prepared, learnt: Learnt, export: Export, *, seed: int) -> Measured:
    """Read the test split: every predictor's answers, figures and verdict, once all choices are made."""
    predictors, test = dict(learnt.predictors), prepared.test
    thresholds = {
        name: learnt.threshold
        if name == KERAS
        else domain.decide(predict(prepared.validation.inputs), prepared.validation, config)
        for name, predict in predictors.items()
    }
    if export.chosen and export.chosen.content:
        predictors[DEVICE] = _every_signature(Engine(export.chosen.server_content or export.chosen.content), domain)
        thresholds[DEVICE] = learnt.threshold  # it ships with the one that its card names
    outputs = {name: predict(test.inputs) for name, predict in predictors.items()}
    statistics = {
        name: domain.evaluate(output, test, config, threshold=thresholds[name]) for name, output in outputs.items()
    }
    if domain.beyond:
        for name, further in domain.beyond(outputs, prepared, config, seed=seed).items():
            statistics[name].update(further)
    figures = {
        name: {metric: bootstrap(statistic, seed=seed) for metric, statistic in metrics.items()}
        for name, metrics in statistics.items()
    }
    primary = {
        name: metrics[domain.primary_metric] for name, metrics in statistics.items() if domain.primary_metric in metrics
    }
    verdict = judge(primary, higher_is_better=domain.higher_is_better, seed=seed)
    parity = compare_outputs(outputs[KERAS], outputs[DEVICE], decision=learnt.decision) if DEVICE in outputs else None
    return Measured(predictors, thresholds, outputs, figures, verdict, parity, statistics)


def _every_signature(engine: Engine, domain: Domain) -> Predictor:
    """Return a predictor that answers with all measured outputs of the network, as the Keras model does."""

    def predict(inputs: Arrays) -> dict[str, np.ndarray]:
        answers = engine.predict(inputs)
        for view, names in domain.views.items():
            measured = [name for name in names if name not in domain.unmeasured]
            if measured:
                found = engine.run(view, inputs)
                answers |= {name: found[name] for name in measured}
        return answers

    return predict


def judge(primary: Mapping[str, Statistic], *, higher_is_better: bool, seed: int) -> Verdict:
    """Compare what ships (else the Keras model) with the rival that scored highest on the same examples.

    Taking the best rival on test is the choice least favourable to the network.

    Args:
        primary: the primary metric by predictor, the networks among them.
        higher_is_better: its direction.
        seed: of the bootstrap.
    """
    sign = 1 if higher_is_better else -1
    rivals = {name: statistic for name, statistic in primary.items() if name not in (KERAS, DEVICE)}
    best = max(rivals, key=lambda name: sign * rivals[name].compute(None))
    pair = (primary.get(DEVICE, primary[KERAS]), rivals[best])
    return Verdict(best, paired_difference(*pair[::sign], seed=seed))


def _validation(domain: Domain, config: Any, prepared: Prepared, learnt: Learnt, seed: int) -> Validation:
    examples = prepared.validation

    def figure(name: str) -> Callable[[Arrays], float]:
        return lambda outputs: domain.evaluate(outputs, examples, config, threshold=learnt.threshold)[name].compute(
            None
        )

    return Validation(
        inputs=examples.inputs,
        reference_outputs=learnt.answers,
        primary=lambda outputs: domain.evaluate(outputs, examples, config)[domain.primary_metric],
        higher_is_better=domain.higher_is_better,
        decision=learnt.decision,
        guards={name: Guard(figure(name), allowed) for name, allowed in domain.guards.items()},
        calibration=domain.calibration(prepared, config),
        seed=seed,
    )


def card_of(domain: Domain, config: Any, material: Material, learnt: Learnt, figures: Mapping[str, Figures]) -> Card:
    """Return what the device files say about themselves, with the figures of the one that ships."""
    told = domain.describe(material.data, material.prepared, config, threshold=learnt.threshold)
    device = figures.get(DEVICE, {})
    return Card(
        domain=domain.name,
        summary=domain.title,
        inputs=told.inputs,
        outputs=told.outputs,
        labels=told.labels,
        decision=learnt.decision,
        metrics={name: estimate.as_json() for name, estimate in device.items()},
        data=_data_facts(material.data),
        versions=versions(),
        licence=told.licence,
        intended_use=told.intended_use,
        limits=told.limits,
        settings=told.settings,
    )


def _data_facts(data: Any) -> dict[str, Any]:
    return {"rows": len(data), "source": Path(data.source).name, "fingerprint": data.fingerprint}


def device_files(export: Export, card: Card, golden: Arrays, config: Any) -> dict[str, bytes]:
    """Return the assembled files by place: every rung's, the chosen one's and its server form."""
    made = {
        f"export/{rung.recipe}.tflite": assemble(rung.content, _for_rung(card, rung, export), golden)
        for rung in export.rungs
        if rung.content
    }
    chosen = export.chosen
    if chosen is None:
        return made
    made[f"{card.domain}.tflite"] = made[f"export/{chosen.recipe}.tflite"]
    if config.export.server and chosen.server_content:
        made[f"{card.domain}.server.tflite"] = assemble(chosen.server_content, _for_rung(card, chosen, export), golden)
    return made


def _for_rung(card: Card, rung: Rung, export: Export) -> Card:
    """Return the card of a rung; only the chosen one was measured on test."""
    return replace(card, recipe=rung.recipe, metrics=card.metrics if rung is export.chosen else {})


def _write_files(
    folder: RunFolder, domain: Domain, contents: Mapping[str, bytes], export: Export
) -> Verification | None:
    for name, content in contents.items():
        write_bytes(folder.path(name), content)
    return verify(folder.path(f"{domain.name}.tflite")) if export.chosen else None


class Clock:
    """Names the stage in progress and in errors, and keeps the time each took."""

    def __init__(self, report: Progress) -> None:
        self._report, self._start, self._taken = report, time.perf_counter(), dict[str, float]()

    def say(self, *lines: str) -> None:
        """Tell the user each line."""
        for line in lines:
            self._report(line)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside, and name it in errors."""
        self._report(f"[{name}]")
        start = time.perf_counter()
        try:
            yield
        except Exception as error:
            error.add_note(f"in stage {name}")
            raise
        self._taken[name] = time.perf_counter() - start

    def seconds(self) -> dict[str, float]:
        """Return seconds by stage, and in total so far."""
        return {**self._taken, "total": time.perf_counter() - self._start}
