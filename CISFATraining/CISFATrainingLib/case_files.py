"""The files of cases that came from a scene: kept as long as a list or a run needs them."""

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cisfa.cases.case_list import CaseList, ListedCase, read_case_list
from cisfa.errors import CisfaError
from cisfa_slicer.data_folder import data_folder
from cisfa_slicer.run_companion import SUFFIX
from cisfa_slicer.run_files import CASES
from cisfa_slicer.settings import RUN_FOLDER
from CISFATrainingLib.scene_cases import case_folder

_NOTE = "needed by.txt"


def delete_unused(removed: Iterable[ListedCase], kept: CaseList) -> None:
    """Delete the files of cases that were taken out of the list, where this module wrote them and no run needs them.

    Patients' volumes must not pile up in a folder that nobody looks into.
    """
    ours = {case.volume.parent for case in removed if case.volume.parent.parent == case_folder()}
    if not ours:
        return
    needed = set(_folders(kept))
    for path in data_folder("runs", RUN_FOLDER).glob(f"*{SUFFIX}/cases.json"):
        try:
            needed |= set(_folders(read_case_list(path)))
        except CisfaError:
            return  # a list that cannot be read may name any of them
    for folder in ours - needed:
        if not _is_needed_elsewhere(folder):
            shutil.rmtree(folder, ignore_errors=True)


def note_use(cases: CaseList, companion: Path) -> None:
    """Note in the folders of cases that came from a scene that a run needs them, wherever the run is kept."""
    for folder in {folder for folder in _folders(cases) if folder.parent == case_folder()}:
        with suppress(OSError), (folder / _NOTE).open("a", encoding="utf-8", newline="\n") as file:
            file.write(f"{companion / CASES}\n")


def _is_needed_elsewhere(folder: Path) -> bool:
    try:
        lists = (folder / _NOTE).read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    # of a run that was deleted, the list is gone with it
    return any(Path(path).is_file() for path in lists)


def _folders(cases: CaseList) -> Iterable[Path]:
    return (case.volume.parent for case in (*cases.source, *cases.target))
