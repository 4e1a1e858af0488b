"""The rivals: named answers, fitted to the right rows, tuned on validation, and able to foresee."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from edgekit.domains.marketing_segmentation import bgnbd, boosting, pareto_nbd
from edgekit.domains.marketing_segmentation import rivals as module
from edgekit.domains.marketing_segmentation.boosting import Setting
from edgekit.domains.marketing_segmentation.clusterings import CLUSTERINGS
from edgekit.domains.marketing_segmentation.config import MarketingConfig, ModelSettings
from edgekit.domains.marketing_segmentation.features import NAMES, Plan, histories
from edgekit.domains.marketing_segmentation.rivals import current, refit, rivals
from edgekit.shared.domain import Examples, Predictor, Prepared
from edgekit.shared.errors import ConfigError

CONFIG = MarketingConfig(model=ModelSettings(segments=4))
OUTLOOKS = ["bg_nbd", "pareto_nbd", "gradient_boosting"]
Fitted = tuple[dict[str, Predictor], Prepared, list[str]]


def examples(rows: int, seed: int) -> Examples:
    """Return customers who buy steadily until they stop; as often as before, if they did not."""
    rng = np.random.default_rng(seed)
    age, rate = rng.uniform(60, 300, rows), rng.gamma(1.0, 0.02, rows)
    lifetime = rng.exponential(500, rows)
    seen = np.minimum(age, lifetime)
    repeats = rng.poisson(rate * seen)
    last = np.where(repeats > 0, seen * rng.random(rows) ** (1 / np.maximum(repeats, 1)), 0)
    worth = rng.lognormal(3, 0.3, rows)
    columns = {"orders": repeats + 1, "spend": (repeats + 1) * worth, "recency_days": age - last, "age_days": age}
    behaviour = np.full((rows, len(NAMES)), np.nan, np.float32)
    for name, values in columns.items():
        behaviour[:, NAMES.index(name)] = values
    later = rng.poisson(rate * (np.minimum(lifetime, age + 91) - seen))
    target = np.stack([later, later * worth], axis=1).astype(np.float32)
    return Examples({"behaviour": behaviour}, target, {"unit": np.arange(rows)})


def joined(*parts: Examples) -> Examples:
    return Examples(
        {"behaviour": np.concatenate([part.inputs["behaviour"] for part in parts])},
        np.concatenate([part.target for part in parts]),
        {"unit": np.concatenate([part.context["unit"] for part in parts])},
    )


def unlabelled(part: Examples) -> Examples:
    return replace(part, target=np.full_like(part.target, np.nan))


def prepared() -> Prepared:
    train = joined(examples(700, 0), unlabelled(examples(500, 1)))
    return Prepared(Plan(91), train, examples(400, 2), examples(800, 3))


def fit(data: Prepared) -> tuple[dict[str, Predictor], list[str]]:
    said: list[str] = []
    return rivals(data, CONFIG, seed=0, report=said.append), said


@pytest.fixture(scope="module", autouse=True)
def smaller() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boosting, "TREES", 40)
        patch.setattr(module, "BOOSTING_GRID", (Setting(0.001, 2, 20), Setting(0.1, 6, 20)))
        yield


@pytest.fixture(scope="module")
def fitted(smaller: None) -> Fitted:
    data = prepared()
    made, said = fit(data)
    return made, data, said


def test_all_rivals_are_there(fitted: Fitted) -> None:
    assert list(fitted[0]) == [*CLUSTERINGS, *OUTLOOKS, "boosting_groups"]


@pytest.mark.parametrize("name", list(CLUSTERINGS))
def test_segments_are_certain(fitted: Fitted, name: str) -> None:
    answer = fitted[0][name](fitted[1].test.inputs)
    assert list(answer) == ["segments"] and answer["segments"].dtype == np.float32
    assert answer["segments"].shape == (800, 4)
    assert set(answer["segments"].ravel()) == {0, 1} and (answer["segments"].sum(axis=1) == 1).all()
    assert (answer["segments"].sum(axis=0) > 0).all()


@pytest.mark.parametrize("name", OUTLOOKS)
def test_outlooks_are_named_and_possible(fitted: Fitted, name: str) -> None:
    answer = fitted[0][name](fitted[1].test.inputs)
    assert sorted(answer) == ["comes_back", "orders", "spend"]
    assert all(values.shape == (800, 1) and values.dtype == np.float32 for values in answer.values())
    assert all((values >= 0).all() for values in answer.values()) and answer["comes_back"].max() <= 1


@pytest.mark.parametrize("name", OUTLOOKS)
def test_outlooks_foresee(fitted: Fitted, name: str) -> None:
    test = fitted[1].test
    answer = fitted[0][name](test.inputs)
    assert answer["orders"].sum() == pytest.approx(test.target[:, 0].sum(), rel=0.3)
    assert answer["spend"].sum() == pytest.approx(test.target[:, 1].sum(), rel=0.35)
    assert answer["comes_back"].mean() == pytest.approx((test.target[:, 0] > 0).mean(), abs=0.1)
    assert np.corrcoef(answer["orders"][:, 0], test.target[:, 0])[0, 1] > 0.5


def test_bg_nbd_is_fitted_in_weeks_to_the_rows_at_the_calibration_date(fitted: Fitted) -> None:
    made, data, _ = fitted
    columns = [NAMES.index(name) for name in ("orders", "recency_days", "age_days")]
    orders, recency, age = data.train.inputs["behaviour"][700:, columns].astype(np.float64).T
    model = bgnbd.fit(orders - 1, (age - recency) / 7, age / 7)
    orders, recency, age = data.test.inputs["behaviour"][:, columns].astype(np.float64).T
    expected = model.expected(orders - 1, (age - recency) / 7, age / 7, 13)
    np.testing.assert_allclose(made["bg_nbd"](data.test.inputs)["orders"][:, 0], expected, rtol=1e-3)


def test_the_setting_is_that_best_on_validation(fitted: Fitted) -> None:
    losses = [float(line.split("validation ")[1].split()[0]) for line in fitted[2] if "boosting" in line]
    assert len(losses) == 2 and losses[1] < losses[0]
    assert np.ptp(fitted[0]["gradient_boosting"](fitted[1].test.inputs)["orders"]) > 1, "the first barely moves"


@pytest.mark.parametrize("name", [*CLUSTERINGS, *OUTLOOKS])
def test_one_customer_is_answered_as_among_others(fitted: Fitted, name: str) -> None:
    made, data, _ = fitted
    for output, values in made[name](data.test.take(slice(5, 6)).inputs).items():
        np.testing.assert_allclose(values, made[name](data.test.inputs)[output][5:6], rtol=1e-5)


def test_rows_at_the_calibration_date_are_those_without_target() -> None:
    data = prepared()
    np.testing.assert_array_equal(current(data.train).inputs["behaviour"], data.train.inputs["behaviour"][700:])
    assert len(current(data.validation)) == 400, "all where every target is known"


def test_a_refit_is_repeatable_and_an_unknown_name_is_refused() -> None:
    data = prepared()
    first, again = (refit("kmeans_rfm", data.train, CONFIG, seed=1)(data.test.inputs)["segments"] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    with pytest.raises(ConfigError, match="kmeans_rfm"):
        refit("kmeans_rfn", data.train, CONFIG, seed=0)


@pytest.mark.parametrize("case", ["no past", "nobody came back", "no validation"])
def test_boosting_is_left_out_where_it_cannot_learn(case: str) -> None:
    data = prepared()
    data = {
        "no past": replace(data, train=unlabelled(data.train)),
        "nobody came back": replace(data, train=replace(data.train, target=data.train.target * 0)),
        "no validation": replace(data, validation=data.validation.take(slice(0, 0))),
    }[case]
    said: list[str] = []
    assert module._boosting(data, CONFIG, 0, said.append) == {}
    assert "gradient boosting is left out" in said[0]


def test_histories_that_cannot_be_are_bent_not_refused() -> None:
    """A ready customer table may say one order, yet two dates, or a last order before the first."""
    behaviour = np.full((3, len(NAMES)), np.nan, np.float32)
    for name, values in {"orders": [1, 3, 2], "recency_days": [10, 90, 5], "age_days": [50, 60, 5]}.items():
        behaviour[:, NAMES.index(name)] = values
    x, t_x, age = histories(behaviour)
    assert (x.tolist(), t_x.tolist()) == ([0, 2, 1], [0, 0, 0])
    assert age.tolist() == pytest.approx([50 / 7, 60 / 7, 5 / 7])


def test_a_large_shop_is_thinned() -> None:
    thin = module._thinned(examples(300, 0), 0, 100)
    assert len(thin) == 100 and len(set(thin.context["unit"])) == 100
    assert len(module._thinned(examples(90, 0), 0, 100)) == 90


def test_groups_by_boosting_are_equal_shares_in_order_of_spend(fitted: Fitted) -> None:
    inputs = current(fitted[1].train).inputs
    groups = fitted[0]["boosting_groups"](inputs)["segments"]
    assert groups.shape[1] == 4 and groups.sum(axis=0).min() > 0.15 * len(groups)
    spend = fitted[0]["gradient_boosting"](inputs)["spend"][:, 0]
    means = [spend[groups[:, code] == 1].mean() for code in range(4)]
    assert means == sorted(means)


@pytest.mark.parametrize("name", ["bg_nbd", "pareto_nbd"])
def test_purchase_models_of_a_large_shop_see_some_of_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    kind = {"bg_nbd": bgnbd, "pareto_nbd": pareto_nbd}[name]
    fit = kind.fit
    monkeypatch.setattr(kind, "fit", lambda x, *rest: (seen.append(len(x)), fit(x, *rest))[1])
    monkeypatch.setattr(module, "MAX_PURCHASE_ROWS", 60)
    module._purchase_models(prepared(), 0, lambda line: None)
    assert seen == [60]
