"""The connected parts of the organs in a label map."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cisfa.imaging.roi import IndexBox
from cisfa.imaging.volume import LabelMap


@dataclass(frozen=True, eq=False)
class OrganParts:
    """One organ that is there, cut out of its label map, and what it falls into (26-neighbourhood).

    Attributes:
        label: Its value in the label map.
        box: The smallest block of voxels that holds it.
        in_organ: Boolean mask of the box, True in the organ.
        in_largest: Likewise, True in its largest part.
        sizes: Voxels of each part, the largest first.
    """

    label: int
    box: IndexBox
    in_organ: NDArray[np.bool_]
    in_largest: NDArray[np.bool_]
    sizes: tuple[int, ...]


def parts_of_organs(label_map: LabelMap) -> Iterator[OrganParts]:
    """The organs that are there, by label, one at a time: only the box of one is in memory beside the label map."""
    import SimpleITK  # half a second that others need not pay

    shapes = SimpleITK.LabelShapeStatisticsImageFilter()
    shapes.ComputePerimeterOff()  # more than half of its time
    shapes.Execute(SimpleITK.GetImageFromArray(label_map.voxels))
    for label in shapes.GetLabels():
        first, size = np.array(shapes.GetBoundingBox(label)).reshape(2, 3)[:, ::-1]
        planes, rows, columns = (
            slice(int(begin), int(begin + length)) for begin, length in zip(first, size, strict=True)
        )
        box = (planes, rows, columns)
        in_organ = label_map.voxels[box] == label
        by_size = SimpleITK.RelabelComponentImageFilter()
        ranks = by_size.Execute(
            SimpleITK.ConnectedComponent(SimpleITK.GetImageFromArray(in_organ.astype(np.uint8)), True)
        )
        in_largest = SimpleITK.GetArrayViewFromImage(ranks) == 1
        yield OrganParts(int(label), box, in_organ, in_largest, tuple(by_size.GetSizeOfObjectsInPixels()))
