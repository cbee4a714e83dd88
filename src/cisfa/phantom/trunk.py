"""The trunk that holds the organs: skin, fat, muscle, ribs, spine, diaphragm and the lung bases above it.

Everything stands in a patient's own mm: the origin lies in the middle of the trunk, level with the disc below the first
lumbar vertebra; x to the Left, y to the Posterior, z to the Superior. Sizes are those of a middling adult.
"""

from dataclasses import dataclass

import numpy as np

from cisfa.phantom.chance import Chance
from cisfa.phantom.fields import Points, Scalars, Waves
from cisfa.phantom.part import Part
from cisfa.phantom.shapes import (
    EVERYWHERE,
    Box,
    Clumps,
    Cylinder,
    Ellipsoid,
    Grown,
    HalfSpace,
    Intersection,
    Outside,
    Rough,
    Shape,
    Union,
    tube,
    turned,
)
from cisfa.phantom.spine import VERTEBRA_MM, spine_parts
from cisfa.phantom.tissues import Tissue

_BACK_OF_RIBS_MM = 80.0
_RIB_SLOPE = 0.55
# which end of a box each of its eight corners has along (x, y, z)
_CORNERS = np.indices((2, 2, 2)).reshape(3, 8).T
# how far the diaphragm's roughness may reach inwards
_DOME_CREST_MM = 4.0
# the spine and so the back of the cavity keep their place; a deeper trunk reaches further forward
_BACK_OF_CAVITY_MM = 83.0


@dataclass(frozen=True)
class Trunk:
    """The nested hulls that organs are fitted into.

    Attributes:
        outline: The skin's outer surface, before it is roughened.
        body: The skin's outer surface.
        muscle: The outer surface of the muscular wall.
        cavity: The wall's inner surface.
        domes: What together makes up the abdominal side of the diaphragm, before it is blended and roughened.
        below_diaphragm: The abdominal side of the diaphragm.
        wall_mm: Thickness of the muscular wall.
    """

    outline: Cylinder
    body: Shape
    muscle: Cylinder
    cavity: Cylinder
    domes: tuple[Ellipsoid | HalfSpace, ...]
    below_diaphragm: Shape
    wall_mm: float

    def fitted(self, shape: Shape, *, gap_mm: float = 2.0) -> Shape:
        """The part of a shape that lies in the abdomen, clear of its wall and of the diaphragm."""
        hulls: list[Shape] = []
        if not _holds((self.cavity,), shape.bounds, gap_mm):
            hulls.append(Grown(self.cavity, -gap_mm))
        if not _holds(self.domes, shape.bounds, gap_mm + _DOME_CREST_MM):
            hulls.append(Grown(self.below_diaphragm, -gap_mm))
        return Intersection((shape, *hulls)) if hulls else shape


def draw_trunk(chance: Chance) -> Trunk:
    """Draw the hulls of one patient."""
    half_width, half_depth = chance.normal(134.0, 6.0), chance.normal(91.0, 6.0)
    wall = max(chance.normal(12.0, 2.0), 6.0)
    middle_y = _BACK_OF_CAVITY_MM - half_depth
    # subcutaneous fat: thin men to stout women, thicker in front and at the back than at the flanks
    fat = 14.0 * chance.ratio(0.35)
    squareness = chance.uniform(0.1, 0.3)
    front = chance.uniform(0.9, 1.5)
    body = Cylinder(
        (0.0, middle_y + fat * (1.0 - front) / 2.0),
        (half_width + wall + fat * 0.9, half_depth + wall + fat * (1.0 + front) / 2.0),
        squareness,
    )
    domes = (
        Ellipsoid(chance.near((-68.0, -8.0, 22.0), 3.0), (84.0, 106.0, chance.normal(101.0, 6.0))),
        Ellipsoid(chance.near((66.0, -8.0, 18.0), 3.0), (86.0, 106.0, chance.normal(96.0, 6.0))),
        Ellipsoid((0.0, -18.0, 18.0), (92.0, 90.0, 88.0)),
        HalfSpace((0.0, 0.0, 24.0), (0.0, 0.0, 1.0)),
    )
    dome_waves = Waves.random(chance, shortest_mm=70.0, longest_mm=160.0)
    return Trunk(
        outline=body,
        body=Rough(body, Waves.random(chance, shortest_mm=110.0, longest_mm=260.0), chance.normal(1.8, 0.4)),
        muscle=Cylinder((0.0, middle_y), (half_width + wall, half_depth + wall), squareness),
        cavity=Cylinder((0.0, middle_y), (half_width, half_depth), squareness),
        domes=domes,
        below_diaphragm=Rough(Union(domes, blend_mm=12.0), dome_waves, 1.2),
        wall_mm=wall,
    )


def hull_parts(trunk: Trunk, chance: Chance) -> list[Part]:
    """Skin, subcutaneous fat, the muscular wall and the fat that fills the abdomen."""
    streaks = Waves.random(chance, shortest_mm=8.0, longest_mm=30.0, count=4)
    oblique = Rough(Grown(Outside(trunk.cavity), -0.45 * trunk.wall_mm), streaks, 0.7)
    between_layers = Intersection((_Sheet(oblique, 0.5), HalfSpace((0.0, 25.0, 0.0), (0.0, 1.0, 0.0))))
    return [
        Part(Tissue.SKIN, (trunk.body,)),
        Part(Tissue.SUBCUTANEOUS_FAT, (Grown(trunk.body, -chance.uniform(1.6, 2.6)),)),
        Part(Tissue.MUSCLE, (trunk.muscle,)),
        Part(Tissue.VISCERAL_FAT, (between_layers,)),
        Part(Tissue.VISCERAL_FAT, (trunk.cavity,)),
    ]


def chest_parts(trunk: Trunk, chance: Chance) -> list[Part]:
    """The diaphragm, the lung bases and the heart's lower side."""
    upper_half = HalfSpace((0.0, 0.0, 18.0), (0.0, 0.0, -1.0))
    lungs = Intersection((Grown(trunk.cavity, -1.5), upper_half, Outside(Grown(trunk.below_diaphragm, 3.0))))
    mediastinum = Cylinder((8.0, 10.0), (34.0, 60.0))
    above = HalfSpace((0.0, 0.0, 75.0), (0.0, 0.0, -1.0))
    heart = Ellipsoid(chance.near((22.0, -44.0, 152.0), 4.0), (64.0, 42.0, 46.0), turned(0.0, 15.0, 20.0))
    over_diaphragm = Outside(Grown(trunk.below_diaphragm, 3.0))
    vessels = Clumps(Waves.random(chance, shortest_mm=14.0, longest_mm=40.0, count=9), 1.6, 6.0)
    return [
        Part(Tissue.MUSCLE, (Grown(lungs, 3.0),)),
        Part(Tissue.LUNG, (lungs,)),
        Part(Tissue.VEIN, (Intersection((vessels, Grown(lungs, -4.0))),)),
        Part(Tissue.VISCERAL_FAT, (Intersection((mediastinum, above, over_diaphragm)),)),
        Part(Tissue.MUSCLE, (Intersection((heart, over_diaphragm)),)),
        Part(Tissue.HEART, (Intersection((Grown(heart, -8.0), over_diaphragm)),)),
        Part(Tissue.GUT_WALL, tube([(6.0, 14.0, 200.0), (10.0, 8.0, 120.0), (22.0, 2.0, 98.0)], [8, 8, 9], pieces=4)),
    ]


def rib_parts(trunk: Trunk) -> list[Part]:
    """Ribs, their marrow and the cartilage that joins them to the breastbone."""
    sternum = Ellipsoid((0.0, float(trunk.muscle.bounds[0, 1]) + 5.0, 165.0), (17.0, 5.5, 60.0))
    return [
        Part(Tissue.CARTILAGE, (_Ribs(trunk, shrunk_mm=0.0, cartilage=True),)),
        Part(Tissue.CORTICAL_BONE, (_Ribs(trunk, shrunk_mm=0.0), sternum)),
        Part(Tissue.MARROW, (_Ribs(trunk, shrunk_mm=1.5), Grown(sternum, -1.8))),
    ]


def back_parts(trunk: Trunk, chance: Chance) -> list[Part]:
    """Muscles of the back, psoas, and the spine with its canal."""
    bulk = chance.ratio(0.1)
    sides = (-1.0, 1.0)
    psoas_path = [(26.0, 34.0, 34.0), (31.0, 34.0, 0.0), (40.0, 32.0, -50.0), (50.0, 26.0, -150.0)]
    psoas_radii = [5.0 * bulk, 11.0 * bulk, 19.0 * bulk, 24.0 * bulk]
    return [
        Part(Tissue.MUSCLE, tuple(Intersection((_erector(side, bulk), Grown(trunk.muscle, 1.0))) for side in sides)),
        Part(Tissue.VISCERAL_FAT, tuple(Cylinder((side * 27.0, 66.0), (0.9, 12.0)) for side in sides)),
        Part(
            Tissue.MUSCLE,
            tuple(
                Ellipsoid((side * 63.0, 60.0, -50.0), (20.0, 9.0 * bulk, 75.0), turned(0, 0, -side * 25))
                for side in sides
            ),
        ),
        Part(
            Tissue.MUSCLE,
            tuple(
                piece
                for side in sides
                for piece in tube([(side * x, y, z) for x, y, z in psoas_path], psoas_radii, pieces=6)
            ),
        ),
        *spine_parts(chance),
    ]


def _erector(side: float, bulk: float) -> Shape:
    return Cylinder((side * 33.0, 71.0), (31.0 * bulk, 21.0 * bulk), 0.3)


def _holds(hulls: tuple[Shape, ...], box: Box, margin_mm: float) -> bool:
    """True when a box lies wholly in one of several convex hulls, so that the hull need not be drawn for it."""
    if not np.isfinite(box).all():
        return False
    corners = Points(*box.astype(np.float32)[_CORNERS, (0, 1, 2)].T)
    return any(bool((hull.depth(corners) >= margin_mm).all()) for hull in hulls)


@dataclass(frozen=True)
class _Sheet:
    """A thin layer along a shape's surface."""

    shape: Shape
    half_mm: float

    @property
    def bounds(self) -> Box:
        return EVERYWHERE

    def depth(self, at: Points) -> Scalars:
        return np.float32(self.half_mm) - np.abs(self.shape.depth(at))


@dataclass(frozen=True)
class _Ribs:
    """All ribs at once: rods inside the wall that run down and forward, one a vertebra.

    The lower a rib, the earlier it ends; its cartilage goes on to the front, except for the floating ones.
    """

    trunk: Trunk
    shrunk_mm: float
    cartilage: bool = False

    @property
    def bounds(self) -> Box:
        box = self.trunk.muscle.bounds.copy()
        box[0, 2] = -20.0
        return box

    def depth(self, at: Points) -> Scalars:
        from_outside = self.trunk.muscle.depth(at) - 0.6 * self.trunk.wall_mm
        # every rib lies at one height once its slope is taken away; the twelfth starts near z = 48
        height = at.z + _RIB_SLOPE * (_BACK_OF_RIBS_MM - at.y) - 48.0
        above_twelfth = np.maximum(np.round(height / VERTEBRA_MM), 0.0)
        across = (height - above_twelfth * VERTEBRA_MM) * 0.88
        thick, tall = 3.6 - self.shrunk_mm, 6.5 - self.shrunk_mm
        inside = 1.0 - np.sqrt(np.square(from_outside / thick) + np.square(across / tall))
        rod = inside * thick
        front = np.where(above_twelfth < 1.0, 40.0, np.where(above_twelfth < 2.0, 5.0, -48.0))
        if self.cartilage:
            front = np.where(above_twelfth < 2.0, front, -85.0)
        behind_its_end = at.y - front.astype(np.float32)
        beside_the_spine = np.abs(at.x) - np.float32(34.0)
        depth: Scalars = np.minimum(np.minimum(rod, behind_its_end), beside_the_spine)
        return depth
