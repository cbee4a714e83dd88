"""Small pictures of cases: one slice as training sees it, with what is labelled on it outlined."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cisfa.imaging.resampling import resize_linear, resize_nearest
from cisfa.whole_files import write_whole

HEIGHT_PX = 96
# how much wider or narrower than high a picture may be: one of a few slices cut across them would be a line
_NARROWEST, _WIDEST = 0.4, 2.5
_GREY_RANGE = (-2.0, 3.5)  # z-scores shown as black and white

Colour = tuple[int, int, int]


def slice_to_show(slices: int, labels: NDArray[np.unsignedinteger] | None) -> int:
    """The slice with most that is labelled; the middle one where nothing is.

    Args:
        slices: How many there are.
        labels: (slices, rows, columns); None without a label map.
    """
    if labels is None or not labels.any():
        return slices // 2
    return int(np.count_nonzero(labels, axis=(1, 2)).argmax())


def draw_thumbnail(
    scores: NDArray[np.float32],
    labels: NDArray[np.unsignedinteger] | None,
    colours: Mapping[int, Colour],
    *,
    width_by_height: float,
) -> NDArray[np.uint8]:
    """A picture of one slice, (96, columns, 3).

    Args:
        scores: Z-scores of the slice, (rows, columns), in radiological orientation.
        labels: Label values on the same grid; None without a label map.
        colours: Of label values; one that is not there is white.
        width_by_height: Of the slice in mm.
    """
    shape = (HEIGHT_PX, round(HEIGHT_PX * min(max(width_by_height, _NARROWEST), _WIDEST)))
    low, high = _GREY_RANGE
    grey = ((resize_linear(scores, shape) - low) / (high - low)).clip(0, 1) * 255
    picture: NDArray[np.uint8] = np.repeat(grey[..., None], 3, axis=-1).astype(np.uint8)
    if labels is not None:
        resized = resize_nearest(labels, shape)
        outline = _outlines(resized)
        for value in np.unique(resized[outline]):
            picture[outline & (resized == value)] = colours.get(int(value), (255, 255, 255))
    return picture


def write_picture(picture: NDArray[np.uint8], path: Path) -> None:
    """Write a picture (rows, columns, 3) as a PNG file, whole or not at all.

    Raises:
        VolumeFileError: The file cannot be written.
    """
    import SimpleITK

    image = SimpleITK.GetImageFromArray(picture, isVector=True)
    write_whole(path, lambda unfinished: SimpleITK.WriteImage(image, str(unfinished), imageIO="PNGImageIO"))


def _outlines(labels: NDArray[np.unsignedinteger]) -> NDArray[np.bool_]:
    """Labelled pixels with a neighbour of another value, so that the slice below stays visible."""
    around = np.pad(labels, 1, mode="edge")
    neighbours = (around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:])
    differs: NDArray[np.bool_] = np.logical_or.reduce([labels != neighbour for neighbour in neighbours])
    return differs & (labels > 0)
