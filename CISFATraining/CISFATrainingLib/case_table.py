"""One table of cases, with what was found out about them."""

from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from cisfa.cases.case_list import ListedCase
from cisfa.cases.check_report import CaseFacts
from cisfa_slicer.error_display import failure_colour
from CISFATrainingLib.case_store import CaseStore, Domain

THUMBNAIL_PX = 48
_WIDEST_PX = 200
_NAME, _SIZE, _SPACING, _ORGANS = range(4)


class CaseTable:
    """Shows one domain of a store."""

    def __init__(self, table: Any, store: CaseStore, domain: Domain) -> None:
        """Args: the QTableWidget; the cases; which of them."""
        self._table, self._store, self._domain = table, store, domain
        self._shown: dict[int, tuple[object, ...]] = {}
        table.setIconSize(qt.QSize(THUMBNAIL_PX, THUMBNAIL_PX))
        table.verticalHeader().visible = False
        table.verticalHeader().setDefaultSectionSize(THUMBNAIL_PX + 4)
        header = table.horizontalHeader()
        header.setMaximumSectionSize(
            _WIDEST_PX
        )  # of a column that fits its texts: one long name must not hide the rest
        for column in (_NAME, _SIZE, _SPACING):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(_ORGANS, qt.QHeaderView.Stretch)
        store.changed.connect(self.show)
        store.looked.connect(self.show)
        self.show()

    @property
    def selected(self) -> list[str]:
        """The names of the selected cases."""
        rows = sorted({index.row() for index in self._table.selectionModel().selectedRows()})
        return [str(self._table.item(row, _NAME).data(qt.Qt.UserRole)) for row in rows]

    def show(self) -> None:
        """Show the cases as they are now; what is selected stays so."""
        selected = set(self.selected) if self._table.rowCount else set()
        cases = self._store.of(self._domain)
        self._table.setRowCount(len(cases))
        self._shown = {row: shown for row, shown in self._shown.items() if row < len(cases)}
        for row, case in enumerate(cases):
            facts = self._store.facts_of(self._domain, case)
            self._show_case(row, case, facts)
        self._table.clearSelection()
        for row, case in enumerate(cases):
            if case.name in selected:
                self._table.selectRow(row)

    def _show_case(self, row: int, case: ListedCase, facts: CaseFacts | None) -> None:
        texts = [case.name, "", "", ""]
        problem = self._store.problem_of(self._domain, case)
        if facts is not None and not facts.problem:
            texts[_SIZE] = " × ".join(map(str, reversed(facts.shape or ())))
            texts[_SPACING] = " × ".join(f"{spacing:.3g}" for spacing in reversed(facts.spacing_mm or ()))
            texts[_ORGANS] = self._organs(case, facts)
        texts[_ORGANS] = problem or texts[_ORGANS]
        shown = (*texts, _tip(case, facts), facts.thumbnail if facts else None)
        if self._shown.get(row) == shown:
            return
        self._shown[row] = shown
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(_tip(case, facts) if column == _NAME else text)
            if problem and column in (_NAME, _ORGANS):
                item.setForeground(qt.QBrush(qt.QColor(failure_colour(self._table))))
            self._table.setItem(row, column, item)
        name = self._table.item(row, _NAME)
        name.setData(qt.Qt.UserRole, case.name)
        if facts is not None and facts.thumbnail and Path(facts.thumbnail).is_file():
            name.setIcon(qt.QIcon(facts.thumbnail))

    def _organs(self, case: ListedCase, facts: CaseFacts) -> str:
        mapping = self._store.cases.mapping
        present = [each.segment for each in facts.segments if each.voxels]
        names = [mapping.get(segment.key) or f"({segment.name})" for segment in present]
        if case.few_labels is not None:
            return _("few labels: {organs}").format(organs=", ".join(names))
        return ", ".join(names)


def _tip(case: ListedCase, facts: CaseFacts | None) -> str:
    lines = [str(case.volume), *(str(path) for path in (case.labels, case.few_labels) if path)]
    if facts is not None and not facts.problem:
        lines.append(_("looks like {modality}").format(modality=facts.modality))
    return "\n".join(lines)
