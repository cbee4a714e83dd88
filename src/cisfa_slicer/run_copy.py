"""Copying a run's folder, which may hold gigabytes of checkpoints, in pieces between which a window lives."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cisfa.runs.run_files import LOCK, REQUEST
from cisfa.runs.run_state import Status, stored_state, write_state

PIECE_BYTES = 16 << 20
# what belongs to the process that works on the original
_LEFT_BEHIND = (REQUEST, LOCK)


def copy_run(folder: Path, target: Path) -> Iterator[float]:
    """Copy a run; the copy is nobody's process, whatever the original is.

    Args:
        folder: The run's.
        target: The new folder; what was copied so far is left there when something goes wrong.

    Yields:
        The part that is done, 0 to 1, after every piece.

    Raises:
        CisfaError: The state cannot be written.
        OSError: Something cannot be read or written.
    """
    sizes = {path: path.stat().st_size for path in _files(folder, target)}
    total, done = max(1, sum(sizes.values())), 0
    yield 0.0
    for path, size in sizes.items():
        begun = done
        for count in _copy_file(path, target / path.relative_to(folder)):
            done += count
            yield min(1.0, done / total)
        done = begun + size
    state = stored_state(target)
    if state is not None and state.status.is_active:
        write_state(target, replace(state, status=Status.INTERRUPTED))


def _files(folder: Path, target: Path) -> Iterator[Path]:
    """All files to copy; makes the folders for them."""
    for place, _, names in os.walk(folder, followlinks=True, onerror=_raise):
        inside = Path(place)
        (target / inside.relative_to(folder)).mkdir(parents=True, exist_ok=True)
        yield from (inside / name for name in names if inside != folder or name not in _LEFT_BEHIND)


def _copy_file(source: Path, target: Path) -> Iterator[int]:
    with source.open("rb") as original, target.open("wb") as copy:
        while piece := original.read(PIECE_BYTES):
            copy.write(piece)
            yield len(piece)
    shutil.copystat(source, target)


def _raise(error: OSError) -> None:
    raise error
