"""All slices of a domain, read once, normalised, and kept in memory on the device."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cisfa.config import Modality, PreprocessingConfig
from cisfa.errors import CaseError
from cisfa.imaging.intensity import guess_modality
from cisfa.imaging.organs import Organ
from cisfa.imaging.preprocessing import Preprocessing
from cisfa.imaging.volume import LabelMap
from cisfa.imaging.volume_files import read_label_map, read_volume
from cisfa.training.case_folder import CaseFiles

CaseDone = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class DomainSlices:
    """The slices of one domain.

    Attributes:
        voxels: (slices, 1, rows, columns), z-scored by volume; float16, since hundreds of studies must fit in memory.
        labels: Class indices, (slices, rows, columns), uint8; None for a domain without labels.
        modality: How intensities were read.
        fingerprints: SHA-256 of each case's voxels as stored, in the cases' order.
    """

    voxels: Tensor
    labels: Tensor | None
    modality: Modality
    fingerprints: tuple[str, ...]

    def __len__(self) -> int:
        """Number of slices."""
        return len(self.voxels)

    def to(self, device: torch.device) -> "DomainSlices":
        """The same slices in a device's memory."""
        labels = None if self.labels is None else self.labels.to(device)
        return DomainSlices(self.voxels.to(device), labels, self.modality, self.fingerprints)


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
        cases: Those with a label map are read with it.
        config: The preprocessing, as for inference.
        modality: How to read intensities; None takes what the first volume looks like.
        organs: Class i + 1 is organs[i].
        on_case: Called with the number of cases done and of all cases.

    Raises:
        VolumeFileError: A file cannot be used.
        GeometryError: A label map lies on another grid than its volume.
        CaseError: A label map holds an unknown value or no organ at all, or two cases hold the same voxels.
    """
    if modality is None:
        modality = guess_modality(read_volume(cases[0].volume).voxels)
    preprocessing = Preprocessing(config, modality)
    classes = _classes_of_values(organs)
    slices, labels, fingerprints = [], [], []
    for done, case in enumerate(cases, start=1):
        volume = read_volume(case.volume)
        prepared = preprocessing.apply(volume)
        slices.append(prepared.voxels.astype(np.float16))
        fingerprints.append(hashlib.sha256(np.ascontiguousarray(volume.voxels).tobytes()).hexdigest())
        if case.labels is not None:
            label_map = read_label_map(case.labels)
            label_map.geometry.require_same_grid(volume.geometry, ours=str(case.labels), theirs=str(case.volume))
            in_classes = _as_classes(label_map, classes, str(case.labels))
            labels.append(preprocessing.apply_to_labels(in_classes, prepared.frame))
        on_case(done, len(cases))
    _require_distinct(fingerprints, [str(case.volume) for case in cases])
    stacked = torch.from_numpy(np.concatenate(slices))[:, None]
    return DomainSlices(
        stacked, torch.from_numpy(np.concatenate(labels)) if labels else None, modality, tuple(fingerprints)
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
    return {0: 0, **{organ.label: index for index, organ in enumerate(organs, start=1)}}


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
        raise CaseError(f"{name} holds no organ at all, only background (organs have {known}). Remove this case.")
    table: NDArray[np.uint8] = np.zeros(int(values.max()) + 1, dtype=np.uint8)
    for value in values:
        table[value] = classes[int(value)]
    return LabelMap(table[label_map.voxels], label_map.geometry, label_map.name)
