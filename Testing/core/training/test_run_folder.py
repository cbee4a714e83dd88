import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cisfa.config import TrainingConfig
from cisfa.errors import CisfaError, RunError
from cisfa.imaging.organs import parse_organs
from cisfa.runs.run_data import RunData
from cisfa.training.run_folder import RunFolder, write_text

Tiny = Callable[..., TrainingConfig]
DATA = RunData(
    organs=parse_organs("1=liver,2=right kidney,7=Überbein"),
    source_modality="CT",
    target_modality="MR",
    source_fingerprints=("a", "b"),
    target_fingerprints=("c",),
    source_slices=12,
    target_slices=9,
    target_range=(-2.1, 5.5),
    source_label_fingerprints=("d", "e"),
)


@pytest.fixture
def folder(tmp_path: Path, tiny: Tiny) -> RunFolder:
    run = RunFolder(tmp_path / "Läufe" / "run 1")
    run.start(tiny())
    return run


def test_settings_data_and_time_come_back_as_they_were_written(folder: RunFolder, tiny: Tiny) -> None:
    assert folder.exists
    assert folder.read_config() == tiny()
    assert folder.read_data() is None
    folder.write_data(DATA)
    assert folder.read_data() == DATA
    folder.write_environment({"device": "a CPU"})
    assert folder.read_environment() == {"device": "a CPU"}
    assert folder.trained_s() == 0
    folder.add_trained_s(1.25)
    folder.add_trained_s(2)
    assert folder.trained_s() == pytest.approx(3.2, abs=0.11)


def test_a_run_is_not_started_over_another(folder: RunFolder, tiny: Tiny) -> None:
    with pytest.raises(RunError, match=r"already holds a run\. Pass --resume"):
        folder.start(tiny("seed=9"))
    assert folder.read_config() == tiny()


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path, tiny: Tiny) -> None:
    (tmp_path / "thesis.docx").touch()
    with pytest.raises(RunError, match=r"is not empty: it holds thesis\.docx"):
        RunFolder(tmp_path).start(tiny())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "desktop.ini", ".lock", ".writing-x-config.json"])
def test_what_file_browsers_and_killed_processes_leave_is_overlooked(tmp_path: Path, tiny: Tiny, name: str) -> None:
    (tmp_path / name).touch()
    RunFolder(tmp_path).start(tiny())
    assert RunFolder(tmp_path).exists


def test_a_folder_below_a_file_cannot_be_written(tmp_path: Path, tiny: Tiny) -> None:
    (tmp_path / "file").write_bytes(b"")
    run = RunFolder(tmp_path / "file" / "run")
    assert not run.exists
    with pytest.raises(RunError, match=r"file.run cannot be written"), run.lock():
        pass
    with pytest.raises(CisfaError, match="cannot be written"):
        run.start(tiny())


def test_the_lock_keeps_others_out_until_it_is_given_back(folder: RunFolder) -> None:
    with folder.lock():
        with pytest.raises(RunError, match="Another process is training in"), RunFolder(folder.path).lock():
            pass
        with pytest.raises(RunError, match="Another process"), RunFolder(folder.path).lock():
            pass
    with RunFolder(folder.path).lock():
        pass


def test_the_lock_is_given_back_after_an_error(folder: RunFolder) -> None:
    with pytest.raises(KeyError) as caught, folder.lock():
        raise KeyError
    with RunFolder(folder.path).lock():
        pass
    assert caught.value is not None


def test_preparing_makes_the_folders_and_clears_what_was_never_finished(folder: RunFolder) -> None:
    folder.prepare()
    assert folder.checkpoints.is_dir()
    assert folder.previews.is_dir()
    assert folder.tensorboard.is_dir()
    kept, left = folder.checkpoints / "step-00000002.pt", folder.checkpoints / ".writing-a-00000004.pt"
    kept.touch()
    left.touch()
    folder.prepare()
    assert kept.exists()
    assert not left.exists()


def test_no_run_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"holds no run \(no config\.json\)"):
        RunFolder(tmp_path).read_config()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("[1, 2]", "holds no JSON object"),
        ('{"schema": 2}', r"newer version of CISFA \(schema 2\)"),
        ("{}", r"newer version of CISFA \(schema None\)"),
        ('{"schema": 1, "seeed": 3}', "There is no setting seeed. Did you mean seed"),
        ('{"schema": 1, "seed": -3}', "The setting seed is -3"),
    ],
)
def test_a_damaged_or_newer_config_is_named(folder: RunFolder, content: str, reason: str) -> None:
    (folder.path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(RunError, match=reason) as caught:
        folder.read_config()
    assert str(folder.path) in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"organs": [{}]}', '{"organs": [], "unknown": 1}'])
def test_damaged_data_are_named(folder: RunFolder, content: str) -> None:
    (folder.path / "data.json").write_text(content, encoding="utf-8")
    with pytest.raises(RunError, match=r"data\.json"):
        folder.read_data()


def test_files_are_utf_8_with_unix_lines_on_every_system(folder: RunFolder) -> None:
    folder.write_data(DATA)
    content = (folder.path / "data.json").read_bytes()
    assert "Überbein".encode() in content
    assert b"\r" not in content
    assert json.loads(content)["organs"][2]["name"] == "Überbein"


def test_a_text_that_cannot_be_finished_leaves_the_one_before(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder.path / "notes.txt"
    write_text(path, "before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(CisfaError, match="No space left"):
        write_text(path, "after")
    assert path.read_text(encoding="utf-8") == "before"
    assert sorted(entry.name for entry in folder.path.iterdir()) == ["config.json", "notes.txt"]
