"""Recommendations on the device: rules, reasons, the kept history, and files that are not what they should be."""

from __future__ import annotations

import csv
import gzip
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from edgekit.domains.retail_recommendation import solution
from edgekit.domains.retail_recommendation.config import ModelSettings
from edgekit.domains.retail_recommendation.device import (
    ALL_SCORES,
    NAME,
    SCORE,
    Recommender,
    predict_file,
    store_settings,
)
from edgekit.domains.retail_recommendation.features import Plan
from edgekit.domains.retail_recommendation.model import build_member, build_model
from edgekit.shared.domain import Examples, Prepared
from edgekit.shared.errors import ConfigError, ContractError, DeviceFileError, SourceError
from edgekit.tflite_export.assemble import assemble
from edgekit.tflite_export.card import Card, Tensor
from edgekit.tflite_export.quantize import export

ITEMS = ("007", "b c", "=d", *(f"i{number}" for number in range(4, 21)))
PLAN = Plan(
    window=5,
    excluded=3,
    items=ITEMS,
    titles=tuple(f"Title {name}" for name in ITEMS),
    attribute_names=("kind: odd", "kind: even"),
    attributes=tuple((number % 2,) for number in range(len(ITEMS))),
)


def written(path: Path, **changes: Any) -> Path:
    keras.utils.set_random_seed(1)
    settings = ModelSettings(width=8, heads=2, blocks=1)
    model = build_model([build_member(PLAN, settings, number) for number in range(settings.members)], PLAN)
    nothing = Examples({}, np.zeros(0))
    card = Card(
        domain=NAME,
        summary="tiny",
        inputs=(Tensor("history", "int32", (5,), "codes"), Tensor("exclude", "int32", (3,), "codes")),
        outputs=(Tensor("items", "int32", (20,), "codes"), Tensor("scores", "float32", (20,), "scores")),
        settings=store_settings(PLAN),
    )
    golden = solution.golden(Prepared(PLAN, nothing, nothing, nothing), {})
    content = export(model, "float32", views={SCORE: (ALL_SCORES,)})
    path.write_bytes(assemble(content, replace(card, **changes), golden))
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("device") / "m.tflite")


@pytest.fixture
def recommender(file: Path) -> Recommender:
    return Recommender(file)


def shown(answer: Any) -> list[str]:
    return [found.item for found in answer.items]


def test_the_highest_scores_come_first_and_nothing_that_was_had(recommender: Recommender) -> None:
    answer = recommender.recommend(["007", "i5"], 18)
    scores = [found.score for found in answer.items]
    assert scores == sorted(scores, reverse=True) and len(scores) == 18
    assert not {"007", "i5"} & set(shown(answer)) and answer.items[0].title == f"Title {answer.items[0].item}"


def test_unknown_identifiers_are_ignored_and_named(recommender: Recommender) -> None:
    answer = recommender.recommend(["7", "007", "x", "7"], 3)
    assert answer.unknown == ("7", "x") and shown(answer) == shown(recommender.recommend(["007"], 3))


@pytest.mark.parametrize("history", [[], ["nothing known"], list(ITEMS)])
def test_any_history_is_answered(recommender: Recommender, history: list[str]) -> None:
    answer = recommender.recommend(history, 20)
    assert len(answer.items) == (0 if len(history) == 20 else 20)


def test_rules_hold_at_call_time(recommender: Recommender) -> None:
    odd = {name for name, held in zip(ITEMS, PLAN.attributes, strict=True) if held == (0,)}
    only = shown(recommender.recommend(["007"], 20, only=["kind: odd"], exclude=["=d"]))
    assert set(only) == odd - {"007", "=d"}
    assert "007" in shown(recommender.recommend(["007"], 20, repeats=True))


def test_a_reason_is_the_fall_of_the_score_without_the_item(recommender: Recommender) -> None:
    found = recommender.recommend(["i4", "i5", "i6"], 5).items
    assert any(item.why for item in found)
    for item in found:
        for reason in item.why:
            rest = [name for name in ("i4", "i5", "i6") if name != reason.item]
            again = {other.item: other.score for other in recommender.recommend(rest, 20, repeats=True).items}
            assert reason.gain == pytest.approx(item.score - again[item.item], abs=1e-5) and reason.gain > 0
    assert all(item.why == () for item in recommender.recommend(["i4"], 3, explain=False).items)


def test_the_history_is_kept_saved_and_restored(recommender: Recommender, file: Path, tmp_path: Path) -> None:
    recommender.remember("007")
    recommender.remember("i9")
    recommender.save(tmp_path / "h.json")
    other = Recommender(file)
    assert other.restore(tmp_path / "h.json") == () and other.history == ["007", "i9"]
    assert shown(other.recommend(k=4)) == shown(recommender.recommend(["007", "i9"], 4))
    other.forget()
    assert other.history == []


def test_items_newer_than_the_file_are_kept_for_the_next_one(
    recommender: Recommender, file: Path, tmp_path: Path
) -> None:
    recommender.remember("007")
    recommender.remember("newer")
    recommender.save(tmp_path / "h.json")
    other = Recommender(file)
    assert other.restore(tmp_path / "h.json") == ("newer",) and other.history == ["007", "newer"]
    assert other.recommend(k=3).unknown == ("newer",)
    assert shown(other.recommend(k=3)) == shown(recommender.recommend(["007"], 3))


@pytest.mark.parametrize("given", [{"history": "007"}, {"exclude": "007"}, {"only": "kind: odd"}])
def test_a_text_is_no_list(recommender: Recommender, given: dict[str, str]) -> None:
    with pytest.raises(ContractError, match="expected a list"):
        recommender.recommend(**{"history": ["i9"], **given}, k=3)


def test_exclusions_that_the_file_does_not_know_are_named(recommender: Recommender) -> None:
    assert recommender.recommend(["i9"], 3, exclude=["i4", "i-4"]).unknown == ("i-4",)


@pytest.mark.parametrize(
    ("columns", "message"), [({"timestamp": "wen"}, "timestamp=wen"), ({"nonsense": "x"}, "nonsense")]
)
def test_columns_that_are_not_there_are_refused(
    file: Path, tmp_path: Path, columns: dict[str, str], message: str
) -> None:
    (tmp_path / "h.csv").write_text("user,item,when\na,007,2\na,i9,1\n")
    with pytest.raises((ContractError, ConfigError), match=message):
        predict_file(file, [tmp_path / "h.csv"], out=tmp_path / "out.csv", columns=columns)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": 2, "domain": "x", "history": []}',
        '{"history": 3}',
        '{"format": 1, "domain": "retail_recommendation", "history": "abc"}',
        "[" * 100_000,
    ],
)
def test_what_is_no_saved_history_is_refused(recommender: Recommender, tmp_path: Path, text: str) -> None:
    (tmp_path / "h.json").write_text(text)
    recommender.remember("007")
    with pytest.raises(SourceError, match=r"h\.json is not a history"):
        recommender.restore(tmp_path / "h.json")
    assert recommender.history == ["007"]


@pytest.mark.parametrize("k", [0, -1, 21])
def test_k_is_between_one_and_the_catalogue(recommender: Recommender, k: int) -> None:
    with pytest.raises(ContractError, match=f"k = {k}, expected 1 to 20"):
        recommender.recommend(["007"], k)


def test_a_misspelt_attribute_is_told(recommender: Recommender) -> None:
    with pytest.raises(ConfigError, match="kind: odd"):
        recommender.recommend(["007"], 3, only=["kind: ood"])


@pytest.mark.parametrize(
    "plan",
    [replace(PLAN, window=6), replace(PLAN, items=(*ITEMS, "one more"), titles=(), attributes=(), attribute_names=())],
)
def test_settings_of_another_network_are_refused(tmp_path: Path, plan: Plan) -> None:
    with pytest.raises(DeviceFileError, match="cannot use"):
        Recommender(written(tmp_path / "m.tflite", settings=store_settings(plan)))


def test_a_file_of_another_domain_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceFileError, match="finance_fraud"):
        Recommender(written(tmp_path / "m.tflite", domain="finance_fraud"))


def test_a_file_of_histories_becomes_a_table(file: Path, tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text("user,item,timestamp\nann,i5,2\nann,007,1\nbob,zzz,1\n")
    counts = predict_file(file, [tmp_path / "h.csv"], out=tmp_path / "r.csv", k=3)
    with (tmp_path / "r.csv").open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert counts == {"users": 2, "recommendations": 6, "unknown items": 1}
    expected = shown(Recommender(file).recommend(["007", "i5"], 3))
    assert [row["item"].removeprefix("'") for row in rows if row["user"] == "ann"] == expected
    assert not any(cell.startswith("=") for row in rows for cell in row.values())


@pytest.mark.parametrize(
    ("text", "said"),
    [("user,thing\na,b\n", "item=item"), ("user,item\na,\n", "row 1"), ("user,item,timestamp\na,b,soon\n", "row 1")],
)
def test_histories_that_cannot_be_read_are_one_error(file: Path, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "h.csv").write_text(text)
    with pytest.raises(ContractError, match=said):
        predict_file(file, [tmp_path / "h.csv"], out=tmp_path / "r.csv")
    assert not (tmp_path / "r.csv").exists()


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as opened:
        return list(csv.DictReader(opened))


@pytest.mark.parametrize(
    "text",
    [
        "ann 007 i5 i9\nbob i4\n",
        "ann\t007 i5\ti9\r\n\nbob   i4 ",
        "ann 007\nann i5\nbob i4\nann i9\n",
        "ann 007 zzz i5 7 i9\nbob i4 zzz\n",
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_text_file_of_histories_becomes_a_table(file: Path, tmp_path: Path, text: str, packed: bool) -> None:
    data = tmp_path / ("h.txt.gz" if packed else "h.txt")
    data.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    counts = predict_file(file, [data], out=tmp_path / "r.csv", k=4)
    assert counts == {"users": 2, "recommendations": 8, "unknown items": 2 if "zzz" in text else 0}
    rows, device = rows_of(tmp_path / "r.csv"), Recommender(file)
    assert [row["user"] for row in rows] == ["ann"] * 4 + ["bob"] * 4
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"] * 2
    expected = [*device.recommend(["007", "i5", "i9"], 4).items, *device.recommend(["i4"], 4).items]
    assert [row["item"].removeprefix("'") for row in rows] == [found.item for found in expected]
    assert [row["score"] for row in rows] == [f"{found.score:.6f}" for found in expected]


def test_a_text_file_may_hold_a_table(file: Path, tmp_path: Path) -> None:
    (tmp_path / "h.txt").write_text("user\titem\ttimestamp\nann\ti5\t2\nann\t007\t1\nbob\ti4\t3\n")
    predict_file(file, [tmp_path / "h.txt"], out=tmp_path / "r.csv", k=2)
    found = [row["item"].removeprefix("'") for row in rows_of(tmp_path / "r.csv") if row["user"] == "ann"]
    assert found == shown(Recommender(file).recommend(["007", "i5"], 2))


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (b"user item\nann i5\n", ContractError, "separated by spaces"),
        (b"uid iid\n1 2\n1 3\n", ContractError, "separated by spaces"),
        (b"\xff\xfe1 2", SourceError, "not UTF-8"),
        (b"", SourceError, "is empty"),
    ],
)
def test_a_text_file_that_is_none_is_refused_and_nothing_is_written(
    file: Path, tmp_path: Path, content: bytes, error: type[Exception], said: str
) -> None:
    (tmp_path / "h.txt").write_bytes(content)
    with pytest.raises(error, match=said):
        predict_file(file, [tmp_path / "h.txt"], out=tmp_path / "r.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["h.txt"]


@pytest.mark.parametrize("columns", [{"user": "who"}, {"timestamp": "when"}, {"item": "i5"}])
def test_lines_of_histories_have_no_columns(file: Path, tmp_path: Path, columns: dict[str, str]) -> None:
    (tmp_path / "h.txt").write_text("ann 007 i4\nbob i4\n")
    with pytest.raises(ConfigError, match=r"--columns names columns of a table, but .*h\.txt holds lines"):
        predict_file(file, [tmp_path / "h.txt"], out=tmp_path / "r.csv", columns=columns)
    assert [path.name for path in tmp_path.iterdir()] == ["h.txt"]


def test_the_columns_of_a_table_in_a_text_file_have_the_names_given(file: Path, tmp_path: Path) -> None:
    (tmp_path / "h.txt").write_text("who\twhat\nann\t007\nann\ti5\n")
    predict_file(file, [tmp_path / "h.txt"], out=tmp_path / "r.csv", k=2, columns={"user": "who", "item": "what"})
    found = [row["item"].removeprefix("'") for row in rows_of(tmp_path / "r.csv")]
    assert found == shown(Recommender(file).recommend(["007", "i5"], 2))


def test_histories_come_in_one_file(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Found 2 files"):
        predict_file(file, [tmp_path / "a.txt", tmp_path / "b.txt"], out=tmp_path / "r.csv")


def test_it_runs_without_tensorflow(file: Path) -> None:
    code = (
        "import sys; from edgekit.domains.retail_recommendation import Recommender; "
        f"Recommender({str(file)!r}).recommend(['007'], 2); "
        "print([name for name in ('tensorflow', 'keras', 'pandas', 'scipy') if name in sys.modules])"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "[]"
