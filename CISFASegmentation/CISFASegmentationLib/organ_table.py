"""The table of organs: how much there is of each, and what to doubt."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import qt
from slicer.i18n import tr as _

from CISFASegmentationLib.organ_results import OrganResult
from CISFASegmentationLib.organ_words import caution, explanation_of, quality_word, remarks_of, said_of_all
from CISFASegmentationLib.quality_icon import quality_icon

ORGAN, VOLUME, INTENSITY, QUALITY, REMARK = range(5)
Colour = tuple[int, int, int]
# the height of the table's content is shown without scrolling, up to here
_HIGHEST_PX = 420
# with less room for the remark, organs' names are broken into lines
_REMARK_PX = 160


class OrganTable:
    """A row for each organ; columns and rows fit the table's width, so that no remark is cut off."""

    def __init__(self, table: Any) -> None:
        """Start empty.

        Args:
            table: A QTableWidget with five columns, of which the last takes the room that is left.
        """
        self._table, self._lowest = table, table.minimumHeight
        self._set_titles("")
        self._width = 0
        # Qt tells of a column's new width before the table has it; the timer goes with the table
        self._timer = qt.QTimer(table)
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", self._fit)
        table.horizontalHeader().sectionResized.connect(self._on_column_resized)

    def show(self, organs: Sequence[OrganResult], colours: Mapping[str, Colour], unit: str) -> None:
        """Fill the table.

        Args:
            organs: Of a result.
            colours: By the organs' names, red, green and blue from 0 to 255.
            unit: Of the intensity: "HU", or empty for none.
        """
        self._set_titles(unit)
        self._table.setRowCount(len(organs))
        for row, organ in enumerate(organs):
            for column, item in enumerate(self._items(organ, colours[organ.name], said_of_all(organs))):
                self._table.setItem(row, column, item)
        self._fit_columns()
        self._fit_rows()

    def clear(self) -> None:
        """Show no result, so that nobody takes an old one for a new one."""
        self._table.setRowCount(0)
        self._fit_rows()

    def _set_titles(self, unit: str) -> None:
        intensity = _("Mean\nsignal") if not unit else _("Mean\n({unit})").format(unit=unit)
        titles = [_("Organ"), _("Volume\n(mL)"), intensity, _("Quality"), _("Remark")]
        self._table.setHorizontalHeaderLabels(titles)
        self._table.horizontalHeaderItem(INTENSITY).setToolTip(_("Mean intensity of the volume inside the organ"))
        self._table.horizontalHeaderItem(QUALITY).setToolTip(_tool_tip([caution()]))

    def _items(self, organ: OrganResult, colour: Colour, said_elsewhere: Sequence[str]) -> list[Any]:
        name, quality = qt.QTableWidgetItem(organ.name), qt.QTableWidgetItem(quality_word(organ))
        name.setIcon(_colour_icon(colour))
        if organ.quality and not organ.is_edited:
            quality.setIcon(quality_icon(organ.quality.level, self._table.devicePixelRatioF()))
        remark = qt.QTableWidgetItem("\n".join(remarks_of(organ, said_elsewhere)))
        for item in (quality, remark):
            item.setToolTip(_tool_tip(explanation_of(organ)))
        has_mean = organ.mean_intensity is not None and not organ.is_edited
        return [
            name,
            _number("" if organ.is_edited else f"{organ.volume_ml:.1f}"),
            _number(f"{organ.mean_intensity:.0f}" if has_mean else ""),
            quality,
            remark,
        ]

    def _on_column_resized(self, column: int, before: int, now: int) -> None:
        self._timer.start(0)

    def _fit(self) -> None:
        if self._table.viewport().width != self._width:  # else the user has moved a column on purpose
            self._fit_columns()
        self._fit_rows()

    def _fit_columns(self) -> None:
        table, self._width = self._table, self._table.viewport().width
        narrow = (ORGAN, VOLUME, INTENSITY, QUALITY)  # the remark takes the rest
        for column in narrow:
            table.resizeColumnToContents(column)
        if self._width - sum(map(table.columnWidth, narrow)) < _REMARK_PX:
            self._break_names()

    def _break_names(self) -> None:
        """Make the organs' column as wide as the widest word, which Qt measures when each has a line of its own."""
        table = self._table
        items = [table.item(row, ORGAN) for row in range(table.rowCount)]
        names = [item.text() for item in items]
        for item, name in zip(items, names, strict=True):
            item.setText(name.replace(" ", "\n"))
        table.resizeColumnToContents(ORGAN)
        for item, name in zip(items, names, strict=True):
            item.setText(name)

    def _fit_rows(self) -> None:
        table = self._table
        table.resizeRowsToContents()
        rows = sum(table.rowHeight(row) for row in range(table.rowCount))
        wanted = table.horizontalHeader().sizeHint.height() + rows + 2 * table.frameWidth
        table.setMinimumHeight(max(self._lowest, min(wanted, _HIGHEST_PX)))


def _number(text: str) -> Any:
    item = qt.QTableWidgetItem(text)
    item.setTextAlignment(int(qt.Qt.AlignRight) | int(qt.Qt.AlignVCenter))
    return item


def _tool_tip(lines: list[str]) -> str:
    """As rich text, the only one that Qt breaks into lines."""
    return f"<qt>{'<br>'.join(escape(line) for line in lines)}</qt>"


def _colour_icon(colour: Colour) -> Any:
    pixmap = qt.QPixmap(16, 16)
    pixmap.fill(qt.QColor(*colour))
    return qt.QIcon(pixmap)
