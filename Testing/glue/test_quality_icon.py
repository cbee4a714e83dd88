"""Signs that a reader who sees no red and green tells apart, and that are sharp on every screen."""

from itertools import combinations

import pytest

from CISFASegmentationLib.organ_results import Level
from CISFASegmentationLib.quality_icon import SIZE_PX, quality_icon


def image_of(level: Level, ratio: float = 1.0):
    return quality_icon(level, ratio)._native.pixmap(SIZE_PX, SIZE_PX).toImage()


def covered(level: Level) -> set[tuple[int, int]]:
    image = image_of(level)
    return {(x, y) for x in range(SIZE_PX) for y in range(SIZE_PX) if image.pixelColor(x, y).alpha() > 127}


@pytest.mark.parametrize(("one", "other"), list(combinations(Level, 2)))
def test_the_signs_differ_in_shape(host, one: Level, other: Level) -> None:
    first, second = covered(one), covered(other)
    assert len(first ^ second) > 0.25 * len(first | second)


def test_only_the_signs_of_doubt_have_a_mark_inside(host) -> None:
    def shades(level: Level) -> int:
        """Different brightnesses well inside the sign, where no edge is smoothed."""
        image = image_of(level)
        return len({image.pixelColor(x, y).lightness() // 64 for x in range(6, 10) for y in range(6, 11)})

    assert shades(Level.GREEN) == 1
    assert shades(Level.AMBER) > 1
    assert shades(Level.RED) > 1


@pytest.mark.parametrize("level", Level)
def test_a_finer_screen_gets_more_dots(host, level: Level) -> None:
    icon = quality_icon(level, 2.0)._native
    assert icon.availableSizes()[0].width() * icon.pixmap(SIZE_PX, SIZE_PX).devicePixelRatio() >= SIZE_PX
    assert quality_icon(level, 2.0)._native.pixmap(2 * SIZE_PX, 2 * SIZE_PX).width() == 2 * SIZE_PX
