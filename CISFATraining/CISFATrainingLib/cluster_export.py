"""A folder that can be carried to a cluster: script, settings, and the cases under names that tell nobody's."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import qt
from slicer.i18n import tr as _

from cisfa.cases.case_list import CaseList, ListedCase
from cisfa.errors import CisfaError
from cisfa.events import Progress
from cisfa.imaging.volume_names import suffix_of
from cisfa.runs.slurm import SlurmOptions, slurm_script
from cisfa.whole_files import write_text
from cisfa_slicer.error_display import sentence_of
from cisfa_slicer.run_files import CASES, CONFIG, write_plan
from cisfa_slicer.run_launcher import RunPlan
from cisfa_slicer.signal import Signal

SCRIPT = "train.slurm"
_RUN = "run"
# whose voxels are in a second file
_IN_TWO_FILES = (".nhdr", ".mhd")


class ClusterExportError(CisfaError):
    """The folder cannot be written."""


class ClusterExport:
    """Writes the folder, one volume at a time between which the window lives.

    Attributes:
        progress: Called with a :class:`~cisfa.events.Progress`.
        ended: Called once, with a sentence, and whether it failed.
    """

    def __init__(self, plan: RunPlan, place: Path) -> None:
        """Args: the run; the folder in which a new one is made."""
        self.progress: Signal[[Progress]] = Signal()
        self.ended: Signal[[str, bool]] = Signal()
        self._plan, self._folder = plan, place / "cisfa-training"
        self._is_cancelled = self._is_over = False
        self._copies: Iterator[tuple[Path, Path]] = iter(())
        self._count = self._done = 0

    def start(self) -> None:
        """Begin.

        Raises:
            CisfaError: The folder is there already, cannot be written, or a volume lies in two files.
        """
        if self._folder.exists():
            raise ClusterExportError(f"{self._folder} is there already. Choose another place, or remove it.")
        cases, copies = _renamed(self._plan.cases, self._folder)
        try:
            (self._folder / "cases").mkdir(parents=True)
        except OSError as error:
            raise ClusterExportError(f"{self._folder} cannot be written: {error.strerror or error}.") from error
        write_plan(cases, self._plan.config, self._folder)
        options = SlurmOptions(Path(_RUN), Path(CASES), Path(CONFIG), job_name="cisfa")
        write_text(self._folder / SCRIPT, slurm_script(options))
        self._copies, self._count = iter(copies), len(copies)
        qt.QTimer.singleShot(0, self._next)

    def cancel(self) -> None:
        """Stop after the present volume."""
        self._is_cancelled = True

    def end_now(self) -> None:
        """Stop at once and leave nothing: for when Slicer quits."""
        self._is_cancelled, self._is_over = True, True
        shutil.rmtree(self._folder, ignore_errors=True)

    def _next(self) -> None:
        if self._is_over:
            return
        pair = None if self._is_cancelled else next(self._copies, None)
        if pair is None:
            self._end()
            return
        try:
            shutil.copyfile(*pair)
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            self.ended(sentence_of(error), True)
            return
        self._done += 1
        self.progress(Progress(_("copying volumes"), self._done / self._count))
        qt.QTimer.singleShot(0, self._next)

    def _end(self) -> None:
        if self._is_cancelled:
            shutil.rmtree(self._folder, ignore_errors=True)
            self.ended(_("Nothing was written."), True)
            return
        sentence = _(
            "Carry {folder} to the cluster and start it there with: sbatch {script}. Its volumes are patients' images"
            " without names. Bring the folder {run} back and add it under Runs."
        )
        self.ended(sentence.format(folder=self._folder, script=SCRIPT, run=_RUN), False)


def _renamed(cases: CaseList, folder: Path) -> tuple[CaseList, list[tuple[Path, Path]]]:
    """The list with files and names that tell nothing, and what to copy where."""
    copies: list[tuple[Path, Path]] = []

    def copied(path: Path | None, name: str) -> Path | None:
        if path is None:
            return None
        suffix = suffix_of(path)
        if suffix is None:
            raise ClusterExportError(
                f"{path} is a DICOM series, whose files name the patient. Load it and add it from the scene, or save it"
                " as .nrrd and add that."
            )
        if suffix in _IN_TWO_FILES:
            raise ClusterExportError(f"{path} keeps its voxels in a second file. Save it as .nrrd, and add it again.")
        target = folder / "cases" / f"{name}{suffix}"
        copies.append((path, target))
        return target

    def renamed(case: ListedCase, name: str) -> ListedCase:
        return replace(
            case, name=name, volume=copied(case.volume, name) or case.volume,
            labels=copied(case.labels, f"{name}-labels"), few_labels=copied(case.few_labels, f"{name}-few"),
            patient_keys=(),
        )  # fmt: skip

    source = tuple(renamed(case, f"source-{number:03}") for number, case in enumerate(cases.source, start=1))
    target = tuple(renamed(case, f"target-{number:03}") for number, case in enumerate(cases.target, start=1))
    return replace(cases, source=source, target=target), copies
