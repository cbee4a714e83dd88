import ast
import importlib.util
import os
import shutil
import sys
import venv
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def dev(root: Path, tmp_path: Path) -> ModuleType:
    """dev.py, working on an empty project."""
    spec = importlib.util.spec_from_file_location("dev", root / "dev.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ROOT = tmp_path
    module.VENV = tmp_path / ".venv"
    module.CONSTRAINTS = tmp_path / "constraints.txt"
    module.STAMP = module.VENV / "installed.txt"
    module.UNFINISHED = module.VENV / "unfinished.txt"
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text("old", encoding="utf-8")
    return module


@pytest.fixture
def installed(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """dev.py after a setup whose pip did nothing but count."""
    venv.create(dev.VENV, with_pip=False)
    dev.commands = []
    monkeypatch.setattr(dev, "run", lambda command, **variables: dev.commands.append(command) or 0)
    monkeypatch.setattr(dev, "is_usable", lambda: True)
    dev.make_environment(*dev.EVERYTHING)
    return dev


def test_a_second_setup_installs_nothing(installed: ModuleType) -> None:
    assert len(installed.commands) == 1
    installed.make_environment("training")
    assert len(installed.commands) == 1


def test_changed_requirements_are_installed_again(installed: ModuleType) -> None:
    installed.CONSTRAINTS.write_text("new", encoding="utf-8")
    installed.make_environment("training")
    assert len(installed.commands) == 2


def test_the_demo_does_not_take_the_test_tools_away(installed: ModuleType) -> None:
    installed.STAMP.write_text(f"{installed.wanted_digest()}\ntest\n", encoding="utf-8")
    installed.make_environment("training")
    assert installed.commands[-1][-1].endswith("[test,training]")


def test_a_half_made_environment_is_made_again(installed: ModuleType) -> None:
    installed.UNFINISHED.write_text("", encoding="utf-8")
    installed.make_environment("training")
    assert [sys.executable, "-m", "venv", str(installed.VENV)] in installed.commands


def test_an_installation_that_failed_is_not_taken_for_done(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    venv.create(dev.VENV, with_pip=False)
    monkeypatch.setattr(dev, "is_usable", lambda: True)
    monkeypatch.setattr(dev, "run", lambda command: 1)
    with pytest.raises(dev.DevError, match="pip could not install"):
        dev.make_environment("training")
    assert dev.installed_extras() is None


@pytest.mark.skipif(os.name == "nt", reason="there, a copied python.exe does not start without its folder")
def test_a_virtual_python_that_lost_its_settings_is_not_installed_into(dev: ModuleType) -> None:
    venv.create(dev.VENV, with_pip=True, symlinks=True)
    assert dev.is_usable()
    (dev.VENV / "pyvenv.cfg").unlink()
    assert not dev.is_usable()


def test_an_old_python_is_told_in_a_sentence(
    root: Path, dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ast.parse((root / "dev.py").read_text(encoding="utf-8"), feature_version=(3, 8))
    monkeypatch.setattr(dev, "OLDEST_PYTHON", (4, 0))
    monkeypatch.setattr(sys, "argv", ["dev.py", "setup"])
    assert dev.main() == 1
    assert "needs Python 4.0 or newer, and this is 3." in capsys.readouterr().err


@pytest.mark.parametrize("is_administrator", [True, False])
def test_debians_missing_package_is_installed_or_named(
    is_administrator: bool, dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(dev, "can_make_environments", lambda: bool(commands))
    monkeypatch.setattr(dev, "run", lambda command: commands.append(command) or 0)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(os, "name", "posix")
    monkeypatch.setattr(os, "geteuid", lambda: 0 if is_administrator else 1000, raising=False)
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    if is_administrator:
        dev.require_venv()
        assert commands[-1][:2] == ["apt-get", "install"]
        assert package in commands[-1]
    else:
        with pytest.raises(dev.DevError, match=f"sudo apt-get install .*{package}"):
            dev.require_venv()
        assert commands == []


def test_everything_else_is_checked_before_the_tests_run(installed: ModuleType) -> None:
    del installed.commands[:]
    installed.test()
    words = [" ".join(command[1:]) or Path(command[0]).stem for command in installed.commands]
    prepared = [str(installed.WINDOWS), str(installed.PROGRAMS)]
    expected = ["ruff check", "ruff format --check", "mypy", "lint-imports", *prepared, "pytest"]
    assert len(words) == len(expected)
    assert all(part in word for part, word in zip(expected, words, strict=True))


def test_what_is_named_in_dev_is_there(root: Path, dev: ModuleType) -> None:
    assert (root / dev.DEMO_BUNDLE).is_file()
    assert (root / dev.WINDOWS).is_file()
    assert (root / dev.PROGRAMS).is_file()


def test_make_and_dev_know_the_same_commands(root: Path, dev: ModuleType) -> None:
    targets = (root / "Makefile").read_text(encoding="utf-8").split(".PHONY:")[1].splitlines()[0].split()
    assert sorted(targets) == sorted(dev.COMMANDS)
