"""The labelled organs and what touches them: liver, gallbladder, spleen, kidneys, pancreas, adrenals."""

from dataclasses import dataclass

from cisfa.phantom.chance import Chance, Vector
from cisfa.phantom.fields import Waves
from cisfa.phantom.part import Part
from cisfa.phantom.shapes import (
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
from cisfa.phantom.tissues import Label, Tissue
from cisfa.phantom.trunk import Trunk


def liver_parts(trunk: Trunk, chance: Chance) -> list[Part]:
    """The liver with its lesions, and the gallbladder, which one patient in eight has lost."""
    liver = _liver(trunk, chance)
    parts = [
        Part(Tissue.VISCERAL_FAT, (Grown(liver, chance.uniform(0.0, 1.0)),)),
        Part(Tissue.LIVER, (liver,), Label.LIVER),
    ]
    if chance.happens(0.875):
        size = chance.ratio(0.18)
        bladder = Ellipsoid(
            chance.near((-46.0, -54.0, 4.0), 5.0),
            (13.0 * size, 15.0 * size, 29.0 * size),
            turned(chance.normal(-28.0, 8.0), chance.normal(12.0, 8.0), 0.0),
        )
        bladder_in = trunk.fitted(bladder, gap_mm=4.0)
        parts += [
            Part(Tissue.GUT_WALL, (Grown(bladder_in, 1.5),)),
            Part(Tissue.BILE, (bladder_in,)),
        ]
    return parts


def liver_lesion_parts(chance: Chance) -> list[Part]:
    """Cysts and metastases of the liver: none in every second patient."""
    lesions = []
    for _ in range(chance.count([0.5, 0.2, 0.15, 0.1, 0.05])):
        place = chance.near((-75.0, 0.0, 60.0), 24.0)
        lesions.append(_lesion(place, chance.uniform(4.0, 15.0), chance, within=Label.LIVER))
    return lesions


def spleen_parts(trunk: Trunk, chance: Chance) -> list[Part]:
    """The spleen, a slice of melon between stomach, kidney and ribs."""
    size = chance.ratio(0.12)
    # it leans on the ribs, however wide the patient
    from_ribs = trunk.muscle.radii_xy[0] - trunk.wall_mm - 36.0
    x, y, z = chance.normal(from_ribs, 3.0), chance.normal(38.0, 4.0), chance.normal(60.0, 6.0)
    melon = Ellipsoid(
        (x, y, z),
        (27.0 * size, 50.0 * size, chance.normal(54.0, 6.0) * size),
        turned(chance.normal(-18.0, 7.0), chance.normal(0.0, 6.0), chance.normal(40.0, 6.0)),
    )
    hollow = Ellipsoid((x - 42.0, y - 25.0, z - 4.0), (34.0, 34.0, 62.0))
    waves = Waves.random(chance, shortest_mm=35.0, longest_mm=90.0)
    spleen = trunk.fitted(Rough(Intersection((melon, Outside(hollow))), waves, 1.2), gap_mm=chance.uniform(0.0, 1.5))
    return [
        Part(Tissue.VISCERAL_FAT, (Grown(spleen, chance.uniform(0.0, 1.2)),)),
        Part(Tissue.SPLEEN, (spleen,), Label.SPLEEN),
    ]


def kidney_parts(trunk: Trunk, chance: Chance) -> list[Part]:
    """Both kidneys, of unlike size, one patient in ten with a low one; with sinus fat, pelvis and cysts."""
    fat_mm = 2.5 * chance.ratio(0.5)
    size, thickness = chance.ratio(0.08), chance.normal(0.0, 1.5)
    low_side = chance.count([0.9, 0.05, 0.05])
    parts: list[Part] = []
    for number, (label, side, place) in enumerate(
        [(Label.RIGHT_KIDNEY, -1.0, (-57.0, 34.0, -12.0)), (Label.LEFT_KIDNEY, 1.0, (59.0, 34.0, 2.0))], start=1
    ):
        x, y, z = chance.normal(place[0], 3.0), chance.normal(place[1], 3.0), chance.normal(place[2], 9.0)
        drop = chance.uniform(25.0, 40.0) if number == low_side else 0.0
        kidney = _Kidney(label, side, (x + side * drop * 0.15, y, z - drop), size * chance.ratio(0.07))
        parts += kidney.parts(trunk, chance, fat_mm=fat_mm, thickness_mm=thickness)
    return parts


def upper_retroperitoneum_parts(trunk: Trunk, chance: Chance) -> list[Part]:
    """The pancreas, lobulated in fat, and the adrenal glands."""
    path: list[Vector] = [
        chance.near((-27.0, -14.0, 2.0), 3.0),
        chance.near((-4.0, -24.0, 16.0), 3.0),
        chance.near((34.0, -14.0, 28.0), 4.0),
        chance.near((76.0, 20.0, 48.0), 4.0),
    ]
    bulk = chance.ratio(0.12)
    waves = Waves.random(chance, shortest_mm=9.0, longest_mm=20.0)
    pancreas = tuple(
        trunk.fitted(Rough(piece, waves, 1.4))
        for piece in tube(path, [13.0 * bulk, 9.0 * bulk, 10.0 * bulk, 7.0 * bulk], pieces=8)
    )
    adrenals = (
        *tube([(-34.0, 26.0, 62.0), (-32.0, 22.0, 44.0), (-40.0, 30.0, 34.0)], [2.5, 3.0, 2.5], pieces=3),
        *tube([(36.0, 28.0, 66.0), (34.0, 20.0, 50.0), (42.0, 28.0, 40.0)], [2.5, 3.0, 2.5], pieces=3),
    )
    return [Part(Tissue.PANCREAS, pancreas), Part(Tissue.GUT_WALL, adrenals)]


def _liver(trunk: Trunk, chance: Chance) -> Shape:
    size, reach = chance.ratio(0.07), chance.uniform(0.55, 1.25)
    length = chance.ratio(0.1)
    right = Ellipsoid(chance.near((-76.0, -4.0, 44.0), 4.0), (70.0 * size, 91.0 * size, 86.0 * size * length))
    left = Ellipsoid(
        (chance.normal(-14.0, 4.0) + 10.0 * reach, chance.normal(-54.0, 4.0), chance.normal(72.0, 5.0)),
        (74.0 * reach, 33.0 * size, 33.0 * size),
        turned(0.0, chance.normal(-14.0, 6.0), chance.normal(-4.0, 5.0)),
    )
    caudate = Ellipsoid(chance.near((-20.0, -2.0, 66.0), 3.0), (18.0, 15.0, 26.0))
    facing = turned(chance.normal(0.0, 6.0), chance.normal(0.0, 6.0), chance.normal(0.0, 6.0))
    normal = tuple(0.55 * a + 0.42 * b - 0.72 * c for a, b, c in zip(*facing, strict=True))
    visceral_side = HalfSpace(chance.near((-40.0, 8.0, 8.0), 5.0), (normal[0], normal[1], normal[2]))
    waves = Waves.random(chance, shortest_mm=40.0, longest_mm=110.0)
    lobes = Union((Intersection((right, visceral_side)), left, caudate), blend_mm=16.0)
    return trunk.fitted(Rough(lobes, waves, 2.2), gap_mm=chance.uniform(0.0, 1.2))


def _lesion(place: Vector, radius_mm: float, chance: Chance, *, within: Label) -> Part:
    cystic = within != Label.LIVER or chance.happens(0.5)
    radii = tuple(radius_mm * chance.ratio(0.15) for _ in range(3))
    lesion = Ellipsoid(place, (radii[0], radii[1], radii[2]))
    shape: Shape = lesion if cystic else Rough(lesion, Waves.random(chance, shortest_mm=10.0, longest_mm=25.0), 1.0)
    return Part(Tissue.CYST if cystic else Tissue.METASTASIS, (shape,), within=within)


@dataclass(frozen=True)
class _Kidney:
    label: Label
    side: float
    """-1 on the patient's right, 1 on the left."""

    centre: Vector
    size: float

    def parts(self, trunk: Trunk, chance: Chance, *, fat_mm: float, thickness_mm: float) -> list[Part]:
        axes = turned(
            chance.normal(-10.0, 5.0), self.side * chance.normal(-14.0, 5.0), self.side * chance.normal(-32.0, 8.0)
        )
        radii = (31.0 * self.size, (25.0 + thickness_mm) * self.size, 57.0 * self.size)
        bean = Rough(Ellipsoid(self.centre, radii, axes), Waves.random(chance, shortest_mm=40.0, longest_mm=90.0), 1.0)
        hilum = self._at(axes, 15.0)
        sinus = Ellipsoid(hilum, (16.0 * self.size, 8.5 * self.size, 26.0 * self.size), axes)
        calyces = Waves.random(chance, shortest_mm=13.0, longest_mm=24.0)
        fullness = chance.uniform(0.5, 1.2)
        pelvis = Ellipsoid(self._at(axes, 18.0), (10.0 * fullness, 5.0 * fullness, 12.0 * fullness), axes)
        kidney = trunk.fitted(bean, gap_mm=2.0)
        parts = [
            Part(Tissue.VISCERAL_FAT, (trunk.fitted(Grown(bean, fat_mm), gap_mm=0.0),)),
            Part(Tissue.RENAL_CORTEX, (kidney,), self.label),
            Part(Tissue.RENAL_MEDULLA, (Rough(Grown(kidney, -9.0), calyces, 3.0),), within=self.label),
            Part(Tissue.VISCERAL_FAT, (Rough(sinus, calyces, 1.6),)),
            Part(Tissue.URINE, (Rough(pelvis, calyces, 1.0),)),
        ]
        if chance.happens(0.3):
            pole = chance.uniform(-0.8, 0.8) * radii[2]
            place = self._at(axes, -0.6 * radii[0], up_mm=pole)
            parts.append(_lesion(place, chance.uniform(4.0, 13.0), chance, within=self.label))
        return parts

    def _at(self, axes: tuple[Vector, Vector, Vector], inwards_mm: float, *, up_mm: float = 0.0) -> Vector:
        """A place so many mm from the kidney's centre towards its hilum, and up its long axis."""
        inwards = -self.side * inwards_mm * self.size
        x, y, z = (c + inwards * a + up_mm * b for c, a, b in zip(self.centre, axes[0], axes[2], strict=True))
        return x, y, z
