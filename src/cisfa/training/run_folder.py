"""The folder of one run: what stands where, and who may write there.

``config.json`` settings · ``data.json`` counts, modalities and fingerprints of the cases · ``environment.json``
versions and hardware · ``events.jsonl`` progress · ``metrics.csv`` losses · ``tensorboard/`` the same as curves ·
``previews/`` pictures · ``checkpoints/`` resumable state · ``trained.json`` seconds spent. No file name, path, or name
of a patient or a computer is recorded anywhere in it.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cisfa.config import Modality, TrainingConfig
from cisfa.config_files import from_json_values, to_json_values
from cisfa.errors import ConfigError, RunError
from cisfa.imaging.organs import Code, Organ
from cisfa.imaging.volume_files import write_whole

_SCHEMA = 1
_UNFINISHED = ".writing-*"  # what write_whole leaves behind when the process is killed
_LEFT_BY_FILE_BROWSERS = ("Thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class RunData:
    """What a run learns from, without naming any of it.

    Attributes:
        organs: Class i + 1 is organs[i].
        source_modality: How the source's intensities were read.
        target_modality: Likewise the target's.
        source_fingerprints: SHA-256 of each source case's voxels.
        target_fingerprints: Likewise the target's.
        source_slices: Number of source slices.
        target_slices: Likewise the target's.
        target_range: Lowest and highest normalised intensity of the target's slices.
        source_label_fingerprints: SHA-256 of each source case's labels.
    """

    organs: tuple[Organ, ...]
    source_modality: Modality
    target_modality: Modality
    source_fingerprints: tuple[str, ...]
    target_fingerprints: tuple[str, ...]
    source_slices: int
    target_slices: int
    target_range: tuple[float, float]
    source_label_fingerprints: tuple[str, ...] = ()


class RunFolder:
    """One run on disk."""

    def __init__(self, path: Path) -> None:
        """Args: the folder, existing or not."""
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.previews = path / "previews"
        self.tensorboard = path / "tensorboard"
        self.metrics = path / "metrics.csv"
        self.events = path / "events.jsonl"

    @property
    def exists(self) -> bool:
        """True when a run was started here."""
        return (self.path / "config.json").is_file()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder while training; a process that ends, however it does, lets go of it.

        Raises:
            RunError: Another process trains in this folder, or it cannot be written.
        """
        lock = FileLock(self.path / ".lock")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
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
            found = [name for name in names if name[0] != "." and name not in _LEFT_BY_FILE_BROWSERS]
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
        for folder in (self.checkpoints, self.previews, self.tensorboard):
            folder.mkdir(parents=True, exist_ok=True)
        for unfinished in self.path.rglob(_UNFINISHED):
            unfinished.unlink(missing_ok=True)

    def read_config(self) -> TrainingConfig:
        """The settings the run was started with.

        Raises:
            RunError: There is no run here, or it is a newer version's.
        """
        if not self.exists:
            raise RunError(f"{self.path} holds no run (no config.json).")
        values = self._read_json("config.json")
        schema = values.pop("schema", None)
        if not isinstance(schema, int) or schema > _SCHEMA:
            raise RunError(f"{self.path} was written by a newer version of CISFA (schema {schema}). Update this one.")
        try:
            return from_json_values(TrainingConfig, values)
        except ConfigError as error:
            raise RunError(f"{self.path / 'config.json'}: {error}") from error

    def write_config(self, config: TrainingConfig) -> None:
        """Record settings that changed on resuming (the length of the schedule)."""
        self._write_json("config.json", {"schema": _SCHEMA, **to_json_values(config)})

    def write_data(self, data: RunData) -> None:
        """Record what the run learns from."""
        self._write_json("data.json", asdict(data))

    def read_data(self) -> RunData | None:
        """What the run learns from; None when it was ended before its cases were read."""
        if not (self.path / "data.json").is_file():
            return None
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in self._read_json("data.json").items()
        }
        try:
            return RunData(**{**values, "organs": tuple(_organ(entry) for entry in values["organs"])})
        except (KeyError, TypeError) as error:
            raise RunError(
                f"{self.path / 'data.json'} is damaged, or another version's ({error}). Start a new run."
            ) from error

    def write_environment(self, environment: Mapping[str, Any]) -> None:
        """Record versions and hardware."""
        self._write_json("environment.json", environment)

    def read_environment(self) -> dict[str, Any]:
        """Versions and hardware the run was last started on."""
        return self._read_json("environment.json")

    def trained_s(self) -> float:
        """Seconds spent training, over all times it was started."""
        return float(self._read_json("trained.json")["seconds"]) if (self.path / "trained.json").is_file() else 0.0

    def add_trained_s(self, seconds: float) -> None:
        """Count seconds spent training."""
        self._write_json("trained.json", {"seconds": round(self.trained_s() + seconds, 1)})

    def _write_json(self, name: str, values: Mapping[str, Any]) -> None:
        write_text(self.path / name, json.dumps(values, indent=2, ensure_ascii=False) + "\n")

    def _read_json(self, name: str) -> dict[str, Any]:
        try:
            values = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{self.path / name} cannot be read ({error}); the run folder is damaged.") from error
        if not isinstance(values, dict):
            raise RunError(f"{self.path / name} holds no JSON object; the run folder is damaged.")
        return values


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all.

    Raises:
        VolumeFileError: The folder cannot be written or the disk is full.
    """

    def write(unfinished: Path) -> None:
        with unfinished.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)

    write_whole(path, write)


def _organ(values: Mapping[str, Any]) -> Organ:
    category, kind, side = (
        Code(**code) if (code := values[name]) else None for name in ("category", "type", "laterality")
    )
    red, green, blue = values["colour"]
    return Organ(values["name"], values["label"], (red, green, blue), category, kind, side)
