"""Who may import whom, and which modules stay free of heavy packages; the messages say why."""

from __future__ import annotations

import ast
import configparser
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"tensorflow", "keras", "pandas", "scipy", "sklearn", "matplotlib", "pyarrow", "jinja2"}
CONVENIENCE = {"pydantic", "typer", "rich", "PIL"}
DOMAIN_FILES = {"__init__", "config", "data", "features", "model", "evaluate", "device", "solution"}
SOURCES = sorted(
    path
    for folder in ("shared", "tflite_export", "domains", "")
    for path in ((ROOT / folder).rglob("*.py") if folder else ROOT.glob("*.py"))
)
DOMAINS = sorted(path.name for path in (ROOT / "domains").iterdir() if (path / "solution.py").exists())
PURE = (
    "edgekit",
    "edgekit.domains.registry",
    "edgekit.tflite_export.runtime",
    "edgekit.tflite_export.card",
    "edgekit.tflite_export.benchmark",
    *(f"edgekit.domains.{domain}{part}" for domain in DOMAINS for part in ("", ".features", ".device")),
)


def imported(path: Path) -> Iterator[tuple[str, ...]]:
    """Yield what a file imports from edgekit, at run time, as parts of the name below ``edgekit``."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    tree = ast.parse(path.read_text())
    only_for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not node.level or id(node) in only_for_types:
            continue
        base = package[: len(package) - node.level + 1]
        module = tuple(node.module.split(".")) if node.module else ()
        for name in node.names:
            yield (*base, *module, name.name)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_imports_inside_the_package_are_relative(path: Path) -> None:
    names = [ast.unparse(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import)]
    names += [
        ast.unparse(node)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and not node.level
    ]
    absolute = [name for name in names if "edgekit" in name.split()[1].split(".")]
    assert not absolute, f"{absolute}: an absolute import can load a module twice under two names"


@pytest.mark.parametrize("path", sorted((ROOT / "shared").glob("*.py")), ids=relative)
def test_shared_knows_nothing_but_shared(path: Path) -> None:
    outside = [name for name in imported(path) if name[0] != "shared" and name != ("__version__",)]
    assert not outside, f"{outside}: shared serves every domain and the exporter, so it may know none of them"


@pytest.mark.parametrize("path", sorted((ROOT / "tflite_export").glob("*.py")), ids=relative)
def test_the_exporter_knows_no_domain_and_no_pipeline(path: Path) -> None:
    allowed = {"shared", "tflite_export", "__version__"}
    outside = [name for name in imported(path) if name[0] not in allowed]
    assert not outside, f"{outside}: the exporter must work for any Keras model"


@pytest.mark.parametrize("path", sorted((ROOT / "domains").glob("*/*.py")), ids=relative)
def test_a_domain_knows_no_other_domain_and_no_pipeline(path: Path) -> None:
    own = path.parent.name
    outside = [
        name for name in imported(path) if name[0] not in {"shared", "tflite_export"} and name[:2] != ("domains", own)
    ]
    assert not outside, f"{outside}: what two domains need belongs in shared"


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.py")), ids=relative)
def test_the_program_reaches_domains_through_the_registry(path: Path) -> None:
    direct = [name for name in imported(path) if name[0] == "domains" and name[1] != "registry"]
    assert not direct, f"{direct}: generic code sees a domain only as a Domain record"


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_domain_has_the_same_files(domain: str) -> None:
    found = {path.stem for path in (ROOT / "domains" / domain).glob("*.py")}
    assert found >= DOMAIN_FILES, "who knows one domain knows all"


def test_setup_cfg_lists_every_package() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    found = {
        ".".join(("edgekit", *path.parent.relative_to(ROOT).parts)) for path in SOURCES if path.name == "__init__.py"
    }
    assert listed == found, "setuptools cannot find packages when the root itself is the package"


@pytest.mark.parametrize("module", PURE)
def test_device_modules_import_nothing_heavy(module: str) -> None:
    heavy = HEAVY | CONVENIENCE
    code = f"import sys, {module}; print(*({{name.split('.')[0] for name in sys.modules}} & {heavy!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout.split(), "what runs on a device installs with numpy and ai-edge-litert alone"


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_files_stay_readable(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 500, "one subject a file; split it by concept"


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_functions_stay_short(path: Path) -> None:
    long = [
        f"{node.name} ({node.end_lineno - node.body[0].lineno + 1})"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and _body_lines(node) > 60
    ]
    assert not long, f"{long}: a function does one thing"


def _body_lines(node: ast.FunctionDef) -> int:
    documented = ast.get_docstring(node) is not None
    first = node.body[1] if documented and len(node.body) > 1 else node.body[0]
    return (node.end_lineno or 0) - first.lineno + 1


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_pickle_and_no_assert_in_library_code(path: Path) -> None:
    tree = ast.parse(path.read_text())
    asserts = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    assert not asserts, f"lines {asserts}: python -O removes asserts; raise an EdgekitError"
    text = path.read_text()
    assert "import pickle" not in text, "loading a pickle runs code"
    assert "allow_pickle=True" not in text, "loading a pickle runs code"
