"""Blood vessels: aorta, vena cava, portal system, and their branches in liver and kidneys."""

from collections.abc import Sequence

from cisfa.phantom.chance import Chance, Vector
from cisfa.phantom.part import Part
from cisfa.phantom.shapes import Capsule, Grown, tube
from cisfa.phantom.tissues import Label, Tissue

_CAVA_IN_LIVER: Vector = (-24.0, -6.0, 104.0)
_PORTA: Vector = (-34.0, -10.0, 44.0)


def trunk_vessel_parts(chance: Chance) -> list[Part]:
    """Aorta, vena cava, the portal vein's trunk and the vessels to spleen, gut and kidneys."""
    wide = chance.ratio(0.1)
    aorta = tube(
        [(16.0, 16.0, 200.0), (12.0, 6.0, 100.0), (9.0, 2.0, 20.0), (6.0, 0.0, -70.0)],
        [12.0 * wide, 11.5 * wide, 10.0 * wide, 9.0 * wide],
        pieces=10,
    )
    below = [(-46.0, 10.0, -190.0), (-20.0, 4.0, -90.0), (-21.0, 2.0, 20.0)]
    cava = tube([*below, (-24.0, 4.0, 70.0), _CAVA_IN_LIVER, (-14.0, -14.0, 140.0)], [10.5 * wide] * 6, pieces=12)
    confluence: Vector = (-8.0, -14.0, 14.0)
    portal = [
        *_vessel([confluence, (-22.0, -10.0, 30.0), _PORTA], 6.5),
        *_vessel([confluence, (26.0, -8.0, 24.0), (60.0, 14.0, 44.0), (84.0, 30.0, 56.0)], 4.2),
        *_vessel([confluence, (-6.0, -22.0, -30.0), (-12.0, -26.0, -110.0)], 5.0),
    ]
    mesenteric = tube([(9.0, -8.0, 24.0), (6.0, -22.0, -10.0), (4.0, -24.0, -110.0)], [3.6] * 3, pieces=5)
    renal_veins = [
        *_vessel([(-24.0, 4.0, -8.0), (-44.0, 24.0, -10.0)], 4.0),
        *_vessel([(-16.0, -6.0, 2.0), (12.0, -11.0, 4.0), (44.0, 22.0, 2.0)], 4.0),
    ]
    renal_arteries = [
        *_vessel([(6.0, 4.0, 4.0), (-24.0, 18.0, -4.0), (-44.0, 26.0, -8.0)], 2.6),
        *_vessel([(12.0, 4.0, 4.0), (44.0, 26.0, 4.0)], 2.6),
    ]
    crura = (
        *tube([(-10.0, 6.0, 90.0), (-8.0, 12.0, 0.0)], [6.0, 4.0], pieces=3),
        *tube([(24.0, 6.0, 90.0), (19.0, 12.0, 0.0)], [6.0, 4.0], pieces=3),
    )
    celiac = tube([(10.0, -4.0, 36.0), (8.0, -20.0, 34.0), (-20.0, -16.0, 34.0)], [3.5, 3.2, 2.6], pieces=4)
    return [
        Part(Tissue.MUSCLE, crura),
        Part(Tissue.GUT_WALL, tuple(Grown(piece, 1.2) for piece in (*aorta, *mesenteric))),
        Part(Tissue.VEIN, (*cava, *renal_veins)),
        Part(Tissue.PORTAL_VEIN, tuple(portal)),
        Part(Tissue.ARTERY, (*aorta, *mesenteric, *celiac, *renal_arteries)),
    ]


def liver_vessel_parts(chance: Chance) -> list[Part]:
    """Portal branches and hepatic veins inside the liver; they stay liver in the label map, as raters draw it."""
    right: Vector = chance.near((-74.0, -2.0, 50.0), 4.0)
    left: Vector = chance.near((-28.0, -40.0, 66.0), 4.0)
    portal = [
        *_vessel([_PORTA, right], 5.0),
        *_vessel([_PORTA, left, chance.near((4.0, -54.0, 78.0), 4.0)], 4.0),
        *_branches(
            right, [(-96.0, -50.0, 58.0), (-106.0, 26.0, 74.0), (-100.0, 16.0, 20.0), (-86.0, -36.0, 22.0)], chance
        ),
    ]
    hepatic = [
        piece
        for middle, end in (
            ((-58.0, 14.0, 92.0), (-100.0, 34.0, 66.0)),
            ((-50.0, -22.0, 86.0), (-70.0, -62.0, 50.0)),
            ((-22.0, -26.0, 92.0), (2.0, -52.0, 76.0)),
        )
        for piece in tube([_CAVA_IN_LIVER, chance.near(middle, 3.0), chance.near(end, 4.0)], [5.0, 3.8, 1.8], pieces=6)
    ]
    return [
        Part(Tissue.PORTAL_VEIN, tuple(portal), within=Label.LIVER),
        Part(Tissue.VEIN, tuple(hepatic), within=Label.LIVER),
    ]


def _branches(root: Vector, ends: Sequence[Vector], chance: Chance) -> list[Capsule]:
    pieces: list[Capsule] = []
    for end in ends:
        fork = chance.near(tuple((2 * a + b) / 3 for a, b in zip(root, end, strict=True)), 3.0)  # type: ignore[arg-type]
        pieces += tube([root, fork, chance.near(end, 5.0)], [4.0, 3.2, 1.5], pieces=4)
    return pieces


def _vessel(path: Sequence[Vector], radius_mm: float) -> tuple[Capsule, ...]:
    return tube(path, [radius_mm] * len(path), pieces=2 * len(path))
