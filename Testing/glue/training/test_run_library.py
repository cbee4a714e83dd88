"""All runs of this computer, without any window."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import slicer

from cisfa.runs.run_state import Status, make_request
from cisfa.runs.run_summary import RunSummary
from cisfa_slicer import run_library
from cisfa_slicer.run_companion import RunCompanion
from cisfa_slicer.run_library import RunLibrary, RunLibraryError
from training.run_folders import make_local, make_run, rewrite_state, write_json

NOBODY = 2**22 + 1  # the number of no process


@pytest.fixture
def library(host, tmp_path: Path) -> RunLibrary:
    slicer.app.userSettings().setValue("CISFA/RunFolder", str(tmp_path / "Läufe"))
    return RunLibrary()


def names(library: RunLibrary) -> list[str]:
    return [run.path.name for run in library.runs()]


# finding


def test_there_need_be_no_folder(library: RunLibrary) -> None:
    assert library.runs() == ()


def test_runs_are_found_the_latest_first_and_nothing_else_is(library: RunLibrary) -> None:
    for hour, name in ((12, "a"), (14, "b"), (13, "c")):
        folder = make_run(library.folder / name)
        write_json(folder / "environment.json", {"started": f"2026-01-31T{hour}:00:00+00:00"})
    (library.folder / "holiday").mkdir()
    (library.folder / ".adding-1").mkdir()
    (library.folder / "notes.txt").touch()
    assert names(library) == ["b", "c", "a"]


def test_a_launch_counts_as_a_begin(library: RunLibrary) -> None:
    make_run(library.folder / "a")
    write_json(library.folder / "a" / "environment.json", {"started": "2026-01-31T12:00:00+00:00"})
    make_run(library.folder / "b")
    make_local(library.folder / "a").write_launch(NOBODY, "auto", "1")
    assert names(library) == ["a", "b"]
    assert library.look_at(library.folder / "a").begun == pytest.approx(time.time(), abs=10)


def test_what_did_not_change_is_not_read_again(library: RunLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def summarise(path: Path, *, is_local: bool) -> RunSummary:
        read.append(path.name)
        return real(path, is_local=is_local)

    real = run_library.summarise
    monkeypatch.setattr(run_library, "summarise", summarise)
    for name in "ab":
        make_run(library.folder / name, Status.PAUSED)
    make_run(library.folder / "c", Status.TRAINING)
    for _ in range(3):
        library.runs()
    assert sorted(read) == ["a", "b", "c", "c", "c"]  # whether a process lives is written nowhere
    rewrite_state(library.folder / "a", Status.STOPPED)
    assert {run.path.name: run.state.status for run in library.runs()}["a"] is Status.STOPPED
    read.clear()
    make_local(library.folder / "b")
    library.runs()
    assert sorted(read) == ["b", "c"]


@pytest.mark.parametrize("error", [ValueError("bad zip"), PermissionError(13, "Permission denied")])
def test_a_run_that_cannot_be_looked_at_hides_no_other(
    library: RunLibrary, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def summarise(path: Path, *, is_local: bool) -> RunSummary:
        if path.name == "a":
            raise error
        return real(path, is_local=is_local)

    real = run_library.summarise
    monkeypatch.setattr(run_library, "summarise", summarise)
    for name in "ab":
        make_run(library.folder / name)
    runs = {run.path.name: run for run in library.runs()}
    assert sorted(runs) == ["a", "b"]
    assert str(error.args[-1]) in runs["a"].summary.problem
    assert not runs["b"].summary.problem


# whose process


def test_a_run_brought_back_is_not_local_even_with_scores_beside_it(library: RunLibrary) -> None:
    folder = make_run(library.folder / "a", Status.TRAINING)
    assert library.look_at(folder).state.status is Status.TRAINING  # somebody else's process wrote just now
    (RunCompanion(folder).path / "scores" / "1").mkdir(parents=True)
    run = library.look_at(folder)
    assert not run.is_local
    assert run.state.status is Status.TRAINING


def test_a_local_run_whose_lock_nobody_holds_is_interrupted(library: RunLibrary) -> None:
    folder = make_run(library.folder / "a", Status.TRAINING)
    make_local(folder)
    assert library.look_at(folder).state.status is Status.INTERRUPTED


def test_a_process_that_has_said_nothing_yet_is_starting_and_a_dead_one_failed(library: RunLibrary) -> None:
    companion = make_local(library.folder / "a", "importing\ncisfa: error: There is no torch. Install it.\n")
    companion.write_launch(os.getpid(), "auto", "1")
    run = library.look_at(library.folder / "a")
    assert run.state.status is Status.STARTING
    assert run.trouble == ""
    companion.write_launch(NOBODY, "auto", "1")
    run = library.look_at(library.folder / "a")
    assert run.state.status is Status.FAILED
    assert run.trouble == "There is no torch. Install it."
    assert names(library) == ["a"]


def test_another_process_with_an_old_number_is_not_taken_for_the_run(
    library: RunLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    companion = make_local(library.folder / "a")
    companion.write_launch(os.getpid(), "auto", "1")
    later = time.time() + 3600
    monkeypatch.setattr(run_library.time, "time", lambda: later)
    assert library.look_at(library.folder / "a").state.status is Status.FAILED


def test_what_a_run_said_after_its_launch_counts(library: RunLibrary) -> None:
    folder = make_run(library.folder / "a", Status.PAUSED)
    companion = make_local(folder)
    time.sleep(0.2)  # states are dated to a tenth of a second
    companion.write_launch(os.getpid(), "auto", "1")
    assert library.look_at(folder).state.status is Status.STARTING
    companion.write_launch(NOBODY, "auto", "1")
    time.sleep(0.2)
    rewrite_state(folder, Status.DONE)
    assert library.look_at(folder).state.status is Status.DONE


# names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Leber ü", "Leber ü"),
        ("a/b", "a-b"),
        ("..", "run"),
        ("  ", "run"),
        (" a  b. ", "a b"),
        ("con", "con-run"),
        ("LPT1.txt", "LPT1.txt-run"),
        ("x.local", "x.local-run"),
        ("a:b?\x07", "a-b--"),
        ("ä" * 200, "ä" * 80),
        ("肝" * 90, "肝" * 66),
    ],
    ids=[str(number) for number in range(11)],
)
def test_a_folder_gets_a_name_that_every_system_can_have(library: RunLibrary, name: str, expected: str) -> None:
    assert library.new_folder(name) == library.folder / expected


def test_a_name_is_not_given_twice_nor_while_something_lies_beside_it(library: RunLibrary) -> None:
    make_run(library.folder / "a")
    make_local(library.folder / "a 2")
    assert library.new_folder("a").name == "a 3"


# adding and removing


def test_a_folder_is_copied_in_once(library: RunLibrary, tmp_path: Path) -> None:
    elsewhere = make_run(tmp_path / "cluster" / "a")
    added = library.add(elsewhere)
    assert added == library.folder / "a"
    assert (added / "config.json").read_bytes() == (elsewhere / "config.json").read_bytes()
    assert library.add(added) == added
    assert names(library) == ["a"]


def test_a_copy_has_neither_the_process_of_the_original_nor_what_was_asked_of_it(
    library: RunLibrary, tmp_path: Path
) -> None:
    elsewhere = make_run(tmp_path / "cluster" / "a", Status.TRAINING, step=100)
    make_request(elsewhere, "stop")
    (elsewhere / ".lock").touch()
    added = library.add(elsewhere)
    assert not (added / "request.json").exists()
    assert not (added / ".lock").exists()
    state = library.look_at(added).state
    assert (state.status, state.step) == (Status.INTERRUPTED, 100)
    assert library.look_at(elsewhere).state.status is Status.TRAINING


def test_nothing_half_copied_is_left(library: RunLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill_the_disk(source: Path, target: Path) -> Iterator[float]:
        target.mkdir()
        yield 0.0
        raise OSError(28, "No space left on device")

    elsewhere = make_run(tmp_path / "cluster" / "a")
    monkeypatch.setattr(run_library, "copy_run", fill_the_disk)
    with pytest.raises(RunLibraryError, match="No space left on device"):
        library.add(elsewhere)
    assert list(library.folder.iterdir()) == []


def test_a_folder_that_is_no_run_is_refused(library: RunLibrary, tmp_path: Path) -> None:
    with pytest.raises(RunLibraryError, match="holds no run"):
        library.add(tmp_path)


def test_a_run_goes_with_what_lies_beside_it_but_not_while_it_trains(library: RunLibrary) -> None:
    folder = make_run(library.folder / "a", Status.TRAINING)
    with pytest.raises(RunLibraryError, match="a is being trained"):
        library.remove(folder)
    rewrite_state(folder, Status.DONE)
    make_local(folder)
    library.remove(folder)
    assert list(library.folder.iterdir()) == []


def test_a_run_that_cannot_be_deleted_says_why(library: RunLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied")

    folder = make_run(library.folder / "a")
    monkeypatch.setattr(run_library.shutil, "rmtree", refuse)
    with pytest.raises(RunLibraryError, match=r"cannot be deleted: Permission denied\. Close what"):
        library.remove(folder)
