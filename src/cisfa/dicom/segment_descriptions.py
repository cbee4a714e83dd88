"""Items of the Segment Sequence: what each organ is, who drew it, and how to show it."""

import re

from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentDescription
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

from cisfa.dicom.derived_uids import UidSource
from cisfa.dicom.segment_list import Algorithm, DescribedSegment, SegmentList
from cisfa.imaging.organs import Code

# value representation LO
LONGEST_TEXT = 64
CHECKSUM_PARAMETER = "bundle_sha256"
_SOURCE = "SlicerCISFA"


def describe_segments(described: SegmentList, numbers: list[int], uids: UidSource) -> list[SegmentDescription]:
    """One item for each segment.

    Args:
        described: Has been found exportable.
        numbers: Segment Number of each.
        uids: Derives the Tracking UIDs.

    Returns:
        In the order of the segments. Tracking IDs are the organs' names, with the label where two have one name.
    """
    names = [line(segment.organ.name) for segment in described.segments]
    items = []
    for segment, number, name in zip(described.segments, numbers, names, strict=True):
        is_single = names.count(name) == 1
        tracking_id = name if is_single else f"{line(name, LONGEST_TEXT - 6)} {segment.organ.label}"
        items.append(_description(segment, number, tracking_id, described.algorithm, uids))
    return items


def line(text: str, longest: int = LONGEST_TEXT) -> str:
    """A text as DICOM's LO holds it: one line, no backslash, cut at a word where it is too long."""
    plain = re.sub(r"[\x00-\x1f\x7f]", " ", text).replace("\\", "/")
    plain = " ".join(plain.split())
    if len(plain) <= longest:
        return plain
    room = longest - len("...")
    cut = plain[:room].rpartition(" ")[0]
    return f"{cut if len(cut) > room // 2 else plain[:room]}..."


def texts_of(described: SegmentList) -> list[str]:
    """All that the items will say in words."""
    texts = [] if described.algorithm is None else [described.algorithm.name, described.algorithm.version]
    for segment in described.segments:
        organ = segment.organ
        texts += [organ.name, *(code.meaning for code in (organ.category, organ.type, organ.laterality) if code)]
    return texts


def _description(
    segment: DescribedSegment, number: int, tracking_id: str, algorithm: Algorithm | None, uids: UidSource
) -> SegmentDescription:
    organ = segment.organ
    if organ.category is None or organ.type is None:
        raise ValueError(f"{organ.name} has no codes: require_exportable comes first")
    by_machine = segment.drawn != "MANUAL" and algorithm is not None
    item = SegmentDescription(
        segment_number=number,
        segment_label=line(organ.name),
        segmented_property_category=_concept(organ.category),
        segmented_property_type=_concept(organ.type),
        algorithm_type=segment.drawn,
        algorithm_identification=_identification(algorithm) if by_machine and algorithm else None,
        tracking_uid=uids.uid(f"tracking {organ.label}"),
        tracking_id=tracking_id,
        display_color=CIELabColor.from_rgb(*organ.colour),
    )
    if organ.laterality is not None:
        of_type = item.SegmentedPropertyTypeCodeSequence[0]
        of_type.SegmentedPropertyTypeModifierCodeSequence = [_concept(organ.laterality)]
    return item


def _identification(algorithm: Algorithm) -> AlgorithmIdentificationSequence:
    return AlgorithmIdentificationSequence(
        name=line(algorithm.name),
        family=codes.DCM.ArtificialIntelligence,
        version=line(algorithm.version),
        source=_SOURCE,
        parameters={CHECKSUM_PARAMETER: algorithm.checksum},
    )


def _concept(code: Code) -> CodedConcept:
    return CodedConcept(code.value.strip(), code.scheme.strip(), line(code.meaning))
