"""Reading a volume with its label map, and turning a data set's values into the labels that are wanted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cisfa.data_sets.found_set import CaseContent, LeftOutError, Observation
from cisfa.data_sets.organ_positions import require_plausible_positions
from cisfa.errors import GeometryError, VolumeFileError
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_files import read_label_map, read_volume

_MOST_LISTED = 6


@dataclass(frozen=True)
class Meaning:
    """What the values of a data set's label maps mean.

    Attributes:
        names: Value to organ, by the catalogue's names; 0 is background.
        slips: Value that some files hold by mistake to the value that is meant.
    """

    names: Mapping[int, str]
    slips: Mapping[int, int] = field(default_factory=dict)


def read_case(volume: Path, label_map: Path | None, meaning: Meaning, organs: Mapping[str, int]) -> CaseContent:
    """Read a case from its files.

    Args:
        volume: Any file that volumes are read from.
        label_map: Its label map; None for a case without labels.
        meaning: Of the label map's values.
        organs: Name of each wanted organ to its label.

    Raises:
        LeftOutError: A file cannot be read, the grids differ, a value has no meaning, or the organs lie mirrored.
    """
    content = read_volume_of(volume)
    if label_map is None:
        return CaseContent(content, None)
    labels = read_labels_of(label_map)
    require_on_grid(labels, content)
    return with_wanted_organs(content, labels, meaning, organs)


def read_volume_of(path: Path) -> Volume:
    """Read a volume.

    Raises:
        LeftOutError: It cannot be read.
    """
    try:
        return read_volume(path)
    except VolumeFileError as error:
        raise LeftOutError("the volume cannot be read", str(error)) from error


def read_labels_of(path: Path) -> LabelMap:
    """Read a label map.

    Raises:
        LeftOutError: It cannot be read.
    """
    try:
        return read_label_map(path)
    except VolumeFileError as error:
        raise LeftOutError("the label map cannot be read", str(error)) from error


def require_on_grid(label_map: LabelMap, volume: Volume) -> None:
    """Raise unless both are one grid, within what headers round.

    Raises:
        LeftOutError: As said.
    """
    try:
        label_map.geometry.require_same_grid(volume.geometry, ours=label_map.name, theirs=volume.name)
    except GeometryError as error:
        raise LeftOutError("the label map lies on another grid", str(error)) from error


def with_wanted_organs(volume: Volume, labels: LabelMap, meaning: Meaning, organs: Mapping[str, int]) -> CaseContent:
    """The case with a label map of the wanted organs alone, on the very grid of the volume.

    Args:
        volume: Of the case.
        labels: On its grid, within what headers round; with the data set's values.
        meaning: Of these.
        organs: Name of each wanted organ to its label.

    Raises:
        LeftOutError: A value has no meaning, or the organs lie mirrored.
    """
    values = np.flatnonzero(voxel_counts(labels.voxels))
    _require_known(values, meaning, labels.name)
    slips = [int(value) for value in values if int(value) in meaning.slips]
    remarks = [
        Observation(
            "a label value was a slip",
            f"{labels.name} holds the value {slip}, which was read as {meaning.slips[slip]}"
            f" ({meaning.names[meaning.slips[slip]]}).",
        )
        for slip in slips
    ]
    remarks += require_plausible_positions(labels, meaning.names)
    new_values = np.zeros(int(values.max()) + 1, np.uint8 if len(organs) <= np.iinfo(np.uint8).max else np.uint16)
    for value in map(int, values):
        name = meaning.names.get(meaning.slips.get(value, value))
        new_values[value] = organs.get(name, 0) if name is not None else 0
    return CaseContent(volume, LabelMap(new_values[labels.voxels], volume.geometry, labels.name), tuple(remarks))


def voxel_counts(voxels: NDArray[Any]) -> NDArray[np.int64]:
    """Number of voxels of each value, from 0 to the highest; slice by slice, since counting all at once takes a copy.

    Args:
        voxels: Unsigned integers, (slices, rows, columns).
    """
    highest = int(voxels.max(initial=0))
    counts = np.zeros(highest + 1, np.int64)
    for plane in voxels:
        counts += np.bincount(plane.ravel(), minlength=highest + 1)
    return counts


def _require_known(values: NDArray[np.intp], meaning: Meaning, name: str) -> None:
    known_values = {0, *meaning.names, *meaning.slips}
    unknown = [int(value) for value in values if int(value) not in known_values]
    if unknown:
        listed = ", ".join(map(str, unknown[:_MOST_LISTED])) + (" and more" if len(unknown) > _MOST_LISTED else "")
        known = ", ".join(f"{value} {organ}" for value, organ in sorted(meaning.names.items()))
        raise LeftOutError(
            "the label map holds unknown values",
            f"{name} holds {'the value' if len(unknown) == 1 else 'the values'} {listed}, which this data set does not"
            f" have (it has {known}). It is damaged, was resampled, or is of another set: download it again.",
        )
