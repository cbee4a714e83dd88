"""Ending a process together with everything that it started.

``PythonSlicer`` is a launcher: killing it leaves the Python that it started, and with it the graphics card's memory.
psutil would do this, but it is not in Slicer's Python.
"""

import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def kill_process_tree(process_id: int) -> None:
    """Kill a process and all of its descendants at once; those that have ended already are passed over."""
    if sys.platform == "win32":
        # /T: with all that it started; /F: without asking them
        command = ["taskkill", "/PID", str(process_id), "/T", "/F"]
        subprocess.run(command, capture_output=True, creationflags=subprocess.CREATE_NO_WINDOW, check=False)
        return
    # parents before their children, so that none can start another one
    for each in (process_id, *descendants(process_id)):
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


def descendants(process_id: int) -> list[int]:
    """The processes that a process started, those that they started, and so on, outside of Windows."""
    children = defaultdict(list)
    for child, parent in _processes():
        children[parent].append(child)
    found = [process_id]
    for each in found:  # grows while it is walked
        found += children[each]
    return found[1:]


def _processes() -> Iterator[tuple[int, int]]:
    """Every process with its parent: from /proc on Linux, from ps on macOS."""
    if not Path("/proc/self/stat").exists():
        listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, encoding="ascii", check=True)
        for line in listing.stdout.splitlines():
            process_id, parent = line.split()
            yield int(process_id), int(parent)
        return
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            content = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # it has ended
        # 1234 (name, with blanks and brackets) S parent …
        yield int(file.parent.name), int(content.rpartition(")")[2].split()[1])
