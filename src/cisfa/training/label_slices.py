"""Label maps as class indices on the slices that are learned from."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cisfa.cases.case_folder import CaseFiles
from cisfa.errors import CaseError
from cisfa.evaluation.overlap import acquisition_axis
from cisfa.imaging.organ_solidity import solidities
from cisfa.imaging.organ_volumes import whole_volumes_ml
from cisfa.imaging.organs import Organ
from cisfa.imaging.preprocessing import Preprocessing, SliceFrame
from cisfa.imaging.volume import LabelMap
from cisfa.imaging.volume_files import read_label_map

_MOST_ORGANS = 255  # class indices are kept in a byte


@dataclass(frozen=True, eq=False)
class LabelSlices:
    """A case's labels.

    Attributes:
        classes: Class indices, (slices, rows, columns).
        fingerprint: SHA-256 of the label map.
        volumes_ml: Label value to volume of the organs that lie in it as a whole.
        solidity: Label value to how much of its convex hull the organ fills; of the same organs.
    """

    classes: NDArray[np.unsignedinteger]
    fingerprint: str
    volumes_ml: Mapping[int, float]
    solidity: Mapping[int, float]


def read_labels(
    path: Path,
    case: CaseFiles,
    classes: dict[int, int],
    preprocessing: Preprocessing,
    frame: SliceFrame,
    kept: NDArray[np.bool_],
) -> LabelSlices:
    """Read a label map of a case, cut as its volume was.

    Args:
        path: The label map.
        case: Says what its values mean, where they are not the organs' labels.
        classes: Label value to class index, :func:`classes_of_values`.
        preprocessing: That of the volume.
        frame: Of the volume.
        kept: Which of the volume's slices are learned from.

    Raises:
        VolumeFileError: The file cannot be read.
        GeometryError: It lies on another grid than the volume.
        CaseError: It holds an unknown value or no organ at all.
    """
    label_map = _with_meaning(read_label_map(path), case.values, str(path))
    label_map.geometry.require_same_grid(frame.geometry, ours=str(path), theirs=str(case.volume))
    in_classes = _as_classes(label_map, classes, str(path))
    volumes_ml = whole_volumes_ml(label_map)
    solidity = solidities(label_map, acquisition_axis(label_map.geometry))
    return LabelSlices(
        classes=preprocessing.apply_to_labels(in_classes, frame)[kept],
        fingerprint=fingerprint_of(label_map.voxels, "<u2"),
        volumes_ml=volumes_ml,
        solidity={label: value for label, value in solidity.items() if label in volumes_ml},
    )


def read_few_labels(
    case: CaseFiles,
    classes: dict[int, int],
    preprocessing: Preprocessing,
    frame: SliceFrame,
    kept: NDArray[np.bool_],
) -> LabelSlices | None:
    """Read the few labels of a case as :func:`read_labels` does; None where it has none.

    Raises:
        CaseError: Likewise, or nothing of what is drawn is left on the slices that are learned from.
    """
    if case.few_labels is None:
        return None
    found = read_labels(case.few_labels, case, classes, preprocessing, frame, kept)
    if not found.classes.any():
        raise CaseError(
            f"What is drawn in {case.few_labels} lies outside of the body, on slices without contrast, or is smaller"
            " than a pixel of the slices that are learned from. Draw every organ of a slice, or leave this file out."
        )
    return found


def classes_of_values(organs: Sequence[Organ]) -> dict[int, int]:
    """Label value to class index; class i + 1 is organs[i].

    Raises:
        CaseError: There are too many organs.
    """
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


def fingerprint_of(voxels: NDArray[Any], dtype: str) -> str:
    """SHA-256 of voxels as the type given, whatever type they are stored in."""
    return hashlib.sha256(np.ascontiguousarray(voxels, dtype=dtype).tobytes()).hexdigest()
