"""The tab of the organs: what the segments of the cases mean, and which of them are learned."""

import html
from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from cisfa.cases.organ_mapping import cases_with, segments_of
from cisfa.imaging.organs import catalogue_names
from cisfa_slicer.error_display import ShownErrors
from CISFATrainingLib.case_store import CaseStore

_SEGMENT, _CODE, _CASES, _ORGAN = range(4)


class OrganSection:
    """Shows the mapping and changes it."""

    def __init__(self, ui: Any, store: CaseStore, log: Callable[[str], object]) -> None:
        """Args: the widgets of CISFATrainingOrgans.ui by name; the cases; takes lines."""
        self._ui, self._store, self._log = ui, store, log
        header = ui.segmentTable.horizontalHeader()
        ui.segmentTable.verticalHeader().visible = False
        for column in (_SEGMENT, _CODE, _CASES):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(_ORGAN, qt.QHeaderView.Stretch)
        self._shown: tuple[object, ...] = ()
        store.changed.connect(self.show)
        self.show()

    def show(self) -> None:
        """Show the mapping as it is now."""
        cases = self._store.cases
        segments = segments_of(cases)
        every = (*cases.source, *cases.target)
        rows = [(segment.key, segment.name, segment.code, cases_with(every, segment.key)) for segment in segments]
        shown = (rows, dict(cases.mapping), cases.organs)
        if shown == self._shown:
            return  # a list that is being typed into must not be taken away
        self._shown = shown
        self._ui.segmentTable.setRowCount(len(rows))
        for row, (key, name, code, count) in enumerate(rows):
            self._show_row(row, key, (name, code, _("{count} of {total}").format(count=count, total=len(cases.source))))
        self._show_summary()

    def _show_row(self, row: int, key: str, texts: tuple[str, str, str]) -> None:
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(text)
            self._ui.segmentTable.setItem(row, column, item)
        box = qt.QComboBox()
        box.editable = True
        box.setInsertPolicy(qt.QComboBox.NoInsert)
        ours = [organ.name for organ in self._store.cases.organs]
        box.addItems(["", *ours, *(name for name in catalogue_names() if name not in ours)])
        box.setCurrentText(self._store.cases.mapping.get(key) or "")
        box.toolTip = _("The organ to learn it as; empty for what is not to be learned.")
        box.lineEdit().setPlaceholderText(_("not learned"))
        # chosen from the list, or typed and left
        box.connect("activated(int)", lambda index: self._set(key, box.currentText))
        box.lineEdit().connect("editingFinished()", lambda: self._set(key, box.currentText))
        self._ui.segmentTable.setCellWidget(row, _ORGAN, box)

    def _set(self, key: str, name: str) -> None:
        wanted = " ".join(name.split())
        if wanted == (self._store.cases.mapping.get(key) or ""):
            return
        with ShownErrors(self._show_failure):
            self._ui.organsMessageLabel.text = ""
            # after the signal: the box that sends it goes away with its row
            qt.QTimer.singleShot(0, lambda: self._store.set_meaning(key, wanted))

    def _show_summary(self) -> None:
        organs = self._store.cases.organs
        names = [
            f'<span style="color: rgb{organ.colour}">■</span> {html.escape(organ.name)}'
            + ("" if organ.type else _(" (no code: DICOM export will ask for one)"))
            for organ in organs
        ]
        self._ui.organsSummaryLabel.text = (
            _("To be learned: {organs}").format(organs=", ".join(names))
            if names
            else _("Nothing is to be learned yet.")
        )

    def _show_failure(self, message: str) -> None:
        self._log(message)
        self._ui.organsMessageLabel.text = message
