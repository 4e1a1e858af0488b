"""README, held to the code: its commands exist, its figures come from results files, CI runs what it says."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from edgekit import cli
from edgekit.domains import registry
from edgekit.shared.config import override, parse_assignments
from edgekit.shared.errors import ConfigError

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = [line.split("#")[0].strip() for line in README.splitlines() if line.startswith("    edgekit ")]
SETTINGS = re.findall(r"`--set ([^`]+)`", README)
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))


def script(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def parsed(command: str) -> Any:
    """Parse a command as the command line would, without running it."""
    name, *arguments = cli._spread(shlex.split(command)[1:])
    group: Any = typer.main.get_command(cli.app)
    return group.commands[name].make_context(name, arguments, resilient_parsing=False)


def accepts(config: Any, changes: dict[str, Any]) -> bool:
    try:
        override(config, changes)
    except ConfigError:
        return False
    return True


def test_there_are_commands_to_test() -> None:
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_readme_is_understood(command: str) -> None:
    assert parsed(command).params


@pytest.mark.parametrize("command", sorted(typer.main.get_command(cli.app).commands))  # type: ignore[attr-defined]
def test_every_command_is_in_readme(command: str) -> None:
    assert f"edgekit {command}" in README


@pytest.mark.parametrize("settings", SETTINGS)
def test_every_setting_of_readme_exists_in_some_domain(settings: str) -> None:
    changes = parse_assignments(shlex.split(settings))
    known = [name for name in registry.NAMES if accepts(registry.get(name).config, changes)]
    assert known


@pytest.mark.parametrize("name", registry.NAMES)
def test_every_domain_is_in_readme_with_its_results(name: str) -> None:
    assert f"`{name}`" in README
    assert f"<!-- results:{name} -->" in README


def test_the_tables_are_those_of_the_results_files() -> None:
    assert script("results_table").write(README) == README, "run: python benchmarks/results_table.py"


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_results_file_keeps_its_format(path: Path) -> None:
    results = json.loads(path.read_text())
    assert results["format"] == 1
    assert results["domain"] == path.stem
    assert {"tflite", "keras"} < results["table"].keys()
    figures = [figure for row in results["table"].values() for figure in row.values()]
    assert all({"value", "sd", "low", "high", "n"} <= figure.keys() for figure in figures)
    assert all("source" in row for row in results["published"].values())
    assert results["export"]["bytes"] > 0


def test_ci_runs_the_commands_of_readme() -> None:
    install, test = re.findall(r'pip install -e "(\.\[dev\])" && (pytest)', README)[0]
    ci = (ROOT / ".ci" / "run").read_text()
    assert f'-e "{install}"' in ci
    assert re.search(rf"^{test}$", ci, re.MULTILINE)


def test_python_versions_agree() -> None:
    assert "Python 3.11 to 3.13" in README
    assert "python_requires = >=3.11,<3.14" in (ROOT / "setup.cfg").read_text()
