"""Which organs are there on both sides of the body, and whether a label map has them on the right ones."""

from collections.abc import Sequence

from cisfa.imaging.organs import Organ

# SNOMED CT codes of the sides, as the organs' laterality has them
_RIGHT, _LEFT = "24028007", "7771000"


def counterparts(organs: Sequence[Organ]) -> list[tuple[Organ, Organ]]:
    """Organs of one type on both sides, such as the kidneys: the right one first. Organs without codes have none."""
    sided = {(organ.type.value, organ.laterality.value): organ for organ in organs if organ.type and organ.laterality}
    return [
        (organ, sided[kind, _LEFT])
        for (kind, side), organ in sided.items()
        if side == _RIGHT and (kind, _LEFT) in sided
    ]
