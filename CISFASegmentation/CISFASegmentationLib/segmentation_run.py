"""Segmenting one volume: nodes to files, the job, and its files back into the scene."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer
from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode

from cisfa.bundle.manifest import Manifest
from cisfa.bundle.manifest_file import identify_bundle
from cisfa.events import Event, Notice, Progress
from cisfa_slicer.error_display import sentence_of
from cisfa_slicer.interpreter import find_interpreter
from cisfa_slicer.job import Job, JobEnd, Outcome
from cisfa_slicer.job_folder import make_job_folder, remove_job_folder, remove_job_folder_now
from cisfa_slicer.signal import Signal
from cisfa_slicer.volume_export import (
    Grid,
    SceneError,
    grid_of,
    require_same_grid,
    require_usable,
    stated_modality,
    write_roi,
    write_volume,
)
from CISFASegmentationLib.organ_results import OrganResult, read_report
from CISFASegmentationLib.organ_tags import keep_organs
from CISFASegmentationLib.segmentation_import import make_segmentation, place_in_scene, read_label_map, show_in_3d


@dataclass(frozen=True)
class Options:
    """How to segment, beside which volume with which bundle.

    Attributes:
        device: "auto", "cpu", "cuda" or "mps".
        batch_size: Slices at a time.
        largest_component: Keep only each organ's largest part.
        show_3d: Make surfaces.
        trust_modality: Segment although the intensities look like another modality.
        external_python: Path of a Python to run in; empty for Slicer's own.
    """

    device: str = "auto"
    batch_size: int = 8
    largest_component: bool = False
    show_3d: bool = False
    trust_modality: bool = False
    external_python: str = ""


@dataclass(frozen=True)
class RunEnd:
    """How a run ended.

    Attributes:
        outcome: One of three.
        message: For the user; empty when it is done.
        segmentation: The node; None unless it is done.
        organs: What is in it, in the bundle's order.
    """

    outcome: Outcome
    message: str = ""
    segmentation: Any = None
    organs: tuple[OrganResult, ...] = ()


@dataclass(frozen=True)
class _Request:
    """What a run was asked for.

    Attributes:
        volume: The node; beside its id, which a new scene can give to another volume.
        volume_id: Its id.
        grid: Where its voxels were.
        replaced_id: Of the segmentation to replace; empty for a new one.
        bundle: Where the model is.
        manifest: What it says about itself.
        checksum: Which one it was.
        folder: For temporary files.
        is_trusted: True when the job need not doubt the volume's modality.
    """

    volume: Any
    volume_id: str
    grid: Grid
    replaced_id: str
    bundle: Path
    manifest: Manifest
    checksum: str
    folder: Path
    is_trusted: bool

    @property
    def input(self) -> Path:
        """The volume as the job reads it."""
        return self.folder / "volume.nrrd"

    @property
    def roi(self) -> Path:
        """The region of interest."""
        return self.folder / "roi.mrk.json"

    @property
    def output(self) -> Path:
        """The label map that the job writes."""
        return self.folder / "labels.nrrd"

    @property
    def report(self) -> Path:
        """What the job says of each organ."""
        return self.folder / "report.json"


class SegmentationRun:
    """One volume being segmented.

    Whatever the user deletes or changes between start and end is noticed at the end: nodes are looked up again by the
    ids that they had, and the volume's grid and the model are compared with what they were.

    Attributes:
        progress: Called with each :class:`~cisfa.events.Progress`.
        log: Called with lines for the log. They name no node, since a node's name may be a patient's.
        ended: Called once, with a :class:`RunEnd`; the process and the temporary files are gone by then.
    """

    def __init__(self, options: Options) -> None:
        """Prepare a run.

        Raises:
            InterpreterError: There is no such Python.
        """
        self.progress: Signal[[Progress]] = Signal()
        self.log: Signal[[str]] = Signal()
        self.ended: Signal[[RunEnd]] = Signal()
        self._options = options
        self._folder: Path | None = None
        self._job = Job(find_interpreter(options.external_python))
        self._job.event.connect(self._on_event)
        self._job.log.connect(lambda line: self.log(line))

    @property
    def is_running(self) -> bool:
        """True between :meth:`start` and ``ended``."""
        return self._job.is_running

    def start(
        self,
        volume: vtkMRMLScalarVolumeNode,
        bundle: Path,
        roi: vtkMRMLMarkupsROINode | None = None,
        replaced: vtkMRMLSegmentationNode | None = None,
    ) -> None:
        """Write the volume's file and start the job; returns while that works.

        Args:
            volume: To segment.
            bundle: A model bundle, a zip file or folder.
            roi: Box to segment in; None takes the body.
            replaced: Segmentation to replace when all went well; None makes a new one.

        Raises:
            CisfaError: The volume, the region or the bundle cannot be used, or there is no place for temporary files.
                Nothing was started and nothing is left.
        """
        require_usable(volume)
        manifest, checksum = identify_bundle(bundle)
        request = _Request(
            volume=volume,
            volume_id=volume.GetID(),
            grid=grid_of(volume),
            replaced_id=replaced.GetID() if replaced else "",
            bundle=bundle,
            manifest=manifest,
            checksum=checksum,
            folder=make_job_folder(),
            is_trusted=self._options.trust_modality or stated_modality(volume) == manifest.target.modality,
        )
        self._folder = request.folder
        self._job.ended.connect(lambda end: self._on_job_ended(end, request))
        try:
            write_volume(volume, request.input)
            if roi is not None:
                write_roi(roi, request.roi)
            self._job.start(self._words(request, with_roi=roi is not None))
        except BaseException:
            remove_job_folder(request.folder)
            raise

    def cancel(self) -> None:
        """Ask the job to stop; ``ended`` follows within ten seconds."""
        self._job.cancel()

    def end_now(self) -> None:
        """Stop and wait until all is gone, the temporary files too: for when Slicer quits or the scene closes."""
        self._job.end_now()
        if self._folder is not None:
            remove_job_folder_now(self._folder)

    def _words(self, request: _Request, *, with_roi: bool) -> list[str]:
        options = self._options
        words = ["segment", str(request.input), "--bundle", str(request.bundle), "--output", str(request.output)]
        words += ["--report", str(request.report), "--device", options.device, "--batch-size", str(options.batch_size)]
        words += ["--roi", str(request.roi)] if with_roi else []
        words += ["--largest-component"] if options.largest_component else []
        words += ["--modality", request.manifest.target.modality] if request.is_trusted else []
        return words

    def _on_event(self, event: Event) -> None:
        match event:
            case Progress():
                self.progress(event)
            case Notice():
                self.log(event.message)

    def _on_job_ended(self, end: JobEnd, request: _Request) -> None:
        try:
            is_done = end.outcome is Outcome.DONE
            run_end = self._take_result(request) if is_done else RunEnd(end.outcome, _for_users(end.message, request))
        except Exception as error:
            run_end = RunEnd(Outcome.FAILED, sentence_of(error))
        finally:
            remove_job_folder(request.folder)
        self.ended(run_end)

    def _take_result(self, request: _Request) -> RunEnd:
        """Everything is read before the scene is touched."""
        volume = slicer.mrmlScene.GetNodeByID(request.volume_id)
        if volume is None or volume is not request.volume:
            raise SceneError("The volume was deleted while it was being segmented. There is no result.")
        replaced = slicer.mrmlScene.GetNodeByID(request.replaced_id) if request.replaced_id else None
        require_same_grid(volume, request.grid)
        report = read_report(request.report)
        if report.bundle_checksum != request.checksum:  # its label values may mean other organs
            raise SceneError("The model's file was changed while it was at work. Segment the volume again.")
        labels = read_label_map(request.output, request.grid)
        segmentation = make_segmentation(labels, request.manifest)
        keep_organs(segmentation, report.organs)
        node = place_in_scene(segmentation, volume, request.manifest, request.checksum, replaced)
        if self._options.show_3d:
            show_in_3d(node, True)
        self.log(f"Segmented on {report.device}.")
        return RunEnd(Outcome.DONE, "", node, report.organs)


def _for_users(message: str, request: _Request) -> str:
    """A job's sentence about its temporary file as one about the volume."""
    name = request.volume.GetName()
    return message.replace(str(request.input), name).replace(request.input.name, name)
