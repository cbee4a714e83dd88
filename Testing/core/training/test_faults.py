"""What goes wrong around a run: full disks, files that come and go, two processes at once, newer versions."""

import errno
import json
import math
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from cisfa.cases.case_list import CaseList, ListedCase, write_case_list
from cisfa.cli.main import CANCELLED, USER_CAN_MEND, main
from cisfa.config import TrainingConfig
from cisfa.errors import Cancelled, RunError, VolumeFileError
from cisfa.events import Event, Metric
from cisfa.imaging.organs import organs_from_names
from cisfa.imaging.volume import Volume
from cisfa.imaging.volume_files import read_volume, write_volume
from cisfa.runs import run_state
from cisfa.runs.run_lock import is_locked
from cisfa.runs.run_state import RunState, Status, read_state, write_state
from cisfa.runs.run_summary import summarise
from cisfa.training import checkpoint as checkpoint_module
from cisfa.training import recorder as recorder_module
from cisfa.training import trainer
from cisfa.training.curves import CurveFile
from cisfa.training.run_folder import RunFolder
from nursery import Nursery
from run_ends import differing_ends, last_state
from tiny_runs import cancel_after, train

Tiny = Callable[..., TrainingConfig]
SETTINGS = (
    'schedule={"steps": 6, "checkpoint_every": 2, "metrics_every": 1, "preview_every": 1}',
    "validation.every=1",
    "networks.generator_blocks=1",
)


def case_list(domains: Any, path: Path) -> Path:
    """A list of the cases in two folders."""

    def listed(folder: Path, *, with_labels: bool) -> tuple[ListedCase, ...]:
        volumes = sorted((folder / "images").iterdir())
        labels = [folder / "labels" / volume.name if with_labels else None for volume in volumes]
        return tuple(map(ListedCase, [volume.name for volume in volumes], volumes, labels))

    organs = organs_from_names({"1": "liver", "3": "spleen"})
    source, target = listed(domains.source, with_labels=True), listed(domains.target, with_labels=False)
    write_case_list(CaseList(source, target, organs), path)
    return path


@pytest.fixture(scope="module")
def settings(tiny_words: list[str]) -> list[str]:
    return [*tiny_words, *(word for setting in SETTINGS for word in ("--set", setting)), "--device=cpu"]


@pytest.fixture
def cases(domains: Any, tmp_path: Path) -> Path:
    return case_list(domains, tmp_path / "Fälle 1.json")


@pytest.fixture(scope="module")
def reference(tiny: Tiny, domains: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run to which nothing happened."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = RunFolder(tmp_path_factory.mktemp("reference") / "run")
    train(folder, domains, tiny(*SETTINGS))
    torch.set_num_threads(threads)
    return folder.path


class FullDisk:
    """Takes one more piece of what is written into certain files, once there is a checkpoint of step 4."""

    def __init__(self, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._checkpoint = run / "checkpoints" / "step-00000004.pt"
        self._patch = monkeypatch.setattr

    @property
    def is_full(self) -> bool:
        return self._checkpoint.exists()

    def in_text(self, name: str) -> None:
        """A file that lines are added to."""
        real, disk = Path.open, self

        def opened(path: Path, mode: str = "r", *more: Any, **how: Any) -> Any:
            file = real(path, mode, *more, **how)
            if path.name == name and mode == "a":
                write = file.write

                def half(text: str) -> int:
                    if not disk.is_full:
                        return write(text)
                    write(text[: len(text) // 2])
                    raise OSError(errno.ENOSPC, "No space left on device")

                return _Written(file, half)
            return file

        self._patch(Path, "open", opened)

    def in_file(self, owner: Any, name: str) -> None:
        """What a function writes: (path or stream, ...)."""
        real = getattr(owner, name)

        def write(*values: Any, **more: Any) -> Any:
            if self.is_full:
                file = next((value for value in values if hasattr(value, "write")), None)
                if file is not None:
                    file.write(b"half of it")
                elif isinstance(values[0], Path):
                    values[0].write_bytes(b"half of it")
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*values, **more)

        self._patch(owner, name, write)


class _Written:
    """A file with another way to write."""

    def __init__(self, file: Any, write: Callable[[str], int]) -> None:
        self._file, self.write = file, write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "_Written":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


FULL_FILES: dict[str, Callable[[FullDisk], None]] = {
    "metrics.csv": lambda disk: disk.in_text("metrics.csv"),
    "validation.csv": lambda disk: disk.in_text("validation.csv"),
    "events.jsonl": lambda disk: disk.in_text("events.jsonl"),
    "a preview": lambda disk: disk.in_file(recorder_module, "_save_png"),
    "the curves": lambda disk: disk.in_file(CurveFile, "flush"),
    "a checkpoint": lambda disk: disk.in_file(checkpoint_module.torch, "save"),
}


@pytest.mark.parametrize("file", list(FULL_FILES))
def test_a_disk_that_is_full_ends_the_run_in_a_sentence_and_costs_no_checkpoint(
    file: str,
    settings: list[str],
    cases: Path,
    tmp_path: Path,
    reference: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "Läufe 1" / "run ü"
    words = ["train", f"--run={run}", f"--cases={cases}", *settings]
    with monkeypatch.context() as patch:
        FULL_FILES[file](FullDisk(run, patch))
        assert main(words) == USER_CAN_MEND
    said = capsys.readouterr().err
    assert "No space left" in said or "The disk is full" in said
    assert "Traceback" not in said
    state = read_state(run, is_local=True)
    assert (state.status, last_state(run).step) == (Status.FAILED, 4)
    assert state.reason.startswith("The disk is full. Free some space, then resume")
    assert main([*words, "--resume"]) == 0
    assert differing_ends(run, reference) == []
    assert read_state(run, is_local=True).status is Status.DONE


def test_a_disk_on_which_only_the_state_cannot_be_written_costs_nothing(
    tiny: Tiny, domains: Any, tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path / "run")
    real, refused = run_state.write_text, []

    def write_text(path: Path, text: str) -> None:
        if '"status": "training"' in text:
            refused.append(path.name)
            raise VolumeFileError("No space left on device.")
        real(path, text)

    monkeypatch.setattr(run_state, "write_text", write_text)
    train(folder, domains, tiny(*SETTINGS))
    assert refused
    assert set(refused) == {"state.json"}
    assert differing_ends(folder.path, reference) == []
    assert read_state(folder.path, is_local=True).status is Status.DONE


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"seconds": null}', "\0\0\0"])
def test_a_ruined_count_of_seconds_costs_only_the_count(tmp_path: Path, content: str) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / "trained.json").write_text(content, encoding="utf-8")
    assert folder.trained_s() == 0
    folder.add_trained_s(2.5)
    assert folder.trained_s() == 2.5


def test_a_case_may_vanish_while_a_run_trains_but_not_when_it_is_resumed(
    settings: list[str],
    own_domains: Any,
    tmp_path: Path,
    reference: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All slices are in memory, so only a start needs the files."""
    run, cases = tmp_path / "run", case_list(own_domains, tmp_path / "cases.json")
    volume, kept = own_domains.target / "images" / "mr_2.nii.gz", tmp_path / "kept.nii.gz"
    words = ["train", f"--run={run}", f"--cases={cases}", *settings]
    real = trainer._Keeper.after

    def after(keeper: Any, done: int, last: int, values: Any) -> None:
        if done == 2:
            volume.rename(kept)
        real(keeper, done, last, values)
        if done == 4:
            raise Cancelled

    with monkeypatch.context() as patch:
        patch.setattr(trainer._Keeper, "after", after)
        assert main(words) == CANCELLED
    assert last_state(run).step == 4
    capsys.readouterr()
    assert main([*words, "--resume"]) == USER_CAN_MEND
    said = capsys.readouterr().err
    assert f"A file of the cases cannot be found: {volume}. Put it back" in said
    kept.replace(volume)
    assert main([*words, "--resume"]) == 0
    assert differing_ends(run, reference) == []


def test_several_missing_files_are_named_together(
    settings: list[str], own_domains: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = case_list(own_domains, tmp_path / "cases.json")
    for path in [*(own_domains.source / "labels").iterdir(), *(own_domains.target / "images").iterdir()]:
        path.unlink()
    run = tmp_path / "run"
    assert main(["train", f"--run={run}", f"--cases={cases}", *settings]) == USER_CAN_MEND
    said = capsys.readouterr().err
    assert "Files of the cases cannot be found: " in said
    assert "ct_1.nii.gz" in said
    assert "mr_2.nii.gz and 1 more. Put them back" in said
    assert read_state(run, is_local=True).reason.startswith("CaseError: the log")


def test_a_changed_case_is_refused_and_the_run_goes_on_once_it_is_as_before(
    own_domains: Any, tmp_path: Path, tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(Cancelled):
        train(folder, own_domains, tiny(*SETTINGS), cancel_after(2))
    path = own_domains.target / "images" / "mr_2.nii.gz"
    content, volume = path.read_bytes(), read_volume(path)
    write_volume(Volume(volume.voxels + 1, volume.geometry), path)
    words = [f"--run={folder.path}", f"--source={own_domains.source}", f"--target={own_domains.target}", "--device=cpu"]
    assert main(["train", *words, "--resume"]) == USER_CAN_MEND
    assert "The run was started with other target cases. Resume it with the same" in capsys.readouterr().err
    assert read_state(folder.path, is_local=True).status is Status.FAILED
    assert last_state(folder.path).step == 2
    path.write_bytes(content)
    assert main(["train", *words, "--resume"]) == 0
    assert last_state(folder.path).step == 6


def test_a_loss_that_is_no_number_fails_the_run_with_its_reason(
    settings: list[str],
    cases: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    steps: list[int] = []
    real = trainer._values

    def values(*arguments: Any) -> dict[str, float]:
        steps.append(0)
        return {**real(*arguments), **({"dice": math.nan} if len(steps) == 3 else {})}

    def full(*_: Any) -> None:
        raise VolumeFileError("trained.json cannot be written: what is told must be what ended the run, and not this")

    monkeypatch.setattr(trainer, "_values", values)
    monkeypatch.setattr(RunFolder, "add_trained_s", full)
    assert main(["train", f"--run={run}", f"--cases={cases}", *settings]) == USER_CAN_MEND
    state = read_state(run, is_local=True)
    assert state.status is Status.FAILED
    assert state.reason.startswith("dice became nan at step 3: training has diverged. Start a new run")
    assert state.reason in capsys.readouterr().err
    assert str(tmp_path) not in state.reason
    assert last_state(run).step == 2
    assert [line.partition(",")[0] for line in (run / "metrics.csv").read_text(encoding="utf-8").splitlines()] == [
        "step", "1", "2"
    ]  # fmt: skip


LONG = ("--set", 'schedule={"steps": 100000, "checkpoint_every": 100000, "metrics_every": 1, "preview_every": 100000}')


@pytest.fixture
def long_run(nursery: Nursery, settings: list[str], cases: Path, tmp_path: Path) -> Iterator[Any]:
    """A process that trains until somebody ends it, and its command."""
    words = [
        "train",
        f"--run={tmp_path / 'run'}",
        f"--cases={cases}",
        *settings,
        *LONG,
        "--set",
        "validation.every=9999",
    ]
    child = nursery.start(words, tmp_path / "log")
    yield child, words
    child.kill()


def test_a_second_process_is_kept_out_of_a_runs_folder_and_asking_keeps_nobody_out(
    nursery: Nursery, long_run: Any, tmp_path: Path
) -> None:
    child, words = long_run
    run, asked = tmp_path / "run", 0
    while not (run / "metrics.csv").exists():
        # whoever looks at the list of runs does so all the time, also in the moment in which the process takes the lock
        for _ in range(20):
            is_locked(run)
            asked += 1
        assert child.code() is None, child.said()
    while asked < 1000:
        assert is_locked(run)
        asked += 1
    second = nursery.start([*words, "--resume"], tmp_path / "log of the second")
    assert second.wait() == USER_CAN_MEND
    assert f"Another process is training in {run}. Wait for it" in second.said()
    assert is_locked(run)
    assert read_state(run, is_local=True).status is Status.TRAINING
    assert child.code() is None
    child.kill()
    assert not is_locked(run)
    assert read_state(run, is_local=True).status is Status.INTERRUPTED


def test_who_asks_at_the_same_time_takes_nobody_for_a_training(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with folder.lock():
        pass
    answers: list[bool] = []

    def ask() -> None:
        answers.extend(is_locked(tmp_path) for _ in range(1000))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4000
    assert not any(answers)


def test_a_lock_is_got_while_somebody_asks_all_the_time(tmp_path: Path) -> None:
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            is_locked(tmp_path)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(100):
            with RunFolder(tmp_path).lock():
                assert is_locked(tmp_path)
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def paused(tiny: Tiny, domains: Any, tmp_path: Path) -> Path:
    folder = RunFolder(tmp_path / "Läufe 1" / "run ü")
    with pytest.raises(Cancelled):
        train(folder, domains, tiny(*SETTINGS), cancel_after(2))
    return folder.path


def change_json(path: Path, **changes: Any) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**values, **changes}), encoding="utf-8")


def test_what_a_newer_version_wrote_is_refused_in_sentences(
    paused: Path, cases: Path, settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", f"--run={paused}", f"--cases={cases}", "--device=cpu", "--resume"]
    before = {name: (paused / name).read_bytes() for name in ("config.json", "data.json")}
    checkpoint = paused / "checkpoints" / "step-00000002.pt"

    def refusal() -> str:
        assert main(words) == USER_CAN_MEND
        said = capsys.readouterr().err
        assert "Traceback" not in said
        return said

    change_json(paused / "config.json", schema=2, mood="new")
    assert "was written by a newer version of CISFA (schema 2). Update this one." in refusal()
    assert "newer version of CISFA (schema 2)" in summarise(paused, is_local=True).problem
    (paused / "config.json").write_bytes(before["config.json"])

    change_json(paused / "data.json", scanners=["a", "b"])
    assert "data.json is damaged, or another version's" in refusal()
    summary = summarise(paused, is_local=True)
    assert "data.json is damaged, or another version's" in summary.problem
    assert (summary.data, summary.has_checkpoint) == (None, True)
    (paused / "data.json").write_bytes(before["data.json"])

    state = torch.load(checkpoint, weights_only=True)
    torch.save({**state, "schema": 2}, checkpoint)
    assert "step-00000002.pt was written by a newer version of CISFA. Update this one" in refusal()
    torch.save(state, checkpoint)

    change_json(paused / "state.json", status="dreaming", dreams=3)
    summary = summarise(paused, is_local=True)
    assert (summary.state.status, summary.problem) == (Status.INTERRUPTED, "")
    assert main(words) == 0
    assert read_state(paused, is_local=True).status is Status.DONE


def test_a_run_that_never_read_its_cases_has_a_state_and_no_problem(tmp_path: Path) -> None:
    write_state(tmp_path, RunState(Status.FAILED, reason="CaseError: the log says more."))
    summary = summarise(tmp_path, is_local=True)
    assert (summary.state.status, summary.problem, summary.has_checkpoint) == (Status.FAILED, "", False)
    with pytest.raises(RunError, match="holds no run"):
        RunFolder(tmp_path).read_config()


def test_a_copied_run_goes_on_elsewhere_with_the_same_cases_in_other_places(
    paused: Path, domains: Any, tmp_path: Path, reference: Path, settings: list[str]
) -> None:
    elsewhere = tmp_path / "Nœud 2"
    shutil.copytree(paused, elsewhere / "copied run")
    moved = type(domains)(elsewhere / "s", elsewhere / "t")
    for old, new in ((domains.source, moved.source), (domains.target, moved.target)):
        shutil.copytree(old, new)
        for path in sorted(new.rglob("*.nii.gz")):
            path.rename(path.with_name(f"née {path.name}"))
    cases = case_list(moved, elsewhere / "cases.json")
    run = elsewhere / "copied run"
    assert main(["train", f"--run={run}", f"--cases={cases}", "--resume", "--device=cpu"]) == 0
    assert differing_ends(run, reference) == []
    assert read_state(paused, is_local=True).status is Status.PAUSED


def test_hearing_of_a_step_is_late_enough_to_find_its_picture(tiny: Tiny, domains: Any, tmp_path: Path) -> None:
    """Whoever ends the run on hearing of it goes on from there, and no picture would be missing for good."""
    folder = RunFolder(tmp_path / "run")
    found: list[list[str]] = []

    def look(event: Event) -> None:
        if isinstance(event, Metric):
            found.append(sorted(path.name for path in folder.previews.iterdir()))

    train(folder, domains, tiny(*SETTINGS, "schedule.steps=2"), look)
    assert found == [["step-00000001.png"], ["step-00000001.png", "step-00000002.png"]]
