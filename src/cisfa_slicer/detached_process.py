"""Processes that outlive Slicer: a training goes on over night, whatever becomes of the window that started it."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cisfa.errors import CisfaError
from cisfa_slicer.interpreter import Interpreter

# those that this Slicer started; asking them whether they live also clears away those that ended
_started: dict[int, subprocess.Popen[bytes]] = {}
# those of them that the system ends together with this Slicer
_bound: set[int] = set()


class DetachedProcessError(CisfaError):
    """A process cannot be started."""


@dataclass(frozen=True)
class Start:
    """What to start.

    Attributes:
        interpreter: The Python to run it in.
        words: The words after ``cisfa``.
        folder: Where it runs.
        log: File that takes what it says, after what is there already.
    """

    interpreter: Interpreter
    words: Sequence[str]
    folder: Path
    log: Path


def start_detached(start: Start) -> int:
    """Start a process that nobody waits for.

    Returns:
        Its number.

    Raises:
        DetachedProcessError: It cannot be started.
    """
    command = [str(start.interpreter.program), *start.interpreter.arguments(start.words)]
    try:
        with start.log.open("ab") as log:
            process = _popen(command, log, start)
    except OSError as error:
        raise DetachedProcessError(
            f"{start.interpreter.program} cannot be started ({error.strerror or error}). Choose another Python under"
            " Advanced, or install Slicer again."
        ) from error
    _started[process.pid] = process
    return process.pid


def is_running(process_id: int) -> bool:
    """True while a process runs; after a restart of the computer, another one may have its number."""
    if process_id in _started:
        return _started[process_id].poll() is None
    return _exists(process_id)


def is_bound_to_slicer(process_id: int) -> bool:
    """True when a process that this Slicer started ends with it, since Windows let it not out of Slicer's job."""
    return process_id in _bound


if sys.platform == "win32":
    import ctypes

    _QUERY_LIMITED_INFORMATION = 0x1000
    _STILL_ACTIVE = 259

    def _popen(command: list[str], log: Any, start: Start) -> subprocess.Popen[bytes]:
        """Start it without a console window, and outside of the job in which Windows would end it with Slicer."""
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        try:
            return _open(command, log, start, creationflags=flags | subprocess.CREATE_BREAKAWAY_FROM_JOB)
        except PermissionError:  # the job that Slicer runs in, if any, lets nobody out
            process = _open(command, log, start, creationflags=flags)
            _bound.add(process.pid)
            return process

    def _exists(process_id: int) -> bool:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = ctypes.c_void_p
        handle = kernel.OpenProcess(_QUERY_LIMITED_INFORMATION, False, process_id)
        if not handle:
            return False
        code = ctypes.c_ulong()
        kernel.GetExitCodeProcess(ctypes.c_void_p(handle), ctypes.byref(code))
        kernel.CloseHandle(ctypes.c_void_p(handle))
        return code.value == _STILL_ACTIVE

else:

    def _popen(command: list[str], log: Any, start: Start) -> subprocess.Popen[bytes]:
        # a session of its own: no signal of the terminal or the desktop that ends Slicer reaches it
        return _open(command, log, start, start_new_session=True)

    def _exists(process_id: int) -> bool:
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def _open(command: list[str], log: Any, start: Start, **how: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=start.folder,
        env=start.interpreter.environment(),
        **how,
    )
