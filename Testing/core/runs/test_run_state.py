import json
import time
from pathlib import Path

import pytest

from cisfa.errors import CaseError, DeviceError, TrainingDivergedError
from cisfa.runs.run_state import (
    SILENT_AFTER_S,
    RunState,
    Status,
    clear_request,
    make_request,
    read_request,
    read_state,
    reason_for,
    write_state,
)
from cisfa.training.run_folder import RunFolder

ACTIVE = {Status.STARTING, Status.READING, Status.TRAINING}
STATE = RunState(Status.TRAINING, step=3, steps=8, steps_per_s=1.5, remaining_s=2.0, memory_mb=10.5, stage="a")


def test_what_is_written_is_read_with_its_time(tmp_path: Path) -> None:
    write_state(tmp_path, STATE)
    found = read_state(tmp_path, is_local=False)
    assert found.updated == pytest.approx(time.time(), abs=5)
    assert (found.status, found.step, found.steps_per_s, found.stage) == (Status.TRAINING, 3, 1.5, "a")
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("status", list(Status))
def test_a_process_works_on_what_is_active(status: Status) -> None:
    assert status.is_active == (status in ACTIVE)


@pytest.mark.parametrize("status", [Status.READING, Status.TRAINING])
def test_a_local_process_lives_as_long_as_it_holds_the_lock(tmp_path: Path, status: Status) -> None:
    write_state(tmp_path, RunState(status, step=3))
    with RunFolder(tmp_path).lock():
        assert read_state(tmp_path, is_local=True).status is status
    found = read_state(tmp_path, is_local=True)
    assert (found.status, found.step) == (Status.INTERRUPTED, 3)


def test_a_process_elsewhere_lives_as_long_as_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_state(tmp_path, STATE)
    assert read_state(tmp_path, is_local=False).status is Status.TRAINING
    later = time.time() + SILENT_AFTER_S + 1
    monkeypatch.setattr("cisfa.runs.run_state.time.time", lambda: later)
    assert read_state(tmp_path, is_local=False).status is Status.INTERRUPTED


def test_what_ends_between_two_looks_ended_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(folder: Path) -> bool:
        write_state(folder, RunState(Status.DONE))
        return False

    write_state(tmp_path, STATE)
    monkeypatch.setattr("cisfa.runs.run_state.is_locked", end)
    assert read_state(tmp_path, is_local=True).status is Status.DONE


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"status": "flying"}', b'{"status": "done", "step": "two"}', b"\xff"]
)
def test_a_state_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.json").write_bytes(content)
    assert read_state(tmp_path, is_local=False).status is Status.NEW
    (tmp_path / "config.json").touch()
    assert read_state(tmp_path, is_local=False).status is Status.INTERRUPTED
    with RunFolder(tmp_path).lock():
        assert read_state(tmp_path, is_local=True).status is Status.READING


def test_a_request_is_made_read_and_forgotten(tmp_path: Path) -> None:
    assert read_request(tmp_path) is None
    make_request(tmp_path, "pause")
    make_request(tmp_path, "stop")
    assert read_request(tmp_path) == "stop"
    clear_request(tmp_path)
    clear_request(tmp_path)
    assert read_request(tmp_path) is None


@pytest.mark.parametrize("values", [{"request": "fly"}, {}, [], "stop"])
def test_a_request_that_nobody_knows_is_none(tmp_path: Path, values: object) -> None:
    (tmp_path / "request.json").write_text(json.dumps(values), encoding="utf-8")
    assert read_request(tmp_path) is None


def test_a_reason_holds_no_name() -> None:
    for error in (CaseError("DOE^JANE is empty"), ValueError("DOE^JANE"), OSError(2, "gone", "DOE^JANE")):
        assert "DOE" not in reason_for(error)
        assert "log" in reason_for(error)
    assert reason_for(DeviceError("No card.")) == "No card."
    assert reason_for(TrainingDivergedError("It is nan.")) == "It is nan."
    assert "RAM" in reason_for(MemoryError())


def test_what_a_newer_version_says_besides_is_passed_over(tmp_path: Path) -> None:
    write_state(tmp_path, RunState(Status.DONE, step=8, steps=8))
    values = json.loads((tmp_path / "state.json").read_text(encoding="utf-8"))
    (tmp_path / "state.json").write_text(json.dumps({**values, "mood": "good"}), encoding="utf-8")
    assert read_state(tmp_path, is_local=True).status is Status.DONE
