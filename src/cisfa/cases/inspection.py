"""Looking into the files of cases, one volume at a time."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cisfa.cases.case_list import CaseList, ListedCase
from cisfa.cases.check_report import CaseFacts, Domain, FoundSegment, Intensities
from cisfa.cases.fact_cache import FactCache
from cisfa.cases.organ_mapping import unnamed_segment
from cisfa.cases.thumbnail import HEIGHT_PX, Colour, draw_thumbnail, slice_to_show, write_picture
from cisfa.config import Modality, PreprocessingConfig, TrainingConfig
from cisfa.errors import CisfaError, VolumeFileError
from cisfa.events import Progress, Report
from cisfa.imaging.dicom_modality import modality_of
from cisfa.imaging.dicom_places import files_behind
from cisfa.imaging.geometry import closest_axis
from cisfa.imaging.intensity import guess_modality
from cisfa.imaging.organs import catalogue_organ
from cisfa.imaging.preprocessing import PreparedSlices, Preprocessing, choose_plane
from cisfa.imaging.segmentation_header import header_segments
from cisfa.imaging.segments import Segment
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_files import read_label_map, read_volume

_PERCENTILES = (1, 50, 99)


@dataclass(frozen=True)
class Look:
    """How training would read the cases of a domain.

    Attributes:
        preprocessing: Of the training.
        modality: How intensities are read; None takes what a volume looks like.
        cache: Where what was found out is kept; None keeps nothing and makes no pictures.
    """

    preprocessing: PreprocessingConfig
    modality: Modality | None = None
    cache: FactCache | None = None


def inspect_cases(
    cases: CaseList, config: TrainingConfig, report: Report, *, cache: FactCache | None = None
) -> tuple[CaseFacts, ...]:
    """The facts of every case of a list, the source's first; a case that cannot be read does not stop the others.

    Args:
        cases: Both domains.
        config: Says how training would cut and read them.
        report: Hears "looking at case 3 of 12"; what it raises ends the work.
        cache: Where what was found out is kept; None keeps nothing and makes no pictures.
    """
    choices: dict[Domain, str] = {"source": config.source_modality, "target": config.target_modality}
    listed: list[tuple[Domain, ListedCase]] = [("source", case) for case in cases.source]
    listed += [("target", case) for case in cases.target]
    facts = []
    for number, (domain, case) in enumerate(listed, start=1):
        report(Progress(f"looking at case {number} of {len(listed)}", (number - 1) / len(listed)))
        modality: Modality | None = {"CT": "CT", "MR": "MR"}.get(choices[domain])  # type: ignore[assignment]
        facts.append(inspect_case(case, domain, Look(config.preprocessing, modality, cache)))
    if listed:
        report(Progress(f"looking at case {len(listed)} of {len(listed)}", 1.0))
    return tuple(facts)


def inspect_case(case: ListedCase, domain: Domain, look: Look) -> CaseFacts:
    """The facts of one case, from the cache where nothing has changed; never raises for what is wrong with its files.

    Of a target case, only the label map of few labels is opened: any other serves the final score alone.
    """
    labels = case.labels if domain == "source" else case.few_labels
    paths = [case.volume] if labels is None else [case.volume, labels]
    named, problem = _named(case, labels)
    colours = {value: _colour(segment) for value, segment in named.items()}
    settings = (replace(look.preprocessing, size=HEIGHT_PX), look.modality, domain, sorted(colours.items()))
    key = look.cache.key(paths, *settings) if look.cache else None
    facts = look.cache.load(key) if look.cache and key else None
    if facts is None:
        facts = _Case(case.volume, labels, domain, colours).facts(look, key)
        if look.cache and key and facts.problem is None:
            look.cache.save(key, facts)
    return replace(
        facts, name=case.name, problem=problem or facts.problem, segments=_with_names(facts.segments, named, case)
    )


def _named(case: ListedCase, labels: Path | None) -> tuple[dict[int, Segment], str | None]:
    """What is known of a label map's values, and what is wrong with its header."""
    if labels is None:
        return {}, None
    try:
        named, problem = {segment.value: segment for segment in header_segments(labels)}, None
    except CisfaError as error:
        named, problem = {}, str(error)
    return {**named, **{segment.value: segment for segment in case.segments}}, problem


def _colour(segment: Segment) -> Colour:
    return catalogue_organ(segment.name.strip() or unnamed_segment(segment.value).name, segment.value).colour


def _with_names(
    found: Iterable[FoundSegment], named: Mapping[int, Segment], case: ListedCase
) -> tuple[FoundSegment, ...]:
    """The segments that were found, and those that the list names and nobody drew."""
    listed = {segment.value for segment in case.segments} if named else set()
    voxels = {one.segment.value: one.voxels for one in found}
    return tuple(
        FoundSegment(named.get(value) or unnamed_segment(value), voxels.get(value, 0), value in listed)
        for value in sorted(listed | voxels.keys())
    )


@dataclass(frozen=True)
class _Case:
    """The files of one case."""

    volume: Path
    labels: Path | None
    domain: Domain
    colours: Mapping[int, Colour]

    def facts(self, look: Look, key: str | None) -> CaseFacts:
        """What is in the files, as far as they can be read; values of segments without names.

        Args:
            look: How to read them.
            key: Of the entry in the cache that gets the picture; None where there is none.
        """
        facts = CaseFacts(self.domain, "", has_labels=self.labels is not None, size_bytes=self._size_bytes())
        try:
            volume = read_volume(self.volume)
            facts = _with_volume(facts, volume, look.preprocessing)
            modality = look.modality or modality_of(volume)
            # as small as a thumbnail: what is wanted is where training cuts, and whether it can read this volume
            preprocessing = Preprocessing(replace(look.preprocessing, size=HEIGHT_PX), modality)
            prepared = preprocessing.apply(volume)
            facts = replace(facts, body_mm=_body_mm(prepared), fingerprint=_fingerprint(volume.voxels))
            labels = self._label_slices(volume, preprocessing, prepared)
            if labels is not None:
                facts = replace(facts, segments=labels.segments, labelled_slices=labels.labelled_slices)
            if look.cache and key:
                picture = self._picture(prepared, labels.values if labels else None)
                facts = replace(facts, thumbnail=_kept(picture, look.cache.thumbnail(key)))
        except CisfaError as error:
            return replace(facts, problem=str(error))
        except MemoryError:
            return replace(facts, problem=_too_large(self.volume))
        return facts

    def _size_bytes(self) -> int:
        paths = [self.volume] if self.labels is None else [self.volume, self.labels]
        return sum(file.stat().st_size for path in paths if path.exists() for file in files_behind(path))

    def _label_slices(
        self, volume: Volume, preprocessing: Preprocessing, prepared: PreparedSlices
    ) -> "_LabelSlices | None":
        if self.labels is None:
            return None
        label_map = read_label_map(self.labels)
        label_map.geometry.require_same_grid(volume.geometry, ours=str(self.labels), theirs=str(self.volume))
        labelled = prepared.frame.to_standard(label_map.voxels).any(axis=(1, 2))
        return _LabelSlices(
            values=preprocessing.apply_to_labels(label_map, prepared.frame),
            segments=_counted(label_map),
            labelled_slices=int(np.count_nonzero(labelled)),
        )

    def _picture(self, prepared: PreparedSlices, labels: NDArray[np.unsignedinteger] | None) -> NDArray[np.uint8]:
        shown = slice_to_show(len(prepared.voxels), labels)
        values = None if labels is None else labels[shown]
        present = () if values is None else (int(value) for value in np.unique(values) if value)
        colours = {value: self.colours.get(value) or _colour(unnamed_segment(value)) for value in present}
        height_mm, width_mm = _body_mm(prepared)
        return draw_thumbnail(prepared.voxels[shown], values, colours, width_by_height=width_mm / height_mm)


@dataclass(frozen=True, eq=False)
class _LabelSlices:
    """A label map.

    Attributes:
        values: Label values, cut as the volume was, (slices, rows, columns).
        segments: Values without names.
        labelled_slices: Number of slices that hold any.
    """

    values: NDArray[np.unsignedinteger]
    segments: tuple[FoundSegment, ...]
    labelled_slices: int


def _kept(picture: NDArray[np.uint8], path: Path) -> str | None:
    """Where a picture lies; None when the cache cannot be written, which is no fault of the case."""
    try:
        write_picture(picture, path)
    except VolumeFileError:
        return None
    return os.fspath(path)


def _with_volume(facts: CaseFacts, volume: Volume, config: PreprocessingConfig) -> CaseFacts:
    geometry = volume.geometry
    plane = choose_plane(geometry, config.plane)
    return replace(
        facts,
        shape=geometry.shape,
        spacing_mm=geometry.spacing_mm,
        acquired_plane=choose_plane(geometry, "auto"),
        plane=plane,
        slices=geometry.shape[closest_axis(geometry, plane)],
        modality=_modality(volume),
        intensities=_intensities(volume.voxels),
        laterality=volume.series.laterality if volume.series else "",
        frame_of_reference_uid=volume.series.frame_of_reference_uid if volume.series else "",
        patient_keys=volume.series.patient_keys if volume.series else (),
    )


def _modality(volume: Volume) -> Modality:
    """As the series says, or else as the intensities look; what is neither CT nor MR becomes a problem elsewhere."""
    try:
        return modality_of(volume)
    except VolumeFileError:
        return guess_modality(volume.voxels)


def _intensities(voxels: NDArray[Any]) -> Intensities:
    # of a million or two; an odd step visits every row and column of the usual sizes, which are even
    step = (voxels.size // 1_000_000) | 1
    low, middle, high = np.percentile(voxels.ravel(order="K")[::step], _PERCENTILES)
    return Intensities(float(voxels.min()), float(low), float(middle), float(high), float(voxels.max()))


def _body_mm(prepared: PreparedSlices) -> tuple[float, float]:
    """Height and width of what is cut out of every slice."""
    frame = prepared.frame
    return frame.row_spacing_mm * frame.size, frame.column_spacing_mm * frame.size


def _fingerprint(voxels: NDArray[Any]) -> str:
    """As training computes it, but slice by slice, in little memory."""
    digest = hashlib.sha256()
    for one_slice in voxels:
        digest.update(np.ascontiguousarray(one_slice, dtype="<f4").data)
    return digest.hexdigest()


def _counted(label_map: LabelMap) -> tuple[FoundSegment, ...]:
    """Slice by slice, since counting a whole volume at once would take its memory eight times."""
    highest = int(label_map.voxels.max(initial=0))
    voxels: NDArray[np.int64] = np.zeros(highest + 1, dtype=np.int64)
    for one_slice in label_map.voxels:
        voxels += np.bincount(one_slice.ravel(), minlength=highest + 1)
    return tuple(
        FoundSegment(unnamed_segment(int(value)), int(voxels[value]), False)
        for value in np.flatnonzero(voxels)
        if value
    )


def _too_large(path: Path) -> str:
    return f"{path} does not fit into this computer's memory. Close other programs, or crop it."
