"""All slices of a domain, read once, normalised, and kept in memory on the device."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cisfa.cases.case_folder import CaseFiles
from cisfa.cases.patient_keys import patients_in_both
from cisfa.config import Modality, PreprocessingConfig
from cisfa.errors import CaseError
from cisfa.imaging.dicom_modality import modality_of
from cisfa.imaging.intensity_profile import intensity_quantiles
from cisfa.imaging.organs import Organ
from cisfa.imaging.preprocessing import Preprocessing, with_contrast
from cisfa.imaging.volume import Volume
from cisfa.imaging.volume_files import read_volume
from cisfa.training.label_slices import (
    LabelSlices,
    classes_of_values,
    fingerprint_of,
    read_few_labels,
    read_labels,
)

CaseDone = Callable[[int, int], None]


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
        solidity: Likewise, how much of its convex hull each of these organs fills.
        without_contrast: How many slices were left out, since there is nothing on them.
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
    solidity: tuple[Mapping[int, float], ...] = ()
    without_contrast: int = 0

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
    """Read and prepare all slices of a domain's cases that show anything.

    Slices without contrast (:func:`~cisfa.imaging.preprocessing.with_contrast`) are left out: padding and empty ends of
    volumes teach nothing, and instance norm divides by their spread, so that one of them in a batch makes gradients
    large without limit.

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
    classes = classes_of_values(organs)
    settled: Modality = modality or modality_of(read_volume(cases[0].volume))
    preprocessing = Preprocessing(config, settled)
    slices, fingerprints, patient_keys, quantiles = [], [], [], []
    labels: list[LabelSlices] = []
    few: list[LabelSlices | None] = []
    without_contrast = 0
    for done, case in enumerate(cases, start=1):
        volume = read_volume(case.volume)
        if modality is None:
            _require_modality(settled, volume, path=case.volume)
        prepared = preprocessing.apply(volume)
        kept = with_contrast(prepared.voxels)
        slices.append(prepared.voxels[kept].astype(np.float16))
        without_contrast += int((~kept).sum())
        quantiles.append(intensity_quantiles(prepared.voxels))
        fingerprints.append(fingerprint_of(volume.voxels, "<f4"))
        patient_keys.append(case.patient_keys + (volume.series.patient_keys if volume.series else ()))
        if case.labels is not None:
            labels.append(read_labels(case.labels, case, classes, preprocessing, prepared.frame, kept))
        few.append(read_few_labels(case, classes, preprocessing, prepared.frame, kept))
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
        solidity=tuple(one.solidity for one in labels),
        without_contrast=without_contrast,
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


def _require_distinct(fingerprints: Sequence[str], paths: Sequence[str]) -> None:
    first: dict[str, str] = {}
    for fingerprint, path in zip(fingerprints, paths, strict=True):
        if fingerprint in first:
            raise CaseError(
                f"{first[fingerprint]} and {path} hold the same voxels: one patient is used twice, which would"
                " flatter the scores. Remove one of them."
            )
        first[fingerprint] = path


def _drawn_slices(few: Sequence[LabelSlices | None], slices_of_cases: Sequence[int]) -> FewLabels | None:
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
