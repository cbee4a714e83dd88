"""Several images at one place: how many there are, and what they differ in, as far as their headers tell."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cisfa.errors import VolumeFileError
from cisfa.imaging.dicom_frames import TELLING, FrameHeader
from cisfa.imaging.dicom_values import name_of, text

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# nearer than this they are at one place, since no scanner cuts as thin
_SAME_PLACE_MM = 1e-3
_MOST_VALUES = 4


def require_single_positions(frames: Sequence[FrameHeader], along: NDArray[np.float64], where: str) -> None:
    """Raise when several frames lie at one place.

    Args:
        frames: By position along the normal.
        along: These positions, (frames,), mm.
        where: The series, for the message.

    Raises:
        VolumeFileError: As said; it says what they differ in.
    """
    groups = np.split(np.arange(len(along)), np.flatnonzero(np.diff(along) > _SAME_PLACE_MM) + 1)
    doubled = [[frames[index] for index in group] for group in groups if len(group) > 1]
    if not doubled:
        return
    most = max(map(len, doubled))
    raise VolumeFileError(
        f"{where} has {len(frames)} images at {len(groups)} {'position' if len(groups) == 1 else 'positions'}:"
        f" {len(doubled)} {'position holds' if len(doubled) == 1 else 'positions hold'}"
        f" {'two' if most == 2 else f'up to {most}'} images, {_difference(doubled)}"
    )


def _difference(doubled: Sequence[Sequence[FrameHeader]]) -> str:
    for keyword in TELLING:
        values = [tuple(frame.says(keyword) for frame in group) for group in doubled]
        if all(len(set(group)) == len(group) for group in values):
            distinct = list(dict.fromkeys(value for group in values for value in group))
            said = ", ".join(value or "none" for value in distinct[:_MOST_VALUES])
            rest = " and more" if len(distinct) > _MOST_VALUES else ""
            return (
                f"which differ in {name_of(keyword)} ({keyword}: {said}{rest}). Name the files of one of these volumes."
            )
    if all(_is_one_image(group) for group in doubled):
        return "and these are the same image twice. Remove the copies, or name the files without them."
    return "and their headers do not tell why. Name the files of one volume."


def _is_one_image(group: Sequence[FrameHeader]) -> bool:
    if len({frame.file for frame in group}) < len(group):
        return False
    uids = {text(frame.image.header, "SOPInstanceUID") for frame in group}
    if len(uids) == 1 and "" not in uids:
        return True
    pixels = [_pixels(frame) for frame in group]
    return pixels[0] is not None and all(each == pixels[0] for each in pixels)


def _pixels(frame: FrameHeader) -> "bytes | None":
    import pydicom

    try:
        found: Dataset = pydicom.dcmread(frame.image.path, specific_tags=["PixelData"], force=True)
        value = found.get("PixelData")
    except Exception:  # a damaged file is told when it is read as a slice; here it is only no copy of another one
        return None
    return value if isinstance(value, bytes) else None
