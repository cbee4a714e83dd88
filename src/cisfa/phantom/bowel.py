"""The gut: stomach, duodenum, small bowel and colon, each a wall around fluid, chyme, faeces and gas."""

import numpy as np

from cisfa.phantom.chance import Chance, Vector
from cisfa.phantom.part import Part
from cisfa.phantom.shapes import Capsule, Grown, HalfSpace, Intersection, Shape, tube
from cisfa.phantom.tissues import Tissue
from cisfa.phantom.trunk import Trunk

# where loops wander, (lowest, highest) corners, and how many: the belly, and the niches beside and between the organs
_LOOPS: tuple[tuple[Vector, Vector, int], ...] = (
    ((-84.0, -82.0, -140.0), (84.0, 6.0, -16.0), 11),
    ((-112.0, -60.0, -130.0), (-50.0, 40.0, -28.0), 3),
    ((44.0, -60.0, -130.0), (112.0, 44.0, -20.0), 3),
    ((20.0, -80.0, -20.0), (108.0, 10.0, 62.0), 4),
    ((-60.0, -84.0, -24.0), (20.0, -20.0, 34.0), 2),
)


def stomach_parts(trunk: Trunk, chance: Chance) -> list[Part]:
    """The stomach, more or less full, with gas above the fluid of a patient who lies on the back."""
    fullness = chance.normal(0.95, 0.16)
    path = [
        chance.near((62.0, 24.0, 96.0), 4.0),
        chance.near((70.0, 6.0, 74.0), 4.0),
        chance.near((58.0, -28.0, 48.0), 5.0),
        chance.near((36.0, -56.0, 24.0), 5.0),
        chance.near((4.0, -60.0, 12.0), 5.0),
        chance.near((-22.0, -46.0, 14.0), 4.0),
    ]
    radii = [30.0 * fullness, 34.0 * fullness, 31.0 * fullness, 25.0 * fullness, 18.0, 10.0]
    pieces = tube(path, radii, pieces=9)
    wall_mm = chance.uniform(3.0, 5.0)
    lumen = [trunk.fitted(Grown(piece, -wall_mm), gap_mm=wall_mm) for piece in pieces]
    surface = HalfSpace((0.0, chance.uniform(-75.0, -25.0), 0.0), (0.0, 1.0, 0.0))
    return [
        Part(Tissue.VISCERAL_FAT, tuple(trunk.fitted(Grown(piece, 1.5), gap_mm=0.0) for piece in pieces)),
        Part(Tissue.GUT_WALL, tuple(trunk.fitted(piece, gap_mm=1.0) for piece in pieces)),
        Part(Tissue.STOMACH_CONTENT, tuple(lumen)),
        Part(Tissue.GAS, tuple(Intersection((piece, surface)) for piece in lumen)),
    ]


def intestine_parts(trunk: Trunk, chance: Chance) -> list[Part]:
    """Small bowel loops, colon and duodenum."""
    duodenum = [
        (-24.0, -42.0, 14.0),
        (-44.0, -20.0, 8.0),
        (-44.0, -6.0, -18.0),
        (-22.0, -8.0, -38.0),
        (16.0, -10.0, -36.0),
    ]
    return [
        *_small_bowel_parts(trunk, chance),
        *_colon_parts(trunk, chance),
        *_filled(tube([chance.near(place, 3.0) for place in duodenum], [11.0] * 5, pieces=9), trunk, chance),
    ]


def _small_bowel_parts(trunk: Trunk, chance: Chance) -> list[Part]:
    parts: list[Part] = []
    for low, high, count in _LOOPS:
        for _ in range(count):
            parts += _filled(_wandering(chance, low, high, pieces=10), trunk, chance)
    return parts


def _colon_parts(trunk: Trunk, chance: Chance) -> list[Part]:
    sag = chance.uniform(-30.0, 15.0)
    path = [
        (-104.0, 18.0, -150.0),
        (-106.0, 18.0, -70.0),
        (-98.0, 0.0, -34.0),
        (-66.0, -62.0, -34.0 + 0.3 * sag),
        (0.0, -74.0, -36.0 + sag),
        (58.0, -62.0, -8.0 + 0.3 * sag),
        (98.0, -14.0, 26.0),
        (110.0, 18.0, 10.0),
        (110.0, 24.0, -60.0),
        (104.0, 22.0, -150.0),
    ]
    width = chance.normal(19.0, 3.0)
    smooth = tube([chance.near(place, 5.0) for place in path], [width * chance.ratio(0.15) for _ in path], pieces=44)
    haustra = [1.0 + 0.16 * float(np.sin(1.9 * number)) for number in range(len(smooth) + 1)]
    pieces = tuple(
        Capsule(piece.start, piece.end, piece.start_radius * before, piece.end_radius * after)
        for piece, before, after in zip(smooth, haustra[:-1], haustra[1:], strict=True)
    )
    return _filled(pieces, trunk, chance, colon=True)


def _wandering(chance: Chance, lowest: Vector, highest: Vector, *, pieces: int) -> tuple[Capsule, ...]:
    """A loop that wanders through a box, turning back at its sides."""
    low, high = np.array(lowest), np.array(highest)
    at = np.array([chance.uniform(a, b) for a, b in zip(low, high, strict=True)])
    heading = np.array(chance.direction())
    path: list[Vector] = []
    for _ in range(pieces):
        path.append((float(at[0]), float(at[1]), float(at[2])))
        heading = 0.7 * heading + 0.9 * np.array(chance.direction())
        heading /= max(float(np.linalg.norm(heading)), 1e-6)
        ahead = at + 22.0 * heading
        heading = np.where((ahead < low) | (ahead > high), -heading, heading)
        at = np.clip(at + 22.0 * heading, low, high)
    width = chance.normal(13.5, 2.0)
    return tube(path, [width * chance.ratio(0.12) for _ in path], pieces=2 * pieces)


def _filled(pieces: tuple[Capsule, ...], trunk: Trunk, chance: Chance, *, colon: bool = False) -> list[Part]:
    """Wall, content and gas of a stretch of gut; the content changes along it."""
    wall_mm = chance.uniform(1.8, 3.0)
    contents = (Tissue.GUT_FLUID, Tissue.CHYME, Tissue.FAECES, Tissue.GUT_WALL)
    weights = [0.25, 0.25, 0.4, 0.1] if colon else [0.5, 0.35, 0.0, 0.15]
    inside: dict[Tissue, list[Shape]] = {tissue: [] for tissue in contents}
    gas: list[Shape] = []
    content, has_gas = contents[chance.count(weights)], False
    for number, piece in enumerate(pieces):
        if number % 5 == 0:
            content, has_gas = contents[chance.count(weights)], chance.happens(0.45 if colon else 0.2)
        lumen = trunk.fitted(Grown(piece, -wall_mm), gap_mm=wall_mm)
        inside[content].append(lumen)
        if has_gas:
            level = piece.start[1] + chance.uniform(-0.7, 0.5) * piece.start_radius
            gas.append(Intersection((lumen, HalfSpace((0.0, level, 0.0), (0.0, 1.0, 0.0)))))
    walls = tuple(trunk.fitted(piece, gap_mm=1.0) for piece in pieces)
    return [
        Part(Tissue.VISCERAL_FAT, tuple(trunk.fitted(Grown(piece, 0.7), gap_mm=0.0) for piece in pieces)),
        Part(Tissue.GUT_WALL, walls),
        *(Part(tissue, tuple(shapes)) for tissue, shapes in inside.items() if shapes),
        Part(Tissue.GAS, tuple(gas)),
    ]
