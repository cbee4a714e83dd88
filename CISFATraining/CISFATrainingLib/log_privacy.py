"""What must not stand in a log that may go into a report: names of runs, and where this user keeps things."""

from collections.abc import Callable, Iterable
from pathlib import Path

from cisfa_slicer.data_folder import data_folder
from cisfa_slicer.log_view import without_names
from cisfa_slicer.settings import CASE_FOLDER, MODEL_FOLDER, RUN_FOLDER

_FOLDERS = (("runs", RUN_FOLDER), ("cases", CASE_FOLDER), ("models", MODEL_FOLDER))


class PrivateLog:
    """Passes lines on without these; what was hidden once stays so."""

    def __init__(self, log: Callable[[str], object]) -> None:
        """Args: takes the lines."""
        self._log = log
        self._runs: set[str] = set()

    def add_runs(self, paths: Iterable[Path]) -> None:
        """Hide the names of these runs too."""
        self._runs |= {path.name for path in paths}

    def __call__(self, line: str) -> None:
        """Take a line."""
        self._log(without_names(line, self._runs | _places()))


def _places() -> set[str]:
    """The home folder and the folders of the settings, in every way in which a message may spell them."""
    paths = {Path.home(), *(data_folder(name, setting) for name, setting in _FOLDERS)}
    plain = {spelt for path in paths for spelt in (str(path), path.as_posix())}
    # "/" alone, of a user without a home, would take every path's first sign
    return {spelt for each in plain for spelt in (each, each.replace("\\", "\\\\")) if len(each) > 1}
