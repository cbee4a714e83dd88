"""One synthetic patient: every part of the abdomen, and how this body is scaled and bent."""

from dataclasses import dataclass

import numpy as np

from cisfa.phantom.bowel import intestine_parts, stomach_parts
from cisfa.phantom.chance import Chance, Vector
from cisfa.phantom.fields import Points, Waves
from cisfa.phantom.part import Part
from cisfa.phantom.shapes import Cylinder
from cisfa.phantom.trunk import Trunk, back_parts, chest_parts, draw_trunk, hull_parts, rib_parts
from cisfa.phantom.vessels import liver_vessel_parts, trunk_vessel_parts
from cisfa.phantom.viscera import (
    kidney_parts,
    liver_lesion_parts,
    liver_parts,
    spleen_parts,
    upper_retroperitoneum_parts,
)


@dataclass(frozen=True)
class Anatomy:
    """A patient without a scan; the same for every domain.

    Attributes:
        parts: In the order they are painted, in the mm of a middling adult.
        scale: How much larger this patient is than that, along (x, y, z).
        bends: Displacement along (x, y, z) in units of ``bend_mm``: broad bends, then finer ones.
        bend_mm: Standard deviation of the broad and of the finer displacement.
        half_size_mm: From the middle to the skin along x and y, in this patient's own size.
    """

    parts: tuple[Part, ...]
    scale: Vector
    bends: tuple[tuple[Waves, Waves], tuple[Waves, Waves], tuple[Waves, Waves]]
    bend_mm: tuple[float, float]
    half_size_mm: tuple[float, float]

    def straightened(self, at: Points) -> Points:
        """Take places in the scanned patient, mm, to the middling adult the parts are drawn in."""
        plain = Points(at.x / self.scale[0], at.y / self.scale[1], at.z / self.scale[2])
        broad_mm, fine_mm = self.bend_mm
        moved = [
            here + broad_mm * broad.at(plain) + fine_mm * fine.at(plain)
            for here, (broad, fine) in zip(plain, self.bends, strict=True)
        ]
        return Points(moved[0], moved[1], moved[2])


def draw_anatomy(seed: np.random.SeedSequence, *, severity: float) -> Anatomy:
    """Draw a patient.

    Args:
        seed: The same seed is the same patient.
        severity: From 0 (all patients nearly alike) to 1 (as unlike as adults can be).
    """
    spread = 0.4 + 1.2 * severity
    chance = Chance(seed, spread=spread)
    size = chance.ratio(0.05)
    scale = (size * chance.ratio(0.03), size * chance.ratio(0.04), size * chance.ratio(0.03))
    bends = [
        (
            Waves.random(chance, shortest_mm=140.0, longest_mm=320.0),
            Waves.random(chance, shortest_mm=55.0, longest_mm=110.0),
        )
        for _ in range(3)
    ]
    trunk = draw_trunk(chance)
    body = trunk.outline
    return Anatomy(
        parts=tuple(_parts(trunk, chance)),
        scale=scale,
        bends=(bends[0], bends[1], bends[2]),
        bend_mm=(3.0 * spread, 0.9 * spread),
        half_size_mm=_half_size(body, scale),
    )


def _parts(trunk: Trunk, chance: Chance) -> list[Part]:
    return [
        *hull_parts(trunk, chance),
        *chest_parts(trunk, chance),
        *rib_parts(trunk),
        *intestine_parts(trunk, chance),
        *upper_retroperitoneum_parts(trunk, chance),
        *stomach_parts(trunk, chance),
        *liver_parts(trunk, chance),
        *spleen_parts(trunk, chance),
        *back_parts(trunk, chance),
        *kidney_parts(trunk, chance),
        *trunk_vessel_parts(chance),
        *liver_vessel_parts(chance),
        *liver_lesion_parts(chance),
    ]


def _half_size(body: Cylinder, scale: Vector) -> tuple[float, float]:
    (x, y), (rx, ry) = body.centre_xy, body.radii_xy
    return (abs(x) + rx) * scale[0], (abs(y) + ry) * scale[1]
