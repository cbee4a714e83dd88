"""Smooth random fields over space, and the coarse lattice they are cheap on."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cisfa.phantom.chance import Chance, Vector

Scalars = NDArray[np.float32]


class Points(NamedTuple):
    """Places in mm, one array a coordinate, all of one shape: x to the Left, y to the Posterior, z to the Superior."""

    x: Scalars
    y: Scalars
    z: Scalars


@dataclass(frozen=True)
class Waves:
    """A smooth random field of unit variance: a sum of plane waves.

    Attributes:
        wave_vectors: Radians per mm, one vector a wave.
        phases: Radians.
    """

    wave_vectors: tuple[Vector, ...]
    phases: tuple[float, ...]

    @classmethod
    def random(cls, chance: Chance, *, shortest_mm: float, longest_mm: float, count: int = 5) -> "Waves":
        """Draw waves in all directions with lengths between two bounds."""
        vectors, phases = [], []
        for _ in range(count):
            number = 2.0 * np.pi / chance.uniform(shortest_mm, longest_mm)
            x, y, z = chance.direction()
            vectors.append((number * x, number * y, number * z))
            phases.append(chance.uniform(0.0, 2.0 * np.pi))
        return cls(tuple(vectors), tuple(phases))

    def at(self, points: Points) -> Scalars:
        """The field's values, shaped like the points' coordinates."""
        total = np.zeros_like(points.x)
        for (kx, ky, kz), phase in zip(self.wave_vectors, self.phases, strict=True):
            total += np.sin(kx * points.x + ky * points.y + kz * points.z + phase)
        return total * np.float32(np.sqrt(2.0 / len(self.phases)))


def lattice(count: int, stride: int) -> NDArray[np.intp]:
    """Every ``stride``-th index of an axis, and its last."""
    return np.unique(np.append(np.arange(0, count, stride), count - 1))


def between(values: NDArray[Any], nodes: NDArray[np.intp], count: int, *, axis: int) -> NDArray[Any]:
    """Interpolate linearly along one axis from lattice nodes to all ``count`` indices.

    Element by element, so that the result does not depend on a linear algebra library or its threads.
    """
    index = np.arange(count)
    left = np.clip(np.searchsorted(nodes, index, side="right") - 1, 0, max(len(nodes) - 2, 0))
    right = np.minimum(left + 1, len(nodes) - 1)
    span = np.maximum(nodes[right] - nodes[left], 1)
    shape = [1] * values.ndim
    shape[axis] = count
    weight = ((index - nodes[left]) / span).astype(values.dtype).reshape(shape)
    start, end = np.take(values, left, axis=axis), np.take(values, right, axis=axis)
    filled: NDArray[Any] = start + weight * (end - start)
    return filled
