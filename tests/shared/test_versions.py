from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

import edgekit
from edgekit.shared import versions as module
from edgekit.shared.versions import versions


def test_versions_are_those_that_run() -> None:
    found = versions()
    assert found["edgekit"] == edgekit.__version__
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__


def test_a_package_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "numpy":
            return "9.9"
        raise PackageNotFoundError(name)

    monkeypatch.setattr(module, "version", version)
    assert {**versions()}.keys() == {"edgekit", "python", "numpy"}
    assert versions()["numpy"] == "9.9"
