"""Segmenting from Python, with or without a window: waiting for the result, or not."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, overload

import qt
import slicer
from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode

from cisfa.errors import BundleError, Cancelled, CisfaError
from cisfa_slicer.job import Outcome
from cisfa_slicer.model_library import ModelLibrary
from cisfa_slicer.requirements import DICOM_FILE, FILE, PACS_FILE, ensure_requirements, require_installed
from cisfa_slicer.settings import WHEEL_FOLDER, read_setting
from CISFASegmentationLib.dicom_export import require_exportable
from CISFASegmentationLib.edit_watch import install_edit_watch
from CISFASegmentationLib.export_delivery import Delivered
from CISFASegmentationLib.export_run import ExportEnd, ExportRun, Kind
from CISFASegmentationLib.export_targets import NodeTarget, Target, target_of
from CISFASegmentationLib.organ_results import OrganResult
from CISFASegmentationLib.organ_tags import organs_of
from CISFASegmentationLib.segmentation_run import Options, RunEnd, SegmentationRun


class SegmentationError(CisfaError):
    """A volume could not be segmented; the message says why and what to do."""


class ExportFailedError(CisfaError):
    """A segmentation could not be exported; the message says why and what to do."""


class _Run(Protocol):
    """What goes on, and can be ended."""

    def cancel(self) -> None:
        """Ask it to stop."""

    def end_now(self) -> None:
        """Stop it and wait."""


class SegmentationLogic:
    """Volumes in, segmentation nodes out; segmentation nodes in, DICOM segmentations out."""

    def __init__(self, library: ModelLibrary) -> None:
        """Work with the models of a library."""
        self.library = library
        self._running: list[_Run] = []
        self._observer = 0
        install_edit_watch()

    def segment(
        self,
        volume: vtkMRMLScalarVolumeNode,
        bundle: str | Path = "demo",
        *,
        roi: vtkMRMLMarkupsROINode | None = None,
        replaced: vtkMRMLSegmentationNode | None = None,
        options: Options | None = None,
    ) -> vtkMRMLSegmentationNode:
        """Segment a volume and wait for the result; the window, where there is one, stays alive meanwhile.

        Args:
            volume: Of the bundle's target modality.
            bundle: Path of a bundle, or a model's key in the library.
            roi: Box to segment in; None takes the body.
            replaced: Segmentation node to replace; None makes a new one.
            options: Device, batch size and the like.

        Returns:
            A segmentation on the volume's geometry, a segment for each of the bundle's organs.

        Raises:
            SegmentationError: It failed; the message says why.
            Cancelled: Somebody cancelled it.
            CisfaError: The volume, the region or the bundle cannot be used, or something is not installed.
        """
        end = _end_of(self.start(volume, bundle, roi=roi, replaced=replaced, options=options))
        if end.outcome is Outcome.FAILED:
            raise SegmentationError(end.message)
        return end.segmentation

    def start(
        self,
        volume: vtkMRMLScalarVolumeNode,
        bundle: str | Path = "demo",
        *,
        roi: vtkMRMLMarkupsROINode | None = None,
        replaced: vtkMRMLSegmentationNode | None = None,
        options: Options | None = None,
    ) -> SegmentationRun:
        """Start segmenting a volume and return at once.

        Args:
            volume: As :meth:`segment`, and so the others.
            bundle: Path of a bundle, or a model's key in the library.
            roi: Box to segment in.
            replaced: Segmentation node to replace.
            options: Device, batch size and the like.

        Returns:
            The run; nothing has been said through its signals yet, so connect to them: ``run.ended.connect(…)``.

        Raises:
            CisfaError: As :meth:`segment`; nothing was started then.
        """
        options = options or Options()
        if not options.external_python:
            require_installed()
        run = SegmentationRun(options)
        run.start(volume, self._path_of(bundle), roi, replaced)
        self._add(run)
        run.ended.connect(lambda end: self._remove(run))
        return run

    def organs(self, segmentation: vtkMRMLSegmentationNode) -> tuple[OrganResult, ...]:
        """What is known of a result's organs: volume, mean intensity, quality with its reasons; also of a loaded scene.

        Args:
            segmentation: That :meth:`segment` returned, or a saved one.

        Returns:
            In the order of the segments; empty for a segmentation that CISFA did not make, or an older version.
        """
        return organs_of(segmentation)

    def export_dicom_seg(
        self,
        segmentation: vtkMRMLSegmentationNode,
        target: Target | Path | str,
        *,
        kind: Kind = "binary",
        external_python: str = "",
    ) -> Delivered:
        """Write a segmentation as DICOM SEG and wait until it is where it goes.

        Args:
            segmentation: Drawn on a volume that was loaded from DICOM.
            target: A folder, "database" for Slicer's own, an address such as ``dicomweb://pacs.example.org/dicom-web``
                or ``dimse://pacs.example.org:104/ARCHIVE``, or one of :mod:`~CISFASegmentationLib.export_targets`.
            kind: "binary", which every viewer reads, or "labelmap".
            external_python: Path of a Python to run in; empty for Slicer's own.

        Returns:
            What was written, and where it is.

        Raises:
            ExportFailedError: It failed; the message says why.
            Cancelled: Somebody cancelled it.
            CisfaError: The segmentation cannot be exported as it is, or something is not installed.
        """
        end = _end_of(self.start_export(segmentation, target, kind=kind, external_python=external_python))
        if end.delivered is None:
            raise ExportFailedError(end.message)
        return end.delivered

    def start_export(
        self,
        segmentation: vtkMRMLSegmentationNode,
        target: Target | Path | str,
        *,
        kind: Kind = "binary",
        external_python: str = "",
    ) -> ExportRun:
        """Start exporting a segmentation and return at once.

        Args:
            segmentation: As :meth:`export_dicom_seg`, and so the others.
            target: Where it goes.
            kind: "binary" or "labelmap".
            external_python: Path of a Python to run in.

        Returns:
            The run; nothing has been said through its signals yet.

        Raises:
            CisfaError: As :meth:`export_dicom_seg`; nothing was started then.
        """
        there = target_of(target)
        exportable = require_exportable(segmentation)
        if not external_python:
            require_installed(requirements_file(there), "install_export_requirements()")
        run = ExportRun(external_python)
        run.start(exportable, there, kind)
        self._add(run)
        run.ended.connect(lambda end: self._remove(run))
        return run

    def install_export_requirements(
        self, ask: Callable[[str], bool] = lambda question: True, file: Path = PACS_FILE
    ) -> None:
        """Install what exporting lacks, as :meth:`install_requirements` does; by default what sending lacks, too."""
        self.install_requirements(ask, file)

    def install_requirements(self, ask: Callable[[str], bool] = lambda question: True, file: Path = FILE) -> None:
        """Install what is missing into Slicer's Python, from the network or from the wheel folder of the settings.

        Args:
            ask: Shows a question and returns True for yes; by default nobody is asked.
            file: The requirements; by default those of segmenting.

        Raises:
            RequirementsError: It could not be installed; the message says what to do.
        """
        ensure_requirements(ask, wheel_folder=read_setting(WHEEL_FOLDER), file=file)

    def end_now(self) -> None:
        """Stop all runs and wait until they are gone, some seconds at most: for when Slicer quits."""
        for run in tuple(self._running):
            run.end_now()

    def _add(self, run: _Run) -> None:
        """No run outlives Slicer or its scene, also when no panel looks after it."""
        if not self._running:
            slicer.app.connect("aboutToQuit()", self.end_now)
            self._observer = slicer.mrmlScene.AddObserver(slicer.mrmlScene.StartCloseEvent, self._on_scene_closes)
        self._running.append(run)

    def _remove(self, run: _Run) -> None:
        self._running.remove(run)
        if not self._running:
            slicer.app.disconnect("aboutToQuit()", self.end_now)
            slicer.mrmlScene.RemoveObserver(self._observer)

    def _on_scene_closes(self, caller: object, event: object) -> None:
        for run in tuple(self._running):
            run.cancel()

    def _path_of(self, bundle: str | Path) -> Path:
        path = Path(bundle)
        if path.exists():
            return path
        model = self.library.find(str(bundle))
        if model is None:
            raise BundleError(
                f"There is no model {bundle}. Models are: {', '.join(model.key for model in self.library.models())}; or"
                " give the path of a bundle."
            )
        return model.path


def requirements_file(target: Target) -> Path:
    """What has to be installed for an export."""
    return PACS_FILE if isinstance(target, NodeTarget) else DICOM_FILE


@overload
def _end_of(run: SegmentationRun) -> RunEnd: ...
@overload
def _end_of(run: ExportRun) -> ExportEnd: ...
def _end_of(run: SegmentationRun | ExportRun) -> RunEnd | ExportEnd:
    """Wait for a run that was just started; the window, where there is one, stays alive meanwhile.

    Raises:
        Cancelled: Somebody cancelled it.
    """
    loop = qt.QEventLoop()
    ends: list[RunEnd | ExportEnd] = []
    run.ended.connect(ends.append)
    run.ended.connect(lambda end: loop.quit())
    loop.exec()
    if not ends:  # Slicer quits while somebody waits
        run.end_now()
    if ends[0].outcome is Outcome.CANCELLED:
        raise Cancelled(ends[0].message)
    return ends[0]
