"""The work of ``cisfa segment``: one volume after the other, read, segmented, measured, written, stored."""

import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cisfa.events import Finished, Notice, Progress, Report

if TYPE_CHECKING:
    from cisfa.bundle.bundle_folder import Bundle
    from cisfa.dicom.segment_list import SegmentList
    from cisfa.dicom.segmentation_object import Kind
    from cisfa.evaluation.organ_measurements import OrganMeasurement
    from cisfa.imaging.dicom_series import DicomSeries
    from cisfa.imaging.roi import Roi
    from cisfa.imaging.volume import LabelMap, Volume
    from cisfa.inference.predictor import Predictor
    from cisfa.inference.quality import OrganQuality
    from cisfa.inference.witness import Witness
    from cisfa.pacs.address import DicomWebService, DimseNode, SeriesAddress

_MEASURING, _EXPORTING = "measuring", "writing the DICOM segmentation"


@dataclass(frozen=True)
class Plan:
    """What is to be made of each volume, by the place that it is read from.

    Attributes:
        label_maps: Where its label map goes.
        organ_reports: Where its report goes; empty where none is wanted.
        segmentations: Where its DICOM segmentation goes; empty where none is wanted.
        remote: The series in a PACS that is fetched to this place first.
        stores: Where its DICOM segmentation is sent.
        are_kept: False when all this goes once it has been sent.
    """

    label_maps: Mapping[Path, Path]
    organ_reports: Mapping[Path, Path] = field(default_factory=dict)
    segmentations: Mapping[Path, Path] = field(default_factory=dict)
    remote: "Mapping[Path, SeriesAddress]" = field(default_factory=dict)
    stores: "Mapping[Path, DicomWebService | DimseNode]" = field(default_factory=dict)
    are_kept: bool = True

    def name_of(self, place: Path) -> str:
        """What to call a volume in messages."""
        address = self.remote.get(place)
        return str(place) if address is None else f"the series {address.series_uid} of {address.service.place}"

    def rest_in_words(self, count: int) -> str:
        """What there is of the volumes with which all went well."""
        if not self.are_kept:
            return f"The other {count} were stored."
        return f"Label maps were written for the other {count}."


@dataclass(frozen=True)
class Export:
    """How DICOM segmentations are written.

    Attributes:
        described: The bundle's organs.
        kind: Of the object.
    """

    described: "SegmentList"
    kind: "Kind"


@dataclass(frozen=True)
class Judging:
    """Whether the quality of organs is estimated.

    Attributes:
        is_wanted: True where it is.
        is_told: Whether doubtful organs are told of one by one, for people.
    """

    is_wanted: bool = False
    is_told: bool = False


@dataclass(frozen=True, eq=False)
class _Result:
    """What was found in one volume; the volume itself is let go before the next one is read."""

    label_map: "LabelMap"
    series: "DicomSeries | None"
    measurements: "tuple[OrganMeasurement, ...]"
    qualities: "tuple[OrganQuality, ...]"
    seconds: float


@dataclass(frozen=True)
class Work:
    """Everything that is needed for it.

    Attributes:
        bundle: The model.
        predictor: It, loaded.
        export: How DICOM segmentations are written.
        roi: Box to segment in; None takes the body.
        report: Hears progress and notices.
        judging: Whether the quality of organs is estimated.
    """

    bundle: "Bundle"
    predictor: "Predictor"
    export: Export
    roi: "Roi | None"
    report: Report
    judging: Judging = Judging()

    def segment_all(self, plan: Plan) -> None:
        """Segment every volume that can be segmented.

        Raises:
            CisfaError: The only volume cannot be segmented or stored, some of several cannot, or a result cannot be
                written.
        """
        from cisfa.errors import Cancelled, CisfaError, VolumeFileError

        written, failed = [], []
        for place in plan.label_maps:
            try:
                written += self._make(place, plan)
            except Cancelled:
                raise
            except CisfaError as error:
                # a fetched series has no place that the user knows
                message = str(error).replace(str(place), plan.name_of(place))
                if len(plan.label_maps) == 1:
                    raise type(error)(message) from error
                failed.append(plan.name_of(place))
                self.report(Notice(f"{plan.name_of(place)} is left out: {message}"))
        if failed:
            wanted = "segmented and stored" if plan.stores else "segmented"
            raise VolumeFileError(
                f"{len(failed)} of {len(plan.label_maps)} volumes could not be {wanted}, for the reasons above:"
                f" {', '.join(failed)}. {plan.rest_in_words(len(plan.label_maps) - len(failed))}"
            )
        self.report(Finished(tuple(written)))

    def _make(self, place: Path, plan: Plan) -> list[str]:
        """All that is wanted of a volume; the files that stay."""
        with self._fetched(place, plan):
            result = self._segment(place, plan)
        files = self._write(result, place, plan)
        self._store(place, plan)
        return files if plan.are_kept else []

    @contextmanager
    def _fetched(self, place: Path, plan: Plan) -> Iterator[None]:
        """A series of a PACS lies on this computer only while it is worked on."""
        address = plan.remote.get(place)
        if address is None:
            yield
            return
        from cisfa.pacs.fetch import fetch_series

        try:
            fetch_series(address, place, self.report)
            yield
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _segment(self, place: Path, plan: Plan) -> _Result:
        started = time.monotonic()
        volume, series = _read(place, is_exported=place in plan.segmentations)
        witness = None
        if self.judging.is_wanted:
            label_map, witness = self.predictor.segment_watched(volume, self.roi)
        else:
            label_map = self.predictor.segment(volume, self.roi)
        seconds = time.monotonic() - started
        if place not in plan.organ_reports and witness is None:
            return _Result(label_map, series, (), (), seconds)
        from cisfa.evaluation.organ_measurements import measure_organs

        self.report(Progress(_MEASURING, 0.0))
        measurements = measure_organs(label_map, volume, self.bundle.manifest.organs)
        self.report(Progress(_MEASURING, 1.0))
        qualities = self._judge_if_it_fits(label_map, volume, measurements, witness) if witness else ()
        if witness and not qualities:
            self.report(
                Notice(
                    f"{_whose(place, plan)}The quality of the organs was not estimated: memory ran out while judging"
                    " them. The segmentation is complete; to judge it too, close other programs and try again."
                )
            )
        return _Result(label_map, series, measurements, qualities, seconds)

    def _judge_if_it_fits(
        self,
        label_map: "LabelMap",
        volume: "Volume",
        measurements: "tuple[OrganMeasurement, ...]",
        witness: "Witness",
    ) -> "tuple[OrganQuality, ...]":
        """The organs' quality; none when memory runs out, since that must not cost what was segmented.

        The error ends with this function, since its traceback holds on to memory that writing needs.
        """
        from cisfa.errors import DeviceError
        from cisfa.inference.predictor import is_out_of_memory

        try:
            return self._judge(label_map, volume, measurements, witness)
        except DeviceError:  # the segmenter's own word for it, when smaller batches and the CPU were of no help
            return ()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return ()

    def _judge(
        self,
        label_map: "LabelMap",
        volume: "Volume",
        measurements: "tuple[OrganMeasurement, ...]",
        witness: "Witness",
    ) -> "tuple[OrganQuality, ...]":
        from cisfa.evaluation.organ_measurements import measure_organs
        from cisfa.inference.evidence import gather_evidence
        from cisfa.inference.organ_shape import shapes_of_organs
        from cisfa.inference.quality import judge_all

        manifest = self.bundle.manifest
        uncut = measure_organs(witness.uncut, volume, manifest.organs) if witness.uncut else ()
        signs, shapes = self.predictor.question(witness), shapes_of_organs(label_map, manifest.organs)
        in_roi = self.roi is not None
        return judge_all(gather_evidence(measurements, signs, shapes, manifest.reference, uncut=uncut, in_roi=in_roi))

    def _tell_doubts(self, result: _Result, place: Path, plan: Plan) -> None:
        """A line for each doubtful organ."""
        whose = _whose(place, plan)
        for measured, quality in zip(result.measurements, result.qualities, strict=False):
            if quality.level != "green":
                word = "doubtful" if quality.level == "red" else "to be checked"
                self.report(Notice(f"{whose}{measured.organ.name}: {word}. {' '.join(quality.reasons)}"))

    def _write(self, result: _Result, place: Path, plan: Plan) -> list[str]:
        """Write what is wanted of a volume; the files."""
        from dataclasses import replace

        from cisfa.imaging.volume_files import write_label_map
        from cisfa.inference.device import describe_device
        from cisfa.inference.organ_report import with_qualities, write_organ_report

        output, organ_report = plan.label_maps[place], plan.organ_reports.get(place)
        write_label_map(replace(result.label_map, name=output.name), output, like=place)
        files = [str(output)]
        if organ_report is not None:
            device = describe_device(self.predictor.device)
            organs = with_qualities(result.measurements, result.qualities)
            write_organ_report(organ_report, self.bundle, organs, device=device, seconds=result.seconds)
        if self.judging.is_told:
            self._tell_doubts(result, place, plan)
        if result.series is not None:
            from cisfa.dicom.segmentation_object import write_segmentation

            target = plan.segmentations[place]
            write_segmentation(
                result.label_map, result.series, self.export.described, target,
                kind=self.export.kind, on_progress=lambda fraction: self.report(Progress(_EXPORTING, fraction)),
            )  # fmt: skip
            files.append(str(target))
        return files

    def _store(self, place: Path, plan: Plan) -> None:
        """Send a volume's DICOM segmentation, where that is wanted.

        Raises:
            PacsError: It failed; the message says how to repeat it without the work before.
        """
        from cisfa.errors import PacsError

        target = plan.stores.get(place)
        if target is None:
            return
        from cisfa.pacs.store import store_instances

        file = plan.segmentations[place]
        try:
            store_instances([file], target, self.report)
        except PacsError as error:
            if not plan.are_kept:
                raise
            raise PacsError(
                f"{error} The result is kept; send it again with: cisfa send {shlex.quote(str(file))} --to"
                f" {target.address}"
            ) from error


def _whose(place: Path, plan: Plan) -> str:
    """How a line about a volume begins, which needs no name where there is one alone."""
    return f"{plan.name_of(place)}: " if len(plan.label_maps) > 1 else ""


def _read(place: Path, *, is_exported: bool) -> "tuple[Volume, DicomSeries | None]":
    """A volume, and its series where a DICOM segmentation will refer to it: what stops that is found out now."""
    from cisfa.imaging.volume_files import read_volume

    if not is_exported:
        return read_volume(place), None
    from cisfa.dicom.export_checks import require_identified
    from cisfa.imaging.dicom_series import open_series, read_voxels
    from cisfa.imaging.volume import Volume

    series = open_series(place)
    require_identified(series)
    return Volume(read_voxels(series), series.geometry, series.name, series.facts), series
