"""How far a run is, as its process writes it down, and what others want of it.

A run's process may have been started by a program that is long gone, so they speak through the run's folder:
``state.json`` from the process, ``request.json`` to it.
"""

import errno
import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Literal

from cisfa.config_files import from_json_values
from cisfa.errors import CisfaError, ConfigError, DeviceError, TrainingDivergedError
from cisfa.runs.run_files import CONFIG, REQUEST, STATE
from cisfa.runs.run_lock import is_locked
from cisfa.whole_files import write_text

# a process writes its state every second, and less often only while it does one thing that takes long
SILENT_AFTER_S = 120.0


class Status(StrEnum):
    """What a run is doing, or why it does nothing."""

    READING = "reading"
    TRAINING = "training"
    PAUSED = "paused"
    STOPPED = "stopped"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    # its process is gone without having said why: it was killed, or the computer went down
    NEW = "new"
    # nothing was written yet
    STARTING = "starting"
    # its process runs, and has written nothing yet; only whoever started it knows

    @property
    def is_active(self) -> bool:
        """True while a process works on it."""
        return self in (Status.STARTING, Status.READING, Status.TRAINING)


Request = Literal["pause", "stop"]


@dataclass(frozen=True)
class RunState:
    """How far a run is.

    Attributes:
        status: What it is doing.
        step: Steps done.
        steps: Of the whole run; 0 while its cases are being read.
        steps_per_s: At present; None while unknown.
        remaining_s: Estimated seconds until the end; None while unknown.
        memory_mb: Most memory that was in use, the device's where it is a graphics card, in MiB; None while unknown.
        stage: In words: "reading source cases".
        fraction: Part of the stage that is done, from 0 to 1.
        reason: Why it failed; never with a name or a path.
        updated: When this was written, in seconds since 1970.
    """

    status: Status
    step: int = 0
    steps: int = 0
    steps_per_s: float | None = None
    remaining_s: float | None = None
    memory_mb: float | None = None
    stage: str = ""
    fraction: float = 0.0
    reason: str = ""
    updated: float = 0.0


def write_state(folder: Path, state: RunState) -> None:
    """Write down how far a run is, now.

    Raises:
        VolumeFileError: The folder cannot be written or the disk is full.
    """
    write_text(folder / STATE, json.dumps(asdict(replace(state, updated=round(time.time(), 1)))) + "\n")


def read_state(folder: Path, *, is_local: bool) -> RunState:
    """How far a run is.

    Args:
        folder: The run's.
        is_local: True when its process would be on this computer, whose locks tell whether it lives. Otherwise (the
            folder is a copy, or a cluster's) a process counts as gone when it has been silent for two minutes.
    """
    state = stored_state(folder)
    if state is None:
        is_there = (folder / CONFIG).is_file()
        if is_local and is_locked(folder):
            return RunState(Status.READING)
        return RunState(Status.INTERRUPTED if is_there else Status.NEW)
    if state.status.is_active:
        lives = is_locked(folder) if is_local else time.time() - state.updated < SILENT_AFTER_S
        if not lives:
            # what it wrote last is read once more: it may have ended between the two looks
            again = stored_state(folder) or state
            return replace(again, status=Status.INTERRUPTED) if again.status.is_active else again
    return state


def stored_state(folder: Path) -> RunState | None:
    """What a process wrote; None when there is nothing, or nothing that can be read."""
    try:
        values = json.loads((folder / STATE).read_text(encoding="utf-8"))
        # a newer version may say more
        known = {each.name: values[each.name] for each in fields(RunState) if each.name in values}
        return from_json_values(RunState, {**known, "status": Status(values["status"])})
    except (OSError, ValueError, KeyError, TypeError, ConfigError):
        return None


def make_request(folder: Path, request: Request) -> None:
    """Ask a run's process to save a checkpoint and end.

    Args:
        folder: The run's.
        request: "pause" for a while, "stop" for good (it can be resumed all the same).

    Raises:
        VolumeFileError: The folder cannot be written.
    """
    write_text(folder / REQUEST, json.dumps({"request": request}) + "\n")


def read_request(folder: Path) -> Request | None:
    """What somebody wants of a run; None when nobody wants anything."""
    try:
        request = json.loads((folder / REQUEST).read_text(encoding="utf-8"))["request"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return request if request in ("pause", "stop") else None


def clear_request(folder: Path) -> None:
    """Forget what somebody wanted: it was done, or the run starts anew."""
    with suppress(OSError):
        (folder / REQUEST).unlink(missing_ok=True)


def reason_for(error: BaseException) -> str:
    """Why a run failed, without a name or a path: those of the user's own errors may hold some."""
    if isinstance(error, DeviceError | TrainingDivergedError):
        return str(error)
    if isinstance(error, MemoryError):
        return "Memory (RAM) ran out. Choose a smaller batch, smaller slices or fewer cases."
    if _is_of_a_full_disk(error):
        return "The disk is full. Free some space, then resume the run: it goes on from its last checkpoint."
    if isinstance(error, CisfaError):
        return f"{type(error).__name__}: the log on the computer that it ran on says more."
    return f"Internal error ({type(error).__name__}): the log on the computer that it ran on says more."


def _is_of_a_full_disk(error: BaseException | None) -> bool:
    """True when a full disk, or a used-up quota, is behind an error."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False
