"""Files that are written whole or not at all: beside their target, then moved into place."""

import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cisfa.errors import VolumeFileError

# ITK's "Reason" is the last error that the system happened to have
_IDLE_WORDS = ("Reason:", "- could the file be damaged")
# on Windows a file cannot be replaced in the moment in which another program reads it
_TRIES, _WAIT_S = 20, 0.05


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a new file beside ``path``, then move it into place; a failure leaves nothing behind.

    Raises:
        VolumeFileError: The folder cannot be written or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # lower case, since ITK's MetaImage writer makes two other files of a name that ends in .MHA
        suffix = path.name[-12:].lower()
        handle, name = tempfile.mkstemp(prefix=".writing-", suffix=suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise VolumeFileError(_cannot_write(path, error)) from error
    unfinished = Path(name)
    try:
        write(unfinished)
        _grant_usual_permissions(unfinished)
        move_into_place(unfinished, path)
    except (OSError, RuntimeError) as error:
        raise VolumeFileError(_cannot_write(path, error)) from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _cannot_write(path: Path, error: Exception) -> str:
    return (
        f"{path} cannot be written: {reason_of(error)}. Choose a folder that you may write to, with enough free space."
    )


def _grant_usual_permissions(path: Path) -> None:
    """Undo mkstemp's owner-only mode, so that colleagues can read a result as they can any other file."""
    if os.name == "posix":
        mask = os.umask(0)
        os.umask(mask)
        path.chmod(0o666 & ~mask)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 with the line ends it is given, whole or not at all.

    Raises:
        VolumeFileError: The folder cannot be written or the disk is full.
    """

    def write(unfinished: Path) -> None:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            file.write(text)

    write_whole(path, write)


def move_into_place(unfinished: Path, path: Path) -> None:
    """Move a finished file to where it belongs, in place of what is there; patiently where somebody reads that.

    Raises:
        OSError: It cannot be moved.
    """
    for _ in range(_TRIES if sys.platform == "win32" else 0):
        with suppress(PermissionError):
            os.replace(unfinished, path)
            return
        time.sleep(_WAIT_S)
    os.replace(unfinished, path)


def reason_of(error: Exception) -> str:
    """What matters of a library's message: its last line that says something, without ITK's addresses in memory."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if re.search("[a-z]{3}", line) and not line.startswith(_IDLE_WORDS)]
    return re.sub(r"^\w+ ERROR: |\w+\(0x\w+\): ", "", telling[-1]) if telling else type(error).__name__
