"""A Python whose `cisfa` does what a test wants, so that what goes wrong in a job can be tried out."""

import os
import sys
from pathlib import Path

from cisfa_slicer.interpreter import Interpreter

PREAMBLE = """
import json, os, sys, time
from pathlib import Path

def say(event, **values):
    print(json.dumps({"event": event, **values}), flush=True)

def argument(name):
    return sys.argv[sys.argv.index(name) + 1]

def wait_for_stdin_to_close():
    while os.read(0, 1000):
        pass
"""


def python_that_does(script: str, folder: Path) -> Interpreter:
    """A Python in which ``cisfa`` runs ``script``."""
    package = folder / "stand-in ä" / "cisfa"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(PREAMBLE + script, encoding="utf-8")
    return Interpreter(Path(sys.executable), is_slicers=True, packages=package.parent)


def is_alive(process_id: int) -> bool:
    """True while a process runs; one that has ended and waits to be asked for its exit code does not."""
    if sys.platform == "win32":
        raise NotImplementedError
    try:
        os.kill(process_id, 0)
        state = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
