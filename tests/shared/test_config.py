from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, ValidationError

from edgekit.shared.config import Settings, TrainingSettings, override, parse_assignments, read_toml
from edgekit.shared.errors import ConfigError


class Export(Settings):
    recipes: tuple[str, ...] = ("float32",)
    max_bytes: int | None = Field(default=None, ge=1)
    server: bool = True
    name: str = "model"


class Config(Settings):
    training: TrainingSettings = TrainingSettings()
    export: Export = Export()


def _set(*assignments: str) -> Config:
    return override(Config(), parse_assignments(assignments))


def _problems(*assignments: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        _set(*assignments)
    head, *problems = str(error.value).splitlines()
    assert head == "The settings are not valid:"
    return problems


@pytest.mark.parametrize(
    ("assignment", "section", "key", "value"),
    [
        ("training.epochs=5", "training", "epochs", 5),
        (" training . epochs = 5 ", "training", "epochs", 5),
        ("training.learning_rate=1e-3", "training", "learning_rate", 0.001),
        ("training.learning_rate=1", "training", "learning_rate", 1.0),
        ("training={epochs = 5}", "training", "epochs", 5),
        ("export.server=false", "export", "server", False),
        ("export.max_bytes=5", "export", "max_bytes", 5),
        ("export.name=fraud model", "export", "name", "fraud model"),
        ('export.name="5"', "export", "name", "5"),
        ("export.name=a=b", "export", "name", "a=b"),
        ("export.name=[draft", "export", "name", "[draft"),
        ("export.name=draft]", "export", "name", "draft]"),
        ("export.name=", "export", "name", ""),
        ("export.name=2018-04-01", "export", "name", "2018-04-01"),
        ("export.name=10:00:00", "export", "name", "10:00:00"),
        ('export.recipes=["float16", "int8"]', "export", "recipes", ("float16", "int8")),
        ("export.recipes=[float16, int8]", "export", "recipes", ("float16", "int8")),
        ("export.recipes=[]", "export", "recipes", ()),
    ],
)
def test_an_assignment_changes_one_setting(assignment: str, section: str, key: str, value: Any) -> None:
    changed = _set(assignment)
    found = getattr(getattr(changed, section), key)
    assert found == value
    assert type(found) is type(value)
    assert override(changed, {section: {key: getattr(getattr(Config(), section), key)}}) == Config()


def test_the_last_of_several_values_counts() -> None:
    assert _set("training.epochs=5", "training.patience=2", "training.epochs=6").training == TrainingSettings(
        epochs=6, patience=2
    )


def test_nothing_to_change_changes_nothing() -> None:
    assert _set() == Config()


@pytest.mark.parametrize("text", ["training.epochs", "=5", "training.=5", ".epochs=5", "a..b=5", " . =5", ""])
def test_what_is_no_assignment_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"Not a setting: .*Write it as section\.key=value"):
        parse_assignments([text])


def test_a_section_cannot_have_one_value_and_keys() -> None:
    with pytest.raises(ConfigError, match=r"'training\.epochs=3' sets a key inside 'training'"):
        parse_assignments(["training=5", "training.epochs=3"])


@pytest.mark.parametrize(
    ("assignment", "problem"),
    [
        (
            "training.epoch=5",
            "training.epoch: unknown setting. Did you mean 'epochs'? Known here: batch_size, epochs, ",
        ),
        ("trainin.epochs=5", "trainin: unknown setting. Did you mean 'training'? Known here: export, training."),
        ("epochs=5", "epochs: unknown setting. Known here: export, training."),
        ("training.epochs=many", "training.epochs: Input should be a valid integer (found 'many')."),
        ("training.epochs=5.5", "training.epochs: Input should be a valid integer (found 5.5)."),
        ("training.epochs=true", "training.epochs: Input should be a valid integer (found True)."),
        ("training.epochs=0", "training.epochs: Input should be greater than or equal to 1 (found 0)."),
        ("training.epochs.x=0", "training.epochs: Input should be a valid integer (found {'x': 0})."),
        ("training.learning_rate=nan", "training.learning_rate: Input should be a finite number (found nan)."),
        ("training.learning_rate=inf", "training.learning_rate: Input should be a finite number (found inf)."),
        ("training=5", "training: a section cannot be set to one value (found 5). Set one of training.batch_size, "),
        ("export.server=1", "export.server: Input should be a valid boolean (found 1)."),
        ("export.name=5", "export.name: Input should be a valid string (found 5). Write it in quotes: '\"…\"'."),
        ("export.recipes=int8", "export.recipes: Input should be a valid array (found 'int8')."),
        ("export.recipes=[8]", "export.recipes.0: Input should be a valid string (found 8)."),
    ],
)
def test_a_wrong_setting_is_refused_with_the_way_out(assignment: str, problem: str) -> None:
    (found,) = _problems(assignment)
    assert found.startswith(f"  - {problem}")


def test_quotes_are_advised_for_text_only() -> None:
    assert _problems("training.epochs=x") == ["  - training.epochs: Input should be a valid integer (found 'x')."]


def test_every_problem_is_listed() -> None:
    problems = _problems("training.epochs=0", "training.patience=x", "export.serve=true", "exprt.name=a")
    assert [problem.split(":")[0] for problem in problems] == [
        "  - training.epochs",
        "  - training.patience",
        "  - export.serve",
        "  - exprt",
    ]


def test_a_value_that_no_setting_can_hold_is_refused() -> None:
    with pytest.raises(ConfigError, match="a kind that settings cannot hold"):
        override(Config(), {"export": {"name": {1, 2}}})


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().training.epochs = 5  # type: ignore[misc]


def test_an_override_leaves_the_original_alone() -> None:
    original = Config()
    override(original, {"training": {"epochs": 5}})
    assert original.training.epochs == 20


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_settings_file_is_read(mark: bytes, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_bytes(mark + "[export]\nname = 'größe'\nrecipes = ['int8']\n".encode())
    changed = override(Config(), read_toml(tmp_path / "run.toml"))
    assert changed.export == Export(name="größe", recipes=("int8",))


def test_a_date_in_a_settings_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("[export]\nname = 2018-04-01\n")
    with pytest.raises(ConfigError, match="a kind that settings cannot hold"):
        override(Config(), read_toml(tmp_path / "run.toml"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"Cannot read the settings file .*run\.toml: No such file"),
        (b"epochs: 5", r"run\.toml is not valid TOML: .*line 1"),
        (b"a = '\xff'", r"run\.toml is not valid TOML: .*0xff"),
    ],
)
def test_a_settings_file_that_cannot_be_read_is_named(content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "run.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_toml(tmp_path / "run.toml")


def test_a_folder_is_no_settings_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        read_toml(tmp_path)
