"""Which segments of which cases are the same organ: by their codes first, then by their names.

Light, since Slicer's own process does this whenever a case is added.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from cisfa.cases.case_list import CaseList, ListedCase
from cisfa.imaging.organs import HIGHEST_LABEL, Organ, catalogue_name_of, catalogue_organ
from cisfa.imaging.segments import Segment

UNNAMED = "label"  # a value that nobody has named is a segment of the name "label 3"


def unnamed_segment(value: int) -> Segment:
    """What a value is called of which nobody has said what it means."""
    return Segment(value, f"{UNNAMED} {value}")


def match_organs(cases: CaseList) -> CaseList:
    """The list with a meaning for every segment; what was chosen before stays, and what is gone goes.

    Segments with the same codes are one organ, whatever they are called, and so are those of the same name or of names
    that the catalogue knows to be the same. A named segment is taken to be an organ to learn; a value without a name is
    not, until somebody says what it is.
    """
    segments = _distinct(segment for case in (*cases.source, *cases.target) for segment in case.segments)
    organs = list(cases.organs)
    mapping: dict[str, str | None] = {}
    for segment in segments:
        if segment.key in cases.mapping:
            mapping[segment.key] = cases.mapping[segment.key]
        elif _is_unnamed(segment):
            mapping[segment.key] = None
        else:
            organ = _known(segment, organs) or _new(segment, organs)
            if organ not in organs:
                organs.append(organ)
            mapping[segment.key] = organ.name
    used = set(mapping.values())
    kept = sorted((organ for organ in organs if organ.name in used), key=lambda organ: organ.label)
    known = {organ.name for organ in kept}
    mapping = {key: name if name in known else None for key, name in mapping.items()}
    return replace(cases, organs=tuple(kept), mapping=mapping)


def _is_unnamed(segment: Segment) -> bool:
    name, _, number = segment.name.strip().partition(" ")
    return not name or (name == UNNAMED and number.isdigit())


def map_segment(cases: CaseList, key: str, name: str | None) -> CaseList:
    """The list with one segment's meaning changed.

    Args:
        cases: A list with a meaning for every segment.
        key: Of the segment.
        name: The organ to learn it as, one of the list's or a new one; None or blank for what is not to be learned.

    Raises:
        ConfigError: There is no label left for a new organ.
    """
    wanted = " ".join((name or "").split())
    organs = list(cases.organs)
    if wanted:
        organ = next((each for each in organs if each.name.casefold() == wanted.casefold()), None)
        if organ is None:
            organ = catalogue_organ(wanted, _free_label(organs))
            organ = next((each for each in organs if each.name == organ.name), organ)
            organs += [] if organ in organs else [organ]
        wanted = organ.name
    mapping = {**cases.mapping, key: wanted or None}
    return match_organs(replace(cases, organs=tuple(organs), mapping=mapping))


def cases_with(cases: Sequence[ListedCase], key: str) -> int:
    """The number of cases that have a segment."""
    return sum(any(segment.key == key for segment in case.segments) for case in cases)


def segments_of(cases: CaseList) -> tuple[Segment, ...]:
    """Every different segment of a list's cases, in their order."""
    return _distinct(segment for case in (*cases.source, *cases.target) for segment in case.segments)


def _distinct(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    return tuple({segment.key: segment for segment in reversed(tuple(segments))}.values())[::-1]


def _known(segment: Segment, organs: Sequence[Organ]) -> Organ | None:
    """The organ among those to learn that a segment is; by its codes, or else by its name."""
    if segment.type is not None:
        for organ in organs:
            if _codes(organ.type, organ.laterality) == _codes(segment.type, segment.laterality):
                return organ
    name = catalogue_organ(segment.name, 1).name.casefold()
    same_name = (organ for organ in organs if organ.name.casefold() == name)
    # two organs of different codes are two, whatever they are called
    return next((organ for organ in same_name if organ.type is None or not segment.code), None)


def _new(segment: Segment, organs: Sequence[Organ]) -> Organ:
    taken = {organ.label for organ in organs}
    label = segment.value if segment.value not in taken else _free_label(organs)
    known = catalogue_name_of(segment.type, segment.laterality)
    if known is not None:
        return catalogue_organ(known, label)
    organ = catalogue_organ(segment.name, label)
    names = {each.name for each in organs}
    if organ.name in names:
        organ = replace(organ, name=f"{organ.name} ({segment.code})")
    return organ if segment.type is None else replace(organ, type=segment.type, laterality=segment.laterality)


def _codes(*codes: object) -> tuple[object, ...]:
    return tuple((getattr(code, "scheme", None), getattr(code, "value", None)) for code in codes)


def _free_label(organs: Iterable[Organ]) -> int:
    taken = {organ.label for organ in organs}
    return next(label for label in range(1, HIGHEST_LABEL + 1) if label not in taken)
