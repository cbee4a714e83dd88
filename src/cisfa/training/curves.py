"""Losses and previews in the format that TensorBoard reads."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class CurveFile:
    """One file of TensorBoard events, in a name of ours.

    tensorboardX's own writer puts the computer's name into the file's name, which must not leave a hospital, and two
    writers of the same second into the same file; so only its record format is used.
    """

    def __init__(self, folder: Path, *, from_step: int) -> None:
        """Args: where to write; the step that a run goes on from, after which an earlier file's values are void."""
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.record_writer import RecordWriter

        folder.mkdir(parents=True, exist_ok=True)
        self._event = Event
        self._records = RecordWriter(str(folder / f"events.out.tfevents.{time.time_ns()}.cisfa"))
        self._write(file_version="brain.Event:2")
        self._write(step=from_step + 1, session_log=SessionLog(status=SessionLog.START))

    def scalar(self, name: str, value: float, *, step: int) -> None:
        """Add a point to a curve."""
        from tensorboardX.summary import scalar

        self._write(step=step, summary=scalar(name.replace(" ", "_"), value))

    def picture(self, name: str, picture: NDArray[np.uint8], *, step: int) -> None:
        """Add a picture (rows, columns, 3)."""
        from tensorboardX.summary import image

        self._write(step=step, summary=image(name, picture, dataformats="HWC"))

    def flush(self) -> None:
        """Let TensorBoard see what was added."""
        self._records.flush()

    def close(self) -> None:
        """Close the file."""
        self._records.close()

    def _write(self, **values: Any) -> None:
        self._records.write(self._event(wall_time=time.time(), **values).SerializeToString())
