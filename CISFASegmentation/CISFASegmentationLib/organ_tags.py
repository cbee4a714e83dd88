"""What is known of organs, kept in the tags of their segments, so that it is saved and loaded, and goes, with them.

No export reads this tag: a DICOM segmentation is the same with and without it.
"""

import json
from dataclasses import replace
from typing import Any

import slicer

from cisfa_slicer.segmentation_export import tag_of
from CISFASegmentationLib.edit_watch import install_edit_watch
from CISFASegmentationLib.organ_results import OrganResult, organ_from, organ_values
from CISFASegmentationLib.voxel_digest import ALGORITHM_TYPE_TAG, AUTOMATIC, compare_voxels_now

ORGAN_TAG = "CISFA.Organ"


def keep_organs(segmentation: slicer.vtkSegmentation, organs: tuple[OrganResult, ...]) -> None:
    """Write each organ into the segment that has its name for an id, as a result's segments do."""
    for organ in organs:
        if segment := segmentation.GetSegment(organ.name):
            # a bar parts the tags in a segmentation's file
            segment.SetTag(ORGAN_TAG, json.dumps(organ_values(organ)).replace("|", "\\u007c"))


def organs_of(node: Any) -> tuple[OrganResult, ...]:
    """What is known of the organs of a segmentation, as their segments are called now.

    Args:
        node: A segmentation node, or None.

    Returns:
        In the order of the segments. Those of which nothing is known are missing: somebody added them, or an older
        version made them. One that somebody has changed since says so.
    """
    segmentation = None if node is None else node.GetSegmentation()
    if segmentation is None:
        return ()
    if not install_edit_watch().is_settled:
        compare_voxels_now(segmentation)  # just edited, so that for half a second nobody knows what
    segments = [segmentation.GetNthSegment(index) for index in range(segmentation.GetNumberOfSegments())]
    return tuple(organ for organ in map(_organ_of, segments) if organ is not None)


def _organ_of(segment: slicer.vtkSegment) -> OrganResult | None:
    try:
        organ = organ_from(json.loads(tag_of(segment, ORGAN_TAG)))
    except (ValueError, KeyError, TypeError):
        return None  # no tag, or one that another program has cut short
    return replace(organ, name=segment.GetName(), is_edited=tag_of(segment, ALGORITHM_TYPE_TAG) != AUTOMATIC)
