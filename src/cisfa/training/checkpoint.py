"""Resumable state on disk: written whole or not at all, the last few kept."""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cisfa.errors import RunError
from cisfa.training.method import Method
from cisfa.whole_files import write_whole

_SCHEMA = 1
_NAME = re.compile(r"step-(\d{8})\.pt")


@dataclass(frozen=True)
class Checkpoint:
    """A method's whole state after a number of steps.

    Attributes:
        step: Optimiser updates done.
        networks: Network name to its state.
        optimisers: Optimiser name to its state.
        damaged: Names of newer checkpoints that could not be read.
    """

    step: int
    networks: Mapping[str, Any]
    optimisers: Mapping[str, Any]
    damaged: tuple[str, ...] = ()

    def restore(self, method: Method) -> None:
        """Put the state into a method built with the same config.

        Raises:
            RunError: The state is another method's, or that of networks of other shapes.
        """
        if set(self.networks) != set(method.networks) or set(self.optimisers) != set(method.optimisers):
            raise RunError(f"The checkpoint of step {self.step} belongs to another method; start a new run.")
        try:
            for name, network in method.networks.items():
                network.load_state_dict(self.networks[name])
            for name, optimiser in method.optimisers.items():
                optimiser.load_state_dict(self.optimisers[name])
        except (RuntimeError, ValueError, KeyError) as error:  # torch's ways of saying that shapes or names differ
            reason = str(error).splitlines()[0]
            raise RunError(
                f"The checkpoint of step {self.step} does not fit this version's networks ({reason})."
                " Resume the run with the version named in its environment.json, or start a new run."
            ) from error


def save_checkpoint(folder: Path, method: Method, *, step: int, keep: int) -> None:
    """Write the state after a step, then remove all but the newest ``keep``.

    Raises:
        VolumeFileError: The folder cannot be written or the disk is full; earlier checkpoints stay.
    """
    state = {
        "schema": _SCHEMA,
        "step": step,
        "networks": {name: network.state_dict() for name, network in method.networks.items()},
        "optimisers": {name: optimiser.state_dict() for name, optimiser in method.optimisers.items()},
    }

    def write(unfinished: Path) -> None:
        with unfinished.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave an empty file under the final name

    write_whole(folder / f"step-{step:08d}.pt", write)
    for _, path in sorted(_checkpoints(folder), reverse=True)[keep:]:
        with suppress(OSError):  # a virus scanner or a backup may be reading it; one file too many does no harm
            path.unlink()


def latest_checkpoint(folder: Path, *, device: torch.device) -> Checkpoint | None:
    """The newest checkpoint that can be read; None when there is none yet.

    Raises:
        RunError: It was written by a newer version, or all are damaged.
    """
    damaged = []
    for _, path in sorted(_checkpoints(folder), reverse=True):
        try:
            state = torch.load(path, map_location=device, weights_only=True)
            schema = state["schema"]
        except (MemoryError, torch.OutOfMemoryError, PermissionError):
            raise  # it may well be whole
        except Exception:  # torch raises what the damage happens to cause
            damaged.append(path.name)
            continue
        if schema > _SCHEMA:
            raise RunError(f"{path} was written by a newer version of CISFA. Update this one to resume it.")
        return Checkpoint(state["step"], state["networks"], state["optimisers"], tuple(damaged))
    if damaged:
        raise RunError(f"No checkpoint in {folder} can be read ({', '.join(damaged)} damaged). Start a new run.")
    return None


def _checkpoints(folder: Path) -> list[tuple[int, Path]]:
    matches = [(_NAME.fullmatch(path.name), path) for path in folder.glob("step-*.pt")]
    return [(int(match[1]), path) for match, path in matches if match]
