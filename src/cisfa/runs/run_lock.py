"""Whether a process is training in a run's folder: the operating system knows, whatever became of that process.

The lock is filelock's; this asks for it in the same way and lets go at once, without needing that package.
"""

import os
import sys
from pathlib import Path

from cisfa.runs.run_files import LOCK


def is_locked(folder: Path) -> bool:
    """True while a process on this computer trains in a folder."""
    path = folder / LOCK
    if not path.exists():
        return False
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False  # a copy that may only be read is being trained by nobody
    try:
        return _is_taken(descriptor)
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _is_taken(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return True
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
        return False

else:
    import fcntl

    def _is_taken(descriptor: int) -> bool:
        try:
            # shared, so that two who ask at the same time do not take each other for a training
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        return False
