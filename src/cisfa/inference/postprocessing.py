"""What may be done to a label map after prediction."""

import numpy as np

from cisfa.imaging.organ_parts import parts_of_organs
from cisfa.imaging.volume import LabelMap


def keep_largest_components(label_map: LabelMap) -> LabelMap:
    """Keep the largest connected part of each organ (26-neighbourhood) and make the rest background."""
    kept = np.zeros_like(label_map.voxels)
    for organ in parts_of_organs(label_map):
        kept[organ.box][organ.in_largest] = organ.label
    return LabelMap(kept, label_map.geometry, label_map.name)
