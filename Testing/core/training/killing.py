"""Kills a run again and again, resuming it each time, and tells what it was doing and whether it ended as it should."""

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cisfa.runs.run_files import STATE
from cisfa.runs.run_lock import is_locked
from cisfa.runs.run_state import Status, read_state
from nursery import Child, Nursery
from run_ends import differing_ends

AIMS = ("reading", "any moment", "training", "a checkpoint")
# the longest wait before the kill: parts of the time that a whole run takes
PAUSES = {"reading": 0.03, "any moment": 0.6, "training": 0.15, "a checkpoint": 0.002}


@dataclass
class Killer:
    """Kills a command of ``cisfa train`` at random moments.

    Attributes:
        nursery: Starts its processes.
        words: The command, less the folder and ``--resume``.
        folder: Where the runs go.
        chance: What the moments are drawn with.
        killed_in: What the process was doing, to how often it was killed then.
        resumed: How many attempts went on with a run that a kill had left.
        differences: Where runs ended otherwise than the reference.
        seconds: That the reference took.
    """

    nursery: Nursery
    words: Sequence[str]
    folder: Path
    chance: random.Random
    killed_in: Counter[str] = field(default_factory=Counter)
    resumed: int = 0
    differences: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def reference(self) -> Path:
        """The run that nobody kills."""
        return self.folder / "reference"

    def make_reference(self) -> None:
        """Train without a kill."""
        child = self._start(self.reference)
        child.watch(lambda: (self.reference / STATE).exists())
        began = time.monotonic()  # only now, since the nursery may still have been importing
        if child.wait() != 0:
            raise AssertionError(child.said())
        self.seconds = time.monotonic() - began

    def kill(self, kills: int) -> None:
        """Kill so often, in as many runs as that takes, and let the last one end."""
        number = 0
        while self.killed_in.total() < kills:
            number += 1
            run = self.folder / f"run {number}"
            while self.killed_in.total() < kills:
                if self._attempt(run, AIMS[self.killed_in.total() % len(AIMS)]):
                    break
            else:
                self._end(run, self._start(run))
            self.differences += [f"{run.name}: {name}" for name in differing_ends(run, self.reference)]

    def _start(self, run: Path) -> Child:
        is_resumed = (run / "config.json").is_file()
        self.resumed += is_resumed
        words = ["train", "--run", str(run), "--device", "cpu", *self.words, *(["--resume"] if is_resumed else [])]
        return self.nursery.start(words, self.folder / f"{run.name}.log")

    def _attempt(self, run: Path, aim: str) -> bool:
        """Start or resume a run and kill it; True when it was done before that."""
        was_there = (run / "config.json").is_file()
        told = read_state(run, is_local=False).updated
        left = set(_unfinished(run))
        child = self._start(run)
        moments: dict[str, Callable[[], bool]] = {
            "reading": lambda: _status(run, told) is Status.READING,
            "training": lambda: _status(run, told) is Status.TRAINING,
            "a checkpoint": lambda: not left.issuperset(_unfinished(run)),
        }
        if aim in moments:
            child.watch(moments[aim])
        time.sleep(self.chance.uniform(0, PAUSES[aim] * self.seconds))
        if child.kill() == 0:
            self._require_done(run)
            return True
        is_saving = not left.issuperset(_unfinished(run))
        self.killed_in["saving a checkpoint" if is_saving else _doing(run, told, was_there=was_there)] += 1
        state = read_state(run, is_local=True)
        # a run that was killed before it wrote anything tells what it told before
        if is_locked(run) or state.status not in (Status.INTERRUPTED, Status.NEW):
            self.differences.append(f"{run.name}: {state.status} after a kill")
        return False

    def _end(self, run: Path, child: Child) -> None:
        if child.wait() != 0:
            raise AssertionError(child.said())
        self._require_done(run)

    def _require_done(self, run: Path) -> None:
        state = read_state(run, is_local=True)
        if state.status is not Status.DONE:
            self.differences.append(f"{run.name}: {state.status} at the end")


def _status(run: Path, told: float) -> Status:
    """What the process of now has told; STARTING before it has told anything."""
    state = read_state(run, is_local=False)
    return state.status if state.updated > told else Status.STARTING


def _unfinished(run: Path) -> list[Path]:
    """Checkpoints that are being written, or that a killed process left so."""
    return list((run / "checkpoints").glob(".writing-*"))


def _doing(run: Path, told: float, *, was_there: bool) -> str:
    status = _status(run, told)
    if status is Status.READING:
        return "reading to resume" if was_there else "reading"
    return str(status)
