"""The spine: one vertebra with its disc, again and again along a gentle curve."""

from dataclasses import dataclass

import numpy as np

from cisfa.phantom.chance import Chance
from cisfa.phantom.fields import Points, Scalars
from cisfa.phantom.part import Part
from cisfa.phantom.shapes import (
    EVERYWHERE,
    Box,
    Capsule,
    Cylinder,
    Ellipsoid,
    Grown,
    Intersection,
    Outside,
    Shape,
    Union,
)
from cisfa.phantom.tissues import Tissue

VERTEBRA_MM = 36.0
"""From one disc to the next, and so from one rib to the next."""


def spine_parts(chance: Chance) -> list[Part]:
    """Vertebrae, discs, and the canal with its fluid and cord."""
    curve = _Curve(chance.normal(0.0, 5.0), chance.normal(7.0, 3.0))
    wide, deep = chance.normal(23.0, 1.5), chance.normal(17.0, 1.2)
    column = Cylinder((0.0, 30.0), (wide, deep), 0.15)
    body_slab = _Slab(13.5)
    canal = Cylinder((0.0, 55.0), (10.5, 8.0))
    arch = Union(
        (
            Intersection((Outside(Grown(canal, 1.0)), Cylinder((0.0, 55.0), (20.0, 14.0)), _Slab(11.0))),
            Ellipsoid((0.0, 75.0, -7.0), (3.6, 14.0, 11.0)),
            Capsule((-31.0, 59.0, 2.0), (31.0, 59.0, 2.0), 4.0, 4.0),
            Capsule((-17.0, 45.0, 5.0), (-17.0, 56.0, 5.0), 5.0, 5.0),
            Capsule((17.0, 45.0, 5.0), (17.0, 56.0, 5.0), 5.0, 5.0),
        )
    )
    cord = Ellipsoid((0.0, 55.0, 165.0), (5.5, 4.2, 155.0))

    def along(shape: Shape) -> tuple[Shape]:
        return (_Repeated(shape, curve),)

    return [
        Part(Tissue.DISC, along(Grown(column, 1.0))),
        Part(Tissue.CORTICAL_BONE, along(Intersection((column, body_slab)))),
        Part(Tissue.MARROW, along(Intersection((Grown(column, -1.8), Grown(body_slab, -1.5))))),
        Part(Tissue.CORTICAL_BONE, along(Intersection((arch, Outside(canal))))),
        Part(Tissue.MARROW, along(Intersection((Grown(arch, -1.6), Outside(Grown(canal, 2.0)))))),
        Part(Tissue.VISCERAL_FAT, along(canal)),
        Part(Tissue.SPINAL_FLUID, along(Grown(canal, -2.0))),
        Part(Tissue.SPINAL_CORD, (_Curved(cord, curve),)),
    ]


@dataclass(frozen=True)
class _Curve:
    """How far the spine bends: to the side (scoliosis) and to the front (lordosis), mm."""

    aside_mm: float
    forward_mm: float

    def straightened(self, at: Points) -> Points:
        return Points(
            at.x - self.aside_mm * np.sin(at.z / 95.0),
            at.y + self.forward_mm * np.cos((at.z + 40.0) / 75.0) - self.forward_mm * 0.5,
            at.z,
        )


@dataclass(frozen=True)
class _Curved:
    """A shape that follows the bends of the spine."""

    shape: Shape
    curve: _Curve

    @property
    def bounds(self) -> Box:
        reach = np.array([abs(self.curve.aside_mm), 1.5 * abs(self.curve.forward_mm), 0.0])
        low, high = self.shape.bounds
        return np.stack([low - reach, high + reach])

    def depth(self, at: Points) -> Scalars:
        return self.shape.depth(self.curve.straightened(at))


@dataclass(frozen=True)
class _Repeated:
    """A shape around z = 0 that comes again with every vertebra, along the bends of the spine."""

    shape: Shape
    curve: _Curve

    @property
    def bounds(self) -> Box:
        box = _Curved(self.shape, self.curve).bounds.copy()
        box[:, 2] = EVERYWHERE[:, 2]
        return box

    def depth(self, at: Points) -> Scalars:
        x, y, z = self.curve.straightened(at)
        # the origin is level with a disc, so vertebrae stand half a period off
        from_middle = np.mod(z, np.float32(VERTEBRA_MM)) - np.float32(VERTEBRA_MM / 2.0)
        return self.shape.depth(Points(x, y, from_middle))


@dataclass(frozen=True)
class _Slab:
    """What lies within some mm of z = 0."""

    half_mm: float

    @property
    def bounds(self) -> Box:
        return EVERYWHERE

    def depth(self, at: Points) -> Scalars:
        return np.float32(self.half_mm) - np.abs(at.z)
