"""The folder of one run: what stands where, and who may write there.

``config.json`` settings · ``data.json`` counts, modalities and fingerprints of the cases · ``environment.json`` versions
and hardware · ``events.jsonl`` progress · ``metrics.csv`` losses · ``tensorboard/`` the same as curves · ``previews/``
pictures · ``checkpoints/`` resumable state. No file name, path or patient's name is recorded anywhere in it.
"""

import json
from collections.abc import Mapping
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
    """

    organs: tuple[Organ, ...]
    source_modality: Modality
    target_modality: Modality
    source_fingerprints: tuple[str, ...]
    target_fingerprints: tuple[str, ...]
    source_slices: int
    target_slices: int
    target_range: tuple[float, float]


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

    def lock(self) -> FileLock:
        """A lock held while training; it goes when its process does, however that ends.

        Raises:
            RunError: Another process trains in this folder, or it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock")
            lock.acquire(timeout=0)
        except Timeout:
            raise RunError(f"Another process is training in {self.path}. Wait for it, or choose another folder.") from None
        except OSError as error:
            raise RunError(f"{self.path} cannot be written: {error.strerror}. Choose another folder.") from error
        return lock

    def start(self, config: TrainingConfig) -> None:
        """Make the folder for a new run.

        Raises:
            RunError: It holds a run, or something else, already.
        """
        if self.exists:
            raise RunError(f"{self.path} already holds a run. Pass --resume to go on with it, or choose another folder.")
        if self.path.is_dir() and any(entry.name != ".lock" for entry in self.path.iterdir()):
            raise RunError(f"{self.path} is not empty. Choose a new folder for the run.")
        for folder in (self.checkpoints, self.previews, self.tensorboard):
            folder.mkdir(parents=True, exist_ok=True)
        self._write_json("config.json", {"schema": _SCHEMA, **to_json_values(config)})

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
        values = self._read_json("data.json")
        try:
            organs = tuple(_organ(entry) for entry in values.pop("organs"))
            return RunData(
                organs=organs,
                **{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()},
            )
        except (KeyError, TypeError) as error:
            raise RunError(f"{self.path / 'data.json'} is damaged ({error}).") from error

    def write_environment(self, environment: Mapping[str, Any]) -> None:
        """Record versions and hardware."""
        self._write_json("environment.json", environment)

    def read_environment(self) -> dict[str, Any]:
        """Versions and hardware the run was last started on."""
        return self._read_json("environment.json")

    def trained_s(self) -> float:
        """Seconds spent training, over all times it was started."""
        record = self.path / "trained.json"
        return float(json.loads(record.read_text(encoding="utf-8"))["seconds"]) if record.is_file() else 0.0

    def add_trained_s(self, seconds: float) -> None:
        """Count seconds spent training."""
        self._write_json("trained.json", {"seconds": round(self.trained_s() + seconds, 1)})

    def _write_json(self, name: str, values: Mapping[str, Any]) -> None:
        text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
        write_whole(self.path / name, lambda unfinished: unfinished.write_text(text, encoding="utf-8") and None)

    def _read_json(self, name: str) -> dict[str, Any]:
        try:
            values: dict[str, Any] = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{self.path / name} cannot be read ({error}); the run folder is damaged.") from error
        return values


def _organ(values: Mapping[str, Any]) -> Organ:
    codes = {name: Code(**values[name]) if values[name] else None for name in ("category", "type", "laterality")}
    return Organ(values["name"], values["label"], tuple(values["colour"]), **codes)  # type: ignore[arg-type]
