"""A run that is stopped anyhow and resumed ends exactly where one that never stopped does."""

import csv
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import run_ends
from cisfa.cases.case_folder import labelled_cases, unlabelled_cases
from cisfa.config import TrainingConfig
from cisfa.errors import Cancelled, CisfaError, ConfigError, RunError, VolumeFileError
from cisfa.events import Event, Metric, Notice, Progress, from_json_line
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_files import read_label_map, read_volume, write_label_map, write_volume
from cisfa.training import checkpoint as checkpoint_module
from cisfa.training.checkpoint import Checkpoint
from cisfa.training.run_folder import RunFolder
from cisfa.training.session import TrainingCases, run_training
from run_ends import differences
from tiny_runs import CPU, cancel_after, train

Tiny = Callable[..., TrainingConfig]


def rows(folder: RunFolder) -> list[list[str]]:
    with folder.metrics.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def last_state(folder: RunFolder) -> Checkpoint:
    return run_ends.last_state(folder.path)


def assert_same_end(folder: RunFolder, reference: RunFolder) -> None:
    ours, theirs = last_state(folder), last_state(reference)
    assert ours.step == theirs.step
    assert differences(dict(ours.networks), dict(theirs.networks)) == []
    assert differences(dict(ours.optimisers), dict(theirs.optimisers)) == []
    assert rows(folder) == rows(reference)


@pytest.fixture(scope="module")
def uninterrupted(tiny: Tiny, domains: Any, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = RunFolder(tmp_path_factory.mktemp("uninterrupted") / "run")
    train(folder, domains, tiny())
    torch.set_num_threads(threads)
    return folder


@pytest.mark.parametrize("step", [2, 4, 6])
def test_a_cancelled_run_goes_on_bit_for_bit(
    tiny: Tiny, domains: Any, tmp_path: Path, uninterrupted: RunFolder, step: int
) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(Cancelled):
        train(folder, domains, tiny(), cancel_after(step))
    assert last_state(folder).step == step
    train(folder, domains, None)
    assert_same_end(folder, uninterrupted)
    assert len(list(folder.tensorboard.iterdir())) == 2


def test_a_run_cancelled_between_checkpoints_saves_the_step_it_was_at(
    tiny: Tiny, domains: Any, tmp_path: Path, uninterrupted: RunFolder
) -> None:
    folder = RunFolder(tmp_path / "run")
    told: list[Event] = []

    def report(event: Event) -> None:
        told.append(event)
        if isinstance(event, Progress) and event.stage == "training" and event.fraction == 1 / 8:
            raise Cancelled

    with pytest.raises(Cancelled):
        train(folder, domains, tiny(), report)
    assert last_state(folder).step == 1
    assert not folder.metrics.exists()
    train(folder, domains, None)
    assert_same_end(folder, uninterrupted)


def test_a_lengthened_run_is_one_that_was_long_from_the_start(
    tiny: Tiny, domains: Any, tmp_path: Path, uninterrupted: RunFolder
) -> None:
    folder = RunFolder(tmp_path / "run")
    train(folder, domains, tiny("schedule.steps=4"))
    train(folder, domains, tiny())
    assert_same_end(folder, uninterrupted)
    assert folder.read_config() == tiny()


def test_a_run_that_is_done_says_so_and_changes_nothing(
    tiny: Tiny, domains: Any, tmp_path: Path, uninterrupted: RunFolder
) -> None:
    before = {path: path.stat().st_mtime_ns for path in uninterrupted.checkpoints.iterdir()}
    events = train(uninterrupted, domains, None)
    assert Notice("The run has done its 8 steps already.") in events
    assert {path: path.stat().st_mtime_ns for path in uninterrupted.checkpoints.iterdir()} == before


def test_other_threads_of_randomness_do_not_matter(
    tiny: Tiny, domains: Any, tmp_path: Path, uninterrupted: RunFolder
) -> None:
    folder = RunFolder(tmp_path / "run")

    def disturb(event: Event) -> None:
        torch.rand(7)
        if isinstance(event, Metric) and event.step == 4:
            raise Cancelled

    with pytest.raises(Cancelled):
        train(folder, domains, tiny(), disturb)
    torch.manual_seed(12345)
    train(folder, domains, None)
    assert_same_end(folder, uninterrupted)


def start_child(folder: RunFolder, domains: Any, words: list[str]) -> "subprocess.Popen[str]":
    command = [
        sys.executable, "-m", "cisfa", "train", "--events", "--device", "cpu", "--run", str(folder.path),
        "--source", str(domains.source), "--target", str(domains.target), *words,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", env=environment
    )


@pytest.fixture(scope="module")
def long_reference(tiny: Tiny, domains: Any, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = RunFolder(tmp_path_factory.mktemp("reference") / "run")
    train(folder, domains, tiny("schedule.steps=24"))
    torch.set_num_threads(threads)
    return folder


def test_a_killed_run_goes_on_bit_for_bit(
    tiny: Tiny, tiny_words: list[str], domains: Any, tmp_path: Path, long_reference: RunFolder
) -> None:
    chance = random.Random(1)
    folder = RunFolder(tmp_path / "run")
    child = start_child(folder, domains, [*tiny_words, "--set", "schedule.steps=24"])
    assert child.stdout is not None
    assert child.stderr is not None
    last = chance.randrange(2, 20)
    for line in child.stdout:
        event = from_json_line(line)
        if isinstance(event, Metric) and event.step >= last:
            break
    try:
        child.wait(timeout=chance.uniform(0, 0.3))
    except subprocess.TimeoutExpired:
        child.kill()
    child.communicate()
    assert child.returncode != 0, "the child ended before it could be killed"
    assert 2 <= last_state(folder).step < 24
    train(folder, domains, None)
    assert_same_end(folder, long_reference)
    assert not [path for path in folder.path.rglob("*") if path.name.startswith(".writing-")]
    events = list(map(from_json_line, folder.events.read_text(encoding="utf-8").splitlines()))
    assert None not in events
    assert [event.step for event in events if isinstance(event, Metric)] == list(range(2, 25, 2))


def test_a_truncated_checkpoint_is_passed_over_for_the_one_before(
    tiny: Tiny, domains: Any, tmp_path: Path, uninterrupted: RunFolder
) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(Cancelled):
        train(folder, domains, tiny(), cancel_after(6))
    newest = folder.checkpoints / "step-00000006.pt"
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    events = train(folder, domains, None)
    assert Notice("step-00000006.pt cannot be read; the run goes on from step 4.") in events
    assert_same_end(folder, uninterrupted)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 and nothing more", bytes(5000)])
def test_damage_of_any_kind_is_passed_over(tiny: Tiny, domains: Any, tmp_path: Path, damage: bytes) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(Cancelled):
        train(folder, domains, tiny(), cancel_after(4))
    (folder.checkpoints / "step-00000004.pt").write_bytes(damage)
    found = last_state(folder)
    assert (found.step, found.damaged) == (2, ("step-00000004.pt",))


def test_when_all_checkpoints_are_damaged_nothing_is_overwritten(tiny: Tiny, domains: Any, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(Cancelled):
        train(folder, domains, tiny(), cancel_after(4))
    for path in folder.checkpoints.iterdir():
        path.write_bytes(b"damaged")
    with pytest.raises(RunError, match=r"No checkpoint in .* can be read .*step-00000004\.pt.*Start a new run"):
        train(folder, domains, None)
    assert rows(folder)[-1][0] == "4"


def test_a_full_disk_costs_no_earlier_checkpoint(
    tiny: Tiny, domains: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: RunFolder
) -> None:
    folder = RunFolder(tmp_path / "run")
    real = torch.save

    def save(state: Any, file: Any) -> None:
        if state["step"] < 6:
            real(state, file)
        else:
            file.write(b"the beginning of a checkpoint")
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_module.torch, "save", save)
    with pytest.raises(VolumeFileError, match=r"step-00000006\.pt cannot be written: No space left") as caught:
        train(folder, domains, tiny())
    assert isinstance(caught.value, CisfaError)
    assert sorted(path.name for path in folder.checkpoints.iterdir()) == ["step-00000002.pt", "step-00000004.pt"]
    monkeypatch.undo()
    train(folder, domains, None)
    assert_same_end(folder, uninterrupted)


def test_what_a_killed_writer_left_is_cleared_away(
    tiny: Tiny, domains: Any, tmp_path: Path, uninterrupted: RunFolder
) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(Cancelled):
        train(folder, domains, tiny(), cancel_after(4))
    left = [folder.checkpoints / ".writing-abc-00000006.pt", folder.path / ".writing-xyzmetrics.csv"]
    for path in left:
        path.write_bytes(bytes(1000))
    with folder.metrics.open("a", encoding="utf-8") as file:
        file.write("6,0.5,0.2")
    with folder.events.open("a", encoding="utf-8") as file:
        file.write('{"event": "metr')
    train(folder, domains, None)
    assert not any(path.exists() for path in left)
    assert_same_end(folder, uninterrupted)


def test_one_folder_takes_one_process_at_a_time(tiny: Tiny, domains: Any, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    refusals: list[str] = []

    def start_another(event: Event) -> None:
        if isinstance(event, Metric) and event.step == 4:
            with pytest.raises(RunError) as caught:
                train(RunFolder(folder.path), domains, None)
            refusals.append(str(caught.value))

    train(folder, domains, tiny(), start_another)
    assert refusals == [f"Another process is training in {folder.path}. Wait for it, or choose another folder."]


def test_a_folder_is_free_again_after_an_error(tiny: Tiny, domains: Any, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    caught = None
    try:
        train(folder, domains, tiny(), cancel_after(2))
    except Cancelled as error:
        caught = error  # its traceback keeps everything alive that was local then
    train(folder, domains, None)
    assert caught is not None


def test_resuming_without_a_run_is_refused(domains: Any, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no run to resume"):
        train(RunFolder(tmp_path / "run"), domains, None)


@pytest.mark.parametrize(
    ("assignment", "difference"),
    [
        ("optimiser.learning_rate=0.001", "optimiser.learning_rate 0.0002 there, 0.001 here"),
        ("seed=7", "seed 0 there, 7 here"),
        ('organs={"1": "liver", "3": "pancreas"}', "organs.3 spleen there, pancreas here"),
        ("preprocessing.ct_window_hu=[-100, 275]", r"preprocessing.ct_window_hu \[-125.0, 275.0\] there"),
    ],
)
def test_other_settings_are_refused_by_name(
    tiny: Tiny, domains: Any, assignment: str, difference: str, uninterrupted: RunFolder
) -> None:
    with pytest.raises(ConfigError, match=f"other settings \\({difference}.*only schedule"):
        train(uninterrupted, domains, tiny(assignment, "schedule.steps=9"))
    assert uninterrupted.read_config() == tiny()


def test_another_method_is_refused(tiny: Tiny, domains: Any, uninterrupted: RunFolder) -> None:
    with pytest.raises(ConfigError, match="method cisfa there, source-only here"):
        train(uninterrupted, domains, tiny(method="source-only"))


def test_other_cases_are_refused(tiny: Tiny, own_domains: Any, uninterrupted: RunFolder) -> None:
    volume = read_volume(own_domains.target / "images" / "mr_2.nii.gz")
    write_volume(Volume(volume.voxels + 1, volume.geometry), own_domains.target / "images" / "mr_2.nii.gz")
    with pytest.raises(RunError, match="started with other target cases"):
        train(uninterrupted, own_domains, None)
    (own_domains.target / "images" / "mr_2.nii.gz").unlink()
    with pytest.raises(RunError, match=r"started with other target cases \(3 then, 2 now\)"):
        train(uninterrupted, own_domains, None)


def test_other_labels_are_refused(tiny: Tiny, own_domains: Any, uninterrupted: RunFolder) -> None:
    path = own_domains.source / "labels" / "ct_2.nii.gz"
    labels = read_label_map(path)
    voxels = labels.voxels.copy()
    voxels[3, 20, 20] = 3 - voxels[3, 20, 20] // 3 * 2
    write_label_map(LabelMap(voxels, labels.geometry), path)
    with pytest.raises(RunError, match="started with other labels of source cases"):
        train(uninterrupted, own_domains, None)


def test_other_organs_are_refused(domains: Any, uninterrupted: RunFolder) -> None:
    from cisfa.imaging.organs import organs_from_names

    organs = organs_from_names({"1": "liver", "3": "pancreas"})
    cases = TrainingCases(labelled_cases(domains.source), unlabelled_cases(domains.target), organs)
    with pytest.raises(RunError, match=r"started with other organs\."):
        run_training(uninterrupted, cases, None, CPU, lambda event: None)


def test_cases_may_move_and_be_renamed(tiny: Tiny, own_domains: Any, tmp_path: Path) -> None:
    """A run knows its cases by their voxels; nothing else of them is written down."""
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(Cancelled):
        train(folder, own_domains, tiny(), cancel_after(2))
    for kind in ("images", "labels"):
        for path in (own_domains.source / kind).iterdir():
            path.rename(path.with_name(path.name.replace("ct", "renamed")))
    (tmp_path / "source").rename(tmp_path / "moved")
    moved = TrainingCases(labelled_cases(tmp_path / "moved"), unlabelled_cases(own_domains.target))
    run_training(folder, moved, None, CPU, lambda event: None)
    assert last_state(folder).step == 8


def test_a_checkpoint_of_a_newer_version_is_not_touched(tiny: Tiny, domains: Any, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(Cancelled):
        train(folder, domains, tiny(), cancel_after(2))
    path = folder.checkpoints / "step-00000002.pt"
    state = torch.load(path, weights_only=True)
    torch.save({**state, "schema": 2}, path)
    with pytest.raises(RunError, match=r"step-00000002\.pt was written by a newer version"):
        train(folder, domains, None)


def test_a_checkpoint_of_other_networks_is_refused(tiny: Tiny, domains: Any, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(Cancelled):
        train(folder, domains, tiny(), cancel_after(2))
    path = folder.checkpoints / "step-00000002.pt"
    state = torch.load(path, weights_only=True)
    state["networks"]["segmenter"]["head.weight"] = torch.zeros(9, 2, 1, 1)
    torch.save(state, path)
    with pytest.raises(RunError, match="does not fit this version's networks"):
        train(folder, domains, None)
    del state["networks"]["segmenter"]
    torch.save(state, path)
    with pytest.raises(RunError, match="belongs to another method"):
        train(folder, domains, None)


def test_checkpoints_run_no_code_when_they_are_read(tiny: Tiny, domains: Any, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(Cancelled):
        train(folder, domains, tiny(), cancel_after(2))
    state = {"schema": 1, "step": 2, "networks": Path("anything but tensors")}
    torch.save(state, folder.checkpoints / "step-00000009.pt")
    assert last_state(folder).damaged == ("step-00000009.pt",)


def test_a_run_folder_of_a_newer_version_is_refused(tiny: Tiny, domains: Any, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(Cancelled):
        train(folder, domains, tiny(), cancel_after(2))
    path = folder.path / "config.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**values, "schema": 2, "a new setting": 1}), encoding="utf-8")
    with pytest.raises(RunError, match=r"newer version of CISFA \(schema 2\)"):
        train(folder, domains, None)
