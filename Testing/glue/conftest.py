"""Real MRML and real Qt behind a stand-in for the rest of Slicer; see host/."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
for folder in (HERE, HERE / "host"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

MISSING = [name for name in ("slicer_core", "PySide6") if importlib.util.find_spec(name) is None]


class _Skipped(pytest.Module):
    def collect(self) -> Iterator[pytest.Item]:
        pytest.skip(f"pip offers no {' and no '.join(MISSING)} for this Python on this system", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Skip what cannot even be imported."""
    return _Skipped.from_parent(parent, path=module_path) if MISSING else None


if not MISSING:
    from slicer_host.pytest_plugin import *  # noqa: F403


@pytest.fixture(scope="session")
def root() -> Path:
    return HERE.parents[1]


@pytest.fixture
def resources(root: Path) -> Path:
    """The module's, with the demo bundle."""
    return root / "CISFASegmentation" / "Resources"


@pytest.fixture
def models(host, tmp_path: Path) -> Path:
    """The user's model folder, which is not there yet."""
    folder = tmp_path / "Modelle ä"
    host.app.userSettings().setValue("CISFA/ModelFolder", str(folder))
    return folder


@pytest.fixture
def widget(host, root: Path, models: Path):
    """The module, opened."""
    made = host.load_module(root / "CISFASegmentation" / "CISFASegmentation.py")
    host.enter(made)
    yield made
    host.quit(made)


@pytest.fixture
def ui(widget):
    """The panel's widgets by name."""
    return widget.ui


@pytest.fixture
def job_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Let jobs run a script instead of the real command."""
    from stand_ins import python_that_does

    everywhere = ("segmentation_run", "model_section", "settings_section", "export_run")

    def use(script: str, modules: tuple[str, ...] = everywhere) -> None:
        python = python_that_does(script, tmp_path)
        for module in modules:
            monkeypatch.setattr(f"CISFASegmentationLib.{module}.find_interpreter", lambda external="": python)

    return use


@pytest.fixture
def database(host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Slicer's DICOM database, empty."""
    from dicom_scene import use_database

    return use_database(monkeypatch, tmp_path / "database")


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """What a stand-in for a command was told, by the command's name."""
    folder = tmp_path / "kept"
    folder.mkdir()
    monkeypatch.setenv("CISFA_TEST_KEEPS", str(folder))
    return lambda command: json.loads((folder / f"{command}.json").read_text(encoding="utf-8"))


@pytest.fixture
def logic(host, resources: Path):
    """Segments and exports, with the demo's model."""
    from cisfa_slicer.model_library import ModelLibrary
    from CISFASegmentationLib.segmentation_logic import SegmentationLogic

    library = ModelLibrary(resources / "CISFASegmentationDemoBundle.zip", resources / "CISFASegmentationCatalogue.json")
    made = SegmentationLogic(library)
    yield made
    made.end_now()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder to export into."""
    folder = tmp_path / "Aus gang ä"
    folder.mkdir()
    return folder
