"""A script with which a cluster under Slurm trains a run on several computers, over as many time limits as it takes."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from cisfa.errors import ConfigError
from cisfa.runs.run_files import CONFIG, REQUEST

# enough to end a step, validate and write a checkpoint
_WARNED_S = 300
_MOST_HOURS = 8760

_SCRIPT = """\
#!/bin/bash
#SBATCH --job-name={job_name}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node={gpus}
#SBATCH --time={time}
#SBATCH --signal=B:USR1@{warned_s}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
# Add what your cluster wants to know, such as --partition, --account and --cpus-per-task.
# Run folder and cases must lie on a file system that all computers see. Slurm warns this script {warned_s} s before the
# time limit: it has a checkpoint saved, and puts itself back into the queue to go on from there.

run={run}
words=({words})
if [ -f "$run/{config}" ]; then
    words+=(--resume)
fi

is_out_of_time=0
ask_to_pause() {{
    is_out_of_time=1
    mkdir -p -- "$run"
    printf '{{"request": "pause"}}\\n' > "$run/{request}"
}}
trap ask_to_pause USR1

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))
# torchrun on each computer: all meet at the first one, and each starts a process for each of its graphics cards;
# without the -- it would take --run for an option of its own
srun --kill-on-bad-exit=1 {python} -m torch.distributed.run \\
    --nnodes={nodes} --nproc-per-node={gpus} --max-restarts=0 \\
    --rdzv-backend=c10d --rdzv-id="$SLURM_JOB_ID" --rdzv-endpoint="$first:$port" \\
    -m -- cisfa train "${{words[@]}}" &
training=$!
# a signal ends a wait before the training ends
while true; do
    wait "$training"
    code=$?
    kill -0 "$training" 2> /dev/null || break
done
if [ "$is_out_of_time" = 1 ] && [ "$code" != 0 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""


@dataclass(frozen=True)
class SlurmOptions:
    """What to train, and what to ask the cluster for.

    Attributes:
        run: Folder of the run, which is gone on with where it exists.
        cases: List of cases; None where ``more`` names folders.
        config: File of settings; None for those of ``more``, or the default.
        job_name: Under which Slurm lists it.
        nodes: Computers.
        gpus_per_node: Graphics cards of each, and processes.
        hours: Time limit of one job.
        python: Command that runs the cluster's Python, in words.
        more: Further words of ``cisfa train``.
    """

    run: Path
    cases: Path | None = None
    config: Path | None = None
    job_name: str = "cisfa"
    nodes: int = 1
    gpus_per_node: int = 1
    hours: float = 24.0
    python: tuple[str, ...] = ("python",)
    more: tuple[str, ...] = ()


def slurm_script(options: SlurmOptions) -> str:
    """The script, for sbatch; written with UTF-8 and line feeds.

    Raises:
        ConfigError: An option has a value it cannot have.
    """
    _require_usable(options)
    words = [f"--{name}={path}" for name, path in (("cases", options.cases), ("config", options.config)) if path]
    minutes = round(options.hours * 60)
    return _SCRIPT.format(
        # Slurm's own lines are no shell's, and a name is no place for surprises
        job_name=re.sub(r"[^A-Za-z0-9._-]+", "-", options.job_name).strip("-") or "cisfa",
        nodes=options.nodes,
        gpus=options.gpus_per_node,
        time=f"{minutes // 60:02}:{minutes % 60:02}:00",
        warned_s=_WARNED_S,
        run=shlex.quote(str(options.run)),
        words=" ".join([*map(shlex.quote, [*words, *options.more]), '--run="$run"']),
        python=" ".join(map(shlex.quote, options.python)),
        config=CONFIG,
        request=REQUEST,
    )


def _require_usable(options: SlurmOptions) -> None:
    for name, value in (("nodes", options.nodes), ("GPUs per node", options.gpus_per_node)):
        if value < 1:
            raise ConfigError(f"The number of {name} is {value}; it must be at least 1.")
    # below that, it would be warned when it starts
    if not 2 * _WARNED_S / 3600 <= options.hours <= _MOST_HOURS:
        raise ConfigError(
            f"The time limit is {options.hours:g} hours; it must be from {2 * _WARNED_S / 3600:.2f} to {_MOST_HOURS}."
        )
    if not options.python or not options.python[0].strip():
        raise ConfigError("The command of the cluster's Python is empty; give one, such as python.")
