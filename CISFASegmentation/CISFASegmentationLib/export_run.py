"""Exporting one segmentation: nodes to files, the job that writes the DICOM object, and the way to its destination."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cisfa.dicom.segment_list import SegmentList, write_segment_list
from cisfa.events import Event, Notice, Progress
from cisfa.whole_files import write_text
from cisfa_slicer.error_display import sentence_of
from cisfa_slicer.interpreter import find_interpreter
from cisfa_slicer.job import Job, JobEnd, Outcome
from cisfa_slicer.job_folder import make_job_folder, remove_job_folder, remove_job_folder_now
from cisfa_slicer.log_view import without_names
from cisfa_slicer.signal import Signal
from CISFASegmentationLib.dicom_export import Exportable, write_label_map
from CISFASegmentationLib.export_delivery import Delivered, put_into_database, put_into_folder, series_description
from CISFASegmentationLib.export_targets import DatabaseTarget, FolderTarget, NodeTarget, Target

Kind = Literal["binary", "labelmap"]


@dataclass(frozen=True)
class ExportEnd:
    """How an export ended.

    Attributes:
        outcome: One of three.
        message: For the user: what was written and where, or why nothing was.
        delivered: What is there now; None unless it is done.
    """

    outcome: Outcome
    message: str
    delivered: Delivered | None = None


@dataclass(frozen=True)
class _Request:
    """What a run was asked for.

    Attributes:
        exportable: The segmentation.
        target: Where it goes.
        folder: For temporary files.
        file_name: Says nothing of the patient.
    """

    exportable: Exportable
    target: Target
    folder: Path
    file_name: str

    @property
    def labels(self) -> Path:
        """The label map as the job reads it."""
        return self.folder / "labels.nrrd"

    @property
    def output(self) -> Path:
        """The DICOM file, in a folder of its own, which a database can index."""
        return self.folder / "dicom" / self.file_name


class ExportRun:
    """One segmentation on its way to a DICOM file, a database or a PACS.

    All is written in a temporary folder, and taken to its destination when it is whole, so that neither a failure nor a
    cancellation leaves anything there.

    Attributes:
        exportable: What is exported, from :meth:`start` on.
        progress: Called with each :class:`~cisfa.events.Progress`.
        log: Called with lines for the log, which do not say where the series lies.
        ended: Called once, with an :class:`ExportEnd`; processes and temporary files are gone by then.
    """

    def __init__(self, external_python: str = "") -> None:
        """Prepare a run.

        Args:
            external_python: Path of a Python to run in; empty for Slicer's own.

        Raises:
            InterpreterError: There is no such Python.
        """
        self.exportable: Exportable | None = None
        self.progress: Signal[[Progress]] = Signal()
        self.log: Signal[[str]] = Signal()
        self.ended: Signal[[ExportEnd]] = Signal()
        self._interpreter = find_interpreter(external_python)
        self._folder: Path | None = None
        self._job: Job | None = None

    @property
    def is_running(self) -> bool:
        """True between :meth:`start` and ``ended``."""
        return self._job is not None

    def start(self, exportable: Exportable, target: Target, kind: Kind = "binary") -> None:
        """Write what the job needs, and start it; returns while that works.

        Args:
            exportable: Of :func:`~CISFASegmentationLib.dicom_export.require_exportable`.
            target: Where it goes.
            kind: "binary", which every viewer reads, or "labelmap".

        Raises:
            CisfaError: Segments overlap or reach beyond the volume, or there is no place for temporary files. Nothing
                was started and nothing is left.
        """
        file_name = time.strftime("segmentation-%Y%m%d-%H%M%S.dcm")
        request = _Request(exportable, target, make_job_folder(), file_name)
        self.exportable, self._folder = exportable, request.folder
        series, segments = request.folder / "series.txt", request.folder / "segments.json"
        try:
            write_label_map(exportable, request.labels)
            write_text(series, "".join(f"{file}\n" for file in exportable.files))
            write_segment_list(SegmentList(exportable.segments, exportable.algorithm), segments)
            request.output.parent.mkdir()
        except BaseException:
            remove_job_folder(request.folder)
            raise
        words = ["export-seg", str(request.labels), "--series-files", str(series), "--segments", str(segments)]
        job = self._new_job({})
        job.ended.connect(lambda end: self._on_written(end, request))
        job.start([*words, "--output", str(request.output), "--kind", kind])

    def cancel(self) -> None:
        """Ask the job to stop; ``ended`` follows within ten seconds."""
        if self._job is not None:
            self._job.cancel()

    def end_now(self) -> None:
        """Stop and wait until all is gone, the temporary files too: for when Slicer quits or the scene closes."""
        if self._job is not None:
            self._job.end_now()
        if self._folder is not None:
            remove_job_folder_now(self._folder)

    def _new_job(self, variables: dict[str, str]) -> Job:
        self._job = Job(self._interpreter, variables=variables)
        self._job.event.connect(self._on_event)
        self._job.log.connect(self._tell)
        return self._job

    def _on_event(self, event: Event) -> None:
        match event:
            case Progress():
                self.progress(event)
            case Notice():
                self._tell(event.message)

    def _tell(self, line: str) -> None:
        self.log(line if self.exportable is None else without_places(line, self.exportable))

    def _on_written(self, end: JobEnd, request: _Request) -> None:
        """The file is whole: take it where it goes."""
        try:
            if end.outcome is not Outcome.DONE:
                self._end(ExportEnd(end.outcome, _for_users(end.message, request)), request)
                return
            match request.target:
                case FolderTarget(folder):
                    delivered = put_into_folder(request.output, folder)
                case DatabaseTarget():
                    delivered = put_into_database(request.output)
                case NodeTarget():
                    self._send(request, request.target)
                    return
        except Exception as error:
            self._end(ExportEnd(Outcome.FAILED, sentence_of(error)), request)
        else:
            self._end(ExportEnd(Outcome.DONE, delivered.in_words, delivered), request)

    def _send(self, request: _Request, target: NodeTarget) -> None:
        size, description = request.output.stat().st_size, series_description(request.output)
        delivered = Delivered(target.address, size, description, is_file=False)
        job = self._new_job(target.variables)
        job.ended.connect(lambda end: self._on_sent(end, request, delivered))
        job.start(["send", str(request.output), "--to", target.address])

    def _on_sent(self, end: JobEnd, request: _Request, delivered: Delivered) -> None:
        if end.outcome is Outcome.DONE:
            self._end(ExportEnd(Outcome.DONE, delivered.in_words, delivered), request)
        else:
            self._end(ExportEnd(end.outcome, _for_users(end.message, request)), request)

    def _end(self, end: ExportEnd, request: _Request) -> None:
        self._job = None
        remove_job_folder(request.folder)
        self.ended(end)


def without_places(message: str, exportable: Exportable) -> str:
    """A sentence for the log, with "…" for the series' files and folders, which may be called after a patient."""
    folders = {file.parent for file in exportable.files}
    names = {file.name for file in exportable.files} | {str(folder) for folder in folders}
    names |= {folder.name for folder in folders}
    return without_names(message, {name for name in names - {""} if name in message})


def _for_users(message: str, request: _Request) -> str:
    """A job's sentence about its temporary files as one about the segmentation."""
    name = request.exportable.segmentation.GetName()
    for path in (request.labels, request.output):
        message = message.replace(str(path), name).replace(path.name, name)
    return message
