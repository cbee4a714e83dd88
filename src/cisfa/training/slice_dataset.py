"""All slices of a domain, read once, normalised, and kept in memory on the device."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cisfa.cases.case_folder import CaseFiles
from cisfa.cases.patient_keys import patients_in_both
from cisfa.config import Modality, PreprocessingConfig
from cisfa.errors import CaseError
from cisfa.imaging.dicom_modality import modality_of
from cisfa.imaging.intensity_profile import intensity_quantiles
from cisfa.imaging.organ_volumes import whole_volumes_ml
from cisfa.imaging.organs import Organ
from cisfa.imaging.preprocessing import Preprocessing, SliceFrame
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_files import read_label_map, read_volume

CaseDone = Callable[[int, int], None]

_MOST_ORGANS = 255  # class indices are kept in a byte


@dataclass(frozen=True, eq=False)
class FewLabels:
    """The slices of a domain that somebody drew, where label maps have only some of their slices drawn.

    A slice without any drawn voxel is unknown, not empty; on a drawn slice every organ that is there must be drawn.

    Attributes:
        at: Which of the domain's slices, (drawn slices,), int64.
        labels: Class indices, (drawn slices, rows, columns), uint8.
        fingerprints: SHA-256 of each case's drawn labels; empty for a case without.
    """

    at: Tensor
    labels: Tensor
    fingerprints: tuple[str, ...]

    def to(self, device: torch.device) -> "FewLabels":
        """The same in a device's memory."""
        return replace(self, at=self.at.to(device), labels=self.labels.to(device))


@dataclass(frozen=True, eq=False)
class DomainSlices:
    """The slices of one domain.

    Attributes:
        voxels: (slices, 1, rows, columns), z-scored by volume; float16, since hundreds of studies must fit in memory.
        labels: Class indices, (slices, rows, columns), uint8; None for a domain without labels.
        modality: How intensities were read.
        fingerprints: SHA-256 of each case's voxels as float32, whatever type they are stored in; in the cases' order.
        label_fingerprints: SHA-256 of each case's labels; empty for a domain without.
        slices_of_cases: Number of slices of each case, in the cases' order, which is that of the slices.
        few: The slices that somebody drew; None where no case has such a label map.
        patient_keys: Of each case, digests of what identifies its patient, from the list of cases or its DICOM series.
        quantiles: Of each case's intensities (:func:`~cisfa.imaging.intensity_profile.intensity_quantiles`).
        volumes_ml: Of each case with labels, label value to volume of the organs that lie in it as a whole.
    """

    voxels: Tensor
    labels: Tensor | None
    modality: Modality
    fingerprints: tuple[str, ...]
    label_fingerprints: tuple[str, ...] = ()
    slices_of_cases: tuple[int, ...] = ()
    few: FewLabels | None = None
    patient_keys: tuple[tuple[str, ...], ...] = ()
    quantiles: tuple[tuple[float, ...], ...] = ()
    volumes_ml: tuple[Mapping[int, float], ...] = ()

    def __len__(self) -> int:
        """Number of slices."""
        return len(self.voxels)

    def to(self, device: torch.device) -> "DomainSlices":
        """The same slices in a device's memory."""
        labels = None if self.labels is None else self.labels.to(device)
        few = None if self.few is None else self.few.to(device)
        return replace(self, voxels=self.voxels.to(device), labels=labels, few=few)

    def spread(self, most: int) -> "DomainSlices":
        """At most so many slices, spread evenly over all of them; without few labels."""
        at = torch.linspace(0, len(self) - 1, min(most, len(self)), dtype=torch.float64).round().long()
        labels = None if self.labels is None else self.labels[at]
        return replace(self, voxels=self.voxels[at], labels=labels, slices_of_cases=(), few=None)

    def of_cases(self, cases: Sequence[int]) -> "DomainSlices":
        """The slices of some cases of a domain without few labels, by the cases' places, in the order given."""
        ends = np.cumsum(self.slices_of_cases)
        begins = ends - self.slices_of_cases

        def taken(tensor: Tensor) -> Tensor:
            return torch.cat([tensor[begins[case] : ends[case]] for case in cases])

        return DomainSlices(
            voxels=taken(self.voxels),
            labels=None if self.labels is None else taken(self.labels),
            modality=self.modality,
            fingerprints=tuple(self.fingerprints[case] for case in cases),
            # none where there are no labels
            label_fingerprints=tuple(self.label_fingerprints[case] for case in cases if self.label_fingerprints),
            slices_of_cases=tuple(self.slices_of_cases[case] for case in cases),
        )


def read_slices(
    cases: Sequence[CaseFiles],
    config: PreprocessingConfig,
    *,
    modality: Modality | None,
    organs: Sequence[Organ],
    on_case: CaseDone,
) -> DomainSlices:
    """Read and prepare all slices of a domain's cases.

    Args:
        cases: Those with a label map are read with it, likewise those with few labels.
        config: The preprocessing, as for inference.
        modality: How to read intensities; None takes what the volumes look like.
        organs: Class i + 1 is organs[i].
        on_case: Called with the number of cases done and of all cases.

    Raises:
        VolumeFileError: A file cannot be used.
        GeometryError: A label map lies on another grid than its volume.
        CaseError: A label map holds an unknown value or no organ at all, none of the slices of few labels is drawn, two
            cases hold the same voxels, or the modality is left to the volumes and they look different.
    """
    if not cases:
        raise CaseError("There are no cases to read.")
    classes = _classes_of_values(organs)
    settled: Modality = modality or modality_of(read_volume(cases[0].volume))
    preprocessing = Preprocessing(config, settled)
    slices, fingerprints, patient_keys, quantiles = [], [], [], []
    labels: list[_LabelSlices] = []
    few: list[_LabelSlices | None] = []
    for done, case in enumerate(cases, start=1):
        volume = read_volume(case.volume)
        if modality is None:
            _require_modality(settled, volume, path=case.volume)
        prepared = preprocessing.apply(volume)
        slices.append(prepared.voxels.astype(np.float16))
        quantiles.append(intensity_quantiles(prepared.voxels))
        fingerprints.append(_fingerprint(volume.voxels, "<f4"))
        patient_keys.append(case.patient_keys + (volume.series.patient_keys if volume.series else ()))
        if case.labels is not None:
            labels.append(_read_labels(case.labels, case, classes, preprocessing, prepared.frame))
        few.append(_read_few_labels(case, classes, preprocessing, prepared.frame))
        on_case(done, len(cases))
    _require_distinct(fingerprints, [str(case.volume) for case in cases])
    return DomainSlices(
        voxels=torch.from_numpy(np.concatenate(slices))[:, None],
        labels=torch.from_numpy(np.concatenate([one.classes for one in labels])) if labels else None,
        modality=settled,
        fingerprints=tuple(fingerprints),
        label_fingerprints=tuple(one.fingerprint for one in labels),
        slices_of_cases=tuple(map(len, slices)),
        few=_drawn_slices(few, tuple(map(len, slices))),
        patient_keys=tuple(patient_keys),
        quantiles=tuple(quantiles),
        volumes_ml=tuple(one.volumes_ml for one in labels),
    )


def require_no_shared_voxels(
    source: DomainSlices, source_cases: Sequence[CaseFiles], target: DomainSlices, target_cases: Sequence[CaseFiles]
) -> None:
    """Raise when a volume is in both domains, whatever its name.

    Raises:
        CaseError: As said.
    """
    fingerprints = [*source.fingerprints, *target.fingerprints]
    _require_distinct(fingerprints, [str(case.volume) for case in (*source_cases, *target_cases)])


def require_different_patients_by_series(
    source: DomainSlices, source_cases: Sequence[CaseFiles], target: DomainSlices, target_cases: Sequence[CaseFiles]
) -> None:
    """Raise when a patient is in both domains, as far as the DICOM series that were read tell.

    Raises:
        CaseError: As said.
    """
    both = patients_in_both(
        zip((case.name for case in source_cases), source.patient_keys, strict=False),
        zip((case.name for case in target_cases), target.patient_keys, strict=False),
    )
    if both:
        of_source, of_target = both[0]
        raise CaseError(
            f"The source case {of_source} and the target case {of_target} are of one patient, as their DICOM series say"
            " (PatientID, study or frame of reference), which would flatter the scores. Remove one of them."
        )


def _require_modality(settled: Modality, volume: Volume, *, path: Path) -> None:
    """One volume read as the wrong modality would be trained on as noise, and nobody would notice."""
    looks_like = modality_of(volume)
    if looks_like != settled:
        raise CaseError(
            f"{path} looks like {looks_like}, but the first case of its domain like {settled}. Keep one modality in a"
            f" domain; if it is one, say which with --set source_modality={settled} or --set target_modality={settled}."
        )


def _fingerprint(voxels: NDArray[Any], dtype: str) -> str:
    return hashlib.sha256(np.ascontiguousarray(voxels, dtype=dtype).tobytes()).hexdigest()


def _require_distinct(fingerprints: Sequence[str], paths: Sequence[str]) -> None:
    first: dict[str, str] = {}
    for fingerprint, path in zip(fingerprints, paths, strict=True):
        if fingerprint in first:
            raise CaseError(
                f"{first[fingerprint]} and {path} hold the same voxels: one patient is used twice, which would"
                " flatter the scores. Remove one of them."
            )
        first[fingerprint] = path


def _classes_of_values(organs: Sequence[Organ]) -> dict[int, int]:
    if len(organs) > _MOST_ORGANS:
        raise CaseError(f"There are {len(organs)} organs; at most {_MOST_ORGANS} can be learned at once. Drop some.")
    return {0: 0, **{organ.label: index for index, organ in enumerate(organs, start=1)}}


def _with_meaning(label_map: LabelMap, meaning: Mapping[int, int] | None, name: str) -> LabelMap:
    """The label map with the organs' labels for its own values."""
    if meaning is None:
        return label_map
    values = np.unique(label_map.voxels)
    unknown = [int(value) for value in values if value and int(value) not in meaning]
    if unknown:
        raise CaseError(
            f"{name} holds the label value {unknown[0]}, of which the list of cases does not say what it is. Say which"
            " organ it is, or that it is not to be learned."
        )
    table: NDArray[np.uint16] = np.zeros(int(values.max(initial=0)) + 1, dtype=np.uint16)
    for value in values[values > 0]:
        table[value] = meaning[int(value)]
    return LabelMap(table[label_map.voxels], label_map.geometry, label_map.name)


@dataclass(frozen=True, eq=False)
class _LabelSlices:
    """A case's labels.

    Attributes:
        classes: Class indices, (slices, rows, columns).
        fingerprint: SHA-256 of the label map.
        volumes_ml: Label value to volume of the organs that lie in it as a whole.
    """

    classes: NDArray[np.unsignedinteger]
    fingerprint: str
    volumes_ml: Mapping[int, float]


def _read_labels(
    path: Path, case: CaseFiles, classes: dict[int, int], preprocessing: Preprocessing, frame: SliceFrame
) -> _LabelSlices:
    """A label map of a case, cut as its volume was."""
    label_map = _with_meaning(read_label_map(path), case.values, str(path))
    label_map.geometry.require_same_grid(frame.geometry, ours=str(path), theirs=str(case.volume))
    in_classes = _as_classes(label_map, classes, str(path))
    return _LabelSlices(
        classes=preprocessing.apply_to_labels(in_classes, frame),
        fingerprint=_fingerprint(label_map.voxels, "<u2"),
        volumes_ml=whole_volumes_ml(label_map),
    )


def _read_few_labels(
    case: CaseFiles, classes: dict[int, int], preprocessing: Preprocessing, frame: SliceFrame
) -> _LabelSlices | None:
    if case.few_labels is None:
        return None
    found = _read_labels(case.few_labels, case, classes, preprocessing, frame)
    if not found.classes.any():
        raise CaseError(
            f"What is drawn in {case.few_labels} lies outside of the body or is smaller than a pixel of the slices that"
            " are learned from. Draw every organ of a slice, or leave this file out."
        )
    return found


def _drawn_slices(few: Sequence[_LabelSlices | None], slices_of_cases: Sequence[int]) -> FewLabels | None:
    """The slices with any drawn pixel; None where no case has few labels."""
    at, labels = [], []
    begins = np.cumsum([0, *slices_of_cases[:-1]])
    for begin, case in zip(begins, few, strict=True):
        if case is not None:
            drawn = np.flatnonzero(case.classes.any(axis=(1, 2)))
            at.append(begin + drawn)
            labels.append(case.classes[drawn])
    if not labels:
        return None
    fingerprints = tuple("" if case is None else case.fingerprint for case in few)
    return FewLabels(torch.from_numpy(np.concatenate(at)), torch.from_numpy(np.concatenate(labels)), fingerprints)


def _as_classes(label_map: LabelMap, classes: dict[int, int], name: str) -> LabelMap:
    """The label map with class indices for label values."""
    values = np.unique(label_map.voxels)
    unknown = [int(value) for value in values if int(value) not in classes]
    known = ", ".join(str(value) for value in classes if value)
    if unknown:
        raise CaseError(
            f"{name} holds the label value {unknown[0]}, but the organs have {known}. Name it with"
            ' --set organs={"1":"liver",...}, or in a dataset.json beside the folders, or remove it.'
        )
    if not values.any():
        raise CaseError(
            f"{name} holds no organ at all, only background (organs have {known}). Draw them, or take it out of the"
            " cases."
        )
    table: NDArray[np.uint8] = np.zeros(int(values.max()) + 1, dtype=np.uint8)
    for value in values:
        table[value] = classes[int(value)]
    return LabelMap(table[label_map.voxels], label_map.geometry, label_map.name)
