"""The script for a cluster, run by a real bash with stand-ins for Slurm's own programs."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import cisfa
from cisfa.errors import ConfigError
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_files import write_label_map, write_volume
from cisfa.runs.run_state import RunState, Status, read_state
from cisfa.runs.slurm import SlurmOptions, slurm_script

BASH = shutil.which("bash")
needs_bash = pytest.mark.skipif(BASH is None or sys.platform == "win32", reason="Slurm's computers have bash")
SRUN = '#!/bin/bash\nwhile [[ "$1" == --* ]]; do shift; done\nexec "$@"\n'
SCONTROL = '#!/bin/bash\nif [ "$1" = show ]; then echo 127.0.0.1; else echo "$@" >> "$SLURM_ASKED"; fi\n'
# a stand-in for Python that tells one argument a line, and ends as it is told
PYTHON = '#!/bin/bash\nprintf "%s\\n" "$@" > "$SLURM_ASKED.words"\nexit "${PYTHON_CODE:-0}"\n'
TRICKY = 'O\'Neill "Läufe" $HOME `id` \\ {1} 100%'
SETTINGS = (
    "--device=cpu",
    "--set=preprocessing.size=32",
    '--set=networks={"generator_width": 2, "generator_blocks": 1, "segmenter_width": 2, "discriminator_width": 2}',
    "--set=patch_contrast.patches=16",
    "--set=optimiser.batch_size=4",
    '--set=schedule={"steps": 100000, "checkpoint_every": 100000, "metrics_every": 1}',
    '--set=organs={"1": "liver", "3": "spleen"}',
)


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """A folder with Slurm's programs."""
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL), ("standin python", PYTHON)):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
    return tmp_path


def start(cluster: Path, options: SlurmOptions, **variables: str) -> "subprocess.Popen[str]":
    script = cluster / "train.sh"
    script.write_text(slurm_script(options), encoding="utf-8", newline="\n")
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(cluster / "bin"), os.environ["PATH"]]),
        "PYTHONPATH": str(Path(cisfa.__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_ASKED": str(cluster / "asked"),
        **variables,
    }
    return subprocess.Popen(
        [BASH or "bash", str(script)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
        env=environment, cwd=cluster,
    )  # fmt: skip


def end_of(job: "subprocess.Popen[str]") -> str:
    try:
        return job.communicate(timeout=60)[0]
    finally:
        job.kill()


def said(cluster: Path) -> list[str]:
    """What the stand-in for Python was told."""
    return (cluster / "asked.words").read_text(encoding="utf-8").splitlines()


def asked(cluster: Path) -> str:
    """What Slurm was asked."""
    path = cluster / "asked"
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


@pytest.fixture
def tricky(cluster: Path) -> SlurmOptions:
    return SlurmOptions(
        run=cluster / TRICKY, cases=Path(f"{TRICKY}.json"), config=Path("é.json"), nodes=2, gpus_per_node=4,
        python=(str(cluster / "bin" / "standin python"), "-X", "utf8"), more=(f"--set=a={TRICKY}",),
    )  # fmt: skip


@needs_bash
def test_what_it_starts_is_torchrun_with_all_words_whole(cluster: Path, tricky: SlurmOptions) -> None:
    job = start(cluster, tricky)
    assert end_of(job) == ""
    assert job.returncode == 0
    words = said(cluster)
    assert words[:4] == ["-X", "utf8", "-m", "torch.distributed.run"]
    assert {"--nnodes=2", "--nproc-per-node=4", f"--rdzv-id={os.getpid()}"} <= set(words)
    assert f"--rdzv-endpoint=127.0.0.1:{20000 + os.getpid() % 20000}" in words
    assert words[words.index("cisfa") - 2 :] == [
        "-m", "--", "cisfa", "train", f"--cases={TRICKY}.json", "--config=é.json", f"--set=a={TRICKY}",
        f"--run={cluster / TRICKY}",
    ]  # fmt: skip
    assert asked(cluster) == ""


@needs_bash
def test_a_run_that_is_there_is_gone_on_with(cluster: Path, tricky: SlurmOptions) -> None:
    tricky.run.mkdir()
    (tricky.run / "config.json").touch()
    end_of(start(cluster, tricky))
    assert said(cluster)[-1] == "--resume"


@needs_bash
def test_what_fails_is_not_put_back_into_the_queue(cluster: Path, tricky: SlurmOptions) -> None:
    job = start(cluster, tricky, PYTHON_CODE="1")
    end_of(job)
    assert job.returncode == 1
    assert asked(cluster) == ""


@needs_bash
@pytest.mark.parametrize("options", [SlurmOptions(Path("run")), SlurmOptions(Path(TRICKY), cases=Path("a\nb"))])
def test_bash_can_read_it(options: SlurmOptions, tmp_path: Path) -> None:
    script = tmp_path / "train.sh"
    script.write_text(slurm_script(options), encoding="utf-8", newline="\n")
    subprocess.run([BASH or "bash", "-n", str(script)], check=True)


def test_slurm_reads_what_was_asked_for() -> None:
    options = SlurmOptions(Path("run"), job_name="Läufe; rm -rf /\n#SBATCH --x", nodes=3, gpus_per_node=8, hours=36.5)
    lines = slurm_script(options).splitlines()
    asked_for = [line for line in lines if line.startswith("#SBATCH")]
    assert "#SBATCH --job-name=L-ufe-rm--rf-SBATCH---x" in asked_for
    assert {"#SBATCH --nodes=3", "#SBATCH --gpus-per-node=8", "#SBATCH --time=36:30:00"} <= set(asked_for)
    assert "#SBATCH --signal=B:USR1@300" in asked_for
    assert lines[0] == "#!/bin/bash"
    assert slurm_script(replace(options, job_name="ä")).splitlines()[1] == "#SBATCH --job-name=cisfa"


@pytest.mark.parametrize(
    "wrong",
    [{"nodes": 0}, {"gpus_per_node": 0}, {"hours": 0.1}, {"hours": float("nan")}, {"hours": 1e9}, {"python": ()}],
)
def test_what_no_cluster_can_do_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        slurm_script(replace(SlurmOptions(Path("run")), **wrong))  # type: ignore[arg-type]


@pytest.fixture
def cases(tmp_path: Path, oblique: Callable[..., Geometry]) -> tuple[str, ...]:
    rng = np.random.default_rng(0)
    geometry = oblique(shape=(4, 36, 40))
    labels = np.zeros(geometry.shape, np.uint8)
    labels[1:3, 10:20, 8:18], labels[1:4, 16:26, 24:32] = 1, 3
    for number in range(2):
        ct = (60 * labels + rng.normal(0, 15, geometry.shape) - 20).astype(np.int16)
        mr = np.abs(300 - 60.0 * labels + rng.normal(0, 15, geometry.shape)).astype(np.float32)
        write_volume(Volume(ct, geometry), tmp_path / "CT Fälle" / "images" / f"ct {number}.nii.gz")
        write_label_map(LabelMap(labels, geometry), tmp_path / "CT Fälle" / "labels" / f"ct {number}.nii.gz")
        write_volume(Volume(mr, geometry), tmp_path / "MR" / "images" / f"mr {number}.nii.gz")
    return f"--source={tmp_path / 'CT Fälle'}", f"--target={tmp_path / 'MR'}"


def wait_for(run: Path, is_so: Callable[[RunState], bool], job: "subprocess.Popen[str]") -> None:
    ends = time.monotonic() + 60
    while not is_so(read_state(run, is_local=True)):
        if job.poll() is not None or time.monotonic() > ends:
            pytest.fail(end_of(job))
        time.sleep(0.1)


@needs_bash
def test_it_trains_in_two_processes_until_slurm_warns_it_and_queues_again(
    cluster: Path, cases: tuple[str, ...]
) -> None:
    run = cluster / "Läufe 'eins'"
    job = start(cluster, SlurmOptions(run, gpus_per_node=2, python=(sys.executable,), more=(*cases, *SETTINGS)))
    wait_for(run, lambda state: state.status is Status.TRAINING and state.step >= 2, job)
    if sys.platform != "win32":
        job.send_signal(signal.SIGUSR1)
    output = end_of(job)
    assert job.returncode != 0
    assert asked(cluster) == f"requeue {os.getpid()}", output
    state = read_state(run, is_local=True)
    assert state.status is Status.PAUSED, output
    (checkpoint,) = (run / "checkpoints").iterdir()
    assert int(checkpoint.stem.removeprefix("step-")) >= 2
    assert '"processes": 2' in (run / "environment.json").read_text(encoding="utf-8")
