"""What plots are painted with: Qt's painter on a picture that a label shows."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from cisfa.errors import CisfaError
from CISFATrainingLib.plot_scale import (
    Axis,
    Point,
    Scale,
    tick_texts,
)

Colour = tuple[int, int, int]

MARGIN_PX = 8
SMALLEST_PX = (200, 140)  # width, height; a label that has no place yet is smaller
LEFT, CENTRE, RIGHT = qt.Qt.AlignLeft, qt.Qt.AlignHCenter, qt.Qt.AlignRight
# Qt needs a hundred times as long for one thick line through a thousand points as for many short ones
_POINTS_A_STROKE = 8


class PictureError(CisfaError):
    """A picture cannot be written."""


class Canvas:
    """A pixmap as large as its label, in the colours of the label's palette; all lengths are in logical pixels."""

    def __init__(self, label: Any, pixmap: Any, painter: Any) -> None:
        """Take over what ``painting_for`` made."""
        ratio = pixmap.devicePixelRatioF()
        self.width, self.height = round(pixmap.width() / ratio), round(pixmap.height() / ratio)
        self.background = _rgb(label.palette.color(qt.QPalette.Base))
        self.foreground = _rgb(label.palette.color(qt.QPalette.Text))
        self._painter, self._fonts = painter, (qt.QFont(label.font), qt.QFont(label.font))
        self._fonts[True].setBold(True)
        pixmap.fill(qt.QColor(*self.background))
        self.text_height = self.text_size("Ag")[1]

    def faded(self, colour: Colour, part: float) -> Colour:
        """A colour of which a part, 0 to 1, stands out from the background; opaque, so that crossings do not show."""
        red, green, blue = (
            round(part * own + (1 - part) * back) for own, back in zip(colour, self.background, strict=True)
        )
        return red, green, blue

    def text_size(self, text: str, *, is_bold: bool = False) -> tuple[int, int]:
        """Width and height of a line of text."""
        self._painter.setFont(self._fonts[is_bold])
        self._painter.setPen(qt.QPen(qt.QColor(*self.foreground)))  # without a pen, Qt says that text has no size
        found = self._painter.boundingRect(0, 0, 10000, 1000, int(LEFT), text)
        return found.width(), found.height()

    def shortened(self, text: str, width: int, *, is_bold: bool = False) -> str:
        """A text that is no wider than that, with … for what is missing."""
        tries = [text, *(f"{text[:length]}…" for length in range(len(text) - 1, 0, -1))]
        return next((each for each in tries if self.text_size(each, is_bold=is_bold)[0] <= width), "…")

    def text(self, at: Point, align: int, text: str, *, part: float = 1.0, is_bold: bool = False) -> None:
        """Write a line: ``at`` is the middle of its height, and in its width where ``align`` says."""
        width, height = self.text_size(text, is_bold=is_bold)
        left = at[0] - {int(LEFT): 0, int(CENTRE): width / 2, int(RIGHT): width}[int(align)]
        self._painter.setPen(qt.QPen(qt.QColor(*self.faded(self.foreground, part))))
        # wider than measured, since Qt rounds and would cut off
        self._painter.drawText(round(left), round(at[1] - height / 2), width + 4, height, int(LEFT), text)

    def straight(self, start: Point, end: Point, colour: Colour, width: float = 1.0) -> None:
        """A level or upright line, sharp to the pixel."""
        self._painter.setRenderHint(qt.QPainter.Antialiasing, False)
        self._painter.setPen(qt.QPen(qt.QBrush(qt.QColor(*colour)), width, qt.Qt.SolidLine, qt.Qt.FlatCap))
        self._painter.drawLine(round(start[0]), round(start[1]), round(end[0]), round(end[1]))

    def polyline(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        """A line through points; a single one becomes a dot."""
        if len(points) == 1:
            self.dot(points[0], 2.0 * width, colour)
            return
        self._painter.setRenderHint(qt.QPainter.Antialiasing, True)
        pen = qt.QPen(qt.QBrush(qt.QColor(*colour)), width, qt.Qt.SolidLine, qt.Qt.RoundCap, qt.Qt.RoundJoin)
        self._painter.setPen(pen)
        corners = [qt.QPointF(*point) for point in points]
        stride = _POINTS_A_STROKE if width > 1 else len(corners)
        for start in range(0, len(corners) - 1, stride):
            self._painter.drawPolyline(qt.QPolygonF(corners[start : start + stride + 1]))

    def dot(self, at: Point, radius: float, colour: Colour) -> None:
        """A filled circle."""
        self._painter.setRenderHint(qt.QPainter.Antialiasing, True)
        self._painter.setPen(qt.QPen(qt.QColor(*colour)))
        self._painter.setBrush(qt.QBrush(qt.QColor(*colour)))
        self._painter.drawEllipse(qt.QPointF(*at), radius - 0.5, radius - 0.5)  # the pen adds half a pixel

    def block(self, corner: Point, opposite: Point, colour: Colour) -> None:
        """A filled rectangle."""
        left, top = round(corner[0]), round(corner[1])
        self._painter.fillRect(left, top, round(opposite[0]) - left, round(opposite[1]) - top, qt.QColor(*colour))

    def title(self, text: str) -> int:
        """Write the title; returns the y below it."""
        shown = self.shortened(text, self.width - 2 * MARGIN_PX, is_bold=True)
        self.text((MARGIN_PX, MARGIN_PX + self.text_height / 2), LEFT, shown, is_bold=True)
        return MARGIN_PX + self.text_height + MARGIN_PX // 2

    def y_axis(self, scale: Scale, span: tuple[float, float], title: str) -> tuple[Axis, int]:
        """Draw the axis of values with lines across the picture.

        Args:
            scale: In data units.
            span: Top and bottom of the plot.
            title: Written beside it; may be empty.

        Returns:
            The axis, and the x at which the plot begins.
        """
        axis = Axis(scale, span[1], span[0])
        ticks = scale.ticks(max(2, int((span[1] - span[0]) / (1.8 * self.text_height))))
        texts = tick_texts(ticks, is_log=scale.is_log)
        title_width = self.text_height + 2 if title else 0
        widest = max((self.text_size(text)[0] for text in texts), default=0)
        left = MARGIN_PX + title_width + widest + MARGIN_PX
        for tick, text in zip(ticks, texts, strict=True):
            y = axis.position(tick)
            self.straight((left, y), (self.width - MARGIN_PX, y), self.faded(self.foreground, 0.14))
            self.text((left - MARGIN_PX / 2, y), RIGHT, text, part=0.7)
        if title:  # from below to above
            self._painter.save()
            self._painter.translate(MARGIN_PX + self.text_height / 2, (span[0] + span[1]) / 2)
            self._painter.rotate(-90.0)
            self.text((0, 0), CENTRE, self.shortened(title, int(span[1] - span[0])), part=0.7)
            self._painter.restore()
        return axis, left


def _rgb(colour: Any) -> Colour:
    return colour.red(), colour.green(), colour.blue()


@contextmanager
def painting_for(label: Any) -> Iterator[tuple[Canvas, Any]]:
    """A canvas for a label and the pixmap under it; the painter is put away whatever happens."""
    inside, ratio = label.contentsRect(), label.devicePixelRatioF()
    width, height = max(inside.width(), SMALLEST_PX[0]), max(inside.height(), SMALLEST_PX[1])
    pixmap = qt.QPixmap(round(width * ratio), round(height * ratio))
    pixmap.setDevicePixelRatio(ratio)
    painter = qt.QPainter(pixmap)
    try:
        yield Canvas(label, pixmap, painter), pixmap
    finally:
        painter.end()


class Picture:
    """A label that shows what was painted, or a sentence instead."""

    def __init__(self, label: Any) -> None:
        """Show nothing yet.

        Args:
            label: A QLabel. Its layout gives it its size, down to its minimum height, whatever it shows.
        """
        self._label = label
        self._paint: Callable[[Canvas], None] | None = None
        policy = label.sizePolicy
        policy.setHorizontalPolicy(qt.QSizePolicy.Ignored)  # else no label ever gets smaller than its last picture
        policy.setVerticalPolicy(qt.QSizePolicy.Ignored)
        label.setSizePolicy(policy)
        if label.minimumHeight == 0:
            label.setMinimumHeight(SMALLEST_PX[1])
        label.setAlignment(qt.Qt.AlignCenter)
        label.setTextFormat(qt.Qt.PlainText)
        label.setWordWrap(True)

    def clear(self, message: str) -> None:
        """Show a sentence: "No curves yet."."""
        self._paint = None
        self._label.setText(message)
        self._label.toolTip = ""

    def refresh(self) -> None:
        """Paint the same again, at the label's present size and in its present colours."""
        if self._paint is not None:
            with painting_for(self._label) as (canvas, pixmap):
                self._paint(canvas)
            self._label.setPixmap(pixmap)

    def save(self, path: Path) -> None:
        """Write what is shown as a PNG, whole or not at all.

        Raises:
            PictureError: There is no picture, or no place to write it.
        """
        if self._paint is None:
            raise PictureError(_("There is no picture to save yet. Try again when it is shown."))
        unfinished = path.with_name(f".writing-{path.name}")
        try:
            if not self._label.pixmap.save(str(unfinished), "PNG"):
                raise OSError
            os.replace(unfinished, path)
        except OSError as error:
            sentence = _("{path} cannot be written. Choose a folder that you may write to, with enough free space.")
            raise PictureError(sentence.format(path=path)) from error
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)

    def _show(self, paint: Callable[[Canvas], None], tool_tip: str) -> None:
        self._paint = paint
        self.refresh()
        self._label.toolTip = tool_tip
