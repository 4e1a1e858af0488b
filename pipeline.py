"""The story of a run, stage by stage: own data in, a verified device file with its evidence out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .evidence import Evidence, Figures, Verdict, compose, write
from .shared.domain import Arrays, Domain, Examples, Prepared, Progress, Request
from .shared.estimates import bootstrap, paired_difference
from .shared.report import Report
from .shared.run_folder import RunFolder
from .shared.training import predictor
from .shared.versions import versions
from .tflite_export.assemble import assemble
from .tflite_export.card import Card, Decision
from .tflite_export.engine import Engine
from .tflite_export.gate import Budget, Rung, smallest_accepted
from .tflite_export.golden import Verification
from .tflite_export.ladder import Validation, climb
from .tflite_export.parity import compare_outputs
from .tflite_export.runtime import verify

KERAS, DEVICE = "keras", "tflite"
GOLDEN_ROWS = 24
CALIBRATION_ROWS = 512


@dataclass(frozen=True)
class Outcome:
    """What a run leaves behind: the folder of evidence, the report, and the rung that ships, if one does."""

    folder: Path
    report: Report
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
    clock = _Clock(report)
    with clock.stage("load"):
        data = domain.load(request, config) if request.path else domain.synthesize(config, seed=seed)
        _say(report, f"{len(data):,} rows from {data.source}", *data.notes)
    with clock.stage("split"):
        splits = domain.split(data, config, seed=seed)
        _say(report, splits.rule, *splits.notes)
    with clock.stage("audit"):
        findings = tuple(domain.audit(data, splits, config))
        _say(report, *(f"{finding.severity}: {finding.title}. {finding.detail}" for finding in findings))
    with clock.stage("features"):
        prepared = domain.prepare(data, splits, config)
        _say(report, *prepared.notes)
    with clock.stage("fit"):
        fitted = domain.fit(prepared, config, seed=seed, report=report, log=folder.path("training.csv"))
    with clock.stage("decide"):
        network = predictor(fitted.model)
        answers = network(prepared.validation.inputs)
        threshold = domain.decide(answers, prepared.validation, config)
        decision = Decision(domain.score_output, threshold.value, threshold.rule)
        _say(report, threshold.rule)
    with clock.stage("rivals"):
        predictors = {KERAS: network, **domain.rivals(prepared, config, seed=seed, report=report)}
    with clock.stage("export"):
        rungs = climb(
            fitted.model,
            _validation(domain, config, prepared, answers, decision, seed),
            recipes=config.export.recipes,
            budget=_budget(config),
            progress=report,
        )
    with clock.stage("gate"):
        chosen = smallest_accepted(rungs)
        if chosen and chosen.content:
            predictors[DEVICE] = Engine(chosen.server_content or chosen.content).predict
        _say(report, f"{chosen.recipe} ships" if chosen else "no rung is inside the budget: nothing ships")
    with clock.stage("evaluate"):
        outputs = {name: predict(prepared.test.inputs) for name, predict in predictors.items()}
        figures = measure(domain, config, outputs, prepared.test, seed=seed)
        verdict = judge(domain, config, outputs, prepared.test, seed=seed)
    with clock.stage("verify"):
        card = _card(domain, config, data, prepared, decision, figures)
        contents = _device_files(rungs, chosen, card, _golden(answers, prepared.validation, domain), config)
        verification = _write_device_files(folder, domain, contents, chosen)
        fitted.model.save(folder.path("model.keras"))
    with clock.stage("report"):
        evidence = Evidence(
            domain=domain,
            config=config,
            seed=seed,
            synthetic=request.path is None,
            data=data,
            splits=splits,
            findings=findings,
            prepared=prepared,
            fitted=fitted,
            threshold=threshold,
            outputs=outputs,
            figures=figures,
            verdict=verdict,
            rungs=rungs,
            chosen=chosen,
            sizes={name: len(content) for name, content in contents.items()},
            verification=verification,
            card=card,
            parity=compare_outputs(outputs[KERAS], outputs[DEVICE], decision=decision) if chosen else None,
            seconds=clock.seconds(),
        )
        composed = compose(evidence)
        write(folder, composed, evidence)
    facts = {"command": request.command, "seed": seed, "data": _data_facts(data), "versions": versions()}
    return Outcome(folder.finish(facts), composed, chosen.recipe if chosen else None)


def measure(
    domain: Domain, config: Any, outputs: Mapping[str, Arrays], examples: Examples, *, seed: int
) -> dict[str, Figures]:
    """Return every metric of every predictor with its interval."""
    return {
        name: {
            metric: bootstrap(statistic, seed=seed)
            for metric, statistic in domain.evaluate(output, examples, config).items()
        }
        for name, output in outputs.items()
    }


def judge(domain: Domain, config: Any, outputs: Mapping[str, Arrays], examples: Examples, *, seed: int) -> Verdict:
    """Compare what ships (else the Keras model) with the rival that scored highest on the same examples.

    Taking the best rival on test is the choice least favourable to the network.
    """
    sign = 1 if domain.higher_is_better else -1
    primary = {
        name: domain.evaluate(output, examples, config)[domain.primary_metric] for name, output in outputs.items()
    }
    network = primary.pop(DEVICE, primary[KERAS])
    rivals = {name: statistic for name, statistic in primary.items() if name != KERAS}
    best = max(rivals, key=lambda name: sign * rivals[name].compute(None))
    first, second = (network, rivals[best]) if sign > 0 else (rivals[best], network)
    return Verdict(best, paired_difference(first, second, seed=seed))


def _validation(
    domain: Domain, config: Any, prepared: Prepared, answers: Arrays, decision: Decision, seed: int
) -> Validation:
    examples = prepared.validation
    return Validation(
        inputs=examples.inputs,
        reference_outputs=answers,
        primary=lambda outputs: domain.evaluate(outputs, examples, config)[domain.primary_metric],
        higher_is_better=domain.higher_is_better,
        decision=decision,
        calibration=prepared.train.take(slice(CALIBRATION_ROWS)).inputs,
        seed=seed,
    )


def _budget(config: Any) -> Budget:
    export = config.export
    return Budget(export.max_drop, export.max_bytes, export.max_latency_ms)


def _golden(answers: Arrays, examples: Examples, domain: Domain) -> dict[str, np.ndarray]:
    """Choose the golden inputs: the highest and lowest scores, a spread between, and a row with everything missing."""
    score = answers[domain.score_output].reshape(len(examples), -1).max(axis=1)
    order = np.argsort(score, kind="stable")
    rows = order[np.unique(np.linspace(0, len(order) - 1, GOLDEN_ROWS - 1).astype(int))]
    return {name: np.concatenate([values[rows], _missing(values[:1])]) for name, values in examples.inputs.items()}


def _missing(row: np.ndarray) -> np.ndarray:
    return np.full_like(row, np.nan if row.dtype.kind == "f" else 0)


def _card(
    domain: Domain, config: Any, data: Any, prepared: Prepared, decision: Decision, figures: Mapping[str, Figures]
) -> Card:
    told = domain.describe(data, prepared, config)
    device = figures.get(DEVICE, {})
    return Card(
        domain=domain.name,
        summary=domain.title,
        inputs=told.inputs,
        outputs=told.outputs,
        labels=told.labels,
        decision=decision,
        metrics={name: estimate.as_json() for name, estimate in device.items()},
        data=_data_facts(data),
        versions=versions(),
        licence=told.licence,
        intended_use=told.intended_use,
        limits=told.limits,
        settings=told.settings,
    )


def _data_facts(data: Any) -> dict[str, Any]:
    return {"rows": len(data), "source": data.source, "fingerprint": data.fingerprint}


def _device_files(
    rungs: tuple[Rung, ...], chosen: Rung | None, card: Card, golden: Arrays, config: Any
) -> dict[str, bytes]:
    """Return the assembled files by place: every rung's, the chosen one's and its server form."""
    made = {
        f"export/{rung.recipe}.tflite": assemble(rung.content, replace(card, recipe=rung.recipe), golden)
        for rung in rungs
        if rung.content
    }
    if chosen is None:
        return made
    made[f"{card.domain}.tflite"] = made[f"export/{chosen.recipe}.tflite"]
    if config.export.server and chosen.server_content:
        made[f"{card.domain}.server.tflite"] = assemble(
            chosen.server_content, replace(card, recipe=chosen.recipe), golden
        )
    return made


def _write_device_files(
    folder: RunFolder, domain: Domain, contents: Mapping[str, bytes], chosen: Rung | None
) -> Verification | None:
    for name, content in contents.items():
        folder.path(name).write_bytes(content)
    return verify(folder.path(f"{domain.name}.tflite")) if chosen else None


def _say(report: Progress, *lines: str) -> None:
    for line in lines:
        report(line)


class _Clock:
    """Names the stage in progress and in errors, and keeps the time each took."""

    def __init__(self, report: Progress) -> None:
        self._report, self._start, self._taken = report, time.perf_counter(), dict[str, float]()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
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
