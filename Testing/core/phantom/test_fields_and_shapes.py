"""Shapes must say how deep a place lies in mm: soft borders, and so partial volume, follow from it."""

from itertools import pairwise

import numpy as np
import pytest

from cisfa.phantom.chance import Chance
from cisfa.phantom.fields import Points, Waves, between, lattice
from cisfa.phantom.shapes import (
    Capsule,
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

WAVES = Waves.random(Chance(np.random.SeedSequence(5)), shortest_mm=20.0, longest_mm=50.0)
BALL = Ellipsoid((4.0, -7.0, 11.0), (20.0, 20.0, 20.0))
EGG = Ellipsoid((4.0, -7.0, 11.0), (12.0, 20.0, 31.0), turned(20.0, -35.0, 50.0))
ROD = Capsule((-10.0, 3.0, 5.0), (14.0, -8.0, 22.0), 6.0, 3.0)


def points(*places: tuple[float, float, float]) -> Points:
    return Points(*np.array(places, np.float32).T)


def scattered(count: int = 4000, reach_mm: float = 60.0) -> Points:
    places = np.random.default_rng(3).uniform(-reach_mm, reach_mm, (3, count)).astype(np.float32)
    return Points(*places)


def test_depth_in_a_ball_is_the_distance_to_its_surface() -> None:
    at = points((4.0, -7.0, 28.0), (4.0, -7.0, 36.0), (-16.0, -7.0, 11.0))
    assert BALL.depth(at) == pytest.approx([3.0, -5.0, 0.0], abs=1e-3)


def test_depth_in_an_egg_is_right_to_first_order_at_its_surface() -> None:
    # 1 mm out along each of its own axes
    outside = [
        np.add(EGG.centre, np.multiply(axis, radius + 1.0)) for axis, radius in zip(EGG.axes, EGG.radii, strict=True)
    ]
    assert EGG.depth(points(*outside)) == pytest.approx([-1.0, -1.0, -1.0], abs=0.1)


def test_the_centre_of_an_egg_is_no_deeper_than_its_shortest_radius() -> None:
    assert EGG.depth(points(EGG.centre)) == pytest.approx([12.0], rel=1e-5)  # float32


def test_depth_in_a_capsule_follows_its_changing_radius() -> None:
    middle = tuple(np.mean([ROD.start, ROD.end], axis=0))
    assert ROD.depth(points(ROD.start, middle, ROD.end)) == pytest.approx([6.0, 4.5, 3.0], abs=1e-4)


def test_a_square_cylinder_fills_its_corners_and_an_elliptic_one_does_not() -> None:
    corner = points((80.0, 48.0, -400.0))
    assert Cylinder((0.0, 0.0), (100.0, 60.0), squareness=0.8).depth(corner) > 0
    assert Cylinder((0.0, 0.0), (100.0, 60.0)).depth(corner) < 0


def test_far_outside_a_square_cylinder_is_outside() -> None:
    far = points((400.0, 300.0, 0.0), (-900.0, 900.0, 10.0))
    assert (Cylinder((0.0, 0.0), (100.0, 60.0), squareness=0.5).depth(far) < 0).all()


def test_a_blended_union_fills_the_crease_and_nothing_far_from_it() -> None:
    other = Ellipsoid((30.0, -7.0, 11.0), (14.0, 14.0, 14.0))
    plain, blended = Union((BALL, other)), Union((BALL, other), blend_mm=8.0)
    crease, pole = points((20.0, 5.6, 11.0)), points((-16.0, -7.0, 11.0))
    assert plain.depth(crease) < 0 < blended.depth(crease)
    assert blended.depth(pole) == pytest.approx(plain.depth(pole))


@pytest.mark.parametrize(
    "shape",
    [
        BALL,
        EGG,
        ROD,
        Union((EGG, ROD), blend_mm=9.0),
        Intersection((EGG, Outside(ROD))),
        Intersection((BALL, HalfSpace((0.0, 0.0, 12.0), (0.0, 0.0, 1.0)))),
        Grown(EGG, 5.0),
        Grown(EGG, -5.0),
        Rough(ROD, WAVES, 2.0),
        Intersection((BALL, Clumps(WAVES, 0.5, 4.0))),
        Intersection((Cylinder((3.0, 4.0), (22.0, 11.0), 0.4), BALL)),
    ],
    ids=lambda shape: type(shape).__name__,
)
def test_nothing_of_a_shape_lies_outside_its_bounds(shape: Shape) -> None:
    at = scattered()
    places = np.stack(at, axis=1)
    inside = shape.depth(at) > 0
    low, high = shape.bounds
    assert inside.any()
    assert (places[inside] >= low).all()
    assert (places[inside] <= high).all()


def test_depths_stay_in_single_precision() -> None:
    at = scattered(10)
    shapes = [EGG, ROD, Rough(Union((EGG, ROD), blend_mm=3.0), WAVES, 1.0), Cylinder((0.0, 0.0), (9.0, 8.0), 0.3)]
    assert {shape.depth(at).dtype for shape in shapes} == {np.dtype(np.float32)}


def test_a_tube_is_unbroken_and_keeps_its_radius() -> None:
    pieces = tube([(0.0, 0.0, 0.0), (40.0, 0.0, 0.0), (40.0, 50.0, 20.0)], [5.0, 5.0, 5.0], pieces=9)
    assert len(pieces) == 9
    assert all(one.end == other.start for one, other in pairwise(pieces))
    assert [piece.start_radius for piece in pieces] == pytest.approx([5.0] * 9)


def test_turning_keeps_axes_square_and_of_unit_length() -> None:
    axes = np.array(turned(12.0, -40.0, 75.0))
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)


def test_waves_have_unit_variance_and_change_slowly() -> None:
    waves = Waves.random(Chance(np.random.SeedSequence(1)), shortest_mm=100.0, longest_mm=200.0, count=6)
    at = scattered(20000, reach_mm=2000.0)
    values = waves.at(at)
    assert float(values.std()) == pytest.approx(1.0, abs=0.05)
    beside = waves.at(Points(at.x + np.float32(1.0), at.y, at.z))
    assert float(np.abs(beside - values).max()) < 6**0.5 * 2**0.5 * 2 * np.pi / 100.0


def test_interpolating_from_a_lattice_is_exact_for_straight_lines() -> None:
    nodes = lattice(21, 8)
    assert nodes.tolist() == [0, 8, 16, 20]
    line = (3.0 * np.arange(21) - 5.0).astype(np.float32)
    np.testing.assert_allclose(between(line[nodes][None], nodes, 21, axis=1)[0], line, rtol=1e-6)


def test_a_chance_with_another_spread_draws_the_same_patient_exaggerated() -> None:
    mild, strong = (Chance(np.random.SeedSequence(8), spread=spread) for spread in (0.5, 1.5))
    strays = [(mild.normal(10.0, 2.0) - 10.0, strong.normal(10.0, 2.0) - 10.0) for _ in range(20)]
    assert all(wide == pytest.approx(3.0 * narrow) for narrow, wide in strays)
    assert mild.uniform(2.0, 3.0) == strong.uniform(2.0, 3.0)


def test_no_measure_strays_further_than_two_standard_deviations() -> None:
    chance = Chance(np.random.SeedSequence(2))
    assert max(abs(chance.normal(0.0, 1.0)) for _ in range(2000)) == 2.0
