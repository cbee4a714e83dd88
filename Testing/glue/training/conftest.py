"""The module CISFA Training in the host, with folders of its own."""

import sys
from pathlib import Path

import pytest
import slicer

HERE = Path(__file__).parent
if str(HERE) not in sys.path:
    sys.path.append(str(HERE))


@pytest.fixture(autouse=True)
def folders(host, tmp_path: Path) -> Path:
    """Runs, cases and models lie in folders of the test, in names with blanks and accents."""
    place = tmp_path / "Größe 1"
    for setting, name in (("RunFolder", "Läufe"), ("CaseFolder", "Fälle"), ("ModelFolder", "Modelle")):
        host.app.userSettings().setValue(f"CISFA/{setting}", str(place / name))
    return place


def job_folders() -> set[Path]:
    return set(Path(slicer.app.temporaryPath).glob("cisfa-job-*"))


@pytest.fixture(autouse=True)
def nothing_is_left(host, folders: Path):
    """Jobs take their folders along, however they end."""
    before = job_folders()
    yield
    assert job_folders() - before == set()


@pytest.fixture
def training(host, root: Path):
    """The module, opened."""
    made = host.load_module(root / "CISFATraining" / "CISFATraining.py")
    host.enter(made)
    yield made
    host.quit(made)


@pytest.fixture
def tabs(training):
    """The widgets of all tabs by name."""
    return training.ui


@pytest.fixture
def job_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Let jobs and runs execute a script instead of the real command."""
    from stand_ins import python_that_does

    def use(script: str) -> None:
        python = python_that_does(script, tmp_path)
        monkeypatch.setattr("cisfa_slicer.run_launcher.find_interpreter", lambda external="": python)

    return use
