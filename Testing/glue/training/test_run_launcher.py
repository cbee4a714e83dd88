"""Runs as processes of their own."""

import json
import sys
import time
from pathlib import Path

import pytest
import slicer

from cisfa.cases.case_list import read_case_list
from cisfa.config import TrainingConfig
from cisfa.runs.run_state import Status, make_request, read_request
from cisfa_slicer.detached_process import DetachedProcessError, is_running
from cisfa_slicer.interpreter import Interpreter
from cisfa_slicer.run_companion import RunCompanion
from cisfa_slicer.run_launcher import RunLauncher, RunLauncherError, RunPlan
from cisfa_slicer.run_library import RunLibrary
from stand_ins import python_that_does
from training.run_folders import case_list, make_local, make_run

TELLS = "print(json.dumps(sys.argv[1:]), flush=True)\n"


@pytest.fixture
def library(host, tmp_path: Path) -> RunLibrary:
    slicer.app.userSettings().setValue("CISFA/RunFolder", str(tmp_path / "Läufe"))
    return RunLibrary()


@pytest.fixture
def launcher(library: RunLibrary, tmp_path: Path) -> RunLauncher:
    return RunLauncher(library, lambda: python_that_does(TELLS, tmp_path))


def plan(place: Path, **choices: str) -> RunPlan:
    return RunPlan("Leber ü", case_list(place), TrainingConfig(seed=7), **choices)


def told(folder: Path) -> list[str]:
    """The words that the process was started with last, when it has ended."""
    companion = RunCompanion(folder)
    deadline = time.monotonic() + 30
    while is_running(companion.read_launch().process_id):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return json.loads(companion.log.read_text(encoding="utf-8").splitlines()[-1])


def test_a_run_is_started_with_its_cases_and_settings(launcher: RunLauncher, tmp_path: Path) -> None:
    folder = launcher.start(plan(tmp_path))
    companion = RunCompanion(folder)
    assert folder.name == "Leber ü"
    assert told(folder) == [
        *("train", "--cases", str(companion.cases), "--config", str(companion.config), "--run", str(folder)),
        *("--device", "auto"),
    ]
    assert read_case_list(companion.cases) == case_list(tmp_path)
    assert json.loads(companion.config.read_text(encoding="utf-8"))["seed"] == 7
    assert not folder.exists()  # which the process makes
    launch = companion.read_launch()
    assert (launch.device, launch.processes) == ("auto", "1")


def test_all_graphics_cards_are_asked_for_by_name(launcher: RunLauncher, tmp_path: Path) -> None:
    folder = launcher.start(plan(tmp_path, device="cuda", processes="all"))
    assert told(folder)[-4:] == ["--device", "cuda", "--processes", "all"]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are another thing there")
def test_what_lies_beside_a_run_is_for_its_user_alone(launcher: RunLauncher, tmp_path: Path) -> None:
    folder = launcher.start(plan(tmp_path))
    told(folder)
    assert RunCompanion(folder).path.stat().st_mode & 0o077 == 0


def test_a_process_that_cannot_be_started_leaves_nothing(library: RunLibrary, tmp_path: Path) -> None:
    launcher = RunLauncher(library, lambda: Interpreter(tmp_path / "no python", is_slicers=True))
    with pytest.raises(DetachedProcessError, match="cannot be started"):
        launcher.start(plan(tmp_path))
    assert list(library.folder.iterdir()) == []


def test_a_run_folder_that_cannot_be_written_is_a_sentence(
    launcher: RunLauncher, library: RunLibrary, tmp_path: Path
) -> None:
    library.folder.write_text("a file", encoding="utf-8")
    with pytest.raises(RunLauncherError, match="cannot be written to"):
        launcher.start(plan(tmp_path))


def test_a_paused_run_is_resumed_as_it_was_started_and_old_requests_are_forgotten(
    launcher: RunLauncher, library: RunLibrary
) -> None:
    folder = make_run(library.folder / "a", Status.PAUSED)
    companion = make_local(folder)
    companion.write_launch(2**22 + 1, "cuda", "2")
    make_request(folder, "pause")
    launcher.resume(folder)
    assert told(folder) == [
        *("train", "--cases", str(companion.cases), "--run", str(folder), "--resume"),
        *("--device", "cuda", "--processes", "2"),
    ]
    assert read_request(folder) is None


def test_a_run_that_failed_before_it_began_is_begun_again(launcher: RunLauncher, library: RunLibrary) -> None:
    companion = make_local(library.folder / "a")
    companion.write_launch(2**22 + 1, "cpu", "1")
    launcher.resume(library.folder / "a")
    words = told(library.folder / "a")
    assert "--resume" not in words
    assert words[words.index("--config") + 1] == str(companion.config)


def test_a_run_from_elsewhere_is_resumed_there(launcher: RunLauncher, library: RunLibrary) -> None:
    folder = make_run(library.folder / "a", Status.PAUSED)
    with pytest.raises(RunLauncherError, match="was not started on this computer"):
        launcher.resume(folder)


def test_a_run_that_is_trained_is_not_resumed(launcher: RunLauncher, library: RunLibrary) -> None:
    folder = make_run(library.folder / "a", Status.TRAINING)
    with pytest.raises(RunLauncherError, match="is being trained already"):
        launcher.resume(folder)


def test_pausing_and_stopping_are_asked_for_in_the_folder(launcher: RunLauncher, library: RunLibrary) -> None:
    folder = make_run(library.folder / "a", Status.TRAINING)
    launcher.pause(folder)
    assert read_request(folder) == "pause"
    launcher.stop(folder)
    assert read_request(folder) == "stop"
