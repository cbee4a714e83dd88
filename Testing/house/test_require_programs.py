"""The programs of other people that check what we write: wanted, and no failure where they cannot be had."""

import importlib.util
import os
import shutil
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def programs(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """require_programs.py as root on a Debian that has none of them, whose apt-get installs but one."""
    spec = importlib.util.spec_from_file_location(
        "require_programs", root / "Testing" / "dicom" / "require_programs.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.PACKAGES = {name: tmp_path / name for name in module.PACKAGES}
    module.POLICY = tmp_path / "policy-rc.d"
    module.commands = []
    module.policies = []
    module.on_offer = set(module.PACKAGES)

    def run(*command: str) -> int:
        module.commands.append(command)
        module.policies.append(module.POLICY.exists() and module.POLICY.read_text(encoding="utf-8"))
        wanted = set(command) & set(module.PACKAGES)
        if not wanted <= module.on_offer:
            return 100
        for name in wanted:
            module.PACKAGES[name].touch()
        return 0

    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(os, "name", "posix")
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    return module


def test_root_gets_what_is_missing_and_no_service_is_started(
    programs: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    programs.PACKAGES["dcmtk"].touch()
    assert programs.main() is None
    assert [command[:2] for command in programs.commands] == [("apt-get", "update"), ("apt-get", "install")]
    assert programs.commands[-1][-3:] == ("orthanc", "orthanc-dicomweb", "dicom3tools")
    assert all("exit 101" in policy for policy in programs.policies)
    assert not programs.POLICY.exists()
    assert "skipped" not in capsys.readouterr().out


def test_a_policy_that_is_there_already_stays(programs: ModuleType) -> None:
    programs.POLICY.write_text("somebody's", encoding="utf-8")
    programs.main()
    assert programs.POLICY.read_text(encoding="utf-8") == "somebody's"
    assert programs.what_is_missing() == []


def test_the_policy_goes_whatever_happens(programs: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*command: str) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(programs, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        programs.main()
    assert not programs.POLICY.exists()


def test_a_package_that_is_not_on_offer_does_not_keep_the_others_away(
    programs: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    programs.on_offer.remove("dicom3tools")
    assert programs.main() is None
    assert programs.what_is_missing() == ["dicom3tools"]
    assert "Tests that need dicom3tools are skipped" in capsys.readouterr().out


def test_others_are_told_the_command_and_it_is_no_failure(
    programs: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    assert programs.main() is None
    said = capsys.readouterr().out
    assert "Tests that need orthanc, orthanc-dicomweb, dicom3tools, dcmtk are skipped" in said
    assert "Run: sudo apt-get install --yes --no-install-recommends orthanc" in said
    assert programs.commands == []


def test_elsewhere_than_on_debian_no_command_is_given(
    programs: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert programs.main() is None
    said = capsys.readouterr().out
    assert "are skipped" in said
    assert "Run:" not in said
    assert programs.commands == []


def test_nothing_is_done_where_nothing_is_missing(programs: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    for path in programs.PACKAGES.values():
        path.touch()
    assert programs.main() is None
    assert programs.commands == []
    assert capsys.readouterr().out == ""
