"""Which Python runs the jobs, and in which environment: Slicer's own, or one that the user chose."""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import slicer

from cisfa.errors import CisfaError

# would make another Python look for its parts in Slicer's
_FOR_SLICERS_PYTHON = ("PYTHONHOME", "PYTHONPATH", "PYTHONNOUSERSITE", "PYTHONSTARTUP")

# where `import cisfa` works from: src in a checkout, qt-scripted-modules when installed
PACKAGES_FOLDER = Path(__file__).resolve().parents[1]

# `python -m cisfa` with that folder first: not through PYTHONPATH, which a launcher may set to something of its own,
# and without the present folder, where -m and -c look before anywhere else. The variable that is taken away, and which
# a launcher sets too, would make SimpleITK load Slicer's ITK plugins; every SimpleITK but Slicer's own crashes on them.
_RUN = "; ".join(
    (
        "import os, runpy, sys",
        "sys.path[0] = sys.argv.pop(1)",
        "os.environ.pop('ITK_AUTOLOAD_PATH', None)",
        "runpy.run_module('cisfa', run_name='__main__', alter_sys=True)",
    )
)


class InterpreterError(CisfaError):
    """There is no such Python."""


@dataclass(frozen=True)
class Interpreter:
    """A Python that can run jobs.

    Attributes:
        program: Its executable.
        is_slicers: True for Slicer's own, whose environment its launcher has prepared; False for a stranger, to whom
            that environment (PYTHONHOME, library paths) would be poison.
        packages: The folder with the package ``cisfa``.
    """

    program: Path
    is_slicers: bool
    packages: Path = PACKAGES_FOLDER

    def arguments(self, words: Sequence[str]) -> list[str]:
        """What to start the program with, so that it runs ``cisfa`` with these words."""
        return ["-c", _RUN, str(self.packages), *words]

    def environment(self) -> dict[str, str]:
        """The variables that a job gets."""
        variables = dict(os.environ) if self.is_slicers else slicer.util.startupEnvironment()
        for name in () if self.is_slicers else _FOR_SLICERS_PYTHON:
            variables.pop(name, None)
        # UTF-8 also where the system's code page is another one; no waiting in buffers
        return {**variables, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}


def find_interpreter(external: str = "") -> Interpreter:
    """The Python that jobs are to run in.

    Args:
        external: Path of a Python of the user's own; empty for Slicer's.

    Raises:
        InterpreterError: There is no such program.
    """
    if not external.strip():
        return Interpreter(Path(shutil.which("PythonSlicer") or sys.executable), is_slicers=True)
    program = Path(external.strip()).expanduser()
    if program.is_dir() or not os.access(program, os.X_OK):
        raise InterpreterError(
            f"{program} is no Python that can be started. Choose the program itself (python.exe, or bin/python of an"
            " environment), or leave the field empty to use Slicer's own."
        )
    return Interpreter(program, is_slicers=False)
