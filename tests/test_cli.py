"""The command line: every refusal is one message with exit code 2, and the base commands need no TensorFlow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgekit import cli
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
