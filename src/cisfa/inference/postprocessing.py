"""What may be done to a label map after prediction."""

import numpy as np

from cisfa.imaging.volume import LabelMap


def keep_largest_components(label_map: LabelMap) -> LabelMap:
    """Keep the largest connected part of each organ (26-neighbourhood) and make the rest background."""
    import SimpleITK

    kept = np.zeros_like(label_map.voxels)
    shape = SimpleITK.LabelShapeStatisticsImageFilter()
    image = SimpleITK.GetImageFromArray(label_map.voxels)
    shape.Execute(image)
    for label in shape.GetLabels():
        first, size = np.array(shape.GetBoundingBox(label)).reshape(2, 3)[:, ::-1]
        box = tuple(slice(int(begin), int(begin + length)) for begin, length in zip(first, size, strict=True))
        organ = SimpleITK.GetImageFromArray((label_map.voxels[box] == label).astype(np.uint8))
        parts = SimpleITK.RelabelComponent(SimpleITK.ConnectedComponent(organ, True), sortByObjectSize=True)
        kept[box][SimpleITK.GetArrayViewFromImage(parts) == 1] = label
    return LabelMap(kept, label_map.geometry, label_map.name)
