"""Segments: what one value of a label map means, as whoever drew it has named it."""

from dataclasses import dataclass

from cisfa.imaging.organs import Code


@dataclass(frozen=True)
class Segment:
    """One named value of a label map.

    Attributes:
        value: In the label map, 1 to 65535.
        name: As it was given: "Leber", "label 3".
        type: Its code, such as SNOMED CT's of the liver; None when it has none.
        laterality: Code of the side; None when there is none.
    """

    value: int
    name: str
    type: Code | None = None
    laterality: Code | None = None

    @property
    def code(self) -> str:
        """Its codes as one text, "SCT:64033007/SCT:7771000"; empty when it has none."""
        codes = [f"{code.scheme}:{code.value}" for code in (self.type, self.laterality) if code is not None]
        return "/".join(codes) if self.type is not None else ""

    @property
    def key(self) -> str:
        """What tells it apart from the segments of other cases: its name, and its codes where it has any."""
        name = " ".join(self.name.split())
        return f"{name} ({self.code})" if self.code else name
