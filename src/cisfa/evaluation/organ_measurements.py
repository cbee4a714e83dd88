"""What a label map says of each organ, without a truth to compare it with: how much, how bright, in how many parts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cisfa.imaging.organ_parts import OrganParts, parts_of_organs
from cisfa.imaging.organs import Organ
from cisfa.imaging.volume import LabelMap, Volume


@dataclass(frozen=True, kw_only=True)
class OrganMeasurement:
    """One organ in one label map.

    Attributes:
        organ: The organ.
        voxels: How many it has; 0 when it was not found.
        volume_ml: How much that is.
        mean_intensity: Of the volume inside the organ, in its own units (HU for CT); None when the organ is empty.
        components: Connected parts (26-neighbourhood: voxels that touch at a corner are one part).
        largest_component_fraction: Part of the voxels that lie in the largest one; None when the organ is empty.
        touches_edge: True when it reaches the volume's first or last slice, row or column, so that more of it may lie
            outside. A direction with a single slice has no edge.
    """

    organ: Organ
    voxels: int
    volume_ml: float
    mean_intensity: float | None
    components: int
    largest_component_fraction: float | None
    touches_edge: bool


def measure_organs(label_map: LabelMap, volume: Volume, organs: Sequence[Organ]) -> tuple[OrganMeasurement, ...]:
    """Measure every organ of a label map, in the order of the organs.

    Args:
        label_map: What was found.
        volume: Where it was found, on the same grid.
        organs: Those to measure; one that was not found is measured as empty.

    Raises:
        GeometryError: The volume lies on another grid.
    """
    volume.geometry.require_same_grid(
        label_map.geometry, ours=f"The volume {volume.name}", theirs=f"the label map {label_map.name}"
    )
    wanted = {organ.label: organ for organ in organs}
    found = {
        parts.label: _measure(wanted[parts.label], parts, volume)
        for parts in parts_of_organs(label_map)
        if parts.label in wanted
    }
    return tuple(found.get(organ.label) or _empty(organ) for organ in organs)


def _measure(organ: Organ, parts: OrganParts, volume: Volume) -> OrganMeasurement:
    voxels = sum(parts.sizes)
    return OrganMeasurement(
        organ=organ,
        voxels=voxels,
        volume_ml=voxels * volume.geometry.voxel_volume_ml,
        # in float64, since an organ's sum of int16 or float32 overflows or loses digits
        mean_intensity=float(volume.voxels[parts.box].mean(where=parts.in_organ, dtype=np.float64)),
        components=len(parts.sizes),
        largest_component_fraction=parts.sizes[0] / voxels,
        touches_edge=any(
            count > 1 and (block.start == 0 or block.stop == count)
            for block, count in zip(parts.box, volume.geometry.shape, strict=True)
        ),
    )


def _empty(organ: Organ) -> OrganMeasurement:
    return OrganMeasurement(
        organ=organ,
        voxels=0,
        volume_ml=0.0,
        mean_intensity=None,
        components=0,
        largest_component_fraction=None,
        touches_edge=False,
    )
