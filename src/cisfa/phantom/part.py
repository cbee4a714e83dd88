"""One painted part of a patient: what it is made of, where it lies, and what the label map says there."""

from dataclasses import dataclass

from cisfa.phantom.shapes import Shape
from cisfa.phantom.tissues import Label, Tissue


@dataclass(frozen=True)
class Part:
    """Parts are painted one over the other, the last on top.

    Attributes:
        tissue: What it is made of.
        shapes: Where it lies: all that is in any of them.
        label: What the label map says there.
        within: Only what the label map already calls so is painted, and keeps its label: cysts, vessels of an organ.
    """

    tissue: Tissue
    shapes: tuple[Shape, ...]
    label: Label = Label.BACKGROUND
    within: Label | None = None
