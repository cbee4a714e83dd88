"""A sign for each level of quality, told apart by its shape as well as by its colour."""

from typing import Any

import qt

from CISFASegmentationLib.organ_results import Level

SIZE_PX = 16
_GREEN, _AMBER, _RED = (67, 160, 71), (255, 179, 0), (211, 47, 47)
_DARK, _WHITE = (33, 33, 33), (255, 255, 255)


def quality_icon(level: Level, pixel_ratio: float) -> Any:
    """A disc for green, a triangle with a mark for amber, a square with a cross for red.

    Args:
        level: Of an organ.
        pixel_ratio: Dots a pixel of the screen it is for, so that it is sharp there.
    """
    dots = round(SIZE_PX * pixel_ratio)
    pixmap = qt.QPixmap(dots, dots)
    pixmap.setDevicePixelRatio(pixel_ratio)
    pixmap.fill(qt.QColor(0, 0, 0, 0))
    painter = qt.QPainter(pixmap)
    painter.setRenderHint(qt.QPainter.Antialiasing, True)
    try:
        _DRAWN[level](painter)
    finally:
        painter.end()
    return qt.QIcon(pixmap)


def _draw_disc(painter: Any) -> None:
    _use(painter, _GREEN)
    painter.drawEllipse(qt.QPointF(8, 8), 4.5, 4.5)


def _draw_triangle(painter: Any) -> None:
    _use(painter, _AMBER)
    painter.drawPolygon(qt.QPolygonF([qt.QPointF(8, 2), qt.QPointF(15, 14), qt.QPointF(1, 14)]))
    _stroke(painter, _DARK, [((8, 6), (8, 9)), ((8, 12), (8, 12))])


def _draw_square(painter: Any) -> None:
    painter.fillRect(2, 2, 12, 12, qt.QColor(*_RED))
    _stroke(painter, _WHITE, [((5, 5), (11, 11)), ((11, 5), (5, 11))])


def _use(painter: Any, colour: tuple[int, int, int]) -> None:
    painter.setPen(qt.QPen(qt.QColor(*colour)))
    painter.setBrush(qt.QBrush(qt.QColor(*colour)))


def _stroke(painter: Any, colour: tuple[int, int, int], lines: list[tuple[tuple[int, int], tuple[int, int]]]) -> None:
    painter.setPen(qt.QPen(qt.QBrush(qt.QColor(*colour)), 2.0, qt.Qt.SolidLine, qt.Qt.RoundCap))
    for start, end in lines:
        painter.drawLine(*start, *end)


_DRAWN = {Level.GREEN: _draw_disc, Level.AMBER: _draw_triangle, Level.RED: _draw_square}
