"""What a run tells of itself while it trains, and how it is asked to pause or stop from outside."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cisfa.cli.main import CANCELLED, main
from cisfa.config import TrainingConfig
from cisfa.errors import (
    Cancelled,
    CaseError,
    CisfaError,
    DeviceError,
    RunError,
    TrainingDivergedError,
    VolumeFileError,
)
from cisfa.events import Event, Metric, Notice, Progress
from cisfa.runs import run_state
from cisfa.runs.run_lock import is_locked
from cisfa.runs.run_state import RunState, Status, make_request, read_request, read_state, write_state
from cisfa.training import run_monitor, trainer
from cisfa.training.run_folder import RunFolder
from cisfa.training.run_monitor import RunMonitor
from nursery import Nursery
from run_ends import differing_ends, last_state
from tiny_runs import train

Tiny = Callable[..., TrainingConfig]
STEPS = 24
LONG = (f'schedule={{"steps": {STEPS}, "checkpoint_every": 100, "metrics_every": 1, "preview_every": 100}}',)
PATIENT = "Müller Jürgen"


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A run that a monitor watches, without any training."""

    def __init__(self, path: Path) -> None:
        self.folder = RunFolder(path)
        path.mkdir(parents=True)
        self.heard: list[Event] = []
        self.monitor = RunMonitor(self.folder, self.heard.append, lambda: 512.5)

    @property
    def state(self) -> RunState:
        return stored(self.folder.path)


def watch(watched: Watched, *acts: Callable[[], object]) -> None:
    """What a process does, one thing after another, while the monitor watches."""
    with watched.monitor.watching():
        for act in acts:
            act()


def end_with(error: BaseException) -> Callable[[], object]:
    def act() -> None:
        raise error

    return act


def stored(run: Path) -> RunState:
    """What was written, just now; whether the process lives is not asked."""
    return read_state(run, is_local=False)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "Läufe 1" / "run ü")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(run_monitor.time, "monotonic", made)
    return made


def test_a_run_tells_what_it_does_from_reading_to_done(watched: Watched, clock: Clock) -> None:
    told = []
    with watched.monitor.watching():
        told.append(watched.state)
        clock.now += 2
        watched.monitor.report(Progress("reading source cases", 0.25))
        told.append(watched.state)
        watched.monitor.begin_training(10, 50)
        told.append(watched.state)
        clock.now += 2
        watched.monitor.report(Progress("training", 0.4, 15.0))
        told.append(watched.state)
    told.append(watched.state)
    assert [state.status for state in told] == [
        Status.READING, Status.READING, Status.TRAINING, Status.TRAINING, Status.DONE
    ]  # fmt: skip
    assert (told[1].stage, told[1].fraction, told[1].steps_per_s) == ("reading source cases", 0.25, None)
    assert [(state.step, state.steps) for state in told[2:]] == [(10, 50), (20, 50), (20, 50)]
    assert (told[3].steps_per_s, told[3].remaining_s, told[3].fraction) == (2.0, 15.0, 0.4)
    assert (told[4].remaining_s, told[4].fraction) == (0.0, 1.0)
    assert {state.memory_mb for state in told} == {512.5}
    assert all(abs(state.updated - time.time()) < 60 for state in told)
    assert [type(event) for event in watched.heard] == [Progress, Progress]


def test_a_state_is_written_about_once_a_second(
    watched: Watched, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[float] = []
    monkeypatch.setattr(run_monitor, "write_state", lambda folder, state: written.append(clock.now))
    with watched.monitor.watching():
        watched.monitor.begin_training(0, 1000)
        for step in range(1, 1001):
            clock.now += 0.01
            watched.monitor.report(Metric(step, {"dice": 0.5}))
            watched.monitor.report(Progress("training", step / 1000, 1.0))
    assert 3 + 8 <= len(written) <= 3 + 10
    assert all(after - before > 1 for before, after in pairwise(written[1:-1]))


@pytest.mark.parametrize("event", [Progress("training", 0.5), Metric(5, {"dice": 0.5})])
@pytest.mark.parametrize(("request_", "status"), [("pause", Status.PAUSED), ("stop", Status.STOPPED)])
def test_a_request_ends_the_run_with_the_next_event(
    watched: Watched, event: Event, request_: Any, status: Status
) -> None:
    monitor = watched.monitor
    with pytest.raises(Cancelled):
        watch(
            watched,
            lambda: monitor.begin_training(4, 10),
            lambda: monitor.report(event),
            lambda: make_request(watched.folder.path, request_),
            lambda: monitor.report(Notice("this is no moment to end")),
            lambda: monitor.report(event),
        )
    assert watched.heard == [event, Notice("this is no moment to end"), event]
    assert (watched.state.status, watched.state.step, watched.state.remaining_s) == (status, 5, None)
    assert read_request(watched.folder.path) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"request": "delete everything"}', '{"request": ["stop"]}'])
def test_a_request_that_makes_no_sense_is_overlooked(watched: Watched, content: str) -> None:
    with watched.monitor.watching():
        (watched.folder.path / "request.json").write_text(content, encoding="utf-8")
        watched.monitor.report(Progress("training", 0.5))
    assert watched.state.status is Status.DONE


def test_what_somebody_wanted_of_an_earlier_process_is_forgotten(watched: Watched) -> None:
    make_request(watched.folder.path, "stop")
    with watched.monitor.watching():
        watched.monitor.report(Progress("training", 0.5))
        make_request(watched.folder.path, "pause")  # too late: the work is done
    assert watched.state.status is Status.DONE
    assert read_request(watched.folder.path) is None


def test_a_run_that_is_stopped_while_it_reads_again_is_as_far_as_it_was(tmp_path: Path) -> None:
    write_state(tmp_path, RunState(Status.PAUSED, step=3, steps=9, stage="training", fraction=0.3))
    monitor = RunMonitor(RunFolder(tmp_path), lambda event: make_request(tmp_path, "stop"), lambda: None)
    with pytest.raises(Cancelled), monitor.watching():
        monitor.report(Progress("reading source cases", 0.5))
    state = read_state(tmp_path, is_local=True)
    assert (state.status, state.step, state.steps) == (Status.STOPPED, 3, 9)


DIVERGED = "dice became nan at step 6: training has diverged."
FULL = OSError(28, "No space left on device", f"{PATIENT}/metrics.csv")


def error_of_a_full_disk() -> VolumeFileError:
    """As a checkpoint's writer raises it."""
    error = VolumeFileError(f"{PATIENT}/step-00000002.pt cannot be written: No space left on device.")
    error.__cause__ = FULL
    return error


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (TrainingDivergedError(DIVERGED), Status.FAILED, DIVERGED),
        (DeviceError("The card has too little memory."), Status.FAILED, "The card has too little memory."),
        (CaseError(f"{PATIENT}/CT.nrrd is damaged"), Status.FAILED, "CaseError: the log on the computer"),
        (RunError(PATIENT), Status.FAILED, "RunError: the log on the computer"),
        (VolumeFileError(PATIENT), Status.FAILED, "VolumeFileError: the log on the computer"),
        (error_of_a_full_disk(), Status.FAILED, "The disk is full. Free some space, then resume"),
        (FULL, Status.FAILED, "The disk is full. Free some space, then resume"),
        (PermissionError(13, "Permission denied", PATIENT), Status.FAILED, "Internal error (PermissionError)"),
        (KeyError(PATIENT), Status.FAILED, "Internal error (KeyError): the log on the computer"),
        (MemoryError(), Status.FAILED, "Memory (RAM) ran out."),
        (Cancelled(PATIENT), Status.PAUSED, ""),
        (KeyboardInterrupt(), Status.PAUSED, ""),
    ],
)
def test_why_a_run_ended_is_told_without_a_name_or_a_path(
    watched: Watched, error: BaseException, status: Status, reason: str
) -> None:
    with pytest.raises(type(error)):
        watch(watched, lambda: watched.monitor.begin_training(4, 10), end_with(error))
    assert (watched.state.status, watched.state.step) == (status, 4)
    assert watched.state.reason.startswith(reason)
    assert bool(watched.state.reason) == bool(reason)
    assert PATIENT not in json.dumps(json.loads((watched.folder.path / "state.json").read_text(encoding="utf-8")))


class FullDisk:
    """Lets no state be written while it is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_full = True
        self._real = run_state.write_text
        monkeypatch.setattr(run_state, "write_text", self.write_text)

    def write_text(self, path: Path, text: str) -> None:
        if self.is_full:
            raise VolumeFileError(f"{path} cannot be written: No space left on device.") from FULL
        self._real(path, text)


def test_a_state_that_cannot_be_written_costs_no_training(
    watched: Watched, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watched.monitor.watching():
        disk = FullDisk(monkeypatch)
        watched.monitor.begin_training(0, 100)
        clock.now += 2
        watched.monitor.report(Progress("training", 0.01, 99.0))
        assert watched.state.status is Status.READING
        disk.is_full = False
        watched.monitor.report(Progress("training", 0.02, 98.0))
        assert (watched.state.status, watched.state.step) == (Status.TRAINING, 2)
    assert watched.state.status is Status.DONE


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_read(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    FullDisk(monkeypatch)
    with pytest.raises(VolumeFileError, match=r"state\.json cannot be written"):
        watch(watched, end_with(AssertionError("nothing is read")))


def test_what_ended_a_run_is_not_hidden_by_a_state_that_cannot_be_written(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TrainingDivergedError, match="diverged"):
        watch(
            watched,
            lambda: make_request(watched.folder.path, "stop"),
            lambda: FullDisk(monkeypatch),
            end_with(TrainingDivergedError(DIVERGED)),
        )
    assert read_request(watched.folder.path) is None


def test_a_run_on_this_computer_lives_as_long_as_it_is_locked(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.lock():
        assert read_state(folder.path, is_local=True).status is Status.READING  # nothing is written yet
        write_state(folder.path, RunState(Status.TRAINING, step=3, steps=9))
        assert is_locked(folder.path)
        assert read_state(folder.path, is_local=True).status is Status.TRAINING
    assert not is_locked(folder.path)
    state = read_state(folder.path, is_local=True)
    assert (state.status, state.step, state.steps) == (Status.INTERRUPTED, 3, 9)


def test_a_run_elsewhere_lives_as_long_as_it_says_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    write_state(tmp_path, RunState(Status.TRAINING, step=3, steps=9))
    for passed, status in ((-300, Status.TRAINING), (100, Status.TRAINING), (130, Status.INTERRUPTED)):
        monkeypatch.setattr(run_state.time, "time", lambda seconds=passed: now + seconds)
        assert read_state(tmp_path, is_local=False).status is status


@pytest.mark.parametrize("status", [Status.PAUSED, Status.STOPPED, Status.DONE, Status.FAILED])
@pytest.mark.parametrize("is_local", [True, False])
def test_a_run_that_ended_stays_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: Status, is_local: bool
) -> None:
    write_state(tmp_path, RunState(status, step=3, steps=9))
    monkeypatch.setattr(run_state.time, "time", lambda: 4e9)
    assert read_state(tmp_path, is_local=is_local).status is status


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"status": "dreaming"}',
        '{"status": "done", "step": "x"}',
    ],
)
def test_a_state_of_which_nothing_can_be_made_is_that_of_an_interrupted_run(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content, encoding="utf-8")
    assert read_state(tmp_path, is_local=True).status is Status.NEW
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    assert read_state(tmp_path, is_local=True).status is Status.INTERRUPTED


def test_a_process_that_ends_between_two_looks_is_not_taken_for_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_state(tmp_path, RunState(Status.TRAINING))

    def is_locked_no_more(folder: Path) -> bool:
        write_state(folder, RunState(Status.DONE))
        return False

    monkeypatch.setattr(run_state, "is_locked", is_locked_no_more)
    assert read_state(tmp_path, is_local=True).status is Status.DONE


@pytest.fixture(scope="module")
def words(domains: Any, tiny_words: list[str]) -> list[str]:
    settings = [word for setting in (*LONG, "networks.generator_blocks=1") for word in ("--set", setting)]
    return ["--device=cpu", f"--source={domains.source}", f"--target={domains.target}", *tiny_words, *settings]


@pytest.fixture(scope="module")
def reference(nursery: Nursery, words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    child = nursery.start(["train", f"--run={folder / 'run'}", *words], folder / "log")
    assert child.wait() == 0, child.said()
    return folder / "run"


@pytest.mark.parametrize(("request_", "status"), [("pause", Status.PAUSED), ("stop", Status.STOPPED)])
def test_another_process_can_pause_and_stop_a_run_which_then_goes_on_bit_for_bit(
    nursery: Nursery, words: list[str], reference: Path, tmp_path: Path, request_: Any, status: Status
) -> None:
    run = tmp_path / "Läufe 1" / "run ü"
    child = nursery.start(["train", f"--run={run}", *words], tmp_path / "log")
    assert child.watch(lambda: (run / "metrics.csv").exists()), child.said()
    assert read_state(run, is_local=True).status is Status.TRAINING
    make_request(run, request_)
    assert child.wait() == CANCELLED
    state = read_state(run, is_local=True)
    assert (state.status, state.steps, state.reason) == (status, STEPS, "")
    assert 0 < state.step == last_state(run).step < STEPS
    assert state.memory_mb is not None
    assert 50 < state.memory_mb < 50_000
    assert not (run / "request.json").exists()
    assert "cancelled" in child.said()
    again = nursery.start(["train", f"--run={run}", *words, "--resume"], tmp_path / "log 2")
    assert again.wait() == 0, again.said()
    assert differing_ends(run, reference) == []
    done = read_state(run, is_local=True)
    assert (done.status, done.step, done.remaining_s) == (Status.DONE, STEPS, 0.0)


def test_speed_and_remaining_time_are_about_those_of_the_clock(reference: Path) -> None:
    state = read_state(reference, is_local=True)
    trained = RunFolder(reference).trained_s()
    assert state.steps_per_s is not None
    # of so short a run the last word was said early
    assert STEPS / (trained + 0.1) * 0.1 < state.steps_per_s < STEPS / max(trained - 0.1, 0.01) * 20


def test_a_request_is_heeded_while_cases_are_being_read(tiny: Tiny, domains: Any, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    heard: list[Event] = []

    def report(event: Event) -> None:
        heard.append(event)
        if len(heard) == 2:
            make_request(folder.path, "stop")

    with pytest.raises(Cancelled):
        train(folder, domains, tiny(), report)
    assert [event.stage for event in heard if isinstance(event, Progress)] == ["reading source cases"] * 2
    assert read_state(folder.path, is_local=True).status is Status.STOPPED
    assert not folder.exists
    train(folder, domains, tiny("schedule.steps=2"))  # as if nothing had been there
    assert read_state(folder.path, is_local=True).status is Status.DONE


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int]]]:
    """Steps after which this process gets a signal, and which one."""
    due: list[tuple[int, int]] = []
    real = trainer._Keeper.after

    def after(keeper: Any, done: int, last: int, values: Any) -> None:
        real(keeper, done, last, values)
        for step, number in due:
            if step == done:
                signal.raise_signal(number)

    monkeypatch.setattr(trainer._Keeper, "after", after)
    return due


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_pauses_the_run(
    signals: list[tuple[int, int]], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    signals.append((3, number))
    run = tmp_path / "run"
    assert main(["train", f"--run={run}", *words]) == CANCELLED
    state = read_state(run, is_local=True)
    assert (state.status, state.step, last_state(run).step) == (Status.PAUSED, 4, 4)
    assert "Stopped on request." in capsys.readouterr().err


def test_a_second_interrupt_pauses_it_at_once_and_the_last_checkpoint_stays(
    signals: list[tuple[int, int]], words: list[str], tmp_path: Path, reference: Path
) -> None:
    signals += [(3, signal.SIGINT), (3, signal.SIGINT)]
    run = tmp_path / "run"
    often = ["--set", "schedule.checkpoint_every=2"]
    assert main(["train", f"--run={run}", *words, *often]) == CANCELLED
    assert read_state(run, is_local=True).status is Status.PAUSED
    assert last_state(run).step == 2
    signals.clear()
    assert main(["train", f"--run={run}", *words, *often, "--resume"]) == 0
    assert [name for name in differing_ends(run, reference) if not name.startswith("previews")] == []


def test_a_case_that_cannot_be_used_is_not_named_in_the_runs_folder(
    tiny: Tiny, own_domains: Any, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    labels = own_domains.source / "labels" / "ct_2.nii.gz"
    labels.rename(labels.with_name("other.nii.gz"))
    labels.write_bytes((own_domains.target / "images" / "mr_1.nii.gz").read_bytes())
    with pytest.raises(CisfaError, match=r"ct_2\.nii\.gz"):
        train(folder, own_domains, tiny())
    state = read_state(folder.path, is_local=True)
    assert state.status is Status.FAILED
    assert "the log on the computer that it ran on says more." in state.reason
    assert "ct_2" not in (folder.path / "state.json").read_text(encoding="utf-8")
