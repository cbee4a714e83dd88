"""The list of runs: what each does and how well, with the chosen ones remembered over every refresh."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from cisfa.runs.run_state import Status
from cisfa_slicer.run_library import Run
from CISFATrainingLib.run_words import age, data_words, percent, size, state_word

NAME, STATE, METHOD, DICE, STARTED = range(5)
_DOT_PX, _ROW_MARGIN_PX = 14, 6
_MOST_ROWS = 5  # at once; the others are scrolled to
_COLOURS = {
    Status.NEW: (127, 127, 127),
    Status.STARTING: (86, 180, 233),
    Status.READING: (86, 180, 233),
    Status.TRAINING: (0, 114, 178),
    Status.PAUSED: (230, 159, 0),
    Status.STOPPED: (127, 127, 127),
    Status.DONE: (0, 158, 115),
    Status.FAILED: (200, 30, 30),
    Status.INTERRUPTED: (213, 94, 0),
}
_UNUSABLE = (200, 30, 30)


class RunTable:
    """Binds runs to a QTableWidget of five columns."""

    def __init__(self, table: Any) -> None:
        """Args: the widget."""
        self._table = table
        self._shown: tuple[Run, ...] = ()
        self._chosen: frozenset[Path] = frozenset()
        self._cells: list[tuple[str, ...]] = []
        self._icons: dict[tuple[int, int, int], Any] = {}
        # column and whether descending; None is the library's order, the latest first
        self._order: tuple[int, bool] | None = None
        self._titles = [table.horizontalHeaderItem(column).text() for column in range(STARTED + 1)]
        self.on_selected: Callable[[], object] = lambda: None
        header = table.horizontalHeader()
        header.setSectionsClickable(True)
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(NAME, qt.QHeaderView.Stretch)
        header.sectionClicked.connect(self._on_header_clicked)
        table.connect("itemSelectionChanged()", self._on_selection_changed)
        self._space_rows()

    @property
    def selected(self) -> tuple[Run, ...]:
        """The chosen runs, from above to below."""
        return tuple(run for run in self._shown if run.path in self._chosen)

    def show(self, runs: Sequence[Run]) -> None:
        """Fill the list; what was chosen stays chosen, and nobody is told of it."""
        ordered = self._in_order(runs)
        is_same_rows = [run.path for run in ordered] == [run.path for run in self._shown]
        self._table.blockSignals(True)
        if not is_same_rows:
            self._make_rows(len(ordered))
        self._shown = ordered
        for row, run in enumerate(ordered):
            self._fill(row, run)
        if not is_same_rows:
            self._choose(self._chosen)
            self._space_rows()
        self._table.blockSignals(False)

    def select(self, paths: Sequence[Path]) -> None:
        """Choose runs by their folders, and tell of it."""
        self._table.blockSignals(True)
        self._choose(frozenset(paths))
        self._table.blockSignals(False)
        row = next((row for row, run in enumerate(self._shown) if run.path in paths), None)
        if row is not None:
            self._table.scrollToItem(self._table.item(row, NAME))
        self.on_selected()

    def _on_selection_changed(self) -> None:
        rows = range(len(self._shown))
        self._chosen = frozenset(self._shown[row].path for row in rows if self._table.item(row, NAME).isSelected())
        self.on_selected()

    def _choose(self, paths: frozenset[Path]) -> None:
        self._chosen = paths.intersection(run.path for run in self._shown)
        for row, run in enumerate(self._shown):
            for column in range(STARTED + 1):
                self._table.item(row, column).setSelected(run.path in paths)

    def _make_rows(self, count: int) -> None:
        self._table.setRowCount(0)
        self._table.setRowCount(count)
        self._cells = [()] * count
        for row in range(count):
            for column in range(STARTED + 1):
                item = qt.QTableWidgetItem("")
                if column in (DICE, STARTED):
                    item.setTextAlignment(int(qt.Qt.AlignRight) | int(qt.Qt.AlignVCenter))
                self._table.setItem(row, column, item)

    def _space_rows(self) -> None:
        self._table.resizeRowsToContents()
        for row in range(len(self._shown)):
            self._table.setRowHeight(row, self._table.rowHeight(row) + _ROW_MARGIN_PX)
        # at least as high as a row, for that shows that there is a list
        heights = [self._table.rowHeight(row) for row in range(min(len(self._shown), _MOST_ROWS))]
        inside = sum(heights) or self._table.verticalHeader().defaultSectionSize
        header = self._table.horizontalHeader().sizeHint.height()
        self._table.setFixedHeight(header + inside + 2 * self._table.frameWidth)

    def _fill(self, row: int, run: Run) -> None:
        cells = _cells_of(run)
        if cells == self._cells[row]:  # writing what is there already would make Qt lay out the whole table anew
            return
        self._cells[row] = cells
        for column, text in enumerate(cells[: STARTED + 1]):
            self._table.item(row, column).setText(text)
            self._table.item(row, column).setToolTip(cells[-1])
        colour = _UNUSABLE if run.summary.problem else _COLOURS[run.state.status]
        self._table.item(row, STATE).setIcon(self._icon(colour))

    def _icon(self, colour: tuple[int, int, int]) -> Any:
        if colour not in self._icons:
            self._icons[colour] = _dot(colour)
        return self._icons[colour]

    def _on_header_clicked(self, column: int) -> None:
        is_numeric = column in (DICE, STARTED)
        if self._order is not None and self._order[0] == column:
            self._order = (column, not self._order[1])
        else:
            self._order = (column, is_numeric)  # the best and the latest first
        # Qt's own sign would make every column wider, and names shorter
        for place, title in enumerate(self._titles):
            sign = " ▾" if self._order[1] else " ▴"
            self._table.horizontalHeaderItem(place).setText(title + (sign if place == column else ""))
        self.show(self._shown)

    def _in_order(self, runs: Sequence[Run]) -> tuple[Run, ...]:
        if self._order is None:
            return tuple(runs)
        column, is_descending = self._order
        return tuple(sorted(runs, key=lambda run: _sort_key(run, column), reverse=is_descending))


def _cells_of(run: Run) -> tuple[str, ...]:
    """The texts of a row, and its tool tip."""
    summary = run.summary
    state = state_word(run)
    if run.state.status.is_active and run.state.steps:
        state += f"\n{percent(run.state)}"
    dice = (
        ""
        if summary.best_dice is None
        else f"{summary.best_dice:.3f}\n" + _("step {step}").format(step=summary.best_step)
    )
    started = "\n".join(each for each in (age(run.begun), size(summary.size_bytes)) if each)
    return (
        f"{summary.name}\n{_('cannot be used') if summary.problem else data_words(run)}".strip(),
        state,
        summary.config.method if summary.config else "",
        dice,
        started,
        summary.problem or run.trouble or summary.name,
    )


def _sort_key(run: Run, column: int) -> tuple[Any, ...]:
    summary = run.summary
    keys: dict[int, tuple[Any, ...]] = {
        NAME: (summary.name.casefold(),),
        STATE: (state_word(run),),
        METHOD: (summary.config.method if summary.config else "",),
        DICE: (-1.0 if summary.best_dice is None else summary.best_dice,),
        STARTED: (run.begun,),
    }
    return (*keys[column], summary.name)


def _dot(colour: tuple[int, int, int]) -> Any:
    pixmap = qt.QPixmap(_DOT_PX, _DOT_PX)
    pixmap.fill(qt.QColor(0, 0, 0, 0))
    painter = qt.QPainter(pixmap)
    painter.setRenderHint(qt.QPainter.Antialiasing, True)
    painter.setPen(qt.QPen(qt.QColor(255, 255, 255)))  # or a blue dot would vanish in a chosen row
    painter.setBrush(qt.QBrush(qt.QColor(*colour)))
    painter.drawEllipse(qt.QPointF(_DOT_PX / 2, _DOT_PX / 2), _DOT_PX / 2 - 1, _DOT_PX / 2 - 1)
    painter.end()
    return qt.QIcon(pixmap)
