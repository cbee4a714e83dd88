import json
import os
import platform
import sys
from importlib import metadata
from pathlib import Path

import pytest

from cisfa.cli import doctor, machine
from cisfa.cli.machine import Device, Package
from cisfa.cli.main import main

MISSING = Package("nibabel", machine.EVERYTHING, installed=None, minimum="5.2", is_good=False)
OLD = Package("numpy", machine.EVERYTHING, installed="1.20.0", minimum="1.26", is_good=False)
NO_MONAI = Package("monai", machine.TRAINING, installed=None, minimum="1.5", is_good=False)


@pytest.fixture
def no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares a test the import of torch."""
    monkeypatch.setattr(machine, "devices", lambda: iter([Device("cpu", "a processor", None)]))


def test_this_computer_is_found_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["problems"] == []
    assert {package["name"]: package["installed"] for package in found["packages"]}["numpy"] == metadata.version(
        "numpy"
    )
    assert found["devices"][0]["name"] == "cpu"
    assert found["devices"][0]["fault"] is None
    assert found["memory_bytes"]["total"] > 2**30
    assert found["free_disk_bytes"]["current folder"] > 0


@pytest.mark.usefixtures("no_devices")
def test_the_answer_can_be_pasted_into_a_public_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://anna:secret@proxy.hospital.example")
    monkeypatch.setenv("https_proxy", "http://anna:secret@proxy.hospital.example")
    monkeypatch.setattr(platform, "node", lambda: "annas-laptop")
    monkeypatch.chdir(tmp_path)
    for words in (["doctor"], ["doctor", "--json"]):
        assert main(words) == 0
        said = capsys.readouterr().out
        assert "HTTPS_PROXY" in said
        for private in ("secret", "anna", "hospital", str(tmp_path), str(Path.home()) + os.sep):
            assert private not in said


@pytest.mark.usefixtures("no_devices")
def test_a_lower_case_proxy_counts_as_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HTTP_PROXY", raising=False)
    monkeypatch.delenv("http_proxy", raising=False)
    assert doctor.examine().variables["HTTP_PROXY"] == "not set"
    monkeypatch.setenv("http_proxy", "http://proxy.example")
    assert doctor.examine().variables["HTTP_PROXY"] == "set"


EVERY_PACKAGE = [*machine.CORE_PACKAGES, *(name for names in machine.OPTIONAL_PACKAGES.values() for name in names)]


@pytest.mark.usefixtures("no_devices")
def test_what_is_needed_and_missing_or_too_old_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "packages", lambda: iter([MISSING, OLD]))
    assert main(["doctor"]) == 2
    captured = capsys.readouterr()
    assert "Missing: nibabel." in captured.err
    assert "numpy 1.20.0 is too old: 1.26 or newer is needed." in captured.err
    assert "missing (5.2 or newer is needed for everything)" in captured.out


@pytest.mark.usefixtures("no_devices")
def test_without_the_training_packages_one_can_still_segment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "packages", lambda: iter([NO_MONAI]))
    assert main(["doctor"]) == 0
    assert "needed for training, evaluation and reports" in capsys.readouterr().out


def test_a_device_that_does_not_compute_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Device("cuda:0", "an old card", "no kernel image is available for execution on the device")
    monkeypatch.setattr(machine, "devices", lambda: iter([broken]))
    assert main(["doctor"]) == 2
    assert "The device cuda:0 does not compute: no kernel image" in capsys.readouterr().err


def test_a_torch_that_cannot_be_loaded_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise OSError("[WinError 126] Error loading c10.dll or one of its dependencies.")

    monkeypatch.setattr(machine, "devices", fail)
    assert main(["doctor"]) == 2
    assert "torch is installed but cannot be loaded ([WinError 126]" in capsys.readouterr().err


@pytest.mark.usefixtures("no_devices")
def test_a_bundle_that_cannot_be_opened_is_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--bundle", str(tmp_path / "absent.zip")]) == 2
    assert "absent.zip" in capsys.readouterr().err


def test_every_requirement_of_the_package_is_looked_at() -> None:
    found = list(machine.packages())
    assert [package.name for package in found] == EVERY_PACKAGE
    assert all(package.minimum for package in found)


def test_a_copy_that_pip_did_not_install_still_knows_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", absent)
    found = list(machine.packages())
    assert [package.name for package in found] == EVERY_PACKAGE
    assert all(package.is_good for package in found)


@pytest.mark.parametrize(
    ("installed", "minimum", "is_good"),
    [("2.10.0", "2.9", True), ("2.9.0+cu128", "2.9", True), ("2.8.9", "2.9", False), ("2.0", "2.0.0", True)],
)
def test_versions_are_compared_as_numbers(
    installed: str, minimum: str, is_good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: [f"torch>={minimum}", 'ruff>=0.9; extra == "test"'])
    monkeypatch.setattr(metadata, "version", lambda name: installed)
    assert [(package.name, package.is_good) for package in machine.packages()] == [("torch", is_good)]


def test_memory_is_known_without_psutil(monkeypatch: pytest.MonkeyPatch) -> None:
    with_psutil = machine.memory_bytes()["total"]
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert machine.memory_bytes()["total"] == pytest.approx(with_psutil, rel=0.01)
