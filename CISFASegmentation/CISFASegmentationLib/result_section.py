"""The section of the result: whose organs the table tells of, and what to make of them."""

from typing import Any

import slicer
from slicer.i18n import tr as _

from CISFASegmentationLib.organ_results import Level
from CISFASegmentationLib.organ_table import OrganTable
from CISFASegmentationLib.organ_tags import organs_of
from CISFASegmentationLib.organ_words import said_of_all, verdict_on
from CISFASegmentationLib.parameters import SegmentationParameters
from CISFASegmentationLib.segmentation_import import MODALITY, show_in_3d


class ResultSection:
    """Follows the segmentation that is chosen; the scene remembers which one it is."""

    def __init__(self, ui: Any) -> None:
        """Show nothing.

        Args:
            ui: Holds resultSelector, verdictLabel, organTable, noteLabel and show3DCheckBox.
        """
        self._ui, self._table = ui, OrganTable(ui.organTable)
        self._parameters: SegmentationParameters | None = None
        self._id = ""
        self._show(None)
        ui.resultSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._show)

    @property
    def node(self) -> Any:
        """The segmentation that is shown; None for none, and when it was deleted."""
        return slicer.mrmlScene.GetNodeByID(self._id) if self._id else None

    def set_parameters(self, parameters: SegmentationParameters | None) -> None:
        """Follow another parameter node, or look again at what may have been edited; None while there is no scene."""
        self._parameters = parameters
        self._show(None if parameters is None else parameters.result)

    def show(self, node: Any) -> None:
        """Show a result, with its surfaces if the user wants these, and let the scene remember it."""
        if self._parameters is not None:
            self._parameters.result = node  # the selector follows
        self._show(node)
        if self._ui.show3DCheckBox.checked:
            self.show_3d(True)

    def clear(self) -> None:
        """Nobody is to take an old result for a new one."""
        if self._parameters is not None:
            self._parameters.result = None
        self._show(None)

    def forget_deleted(self) -> None:
        """The table tells of nothing that is not there."""
        if self._id and self.node is None:
            self.clear()

    def show_3d(self, shown: bool) -> None:
        """Also for the result that is there already."""
        if self.node is not None:
            show_in_3d(self.node, shown)

    def _show(self, node: Any) -> None:
        organs = organs_of(node)
        self._id = "" if node is None else node.GetID()
        if node is None:
            self._table.clear()
        else:
            self._table.show(organs, _colours_of(node), "HU" if node.GetAttribute(MODALITY) == "CT" else "")
        has_red = any(organ.quality and organ.quality.level is Level.RED and not organ.is_edited for organ in organs)
        verdict = verdict_on(organs)
        if node is not None and not organs:
            verdict = _("Nothing is known of its organs: another program has made it, or an older version of CISFA.")
        _say(self._ui.verdictLabel, verdict)
        note = " ".join(said_of_all(organs))
        _say(self._ui.noteLabel, _("All organs: {note}").format(note=note) if note else "")
        self._ui.verdictLabel.styleSheet = "font-weight: bold;" if has_red else ""


def _say(label: Any, text: str) -> None:
    label.text = text
    label.visible = bool(text)


def _colours_of(node: Any) -> dict[str, tuple[int, int, int]]:
    """Of the segments, by their names, from 0 to 255."""
    segmentation = node.GetSegmentation()
    segments = [segmentation.GetNthSegment(index) for index in range(segmentation.GetNumberOfSegments())]
    colours = {}
    for segment in segments:
        red, green, blue = (round(255 * part) for part in segment.GetColor())
        colours[segment.GetName()] = red, green, blue
    return colours
