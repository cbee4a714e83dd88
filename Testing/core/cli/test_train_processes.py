"""``cisfa train --processes``: to the outside one job like any other."""

import argparse
import csv
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

import cisfa
from cisfa.cli import main, train
from cisfa.cli.train_processes import train_in_processes
from cisfa.errors import CisfaError, ConfigError, DeviceError
from cisfa.events import Event, Failed, Finished, Metric, Notice, Progress, from_json_line
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_files import write_label_map, write_volume
from cisfa.runs.run_state import Status, read_state
from cisfa.training import join_processes
from cisfa.training.run_folder import RunFolder

SETTINGS = [
    f"--set={assignment}"
    for assignment in (
        "preprocessing.size=32",
        'networks={"generator_width": 2, "generator_blocks": 1, "segmenter_width": 2, "discriminator_width": 2}',
        "patch_contrast.patches=16",
        "optimiser.batch_size=4",
        "optimiser.precision=float32",
        'schedule={"steps": 6, "checkpoint_every": 100000, "metrics_every": 1, "preview_every": 100000}',
        'organs={"1": "liver", "3": "spleen"}',
    )
]
ENDLESS = ["--set=schedule.steps=100000"]
# as Slicer starts a job: the package is not on PYTHONPATH, and the present folder is another one
BOOTSTRAP = (
    "import runpy, sys; sys.path[0] = sys.argv.pop(1); runpy.run_module('cisfa', run_name='__main__', alter_sys=True)"
)
PACKAGES = Path(cisfa.__file__).parents[1]
MakeGeometry = Callable[..., Geometry]


@pytest.fixture
def study(tmp_path: Path, oblique: MakeGeometry) -> Iterator[Path]:
    """Two CT cases with labels and two MR cases without, in folders with a space and an accent."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    geometry = oblique(shape=(4, 36, 40))
    for number in range(2):
        labels = np.zeros(geometry.shape, np.uint8)
        labels[1:3, 10:20, 8 + number : 18], labels[1:4, 16:26, 24:32] = 1, 3
        body = np.zeros(geometry.shape, bool)
        body[:, 4:32, 4:36] = True
        noise = rng.normal(0, 15, (2, *geometry.shape))
        ct = np.where(body, 20 + 60.0 * labels + noise[0], -1000).astype(np.int16)
        mr = np.where(body, 300 - 60.0 * labels + noise[1], 3).astype(np.float32)
        write_volume(Volume(ct, geometry), tmp_path / "CT Fälle" / "images" / f"ct {number}.nii.gz")
        write_label_map(LabelMap(labels, geometry), tmp_path / "CT Fälle" / "labels" / f"ct {number}.nii.gz")
        write_volume(Volume(mr, geometry), tmp_path / "MR" / "images" / f"mr {number}.nii.gz")
    yield tmp_path
    torch.set_num_threads(threads)


def words(study: Path, *more: str, run: str = "run") -> list[str]:
    folders = [f"--source={study / 'CT Fälle'}", f"--target={study / 'MR'}", f"--run={study / run}"]
    return [*folders, "--device=cpu", *SETTINGS, *more]


def parsed(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    return parser.parse_args(given)


def job(study: Path, *more: str) -> "subprocess.Popen[str]":
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    given = ["train", "--events", "--processes=2", *words(study, *more)]
    return subprocess.Popen(
        [sys.executable, "-c", BOOTSTRAP, str(PACKAGES), *given],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**environment, "OMP_NUM_THREADS": "1"},
        cwd=study,
    )


def until_it_trains(child: "subprocess.Popen[str]") -> None:
    for line in child.stdout or ():
        if isinstance(from_json_line(line), Metric):
            return
    pytest.fail(child.communicate()[1])


def end_of(child: "subprocess.Popen[str]") -> tuple[list[Event], str]:
    """What was not read yet of its events, and its standard error."""
    try:
        output, complaints = child.communicate(timeout=60)
    finally:
        for process in [*psutil.Process(child.pid).children(), child] if child.poll() is None else []:
            process.kill()
    events = [from_json_line(line) for line in output.splitlines()]
    assert None not in events, output
    return [event for event in events if event is not None], complaints


def rows(folder: Path) -> tuple[list[str], np.ndarray]:
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        header, *lines = csv.reader(file)
    return header, np.array(lines, dtype=float)


def test_two_processes_train_what_one_does_and_speak_as_one(study: Path) -> None:
    events, complaints = end_of(job(study))
    assert events[-1] == Finished((str(study / "run"),)), complaints
    assert "Traceback" not in complaints
    assert [event.step for event in events if isinstance(event, Metric)] == [1, 2, 3, 4, 5, 6]
    stages = dict.fromkeys(event.stage for event in events if isinstance(event, Progress))
    assert list(stages) == ["reading source cases", "reading target cases", "training"]
    notices = [event.message for event in events if isinstance(event, Notice)]
    assert len(notices) == len(set(notices))

    alone: list[Event] = []
    train.run(parsed(*words(study, run="alone")), alone.append)
    (ours, measured), (theirs, expected) = rows(study / "run"), rows(study / "alone")
    assert ours == theirs
    # what the first step computes before it changes any weight
    untouched = [ours.index(name) for name in ("generator adversary", "patch contrast", "gradient of generator")]
    np.testing.assert_allclose(measured[0, untouched], expected[0, untouched], rtol=2e-4)
    losses = [column for column, name in enumerate(ours) if not name.startswith("gradient")]
    # Adam makes as large a step of a rounding error as of any gradient, where the true one is zero, so that rounding
    # grows with every step; test_processes.py compares all of them in float64
    np.testing.assert_allclose(measured[:3, losses], expected[:3, losses], rtol=0.01)
    assert np.isfinite(measured).all()


def test_closing_standard_input_stops_all_after_a_step_with_one_checkpoint(study: Path) -> None:
    child = job(study, *ENDLESS, "--cancel-when-stdin-closes")
    until_it_trains(child)
    events, complaints = end_of(child)  # which closes it
    assert child.returncode == main.CANCELLED, complaints
    assert "Traceback" not in complaints
    assert isinstance(events[-1], Notice)
    (checkpoint,) = RunFolder(study / "run").checkpoints.iterdir()
    assert checkpoint.name == f"step-{int(rows(study / 'run')[1][-1, 0]):08d}.pt"
    assert read_state(study / "run", is_local=True).status is Status.PAUSED


def test_a_process_that_is_killed_ends_the_others(study: Path) -> None:
    child = job(study, *ENDLESS)
    until_it_trains(child)
    workers = psutil.Process(child.pid).children()
    assert len(workers) == 2
    next(worker for worker in workers if worker.environ()["RANK"] == "1").kill()
    output = [from_json_line(line) for line in child.stdout or ()]
    _, complaints = end_of(child)
    assert child.returncode == main.USER_CAN_MEND, complaints
    assert isinstance(output[-1], Failed)
    assert "has ended or cannot be reached" in output[-1].message
    assert read_state(study / "run", is_local=True).status is Status.FAILED
    assert not any(worker.is_running() for worker in workers)


def test_what_the_user_can_mend_is_said_once(study: Path) -> None:
    child = job(study, "--set=optimiser.batch_size=3")
    events, complaints = end_of(child)
    assert child.returncode == main.USER_CAN_MEND, complaints
    assert [type(event) for event in events if isinstance(event, Failed | Finished)] == [Failed]
    assert complaints.count("must be a multiple of 2") == 1
    assert "Traceback" not in complaints
    assert not RunFolder(study / "run").exists


def test_the_words_of_a_process_say_all_that_was_said() -> None:
    said = (
        "--source=a b", "--target=ü", "--cases=c.json", "--run=-r", "--resume", "--same-names-differ", "--device=cpu",
        "--preset=full", "--config=s.json", "--set=seed=1", '--set=organs={"1": "liver"}', "--method=cisfa",
    )  # fmt: skip
    about_processes = {"processes", "write_slurm", "slurm_nodes", "slurm_gpus", "slurm_hours", "slurm_python"}
    arguments = parsed(*said, "--processes=2")
    again = parsed(*train.words_of(arguments))
    for name, value in vars(arguments).items():
        if name not in about_processes:
            assert value, f"--{name} is not tried out here"
            assert getattr(again, name) == value
    assert again.processes is None


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5", ""])
def test_a_number_of_processes_is_a_number_or_all(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--run=r", f"--processes={given}")
    assert "no number of processes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("cards", "given", "complaint"),
    [
        (0, ("--processes=all",), "has no CUDA card"),
        (1, ("--processes=all",), "has one CUDA card"),
        (4, ("--processes=all", "--device=cpu"), "--device is cpu"),
        (2, ("--processes=3",), "--processes is 3, but this computer has 2 CUDA cards"),
    ],
)
def test_each_process_needs_a_card(
    cards: int, given: tuple[str, ...], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join_processes, "card_count", lambda: cards)
    with pytest.raises(DeviceError) as caught:
        train.run(parsed("--run=r", *given), lambda event: None)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("cards", "given", "started"),
    [(4, ("--processes=all",), 4), (4, ("--processes=2",), 2), (1, ("--processes=8", "--device=cpu"), 8)],
)
def test_as_many_are_started_as_were_asked_for(
    cards: int, given: tuple[str, ...], started: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    monkeypatch.setattr(join_processes, "card_count", lambda: cards)
    monkeypatch.setattr(
        "cisfa.cli.train_processes.train_in_processes",
        lambda words, count, report, *, tells_failure: counts.append(count),
    )
    train.run(parsed("--run=r", *given), lambda event: None)
    assert counts == [started]


def test_several_processes_do_not_start_several_each(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="leave out --processes"):
        train.run(parsed("--run=r", "--processes=2"), lambda event: None)


def test_processes_that_say_nothing_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cisfa.cli.train_processes._RUN", "import os; os._exit(77)")
    with pytest.raises(CisfaError, match=r"ended from outside \(exit codes 77"):
        train_in_processes([], 2, lambda event: None, tells_failure=True)


def test_a_script_for_a_cluster_is_written_instead_of_training(study: Path) -> None:
    events: list[Event] = []
    script = study / "auf dem Cluster.sh"
    train.run(parsed(*words(study, "--resume"), f"--write-slurm={script}", "--slurm-nodes=2"), events.append)
    assert events == [Finished((str(script),))]
    text = script.read_text(encoding="utf-8")
    assert "#SBATCH --nodes=2\n" in text
    assert f"'--source={study / 'CT Fälle'}'" in text
    assert "--resume" not in text.split("words=(")[1].split("\n")[0]  # the script sees by itself
    assert not (study / "run").exists()
    with pytest.raises(ConfigError, match="--slurm-nodes"):
        train.run(parsed(*words(study, "--processes=2"), f"--write-slurm={script}"), events.append)
