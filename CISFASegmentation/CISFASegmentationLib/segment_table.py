"""The table of the export window: what a DICOM segmentation will say of each segment."""

from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from cisfa.imaging.segmentation_header import codes_with_category
from cisfa_slicer.segmentation_export import terminology_of
from CISFASegmentationLib.dicom_export import Exportable, drawn_of

_SEGMENT, _CODE, _DRAWN = range(3)
_WORDS = {
    "AUTOMATIC": "by the model (AUTOMATIC)",
    "SEMIAUTOMATIC": "by the model, edited (SEMIAUTOMATIC)",
    "MANUAL": "by hand (MANUAL)",
}


def show_segments(table: Any, node: Any, exportable: Exportable | None) -> None:
    """Fill the table.

    Args:
        table: A QTableWidget with three columns.
        node: A segmentation node; None for an empty table.
        exportable: What will be exported of it; None while something is in the way.
    """
    table.setHorizontalHeaderLabels([_("Organ"), _("Code"), _("Drawn")])
    segments = _segments(node)
    table.setRowCount(len(segments))
    for row, segment in enumerate(segments):
        is_left_out = exportable is not None and row not in exportable.places
        name = qt.QTableWidgetItem(segment.GetName())
        name.setIcon(_colour_icon(segment))
        table.setItem(row, _SEGMENT, name)
        table.setItem(row, _CODE, qt.QTableWidgetItem(_code_of(segment)))
        table.setItem(row, _DRAWN, qt.QTableWidgetItem(_("empty, left out") if is_left_out else _drawn_as(segment)))
    for column in (_SEGMENT, _CODE):  # the last one takes the rest
        table.resizeColumnToContents(column)


def _segments(node: Any) -> list[slicer.vtkSegment]:
    segmentation = None if node is None else node.GetSegmentation()
    if segmentation is None:
        return []
    return [segmentation.GetNthSegment(index) for index in range(segmentation.GetNumberOfSegments())]


def _code_of(segment: slicer.vtkSegment) -> str:
    category, kind, side = codes_with_category(terminology_of(segment))
    if category is None or kind is None:
        return str(_("none"))
    meaning = kind.meaning if side is None else f"{kind.meaning}, {side.meaning}"
    return f"{meaning} ({kind.scheme} {kind.value})"


def _drawn_as(segment: slicer.vtkSegment) -> str:
    return str(_(_WORDS[drawn_of(segment)]))


def _colour_icon(segment: slicer.vtkSegment) -> Any:
    pixmap = qt.QPixmap(16, 16)
    pixmap.fill(qt.QColor(*(round(255 * part) for part in segment.GetColor())))
    return qt.QIcon(pixmap)
