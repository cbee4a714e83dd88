"""The module CISFA Training in the host, with folders of its own."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def folders(host, tmp_path: Path) -> Path:
    """Runs, cases and models lie in folders of the test, in names with blanks and accents."""
    place = tmp_path / "Größe 1"
    for setting, name in (("RunFolder", "Läufe"), ("CaseFolder", "Fälle"), ("ModelFolder", "Modelle")):
        host.app.userSettings().setValue(f"CISFA/{setting}", str(place / name))
    return place


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
