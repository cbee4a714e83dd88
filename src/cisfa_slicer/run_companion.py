"""What belongs to a run on this computer, beside its folder: the cases with their paths, the log, the process.

A run's folder names no patient and no path, so that it can be given away. What would, lies in ``<run>.local``.
"""

import json
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from cisfa.whole_files import write_text
from cisfa_slicer.run_files import CASES, CONFIG

SUFFIX = ".local"
_TAIL_BYTES = 20_000


@dataclass(frozen=True)
class Launch:
    """How a run was last started.

    Attributes:
        process_id: Of the process that was started.
        started: When, in seconds since 1970.
        device: "auto", "cpu", "cuda" or "mps".
        processes: On how many graphics cards; "1", a number, or "all".
    """

    process_id: int = 0
    started: float = 0.0
    device: str = "auto"
    processes: str = "1"


class RunCompanion:
    """The folder beside a run's folder."""

    def __init__(self, run: Path) -> None:
        """Args: the run's folder; neither need exist."""
        self.path = run.with_name(run.name + SUFFIX)
        self.cases = self.path / CASES
        self.config = self.path / CONFIG
        self.log = self.path / "log.txt"
        self._launch = self.path / "launch.json"

    @property
    def exists(self) -> bool:
        """True when there is such a folder; that of a run brought back from elsewhere holds scores at most."""
        return self.path.is_dir()

    @property
    def knows_start(self) -> bool:
        """True when the run was started on this computer, or has been readied for it."""
        return self._launch.is_file() or self.cases.is_file()

    def make(self) -> None:
        """Make the folder.

        Raises:
            OSError: It cannot be made.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)  # it names cases: for this user alone

    def remove(self) -> None:
        """Remove the folder, as far as possible."""
        shutil.rmtree(self.path, ignore_errors=True)

    def read_launch(self) -> Launch:
        """How the run was last started; all empty when nobody knows."""
        try:
            values = json.loads(self._launch.read_text(encoding="utf-8"))
            return Launch(
                int(values["process_id"]), float(values["started"]), str(values["device"]), str(values["processes"])
            )
        except (OSError, ValueError, KeyError, TypeError):
            return Launch()

    def write_launch(self, process_id: int, device: str, processes: str) -> None:
        """Remember how the run was started just now.

        Raises:
            VolumeFileError: The file cannot be written.
        """
        launch = Launch(process_id, time.time(), device, processes)
        write_text(self._launch, json.dumps(asdict(launch), indent=2) + "\n")

    def log_tail(self) -> str:
        """The end of what the process said, some pages at most."""
        try:
            with self.log.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - _TAIL_BYTES))
                content = file.read()
        except OSError:
            return ""
        text = content.decode("utf-8", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
        return text.partition("\n")[2] if size > _TAIL_BYTES else text

    def last_error(self) -> str:
        """The sentence with which the process ended in trouble; empty when it said none."""
        lines = [line.strip() for line in self.log_tail().splitlines()]
        marks = ("cisfa: error:", "cisfa: internal error:")
        told = next((line for line in reversed(lines) if line.startswith(marks)), "")
        return told.partition("error:")[2].strip() or (lines[-1] if lines else "")
