"""The table of organs: how much there is of each, and what to doubt."""

from collections.abc import Sequence
from typing import Any

import qt
from slicer.i18n import tr as _

from cisfa.bundle.manifest import Manifest
from CISFASegmentationLib.organ_results import OrganResult

ORGAN, VOLUME, INTENSITY, REMARK = range(4)


def show_organs(table: Any, organs: Sequence[OrganResult], manifest: Manifest) -> None:
    """Fill the table; organs with a remark catch the eye.

    Args:
        table: A QTableWidget with four columns.
        organs: Of the result.
        manifest: Of the bundle, which knows the colours and the modality.
    """
    colours = {organ.name: organ.colour for organ in manifest.organs}
    unit = " (HU)" if manifest.target.modality == "CT" else ""
    table.setHorizontalHeaderLabels([_("Organ"), _("Volume (mL)"), _("Mean intensity") + unit, _("Remark")])
    table.setRowCount(len(organs))
    for row, organ in enumerate(organs):
        name = qt.QTableWidgetItem(organ.name)
        name.setIcon(_colour_icon(colours[organ.name]))
        mean = "" if organ.mean_intensity is None else f"{organ.mean_intensity:.0f}"
        table.setItem(row, ORGAN, name)
        table.setItem(row, VOLUME, _number(f"{organ.volume_ml:.1f}"))
        table.setItem(row, INTENSITY, _number(mean))
        table.setItem(row, REMARK, qt.QTableWidgetItem(remark_of(organ)))
    for column in (ORGAN, VOLUME, INTENSITY):  # the remark takes the rest
        table.resizeColumnToContents(column)


def remark_of(organ: OrganResult) -> str:
    """An organ's remarks in the user's language."""
    return ", ".join(_(remark) for remark in organ.remarks)


def clear_organs(table: Any) -> None:
    """Show no result, so that nobody takes an old one for a new one."""
    table.setRowCount(0)


def _number(text: str) -> Any:
    item = qt.QTableWidgetItem(text)
    item.setTextAlignment(int(qt.Qt.AlignRight) | int(qt.Qt.AlignVCenter))
    return item


def _colour_icon(colour: tuple[int, int, int]) -> Any:
    pixmap = qt.QPixmap(16, 16)
    pixmap.fill(qt.QColor(*colour))
    return qt.QIcon(pixmap)
