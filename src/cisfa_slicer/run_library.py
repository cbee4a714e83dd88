"""All runs that this computer knows: those it trains, those it trained, and folders brought back from a cluster."""

import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cisfa.errors import CisfaError
from cisfa.runs.run_files import CHECKPOINTS, CONFIG, PREVIEWS, STATE, VALIDATION
from cisfa.runs.run_lock import is_locked
from cisfa.runs.run_state import RunState, Status
from cisfa.runs.run_summary import RunSummary, is_run, summarise
from cisfa_slicer.data_folder import data_folder
from cisfa_slicer.detached_process import is_running
from cisfa_slicer.error_display import sentence_of
from cisfa_slicer.run_companion import SUFFIX, RunCompanion
from cisfa_slicer.run_copy import copy_run
from cisfa_slicer.settings import RUN_FOLDER

# in names of files, on one system or another
FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
# names that Windows keeps for devices
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
# of 255 bytes that a file system gives, the rest is for numbers and the suffix of what lies beside
_LONGEST_NAME, _LONGEST_NAME_BYTES = 80, 200
# a process that has not said anything after this long says nothing any more
_LONGEST_START_S = 600.0
# times of change, sizes and numbers of a run's files; one that replaces another has a number of its own
_Signature = tuple[tuple[int, int, int], ...]


class RunLibraryError(CisfaError):
    """A run cannot be added, found or removed."""


@dataclass(frozen=True)
class Run:
    """One run as a list shows it.

    Attributes:
        summary: What its folder tells; its state as this computer knows it.
        is_local: True when it is (or was) trained on this computer.
        trouble: Why it failed, as its process said it; may name cases, so it is for the screen alone.
        begun: When its process last began, in seconds since 1970; 0 while unknown.
    """

    summary: RunSummary
    is_local: bool
    trouble: str = ""
    begun: float = 0.0

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.summary.path

    @property
    def state(self) -> RunState:
        """How far it is."""
        return self.summary.state


class RunLibrary:
    """The run folder."""

    def __init__(self) -> None:
        """Look at nothing yet."""
        self._seen: dict[Path, tuple[_Signature, Run]] = {}

    @property
    def folder(self) -> Path:
        """Where runs are kept, as the user's settings say; it need not exist yet."""
        return data_folder("runs", RUN_FOLDER)

    def runs(self) -> tuple[Run, ...]:
        """All runs, the latest first; of those of which nothing was written since the last call, nothing is read.

        Raises:
            RunLibraryError: The folder cannot be read.
        """
        seen = {path: self._seen_or_new(path) for path in self._folders()}
        self._seen = seen
        return tuple(sorted((run for _, run in seen.values()), key=lambda run: run.begun, reverse=True))

    def look_at(self, path: Path) -> Run:
        """One run, as it is now; one that cannot even be looked at has a problem, and hides no other."""
        try:
            return _look_at(path)
        except Exception as error:  # whatever is wrong with one folder, the others are to be seen
            summary = RunSummary(
                path=path, state=RunState(Status.INTERRUPTED), config=None, data=None, started=None, trained_s=0.0,
                best_dice=None, best_step=None, size_bytes=0, has_checkpoint=False, problem=sentence_of(error),
            )  # fmt: skip
            return Run(summary, is_local=False)

    def new_folder(self, name: str) -> Path:
        """Where a new run is to go: a folder that is not there, in a name that every system can have.

        Args:
            name: What the user calls it; it is made part of no file of the run.
        """
        plain = FORBIDDEN.sub("-", " ".join(name.split())).strip(" .")
        plain = _shortened(plain).strip(" .") or "run"
        plain = f"{plain}-run" if _RESERVED.fullmatch(plain) or plain.endswith(SUFFIX) else plain
        number, path = 1, self.folder / plain
        while os.path.lexists(path) or RunCompanion(path).exists:
            number += 1
            path = self.folder / f"{plain} {number}"
        return path

    def add(self, folder: Path) -> Path:
        """Copy a run's folder, brought back from elsewhere, into the library.

        Returns:
            Where it is now.

        Raises:
            RunLibraryError: It is no run, or cannot be copied.
        """
        return next(piece for piece in self.adding(folder) if isinstance(piece, Path))

    def adding(self, folder: Path) -> Iterator[float | Path]:
        """As :meth:`add`, in pieces between which something else can be done.

        Yields:
            The part that is done, 0 to 1, and at last where the run is now. Who closes it early leaves nothing behind.

        Raises:
            RunLibraryError: It is no run, or cannot be copied.
        """
        if not is_run(folder):
            raise RunLibraryError(f"{folder} holds no run (no config.json). Choose the folder that was given as --run.")
        if folder.parent.resolve() == self.folder.resolve():
            yield folder
            return
        unfinished = self.folder / f".adding-{uuid.uuid4().hex[:12]}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            yield from copy_run(folder, unfinished)
            target = self.new_folder(folder.name)
            os.replace(unfinished, target)
        except OSError as error:
            raise RunLibraryError(
                f"{folder} cannot be copied into {self.folder}: {error.strerror or error}. Check the free space and"
                " that you may write there."
            ) from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        yield target

    def require_removable(self, path: Path) -> None:
        """Say no before anybody is asked whether to delete a run that is being trained.

        Raises:
            RunLibraryError: It is.
        """
        if self.look_at(path).state.status.is_active:
            raise RunLibraryError(f"{path.name} is being trained. Stop it first, then delete it.")
        if is_locked(path):  # it has said that it ends, and is still at it
            raise RunLibraryError(f"{path.name} is just ending. Delete it in some seconds.")

    def remove(self, path: Path) -> None:
        """Delete a run with its checkpoints, and what belongs to it on this computer.

        Raises:
            RunLibraryError: It is being trained, or cannot be deleted.
        """
        self.require_removable(path)
        try:
            for folder in (path, RunCompanion(path).path):
                if folder.exists():
                    shutil.rmtree(folder)
        except OSError as error:
            raise RunLibraryError(
                f"{path.name} cannot be deleted: {error.strerror or error}. Close what has its files open."
            ) from error

    def _seen_or_new(self, path: Path) -> tuple[_Signature, Run]:
        signature = _signature(path)
        then, run = self._seen.get(path, (None, None))
        # whether a process lives is written nowhere
        if run is None or signature != then or run.state.status.is_active:
            return signature, self.look_at(path)
        return signature, run

    def _folders(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        try:
            paths = [path for path in self.folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
        except OSError as error:
            raise RunLibraryError(
                f"The run folder {self.folder} cannot be read: {error.strerror or error}. Choose another one under"
                " Advanced."
            ) from error
        # a run that failed before it wrote anything is known by what lies beside it
        beside = [path.with_name(path.name.removesuffix(SUFFIX)) for path in paths if path.name.endswith(SUFFIX)]
        runs = [path for path in paths if not path.name.endswith(SUFFIX) and _may_be_run(path)]
        return sorted({*beside, *runs})


def _shortened(name: str) -> str:
    """A name that is not too long, without half a character at its end."""
    return name[:_LONGEST_NAME].encode("utf-8")[:_LONGEST_NAME_BYTES].decode("utf-8", errors="ignore")


def _look_at(path: Path) -> Run:
    companion = RunCompanion(path)
    is_local = companion.knows_start
    summary = summarise(path, is_local=is_local)
    state = _with_process(summary.state, companion) if is_local else summary.state
    trouble = companion.last_error() if state.status is Status.FAILED else ""
    begun = max(companion.read_launch().started, summary.started.timestamp() if summary.started else 0.0)
    return Run(replace(summary, state=state), is_local, trouble, begun)


def _may_be_run(folder: Path) -> bool:
    """True for a run, and for what nobody lets us look into, which is said in the list."""
    try:
        return is_run(folder)
    except OSError:
        return True


def _with_process(state: RunState, companion: RunCompanion) -> RunState:
    """The state with what is known of the process that was started last."""
    launch = companion.read_launch()
    if state.status.is_active or not launch.process_id or state.updated > launch.started:
        return state
    # it has said nothing yet: it imports torch, or never will
    if is_running(launch.process_id) and time.time() - launch.started < _LONGEST_START_S:
        return replace(state, status=Status.STARTING)
    return replace(state, status=Status.FAILED, reason="Its process ended before it could begin.")


def _signature(path: Path) -> _Signature:
    """Changes whenever something is written that is told of a run.

    Most files are moved into place when they are whole, which changes their folder.
    """
    companion = RunCompanion(path)
    inside = (STATE, CONFIG, VALIDATION, CHECKPOINTS, PREVIEWS)
    places = (path, *(path / name for name in inside), companion.path, companion.log)
    found = []
    for place in places:
        try:
            stat = place.stat()
            found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
        except OSError:
            found.append((0, -1, 0))
    return tuple(found)
