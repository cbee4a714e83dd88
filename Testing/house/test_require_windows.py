"""The one thing that the tests need and pip cannot install: libraries and a font of the system."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def windows(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """require_windows.py on a Debian without a screen, whose apt-get does nothing but count."""
    spec = importlib.util.spec_from_file_location("require_windows", root / "Testing" / "glue" / "require_windows.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.commands = []
    monkeypatch.setattr(module, "run", lambda *command: module.commands.append(command) or 0)
    monkeypatch.setattr(module, "what_stops_windows", lambda: "" if module.commands else "no libGL.so.1")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(os, "name", "posix")
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    return module


def test_root_gets_what_is_missing(windows: ModuleType) -> None:
    assert windows.main() == ""
    assert [command[:2] for command in windows.commands] == [("apt-get", "update"), ("apt-get", "install")]
    assert {"libgl1", "fonts-dejavu-core"} <= set(windows.commands[-1])


def test_others_are_told_the_command(windows: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    assert "(no libGL.so.1). Run: sudo apt-get install --yes" in windows.main()
    assert windows.commands == []


def test_elsewhere_than_on_debian_the_packages_are_named(windows: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "libgl1" in windows.main()
    assert windows.commands == []


def test_an_installation_that_failed_or_did_not_help_is_said(
    windows: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "what_stops_windows", lambda: "no libGL.so.1")
    assert windows.main() == "The tests still cannot open a window (no libGL.so.1)."
    monkeypatch.setattr(windows, "run", lambda *command: 100)
    assert windows.main().startswith("apt-get install")


def test_nothing_is_installed_where_nothing_is_missing(windows: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "what_stops_windows", lambda: "")
    assert windows.main() == ""
    assert windows.commands == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux is asked")
def test_the_question_is_asked_in_a_fresh_process(
    windows: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    monkeypatch.undo()
    spoiled = tmp_path / "spoiled.py"
    spoiled.write_text("raise ImportError('libGL.so.1: cannot open shared object file')", encoding="utf-8")
    monkeypatch.setattr(windows, "__file__", str(spoiled))
    assert windows.what_stops_windows() == "ImportError: libGL.so.1: cannot open shared object file"
