"""``cisfa train`` as its users meet it: a person at a terminal, and a program that starts it as a job."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cisfa.cli import main, train
from cisfa.data_sets.record import Record, write_record
from cisfa.errors import CaseError, CisfaError, ConfigError, RunError
from cisfa.events import Event, Failed, Finished, Metric, Notice, Progress, from_json_line
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_files import write_label_map, write_volume
from cisfa.training.checkpoint import latest_checkpoint
from cisfa.training.run_folder import RunFolder

TINY = (
    "preprocessing.size=32",
    'networks={"generator_width": 2, "generator_blocks": 1, "segmenter_width": 2, "discriminator_width": 2}',
    "patch_contrast.patches=16",
    "optimiser.batch_size=2",
    'schedule={"steps": 4, "checkpoint_every": 2, "metrics_every": 2, "preview_every": 100}',
    'organs={"1": "liver", "3": "spleen"}',
)
SETTINGS = [word for assignment in TINY for word in ("--set", assignment)]
MakeGeometry = Callable[..., Geometry]


@pytest.fixture
def study(tmp_path: Path, oblique: MakeGeometry) -> Path:
    """Two CT cases with labels and two MR cases with label files that nobody can read."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    geometry = oblique(shape=(4, 36, 40))
    for number in range(2):
        labels = np.zeros(geometry.shape, np.uint8)
        labels[1:3, 10:20, 8 + number : 18], labels[1:4, 16:26, 24:32] = 1, 3
        body = np.zeros(geometry.shape, bool)
        body[:, 4:32, 4:36] = True
        brightness = 60.0 * labels
        ct = np.where(body, 20 + brightness + rng.normal(0, 15, geometry.shape), -1000).astype(np.int16)
        mr = np.where(body, 300 - brightness + rng.normal(0, 15, geometry.shape), 3).astype(np.float32)
        write_volume(Volume(ct, geometry), tmp_path / "CT Fälle" / "images" / f"ct {number}.nii.gz")
        write_label_map(LabelMap(labels, geometry), tmp_path / "CT Fälle" / "labels" / f"ct {number}.nii.gz")
        write_volume(Volume(mr, geometry), tmp_path / "MR" / "images" / f"mr_{number}.nrrd")
        unreadable = tmp_path / "MR" / "labels" / f"mr_{number}.nii.gz"
        unreadable.parent.mkdir(exist_ok=True)
        unreadable.write_bytes(b"nobody may open this")
    yield tmp_path  # type: ignore[misc]
    torch.set_num_threads(threads)


def words(study: Path, *more: str, target: str | None = "MR") -> list[str]:
    targets = [f"--target={study / target}"] if target else []
    return [f"--source={study / 'CT Fälle'}", *targets, f"--run={study / 'run'}", "--device=cpu", *more]


def run(study: Path, *more: str, target: str | None = "MR") -> list[Event]:
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    events: list[Event] = []
    train.run(parser.parse_args(words(study, *more, target=target)), events.append)
    return events


def steps_done(study: Path) -> int:
    checkpoint = latest_checkpoint(RunFolder(study / "run").checkpoints, device=torch.device("cpu"))
    return checkpoint.step if checkpoint else 0


def notices(events: list[Event]) -> list[str]:
    return [event.message for event in events if isinstance(event, Notice)]


def test_training_says_what_it_reads_does_and_leaves(study: Path) -> None:
    events = run(study, *SETTINGS)
    assert events[-1] == Finished((str(study / "run"),))
    assert notices(events) == [
        "source: 2 cases, 8 slices, read as CT.",
        "target: 2 cases, 8 slices, read as MR.",
        "No source case is held out: with 2 source cases none can be spared (from 4 on one is). So validation measures"
        " no Dice.",
    ]
    stages = dict.fromkeys(event.stage for event in events if isinstance(event, Progress))
    assert list(stages) == ["reading source cases", "reading target cases", "training"]
    assert [event.step for event in events if isinstance(event, Metric)] == [2, 4]
    assert steps_done(study) == 4


def test_a_run_is_resumed_without_repeating_its_settings(study: Path) -> None:
    run(study, *SETTINGS)
    run(study, "--resume", "--set", "schedule.steps=6")
    assert steps_done(study) == 6
    assert RunFolder(study / "run").read_config().networks.generator_width == 2
    events = run(study, "--resume")
    assert "The run has done its 6 steps already." in notices(events)
    assert isinstance(events[-1], Finished)


def test_a_run_is_resumed_by_the_command_that_started_it(study: Path) -> None:
    run(study, *SETTINGS, "--preset=reduced")
    run(study, *SETTINGS, "--preset=reduced", "--resume", "--set", "schedule.steps=6")
    assert steps_done(study) == 6


def test_a_setting_that_may_not_change_is_named(study: Path) -> None:
    run(study, *SETTINGS)
    with pytest.raises(ConfigError, match=r"optimiser\.batch_size 2 there, 3 here.*only schedule\.\* may change"):
        run(study, "--resume", "--set", "optimiser.batch_size=3")
    with pytest.raises(ConfigError, match="method cisfa there, source-only here"):
        run(study, "--resume", "--method=source-only")


def test_a_run_is_not_started_where_one_is(study: Path) -> None:
    run(study, *SETTINGS)
    with pytest.raises(RunError, match=r"already holds a run\. Pass --resume"):
        run(study, *SETTINGS)


def test_there_must_be_a_run_to_resume(study: Path) -> None:
    with pytest.raises(RunError, match="holds no run"):
        run(study, "--resume")


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--set", "seed=-1"], "seed is -1"),
        (["--preset=fulll"], "no preset 'fulll'"),
        (["--method=cut"], "no method 'cut'"),
        (["--config=nowhere.json"], "nowhere.json cannot be read"),
        (["--set", "preprocessing.plain=axial"], "Did you mean preprocessing.plane"),
        (["--set", "optimiser.batch_size=1"], "optimiser.batch_size is 1; the feature contrast compares"),
        (["--set", 'organs={"1": "liver"}'], "holds the label value 3"),
        (["--set", "organs={}"], "there is no organ"),
    ],
)
def test_settings_that_cannot_be_used_leave_no_run_behind(study: Path, more: list[str], complaint: str) -> None:
    with pytest.raises(CisfaError) as caught:
        run(study, *SETTINGS, *more)
    assert complaint in str(caught.value)
    assert not RunFolder(study / "run").exists
    run(study, *SETTINGS)  # and the place is free for the right ones


def test_source_and_target_may_not_share_a_name_unless_the_user_says_so(study: Path) -> None:
    for number in range(2):
        (study / "MR" / "images" / f"mr_{number}.nrrd").rename(study / "MR" / "images" / f"ct {number}.nrrd")
    with pytest.raises(CaseError, match=r"both hold ct 0, ct 1\."):
        run(study, *SETTINGS)
    run(study, *SETTINGS, "--same-names-differ")
    assert steps_done(study) == 4


def test_the_same_voxels_are_one_patient_whatever_the_user_says(study: Path) -> None:
    with pytest.raises(CaseError, match="hold the same voxels"):
        run(study, *SETTINGS, "--same-names-differ", target="CT Fälle")


def test_a_method_of_two_domains_needs_a_target(study: Path) -> None:
    with pytest.raises(CaseError, match="--target is missing"):
        run(study, *SETTINGS, target=None)


def test_supervised_training_leaves_the_target_unread(study: Path) -> None:
    events = run(study, *SETTINGS, "--method=supervised", target="nowhere")
    assert "This method learns from --source alone; --target is left unread." in notices(events)
    data = RunFolder(study / "run").read_data()
    assert data is not None
    assert data.source_fingerprints == data.target_fingerprints


def test_dataset_json_names_the_organs_and_the_user_hears_of_it(study: Path) -> None:
    description = study / "CT Fälle" / "dataset.json"
    description.write_text('{"labels": {"background": 0, "spleen": 1, "liver": 3}}', encoding="utf-8")
    events = run(study, *SETTINGS)
    assert any("dataset.json names, not those of the settings" in notice for notice in notices(events))
    data = RunFolder(study / "run").read_data()
    assert data is not None
    assert [(organ.label, organ.name) for organ in data.organs] == [(1, "spleen"), (3, "liver")]


def test_a_target_that_was_chosen_by_its_labels_is_warned_of(study: Path) -> None:
    for part in ("CT Fälle", "MR"):
        write_record(Record({"all_organs": True}, {"liver": 1}, "none"), study / part)
    (warning,) = (notice for notice in notices(run(study, *SETTINGS)) if "--all-organs" in notice)
    assert str(study / "MR") in warning


def test_no_label_of_the_target_is_ever_opened(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cisfa.training import label_slices

    opened: list[Path] = []
    real = label_slices.read_label_map
    monkeypatch.setattr(label_slices, "read_label_map", lambda path: (opened.append(path), real(path))[1])
    run(study, *SETTINGS)
    assert len(opened) == 2
    assert {path.parent for path in opened} == {study / "CT Fälle" / "labels"}


def test_the_help_lists_the_presets_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.main(["train", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "demo, full (default), heart, quick, reduced" in shown
    assert "--same-names-differ" in shown


def job(study: Path, *more: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "cisfa", "train", "--events", *words(study), *more]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, encoding="utf-8", env=environment)


def test_a_job_speaks_in_events_and_ends_with_what_it_made(study: Path) -> None:
    child = job(study, *SETTINGS)
    output, complaints = child.communicate()
    events = [from_json_line(line) for line in output.splitlines()]
    assert child.returncode == main.DONE, complaints
    assert None not in events
    assert events[-1] == Finished((str(study / "run"),))
    assert [event.step for event in events if isinstance(event, Metric)] == [2, 4]
    assert "Traceback" not in complaints


def test_a_job_that_the_user_can_mend_ends_with_a_sentence(study: Path) -> None:
    (study / "CT Fälle" / "labels" / "ct 1.nii.gz").unlink()
    child = job(study, *SETTINGS)
    output, complaints = child.communicate()
    assert child.returncode == main.USER_CAN_MEND
    last = from_json_line(output.splitlines()[-1])
    assert isinstance(last, Failed)
    assert "lacks the label maps of ct 1" in last.message
    assert "Traceback" not in complaints
    assert not RunFolder(study / "run").exists


def test_a_job_that_is_cancelled_saves_where_it_was(study: Path) -> None:
    long = ("--set", "schedule.steps=100000", "--set", "schedule.checkpoint_every=100000")
    with job(study, "--cancel-when-stdin-closes", *SETTINGS, *long) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        for line in child.stdout:
            if isinstance(from_json_line(line), Metric):
                break
        child.stdin.close()
        output, complaints = child.stdout.read(), child.stderr.read()
    assert child.returncode == main.CANCELLED
    assert "Traceback" not in complaints
    last = from_json_line(output.splitlines()[-1])
    assert isinstance(last, Notice)
    done = steps_done(study)
    assert done >= 2
    metrics = (study / "run" / "metrics.csv").read_text(encoding="utf-8").splitlines()
    assert int(metrics[-1].split(",")[0]) in (done, done - 1)
