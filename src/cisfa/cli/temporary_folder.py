"""A folder for what must not stay on this computer: gone at the end, and swept up later if the process was killed."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from cisfa.events import Notice, Report

_PREFIX = "cisfa-pacs-"
_LOCK = ".lock"
# a folder so young may not have its lock yet
_YOUNG_S = 60.0
# on Windows a virus scanner may hold a file for a moment
_TRIES, _WAIT_S = 5, 0.2


@contextmanager
def temporary_folder(report: Report) -> Iterator[Path]:
    """A new, empty folder that only this user can read.

    What earlier processes left that were killed is removed first: their locks, which the operating system keeps, are
    free. Patients' images must not lie around because a computer lost its power.

    Args:
        report: Hears of a folder that cannot be removed.

    Raises:
        VolumeFileError: There is no place for temporary files.
    """
    from cisfa.errors import VolumeFileError
    from cisfa.whole_files import reason_of

    sweep(Path(tempfile.gettempdir()))
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    except OSError as error:
        raise VolumeFileError(
            f"The folder for temporary files, {tempfile.gettempdir()}, cannot be written to: {reason_of(error)}. Free"
            " some space, or name another one in the environment variable TMPDIR (Windows: TEMP)."
        ) from error
    lock = FileLock(folder / _LOCK)
    lock.acquire()
    try:
        work = folder / "work"
        work.mkdir()
        yield work
    finally:
        lock.release()
        if not _is_removed(folder):
            report(Notice(f"{folder} cannot be removed, and may hold a patient's images. Please remove it."))


def sweep(place: Path) -> None:
    """Remove the folders that no living process holds."""
    for folder in place.glob(f"{_PREFIX}*"):
        # another user's, or one that another process sweeps up just now
        with suppress(OSError, Timeout):
            if folder.stat().st_mtime < time.time() - _YOUNG_S:
                with FileLock(folder / _LOCK, timeout=0):
                    pass
                shutil.rmtree(folder, ignore_errors=True)


def _is_removed(folder: Path) -> bool:
    for attempt in range(_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return True
        time.sleep(_WAIT_S * (attempt + 1))
    return False
