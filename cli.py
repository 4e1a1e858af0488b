"""The command line, thin: it reads what the user typed, calls one function and prints what came back."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from . import __version__
from .domains import registry
from .shared.errors import ConfigError, EdgekitError, MissingExtraError
from .shared.report import printable

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Applied deep learning that ends on a device: own data in, a verified .tflite with its evidence out.",
)
out, err = Console(highlight=False), Console(stderr=True, highlight=False)  # look sys.stderr up when they print

INTERRUPTED = 130  # the exit code of a command stopped by Ctrl-C

DomainName = Annotated[str, typer.Argument(metavar="DOMAIN", help="See `edgekit list`.")]
DeviceFile = Annotated[Path, typer.Argument(metavar="FILE", help="A .tflite made by edgekit.")]
Columns = Annotated[
    list[str] | None,
    typer.Option("--columns", metavar="ROLE=NAME …", help="Which column of the file plays which role."),
]


def main() -> None:
    """Run the command line; what a user can cause ends in one message and exit code 2."""
    _mute_native_code()
    try:
        app(args=_spread(sys.argv[1:]), standalone_mode=True)
    except EdgekitError as error:
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        err.print(f"[bold red]error[/]{escape(printable(notes))}: {escape(printable(str(error)))}", soft_wrap=True)
        sys.exit(2)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            err.print("Stopped. Nothing was written under a final name.")
        raise


def _mute_native_code() -> None:
    """Send what C++ libraries print to file descriptor 2 nowhere; Python keeps its own way to standard error."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)


def _spread(arguments: list[str]) -> list[str]:
    """Let ``--columns a=x b=y`` stand for ``--columns a=x --columns b=y``; likewise --exclude and --set."""
    spread: list[str] = []
    option = ""
    for argument in arguments:
        if argument in ("--columns", "--exclude", "--set"):
            option = argument
        elif argument.startswith("-"):
            option = ""
            spread.append(argument)
        elif option and ("=" in argument or option == "--exclude"):
            spread += [option, argument]
        else:
            spread.append(argument)
    return spread


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        out.print(__version__)
        raise typer.Exit


@app.command("list")
def list_domains() -> None:
    """List the domains."""
    for name in registry.NAMES:
        out.print(f"[bold]{name}[/]  {escape(registry.summary(name))}")


@app.command()
def describe(domain: DomainName) -> None:
    """Show what a domain's data must look like, with an example row, and its settings."""
    from .shared.report import Table
    from .shared.report_terminal import table

    record = _trainable(domain)
    columns = ("role", "kind", "required", "unit", "range", "missing", "meaning", "example")
    rows = tuple(record.contract.rows())
    out.print(table(Table(columns, rows, f"A row is one of {record.contract.name}."), out))
    out.print(escape(f"Example row: {', '.join(f'{row[0]}={row[-1]}' for row in rows)}"), soft_wrap=True)
    out.print(escape(record.contract.beside), soft_wrap=True)
    settings = tuple(_settings(record.config))
    out.print(table(Table(("setting", "default"), settings, "Change one with --set section.key=value."), out))


@app.command()
def run(  # noqa: PLR0913, PLR0917  # the options of a command line
    domain: DomainName,
    data: Annotated[Path | None, typer.Option(help="Your file; without it, synthetic data.")] = None,
    columns: Columns = None,
    exclude: Annotated[list[str] | None, typer.Option(metavar="NAME …", help="Columns to leave out.")] = None,
    items: Annotated[Path | None, typer.Option(help="A second table, which describes the items.")] = None,
    interval: Annotated[
        str | None, typer.Option(help="Between two readings, such as 5min; sets data.interval.")
    ] = None,
    start: Annotated[str | None, typer.Option(help="Time of the first reading; sets data.start.")] = None,
    adjacency: Annotated[Path | None, typer.Option(help="Which sensors are neighbours; sets data.adjacency.")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings as TOML.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE …", help="Change a setting.")
    ] = None,
    out_: Annotated[
        Path | None, typer.Option("--out", help="Folder for the evidence; runs/DOMAIN if left out.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Same seed, same run.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the folder of an earlier run.")] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out files that cannot be read, and count them in the report.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, only the result.")] = False,
) -> None:
    """Take a domain from data to a verified device file with its evidence."""
    from .shared import run_folder
    from .shared.config import override, parse_assignments, read_toml
    from .shared.domain import Request
    from .shared.report_terminal import print_report

    if data is None and (columns or exclude or items or interval or start or adjacency):
        raise ConfigError(
            "--columns, --exclude, --items, --interval, --start and --adjacency speak of a file, and none was given. "
            "Name it with --data PATH."
        )
    final = out_ or Path("runs") / domain
    registry.summary(domain)  # a misspelt domain and a taken folder are told before anything is imported
    run_folder.require_free(final, overwrite=overwrite)
    record = _trainable(domain)
    settings = override(record.config, read_toml(config)) if config else record.config
    settings = override(settings, parse_assignments(set_ or []))
    short = {"interval": interval, "start": start, "adjacency": adjacency and str(adjacency), "skip_bad": skip_bad}
    settings = override(settings, {"data": {name: value for name, value in short.items() if value}})
    request = Request(data, _roles(columns), tuple(exclude or ()), shlex.join(["edgekit", *sys.argv[1:]]), items)
    folder = run_folder.start(final, overwrite=overwrite)
    try:
        outcome = _run(record, settings, request, folder, seed=seed, quiet=quiet)
    finally:
        folder.discard()
    print_report(outcome.summary, out)
    out.print(f"report: {escape(str(outcome.folder / 'report.html'))}", soft_wrap=True)
    if outcome.chosen:
        out.print(f"device file: {escape(str(outcome.folder / (domain + '.tflite')))}", soft_wrap=True)


@app.command()
def predict(  # noqa: PLR0913, PLR0917  # the options of a command line
    file: DeviceFile,
    data: Annotated[list[Path], typer.Argument(help="New data: a table like the training file, or image files.")],
    out_: Annotated[Path, typer.Option("--out", help="CSV to write.")] = Path("predictions.csv"),
    history: Annotated[Path | None, typer.Option(help="Earlier rows that the windows shall see.")] = None,
    columns: Columns = None,
    heatmap: Annotated[Path | None, typer.Option(help="Folder for images of where the network looked.")] = None,
    at: Annotated[str | None, typer.Option(help="Time of the newest readings; that of the file if left out.")] = None,
    k: Annotated[int | None, typer.Option("--k", min=1, help="How many items are recommended; 10 if left out.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what --out and --heatmap name.")] = False,
) -> None:
    """Score new data with a device file. Needs no TensorFlow."""
    from .shared.errors import RunError
    from .tflite_export.runtime import load_model

    for option, place in (("--out", out_), ("--heatmap", heatmap)):
        if place and place.exists() and not overwrite:
            raise RunError(f"{place} exists already. Nothing was changed. Choose another {option}, or add --overwrite.")
    read = registry.device(load_model(file).card.domain).predict_file
    given = {"history": history, "columns": _roles(columns) or None, "heatmap": heatmap, "at": at, "k": k}
    counts = read(file, data, out=out_, **_offered(read, {name: value for name, value in given.items() if value}))
    told = ", ".join(f"{count:,} {what}" for what, count in counts.items())
    out.print(f"{told}: {escape(str(out_))}", soft_wrap=True)


@app.command()
def verify(file: DeviceFile) -> None:
    """Check a device file and replay its golden vectors on this machine."""
    from .tflite_export.runtime import verify as replay

    result = replay(file)
    verdict = "[green]passed[/]" if result.passed else "[red]failed[/]"
    out.print(
        f"{verdict}: {result.n} golden vectors, largest deviation {result.max_abs_error:.3g} "
        f"(allowed {result.tolerance:.3g}), {result.decision_flips} decision flips"
    )
    if not result.passed:
        raise typer.Exit(2)


@app.command()
def inspect(file: DeviceFile) -> None:
    """Show a device file's card, signature, operators and size."""
    from .inspection import inspection
    from .shared.report_terminal import print_report

    print_report(inspection(file), out)


@app.command()
def bench(
    file: DeviceFile,
    calls: Annotated[int, typer.Option(min=10, help="Timed calls.")] = 1000,
) -> None:
    """Measure latency, memory and size of a device file on this machine."""
    from .tflite_export.benchmark import latency, memory
    from .tflite_export.runtime import load_model

    model = load_model(file)
    speed = latency(model, model.golden.inputs, calls=calls)
    out.print(
        f"{speed.calls:,} calls, batch 1, one thread: median {speed.median_ms:.3f} ms, p95 {speed.p95_ms:.3f} ms; "
        f"memory {memory(file).added_bytes / 1e6:.1f} MB; size {model.content_bytes:,} bytes"
    )


def _offered(read: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the options, which not every domain has."""
    unknown = [name for name in given if name not in signature(read).parameters]
    if unknown:
        raise ConfigError(f"--{unknown[0]} is no option for a file of this domain. Leave it out.")
    return given


def _roles(columns: list[str] | None) -> dict[str, str]:
    roles: dict[str, str] = {}
    for entry in columns or []:
        role, equals, name = entry.partition("=")
        if not equals or not role or not name:
            raise ConfigError(f"--columns {entry}: expected ROLE=NAME, such as amount=TX_AMOUNT.")
        if role in roles:
            raise ConfigError(f"--columns names the role {role!r} twice: {roles[role]!r} and {name!r}.")
        roles[role] = name
    return roles


def _trainable(domain: str) -> Any:
    """Return the domain's record, or say which extra a run needs."""
    try:
        return registry.get(domain)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f'This needs {error.name!r}, which is not installed. In the clone, run: pip install -e ".[train]"'
        ) from error


def _run(record: Any, settings: Any, request: Any, folder: Any, *, seed: int, quiet: bool) -> Any:
    from .pipeline import run as run_pipeline

    with _progress(quiet) as report:
        return run_pipeline(record, settings, request, folder=folder, seed=seed, report=report)


def _settings(config: Any) -> Iterator[tuple[str, str]]:
    for section, values in config.model_dump().items():
        for key, value in values.items():
            yield f"{section}.{key}", str(value)


@contextmanager
def _progress(quiet: bool) -> Iterator[Any]:
    """Show the stage in progress with a spinner, and each line once; nothing when quiet."""
    if quiet:
        yield lambda line: None
        return
    with err.status("starting") as status:

        def report(line: str) -> None:
            if line.startswith("["):
                status.update(line.strip("[]"))
                err.print(f"[bold cyan]{escape(line.strip('[]'))}[/]")
            else:
                err.print(f"  {escape(printable(line))}", soft_wrap=True)

        yield report
