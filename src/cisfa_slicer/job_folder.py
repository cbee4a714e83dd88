"""A temporary folder for one job: gone when the job ends, and swept up later if Slicer itself was killed."""

import logging
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import qt
import slicer

from cisfa.errors import CisfaError

logger = logging.getLogger("cisfa")

_PREFIX = "cisfa-job-"
# a job's folder that is older than this belongs to no running job
_FORGOTTEN_AFTER_S = 2 * 24 * 3600
_RETRY_MS = 2000
_TRIES_AT_EXIT, _WAIT_AT_EXIT_S = 20, 0.1


class JobFolderError(CisfaError):
    """There is no place for temporary files."""


def make_job_folder() -> Path:
    """A new, empty folder in Slicer's temporary folder, which only this user can read.

    Raises:
        JobFolderError: That folder cannot be written to, or the disk is full.
    """
    place = temporary_folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
        _sweep(place)
        return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    except OSError as error:
        raise JobFolderError(
            f"Slicer's temporary folder {place} cannot be written to: {error.strerror or error}. Choose another one"
            " (Edit, Application Settings, General), or free some space."
        ) from error


def temporary_folder() -> Path:
    """Where temporary files go, as Slicer's settings say."""
    return Path(slicer.app.temporaryPath)


def remove_job_folder(folder: Path, *, retries: int = 5) -> None:
    """Remove a job's folder with all that is in it; on Windows, a virus scanner may hold a file for some seconds."""
    shutil.rmtree(folder, ignore_errors=True)
    if retries and folder.exists():
        qt.QTimer.singleShot(_RETRY_MS, lambda: remove_job_folder(folder, retries=retries - 1))


def remove_job_folder_now(folder: Path) -> None:
    """Remove a job's folder before returning, some seconds at most: for when Slicer quits and nothing comes later."""
    for _ in range(_TRIES_AT_EXIT):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(_WAIT_AT_EXIT_S)
    logger.warning("a temporary folder could not be removed: %s", folder)


def _sweep(place: Path) -> None:
    """Patients' volumes must not lie around because Slicer crashed once."""
    for folder in place.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another Slicer swept it up just now
            if folder.stat().st_mtime < time.time() - _FORGOTTEN_AFTER_S:
                remove_job_folder(folder, retries=0)
