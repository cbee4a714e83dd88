"""The folder of one run, for the process that trains in it: what stands where says :mod:`cisfa.runs.run_files`."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cisfa.config import TrainingConfig
from cisfa.config_files import to_json_values
from cisfa.errors import RunError
from cisfa.runs import run_files
from cisfa.runs.run_data import RunData, read_run_data
from cisfa.runs.run_json import read_json, read_run_config
from cisfa.whole_files import write_text

_LOCK_TIMEOUT_S = 0.5  # whoever asks whether the folder is locked holds the lock for an instant
_UNFINISHED = ".writing-*"  # what write_whole leaves behind when the process is killed
_NO_RUN = ("Thumbs.db", "desktop.ini", run_files.STATE, run_files.REQUEST)
# what file browsers leave, and what a process leaves that could not even read its cases


class RunFolder:
    """One run on disk."""

    def __init__(self, path: Path) -> None:
        """Args: the folder, existing or not."""
        self.path = path
        self.checkpoints = path / run_files.CHECKPOINTS
        self.candidates = path / run_files.CANDIDATES
        self.previews = path / run_files.PREVIEWS
        self.tensorboard = path / run_files.TENSORBOARD
        self.metrics = path / run_files.METRICS
        self.events = path / run_files.EVENTS

    @property
    def exists(self) -> bool:
        """True when a run was started here."""
        return (self.path / run_files.CONFIG).is_file()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder while training; a process that ends, however it does, lets go of it.

        Raises:
            RunError: Another process trains in this folder, or it cannot be written.
        """
        lock = FileLock(self.path / run_files.LOCK)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=_LOCK_TIMEOUT_S)
        except Timeout:
            raise RunError(
                f"Another process is training in {self.path}. Wait for it, or choose another folder."
            ) from None
        except OSError as error:
            raise RunError(f"{self.path} cannot be written: {error.strerror}. Choose another folder.") from error
        try:
            yield
        finally:
            lock.release(force=True)

    def require_startable(self) -> None:
        """Make sure that a new run can be started here.

        Raises:
            RunError: The folder holds a run, or something else, already.
        """
        if self.exists:
            raise RunError(
                f"{self.path} already holds a run. Pass --resume to go on with it, or choose another folder."
            )
        if self.path.is_dir():
            names = sorted(entry.name for entry in self.path.iterdir())
            found = [name for name in names if name[0] != "." and name not in _NO_RUN]
            if found:
                raise RunError(f"{self.path} is not empty: it holds {found[0]}. Choose a new folder for the run.")

    def start(self, config: TrainingConfig) -> None:
        """Make the folder for a new run.

        Raises:
            RunError: It holds a run, or something else, already.
        """
        self.require_startable()
        self.write_config(config)

    def prepare(self) -> None:
        """Make the folders inside, and clear away what a killed process was still writing; only when locked."""
        for folder in (self.checkpoints, self.candidates, self.previews, self.tensorboard):
            folder.mkdir(parents=True, exist_ok=True)
        for unfinished in self.path.rglob(_UNFINISHED):
            unfinished.unlink(missing_ok=True)

    def read_config(self) -> TrainingConfig:
        """The settings the run was started with.

        Raises:
            RunError: There is no run here, or it is a newer version's.
        """
        return read_run_config(self.path)

    def write_config(self, config: TrainingConfig) -> None:
        """Record settings that changed on resuming (the length of the schedule)."""
        self._write_json(run_files.CONFIG, {"schema": run_files.SCHEMA, **to_json_values(config)})

    def write_data(self, data: RunData) -> None:
        """Record what the run learns from."""
        self._write_json(run_files.DATA, asdict(data))

    def read_data(self) -> RunData | None:
        """What the run learns from; None when it was ended before its cases were read."""
        return read_run_data(self.path)

    def write_environment(self, environment: Mapping[str, Any]) -> None:
        """Record versions and hardware."""
        self._write_json(run_files.ENVIRONMENT, environment)

    def read_environment(self) -> dict[str, Any]:
        """Versions and hardware the run was last started on."""
        return read_json(self.path / run_files.ENVIRONMENT)

    def trained_s(self) -> float:
        """Seconds spent training, over all times it was started; 0 when that is not known."""
        try:
            return float(read_json(self.path / run_files.TRAINED)["seconds"])
        except (RunError, KeyError, TypeError, ValueError):
            return 0.0  # not yet there, or left in ruins by a power cut: no reason to lose a run

    def add_trained_s(self, seconds: float) -> None:
        """Count seconds spent training."""
        self._write_json(run_files.TRAINED, {"seconds": round(self.trained_s() + seconds, 1)})

    def _write_json(self, name: str, values: Mapping[str, Any]) -> None:
        write_text(self.path / name, json.dumps(values, indent=2, ensure_ascii=False) + "\n")
