"""CHAOS's masks: which PNG file belongs to which slice, and what its grey values mean.

A mask on the wrong slice raises no error and ruins every score, so nothing here rests on two sorted lists alone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cisfa.data_sets.found_set import LeftOutError, Observation

_DO_NOT_MATCH = "masks and slices do not match"
_NUMBER = re.compile(r"(\d+)\D*$")


@dataclass(frozen=True)
class GreyValues:
    """What the grey values of a mask mean.

    Attributes:
        ranges: Lowest and highest value to label; 0 is background.
    """

    ranges: tuple[tuple[int, int, int], ...]


CT_VALUES = GreyValues(((1, 1, 1), (255, 255, 1)))
# meant are 63, 126, 189 and 252; these are the ranges that the challenge gives
MR_VALUES = GreyValues(((55, 70, 1), (110, 135, 2), (175, 200, 3), (240, 255, 4)))


def file_of_each_mask(slices: Sequence[Path], masks: Sequence[Path]) -> tuple[list[Path], Observation | None]:
    """The mask of each slice, by the names of their files.

    In MR both have one name (``IMG-0004-00012.dcm``, ``.png``). In CT the numbers in them are the same
    (``i0012,0000b.dcm``, ``liver_GT_012.png``), or one counts from 0 and the other from 1 (``IMG-0002-00013.dcm``).

    Args:
        slices: Files of the slices, in the order in which they lie in the patient.
        masks: Files of the masks, in any order.

    Returns:
        The masks in the order of the slices, and what to know of how they were matched.

    Raises:
        LeftOutError: Their numbers differ, or names do not say which belong together.
    """
    if len(slices) != len(masks):
        raise LeftOutError(_DO_NOT_MATCH, f"There are {len(slices)} slices, and {len(masks)} masks. Unpack it again.")
    by_stem = {mask.stem: mask for mask in masks}
    if all(path.stem in by_stem for path in slices):
        return [by_stem[path.stem] for path in slices], None
    numbers, of_masks = [_number(path) for path in slices], {_number(mask): mask for mask in masks}
    if len(set(numbers)) < len(slices) or len(of_masks) < len(masks):
        raise LeftOutError(_DO_NOT_MATCH, "Their files' names have no numbers that tell which belong together.")
    steps = np.diff(numbers)
    if not ((steps > 0).all() or (steps < 0).all()):
        raise LeftOutError(_DO_NOT_MATCH, "The numbers of the slices' files do not follow the slices' places.")
    shift = min(of_masks) - min(numbers)
    if any(number + shift not in of_masks for number in numbers) or abs(shift) > 1:
        raise LeftOutError(
            _DO_NOT_MATCH,
            f"The slices are numbered {min(numbers)} to {max(numbers)}, the masks {min(of_masks)} to {max(of_masks)},"
            " and some are skipped or all are moved: which belong together is unknown.",
        )
    found = [of_masks[number + shift] for number in numbers]
    if shift == 0:
        return found, None
    return found, Observation(
        "masks are numbered from another number than slices",
        f"The first slice's number is {min(numbers)}, the first mask's {min(of_masks)}; all others follow alike.",
    )


def read_mask(path: Path, values: GreyValues, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Labels of one slice, (rows, columns).

    Args:
        path: A PNG file.
        values: What its grey values mean.
        shape: Rows and columns of the slice.

    Raises:
        LeftOutError: It cannot be read, is a colour picture, has another size, or holds an unknown value.
    """
    import SimpleITK

    try:
        picture = SimpleITK.ReadImage(str(path), imageIO="PNGImageIO")
    except RuntimeError as error:
        raise LeftOutError("a mask cannot be read", f"{path.name} is damaged or truncated. Unpack it again.") from error
    grey = SimpleITK.GetArrayFromImage(picture)
    if picture.GetNumberOfComponentsPerPixel() != 1 or grey.ndim != 2:
        raise LeftOutError("a mask cannot be read", f"{path.name} is a colour picture, and masks are grey.")
    if grey.shape != shape:
        raise LeftOutError(
            _DO_NOT_MATCH, f"{path.name} has {grey.shape[0]}x{grey.shape[1]} pixels, its slice {shape[0]}x{shape[1]}."
        )
    labels = np.zeros(shape, np.uint8)
    for lowest, highest, label in values.ranges:
        labels[(grey >= lowest) & (grey <= highest)] = label
    unknown = np.unique(grey[(labels == 0) & (grey != 0)])
    if len(unknown):
        raise LeftOutError("the label map holds unknown values", f"{path.name} holds the grey value {unknown[0]}.")
    return labels


def _number(path: Path) -> int:
    """The last number of a name, before a comma where it has one; -1 for none."""
    match = _NUMBER.search(path.stem.partition(",")[0])
    return int(match[1]) if match else -1
