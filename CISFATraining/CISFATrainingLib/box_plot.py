"""Box plots of groups, painted with Qt into a label."""

from collections.abc import Mapping, Sequence

from slicer.i18n import tr as _

from CISFATrainingLib.plot_canvas import CENTRE, MARGIN_PX, Canvas, Colour, Picture
from CISFATrainingLib.plot_scale import (
    Axis,
    Box,
    Point,
    Scale,
    box_of,
    finite_values,
    scale_over,
    value_text,
)

BOX_COLOUR: Colour = (0, 114, 178)
MOST_SINGLE_VALUES = 30  # in a group; more of them would hide the box


class BoxPlot(Picture):
    """One box for each group of values."""

    def show(
        self,
        groups: Mapping[str, Sequence[float | None]],
        *,
        title: str,
        y_title: str,
        y_range: tuple[float, float] | None = None,
    ) -> None:
        """Paint boxes with whiskers, outliers as dots and, in small groups, every value as a faint dot.

        Args:
            groups: Values by name, of an organ for instance; None and NaN are left out, which the count then says.
            title: Above the picture.
            y_title: Beside the axis, with the unit.
            y_range: From where to where the axis goes at least; it is longer where values lie outside.
        """
        values = {name: finite_values(group) for name, group in groups.items()}
        scale = scale_over(values.values())
        if scale is None:
            self.clear(_("No values yet."))
            return
        if y_range is not None:
            everything = [value for each in values.values() for value in each]
            scale = Scale(min(y_range[0], *everything), max(y_range[1], *everything))
        boxes = {name: box_of(group) for name, group in groups.items()}

        def paint(canvas: Canvas) -> None:
            rows = 3 if any(" " in name for name in boxes) else 2
            bottom = canvas.height - MARGIN_PX - rows * canvas.text_height
            y, left = canvas.y_axis(scale, (canvas.title(title) + canvas.text_height / 2, bottom - MARGIN_PX), y_title)
            room = (canvas.width - MARGIN_PX - left) / len(boxes)
            for place, (name, box) in enumerate(boxes.items()):
                middle = left + (place + 0.5) * room
                if box.count:
                    _paint_box(canvas, box, y, middle, min(0.5 * room, 48))
                    _paint_values(canvas, [y.position(value) for value in values[name]], middle, min(0.5 * room, 48))
                _write_name(canvas, (middle, bottom), room - 4, name, box)

        self._show(paint, "\n".join(f"{name}: {_in_words(box)}" for name, box in boxes.items()))


def _paint_box(canvas: Canvas, box: Box, y: Axis, middle: float, width: float) -> None:
    left, right = middle - width / 2, middle + width / 2
    lower, upper = y.position(box.lower_quartile), y.position(box.upper_quartile)
    canvas.block((left, upper), (right, lower), canvas.faded(BOX_COLOUR, 0.3))
    for whisker, quartile in ((box.lower_whisker, lower), (box.upper_whisker, upper)):
        end = y.position(whisker)
        canvas.straight((middle, quartile), (middle, end), BOX_COLOUR)
        canvas.straight((middle - width / 4, end), (middle + width / 4, end), BOX_COLOUR)
    for side in (left, right):
        canvas.straight((side, upper), (side, lower), BOX_COLOUR)
    for level in (lower, upper):
        canvas.straight((left, level), (right, level), BOX_COLOUR)
    canvas.straight((left, y.position(box.median)), (right, y.position(box.median)), canvas.foreground, 2.0)
    for value in box.outliers:
        canvas.dot((middle, y.position(value)), 3.0, BOX_COLOUR)


def _paint_values(canvas: Canvas, levels: Sequence[float], middle: float, width: float) -> None:
    """Faint dots, beside each other by a rule that looks like chance and is the same every time."""
    for index, level in enumerate(levels if len(levels) <= MOST_SINGLE_VALUES else ()):
        aside = (index * 0.618034) % 1 - 0.5
        canvas.dot((middle + 0.7 * aside * width, level), 1.5, canvas.faded(canvas.foreground, 0.45))


def _write_name(canvas: Canvas, top: Point, width: float, name: str, box: Box) -> None:
    lines = [name]
    if canvas.text_size(name)[0] > width and " " in name:  # two lines, as equal as they get
        middle = min((at for at, sign in enumerate(name) if sign == " "), key=lambda at: abs(at - len(name) / 2))
        lines = [name[:middle], name[middle + 1 :]]
    for row, line in enumerate([*lines, _count_in_words(box)]):
        at = (top[0], top[1] + (row + 0.5) * canvas.text_height)
        canvas.text(at, CENTRE, canvas.shortened(line, int(width)), part=0.7 if row == len(lines) else 1.0)


def _count_in_words(box: Box) -> str:
    if box.skipped:
        return _("n = {count} of {all}").format(count=box.count, all=box.count + box.skipped)
    return _("n = {count}").format(count=box.count)


def _in_words(box: Box) -> str:
    if not box.count:
        return _count_in_words(box)
    numbers = [value_text(value) for value in (box.median, box.lower_quartile, box.upper_quartile)]
    sentence = _("median {median}, quartiles {lower} to {upper}, {n}")
    return sentence.format(median=numbers[0], lower=numbers[1], upper=numbers[2], n=_count_in_words(box))
