"""The command line: every refusal is one message with exit code 2, and the base commands need no TensorFlow."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgekit import cli
from edgekit.domains import registry
from edgekit.shared.errors import ConfigError
from edgekit.tflite_export import runtime

EDGEKIT = [sys.executable, "-m", "edgekit"]
WITHOUT_TRAIN = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in "tensorflow keras pandas sklearn pyarrow scipy matplotlib jinja2".split():
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
sys.argv = ["edgekit", *sys.argv[1:]]
from edgekit.cli import main
main()
"""
HEADER = "timestamp,customer,terminal,amount,category,channel,label\n"
ROW = "2018-09-01T10:00:00,C1,T1,12.50,fuel,chip,0\n"


def edgekit(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*EDGEKIT, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def base_install(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_TRAIN, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture
def device_file(small_run: Any) -> Path:
    path: Path = small_run.folder / "finance_fraud.tflite"
    return path


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (["run", "d", "--columns", "a=x", "b=y"], ["run", "d", "--columns", "a=x", "--columns", "b=y"]),
        (["run", "--exclude", "p", "q", "--quiet"], ["run", "--exclude", "p", "--exclude", "q", "--quiet"]),
        (["run", "--set", "a.b=1", "--out", "x"], ["run", "--set", "a.b=1", "--out", "x"]),
        (["run", "--columns=a=x"], ["run", "--columns=a=x"]),
    ],
)
def test_options_take_several_values(typed: list[str], read: list[str]) -> None:
    assert cli._spread(typed) == read


@pytest.mark.parametrize("entry", ["amount", "amount=", "=x"])
def test_a_role_without_a_name_is_refused(entry: str) -> None:
    with pytest.raises(ConfigError, match="expected ROLE=NAME"):
        cli._roles([entry])


def test_a_role_named_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="twice"):
        cli._roles(["amount=x", "amount=y"])


def test_list_names_the_domain() -> None:
    assert "finance_fraud" in edgekit("list").stdout


def test_describe_shows_roles_settings_and_an_example() -> None:
    printed = edgekit("describe", "finance_fraud").stdout
    for expected in ("timestamp", "terminal", "label_delay_days", "amount=57.16"):
        assert expected in printed


@pytest.mark.parametrize("command", ["verify", "inspect", "bench"])
def test_base_commands_work_without_the_train_extra(command: str, device_file: Path) -> None:
    assert base_install(command, device_file).stdout.strip()


def test_predict_works_without_the_train_extra(device_file: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "new.csv", tmp_path / "scores.csv"
    data.write_text(HEADER + ROW * 3)
    printed = base_install("predict", device_file, data, "--out", out).stdout
    lines = out.read_text().splitlines()
    flagged = sum(line.split(",")[2] == "1" for line in lines)
    assert printed == f"3 rows, {flagged} flagged: {out}\n"
    assert lines[0] == "row,probability,flagged,reason"
    assert len(lines) == 4


def test_predict_says_what_the_domain_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = {"images": 1200, "flagged": 1, "refused": 0}
    monkeypatch.setattr(runtime, "load_model", lambda _: SimpleNamespace(card=SimpleNamespace(domain="any")))
    monkeypatch.setattr(cli.registry, "device", lambda _: SimpleNamespace(predict_file=lambda *_, **__: counts))
    cli.predict(tmp_path / "any.tflite", [tmp_path], out_=Path("[told].csv"))
    assert capsys.readouterr().out == "1,200 images, 1 flagged, 0 refused: [told].csv\n"


def test_predict_takes_a_file_without_labels_and_in_any_order(device_file: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "new.csv", tmp_path / "scores.csv"
    later = ROW.replace("T10:", "T12:").replace("12.50", "9000.00")
    data.write_text((HEADER + later + ROW * 5).replace(",label", "").replace(",0\n", "\n"))
    base_install("predict", device_file, data, "--out", out)
    probability = np.genfromtxt(out, delimiter=",", skip_header=1, usecols=1)
    assert probability.argmax() == 0


# === Options that not every domain has ===

ITEMS = tuple(f"i{number}" for number in range(1, 21))


@pytest.fixture(scope="module")
def shop_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a device file of an untrained recommender of 20 items."""
    import keras

    from edgekit.domains.retail_recommendation.config import ModelSettings
    from edgekit.domains.retail_recommendation.device import ALL_SCORES, NAME, SCORE, store_settings
    from edgekit.domains.retail_recommendation.features import Plan, inputs
    from edgekit.domains.retail_recommendation.model import build_member, build_model
    from edgekit.tflite_export.assemble import assemble
    from edgekit.tflite_export.card import Card, Tensor
    from edgekit.tflite_export.convert import convert

    keras.utils.set_random_seed(1)
    plan = Plan(window=5, excluded=3, items=ITEMS)
    settings = ModelSettings(kind="transformer", width=8, heads=2, blocks=1, dropout=0.0)
    content = convert(build_model([build_member(plan, settings)], plan), views={SCORE: (ALL_SCORES,)})
    card = Card(
        domain=NAME,
        summary="An untrained network for tests.",
        inputs=(Tensor("history", "int32", (5,), "codes"), Tensor("exclude", "int32", (3,), "codes")),
        outputs=(Tensor("items", "int32", (20,), "codes"), Tensor("scores", "float32", (20,), "scores")),
        settings=store_settings(plan),
    )
    path = tmp_path_factory.mktemp("shop") / "shop.tflite"
    path.write_bytes(assemble(content, card, inputs([[1], [2, 3]], plan)))
    return path


@pytest.mark.parametrize(
    ("option", "ann", "bob"), [(["--k", 3], 3, 3), (["--k", 1], 1, 1), ([], 10, 10), (["--k", 500], 18, 19)]
)
def test_k_says_how_many_items_each_user_is_shown(
    shop_file: Path, tmp_path: Path, option: list[object], ann: int, bob: int
) -> None:
    data, out = tmp_path / "histories.txt", tmp_path / "r.csv"
    data.write_text("ann i1 i5\nbob i7\n")
    printed = base_install("predict", shop_file, data, "--out", out, *option).stdout
    assert printed == f"2 users, {ann + bob} recommendations, 0 unknown items: {out}\n"
    with out.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert Counter(row["user"] for row in rows) == {"ann": ann, "bob": bob}
    assert [int(row["rank"]) for row in rows] == [*range(1, ann + 1), *range(1, bob + 1)]
    assert not {"i1", "i5"} & {row["item"] for row in rows if row["user"] == "ann"}


@pytest.mark.parametrize("k", ["0", "-1", "many", "1.5"])
def test_k_is_a_number_of_items(shop_file: Path, tmp_path: Path, k: str) -> None:
    (tmp_path / "histories.txt").write_text("ann i1 i5\nbob i7\n")
    out = tmp_path / "r.csv"
    assert "--k" in edgekit("predict", shop_file, tmp_path / "histories.txt", "--out", out, "--k", k, code=2).stderr
    assert not out.exists()


@pytest.fixture(scope="module")
def road_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a device file of an untrained forecaster of 2 sensors, 3 steps in and 2 out."""
    import keras

    from edgekit.domains.transportation.config import ModelSettings
    from edgekit.domains.transportation.device import NAME, store_settings
    from edgekit.domains.transportation.features import Plan, inputs
    from edgekit.domains.transportation.model import build_model
    from edgekit.tflite_export.assemble import assemble
    from edgekit.tflite_export.card import Card, Tensor
    from edgekit.tflite_export.convert import convert

    keras.utils.set_random_seed(1)
    plan = Plan(("a1", "a2"), window=3, horizon=2, interval=300, unit="mph", coverage=0.9)
    settings = ModelSettings(window=3, horizon=2, width=8, identity=4, clock=4, blocks=1, members=1)
    card = Card(
        domain=NAME,
        summary="An untrained network for tests.",
        inputs=(Tensor("readings", "float32", (3, 2), "readings", missing="NaN"), Tensor("moment", "int32", (2,), "t")),
        outputs=tuple(Tensor(name, "float32", (2, 2), "forecast") for name in ("median", "low", "high")),
        settings=store_settings(plan),
    )
    golden = inputs(np.full((2, 3, 2), 60, np.float32), np.array([1_330_560_000, 1_330_560_300]), plan)
    path = tmp_path_factory.mktemp("road") / "road.tflite"
    path.write_bytes(assemble(convert(build_model(plan, settings)), card, golden))
    return path


HOUR = "a1,a2\n60,50\n61,\n62,48\n"


@pytest.mark.parametrize(("at", "first"), [("2012-03-07T17:30", "17:35"), ("2012-03-07T17:33", "17:35")])
def test_at_says_when_the_newest_readings_were_taken(road_file: Path, tmp_path: Path, at: str, first: str) -> None:
    data, out = tmp_path / "hour.csv", tmp_path / "f.csv"
    data.write_text(HOUR)
    printed = base_install("predict", road_file, data, "--out", out, "--at", at).stdout
    assert printed == f"4 forecasts, 0 silent sensors: {out}\n"
    with out.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["sensor"] for row in rows] == ["a1", "a1", "a2", "a2"]
    assert [row["time"] for row in rows] == [f"2012-03-07 {first}", "2012-03-07 17:40"] * 2


@pytest.mark.parametrize(("option", "said"), [([], "with --at"), (["--at", "soon"], "Not a time: 'soon'")])
def test_without_a_time_nothing_is_forecast(road_file: Path, tmp_path: Path, option: list[object], said: str) -> None:
    (tmp_path / "hour.csv").write_text(HOUR)
    assert (
        said
        in edgekit("predict", road_file, tmp_path / "hour.csv", "--out", tmp_path / "f.csv", *option, code=2).stderr
    )
    assert not (tmp_path / "f.csv").exists()


@pytest.fixture(scope="module")
def customer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a device file of an untrained segmenter of 3 segments."""
    import keras

    from edgekit.domains.marketing_segmentation.config import ModelSettings
    from edgekit.domains.marketing_segmentation.device import NAME, store_settings
    from edgekit.domains.marketing_segmentation.features import NAMES, Plan
    from edgekit.domains.marketing_segmentation.made_up import made_up
    from edgekit.domains.marketing_segmentation.model import build_model
    from edgekit.domains.marketing_segmentation.text_columns import Texts
    from edgekit.tflite_export.assemble import assemble
    from edgekit.tflite_export.card import Card, Tensor
    from edgekit.tflite_export.convert import convert

    keras.utils.set_random_seed(1)
    plan, shapes = Plan(91, "GBP"), {"segments": 3, "code": 5, "orders": 1, "spend": 1, "comes_back": 1}
    card = Card(
        domain=NAME,
        summary="An untrained network for tests.",
        inputs=(Tensor("behaviour", "float32", (len(NAMES),), "behaviour", missing="NaN"),),
        outputs=tuple(Tensor(name, "float32", (width,), "made up") for name, width in shapes.items()),
        labels=("high value", "middle", "lapsed"),
        settings=store_settings(plan, Texts()),
    )
    content = convert(build_model(plan, ModelSettings(code=5, width=8, members=1), segments=3))
    path = tmp_path_factory.mktemp("customers") / "customers.tflite"
    path.write_bytes(assemble(content, card, {"behaviour": made_up(plan)}))
    return path


SALES = (
    "customer,timestamp,item,quantity,price\nann,2011-01-05T10:00,mug,4,£2.50\nbob,2011-06-01,jug,1,12\n"
    "ann,2011-12-09T23:00,jug,1,12\ncy,2011-12-10,mug,1,2.50\n"
)


@pytest.mark.parametrize(
    ("option", "customers"),
    [
        ([], ["ann", "bob", "cy"]),
        (["--at", "2011-12-09"], ["ann", "bob"]),
        (["--at", "2011-06-01T00:00"], ["ann", "bob"]),
        (["--at", "2011-05-31"], ["ann"]),
    ],
)
def test_at_says_when_the_expectations_of_customers_begin(
    customer_file: Path, tmp_path: Path, option: list[object], customers: list[str]
) -> None:
    data, out = tmp_path / "orders.csv", tmp_path / "s.csv"
    data.write_text(SALES)
    printed = base_install("predict", customer_file, data, "--out", out, *option).stdout
    assert printed == f"{len(customers)} customers, {3 - len(customers)} without a purchase by then: {out}\n"
    with out.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["customer"] for row in rows] == customers
    assert {row["name"] for row in rows} <= {"high value", "middle", "lapsed"}


@pytest.mark.parametrize(
    ("text", "option", "said"),
    [
        (SALES, ["--at", "soon"], "Not a time: 'soon'"),
        (SALES, ["--at", "2010"], "Not a time: '2010'"),
        (SALES, ["--at", "2010-01-01"], "found no purchase by 2010-01-01 23:59:59 UTC"),
        (SALES.replace("timestamp", "when"), [], "no column for the role 'timestamp'"),
        (SALES.replace("price", "cost"), [], "no column for the role 'price' or 'amount'"),
        (SALES, ["--columns", "customer=who"], "column 'who' (role 'customer') is missing"),
    ],
)
def test_customers_are_not_segmented_by_halves(
    customer_file: Path, tmp_path: Path, text: str, option: list[object], said: str
) -> None:
    (tmp_path / "orders.csv").write_text(text)
    arguments = ("predict", customer_file, tmp_path / "orders.csv", "--out", tmp_path / "s.csv", *option)
    assert said in " ".join(edgekit(*arguments, code=2).stderr.split())
    assert [path.name for path in tmp_path.iterdir()] == ["orders.csv"]


@pytest.mark.parametrize(
    ("fixture", "option"),
    [
        ("shop_file", "--history"),
        ("shop_file", "--heatmap"),
        ("device_file", "--heatmap"),
        ("device_file", "--k"),
        ("device_file", "--at"),
        ("shop_file", "--at"),
        ("customer_file", "--k"),
        ("customer_file", "--history"),
        ("customer_file", "--heatmap"),
        ("road_file", "--k"),
        ("road_file", "--history"),
    ],
)
def test_an_option_that_the_domain_lacks_is_refused_and_nothing_is_written(
    fixture: str, option: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    data, out, named = tmp_path / "new.csv", tmp_path / "scores.csv", tmp_path / "7"
    data.write_text(HEADER + ROW)
    value = {"--k": 7, "--at": "2012-03-07T17:30"}.get(option, named)
    done = edgekit("predict", request.getfixturevalue(fixture), data, "--out", out, option, value, code=2)
    assert f"{option} is no option for a file of this domain" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["new.csv"]


@pytest.mark.parametrize(
    ("domain", "offers"),
    [
        ("finance_fraud", {"history", "columns"}),
        ("healthcare_imaging", {"heatmap"}),
        ("marketing_segmentation", {"columns", "at"}),
        ("retail_recommendation", {"columns", "k"}),
        ("transportation", {"columns", "at"}),
    ],
)
@pytest.mark.parametrize("option", ["history", "columns", "heatmap", "k", "at"])
def test_a_domain_offers_the_options_that_it_has(domain: str, offers: set[str], option: str) -> None:
    read = registry.device(domain).predict_file
    if option in offers:
        assert cli._offered(read, {option: 1}) == {option: 1}
    else:
        with pytest.raises(ConfigError, match=f"--{option} is no option"):
            cli._offered(read, {option: 1})


def test_every_domain_is_asked_for_its_options() -> None:
    asked = {
        "finance_fraud", "healthcare_imaging", "marketing_segmentation", "retail_recommendation", "transportation"
    }  # fmt: skip
    assert set(registry.NAMES) == asked


# === Refusals ===


def test_run_without_the_train_extra_says_how_to_get_it() -> None:
    assert 'pip install -e ".[train]"' in base_install("run", "finance_fraud", code=2).stderr


def test_predict_refuses_to_overwrite(device_file: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "new.csv", tmp_path / "scores.csv"
    data.write_text(HEADER + ROW)
    out.write_text("precious")
    assert "exists already" in edgekit("predict", device_file, data, "--out", out, code=2).stderr
    assert out.read_text() == "precious"


def test_predict_with_broken_rows_writes_nothing(device_file: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "new.csv", tmp_path / "scores.csv"
    data.write_text(HEADER + ROW + ROW.replace("12.50", "a lot"))
    message = edgekit("predict", device_file, data, "--out", out, code=2).stderr
    assert "row 2" in message
    assert "a lot" in message
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "finance_frod"], "Did you mean 'finance_fraud'"),
        (["describe", "fraud"], "Unknown domain"),
        (["verify", "nowhere.tflite"], "no such file"),
        (["verify", "."], "folder"),
        (["run", "finance_fraud", "--set", "trainng.epochs=1"], "Did you mean 'training'"),
        (["run", "finance_fraud", "--set", "training.epochs=many"], "training.epochs"),
        (["run", "finance_fraud", "--config", "nowhere.toml"], "nowhere.toml"),
        (["run", "finance_fraud", "--items", "items.csv"], "none was given. Name it with --data PATH"),
        (["run", "finance_fraud", "--interval", "5min"], "interval"),
        (["run", "transportation", "--data", "speeds.csv", "--interval", "7min"], "must divide a day"),
        (["run", "transportation", "--data", "speeds.csv", "--interval", "often"], "Not an interval: 'often'"),
        (["run", "transportation", "--data", "speeds.csv", "--start", "soon"], "Not a time: 'soon'"),
    ],
)
def test_refusals(arguments: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert expected in edgekit(*arguments, code=2).stderr
    assert not list(tmp_path.rglob("*"))


def test_bad_data_is_one_message_with_the_stage_and_leaves_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text(HEADER.replace("amount", "amout") + ROW.replace("12.50", "x").replace(",0\n", ",2\n"))
    done = edgekit(
        "run", "finance_fraud", "--data", data, "--out", tmp_path / "run", "--columns", "amount=amount", code=2
    )
    assert "amout" in done.stderr
    assert "'2'" in done.stderr
    assert "stage load" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]


def test_a_second_table_reaches_the_domain(tmp_path: Path) -> None:
    arguments = ("--data", tmp_path / "a.csv", "--items", tmp_path / "b.csv", "--out", tmp_path / "run")
    assert "reads one table" in edgekit("run", "finance_fraud", *arguments, code=2).stderr


# === Short names of settings ===


class EnoughError(Exception):
    """The settings are known, and nothing shall be run."""


def read_as(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *options: str, data: bool = True) -> Any:
    """Return the settings that a run of the forecasting domain would get; nothing is run."""
    seen = list[Any]()

    def keep(record: Any, settings: Any, *_: Any, **__: Any) -> Any:
        seen.append(settings)
        raise EnoughError

    monkeypatch.setattr(cli, "_run", keep)
    given = ["--data", "speeds.csv"] if data else []
    arguments = ["run", "transportation", *given, "--out", str(tmp_path / "run"), *options]
    with pytest.raises(EnoughError):
        cli.app(args=arguments, standalone_mode=False)
    return seen[0].data


def test_short_names_set_what_they_stand_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    options = ("--interval", "300s", "--start", "2012-03-01", "--adjacency", "a.csv")
    found = read_as(monkeypatch, tmp_path, *options)
    assert (found.interval, found.start, found.adjacency) == ("5min", "2012-03-01", Path("a.csv"))
    bare = read_as(monkeypatch, tmp_path)
    assert (bare.interval, bare.start, bare.adjacency) == (None, None, None)


def test_a_short_name_comes_before_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[data]\ninterval = "1h"\nunit = "mph"\n')
    options = ("--config", str(tmp_path / "c.toml"), "--set", 'data.start="2020-01-01"', "--interval", "15min")
    found = read_as(monkeypatch, tmp_path, *options)
    assert (found.interval, found.start, found.unit) == ("15min", "2020-01-01", "mph")


@pytest.mark.parametrize(
    "options", [("--interval", "5min"), ("--start", "2012-03-01"), ("--adjacency", "a.csv")], ids=lambda given: given[0]
)
def test_what_speaks_of_a_file_needs_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """Synthetic roads have their own times and neighbours: an option that changes nothing is not taken in silence."""
    with pytest.raises(ConfigError, match="none was given. Name it with --data PATH"):
        read_as(monkeypatch, tmp_path, *options, data=False)
    assert not list(tmp_path.iterdir())


def test_readings_without_times_reach_the_domain_with_them(tmp_path: Path) -> None:
    data = tmp_path / "speeds.csv"
    data.write_text("a1,a2\n" + "60,50\n" * 30)
    run = ("run", "transportation", "--data", data, "--out", tmp_path / "run")
    assert "--interval and --start are not given" in edgekit(*run, code=2).stderr
    timed = edgekit(*run, "--interval", "5min", "--start", "2012-03-01", code=2).stderr
    assert "found 30 steps, expected at least 50" in timed
    lost = edgekit(*run, "--interval", "5min", "--start", "2012-03-01", "--adjacency", tmp_path / "no.csv", code=2)
    assert "no.csv" in lost.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["speeds.csv"]


def test_an_existing_folder_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("kept")
    assert "exists already" in edgekit("run", "finance_fraud", "--out", tmp_path, code=2).stderr
    assert (
        "not the folder of an earlier run"
        in edgekit("run", "finance_fraud", "--out", tmp_path, "--overwrite", code=2).stderr
    )
    assert (tmp_path / "precious.txt").read_text() == "kept"


def test_an_unwritable_place_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "Cannot write" in edgekit("run", "finance_fraud", "--out", tmp_path / "file" / "run", code=2).stderr


def test_a_text_file_is_no_device_file(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_text("hello")
    assert "model.tflite" in edgekit("verify", tmp_path / "model.tflite", code=2).stderr
