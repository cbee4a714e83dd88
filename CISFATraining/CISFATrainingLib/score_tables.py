"""Scores as tables: of organs, of cases, and as text for a spreadsheet."""

from collections.abc import Sequence
from typing import Any

import qt
from slicer.i18n import tr as _

from cisfa.evaluation.score_file import OrganOverCases, ScoreFile, Spread

_ROW_MARGIN_PX, _MOST_ROWS_IN_VIEW = 4, 12


def organ_rows(scores: ScoreFile) -> list[tuple[str, str, str, str]]:
    """Organ, Dice, ASSD and number of cases; the mean over organs last, where there are several."""
    several = (scores.over_organs,) if len(scores.organs) > 1 else ()
    return [_organ_row(each) for each in (*scores.organs, *several)]


def case_rows(scores: ScoreFile) -> list[tuple[str, str, str, str, str]]:
    """Case, organ, Dice, ASSD and what explains a value that is missing or 0."""
    return [
        (
            each.case,
            each.organ,
            "–" if each.dice is None else f"{each.dice:.3f}",
            "–" if each.assd_mm is None else f"{each.assd_mm:.2f}",
            _(each.remark) if each.remark else "",
        )
        for each in scores.cases
    ]


def as_text(scores: ScoreFile) -> str:
    """The table of organs with tabs, for a spreadsheet; it names no case."""
    header = (_("Organ"), _("Dice"), _("ASSD (mm)"), _("Cases"))
    return "\n".join("\t".join(row) for row in (header, *organ_rows(scores))) + "\n"


def remarks(scores: ScoreFile) -> str:
    """What to know before believing the numbers, a line each."""
    lines = [*scores.remarks]
    lines += [_("{case} was left out: {reason}").format(case=each.case, reason=each.reason) for each in scores.left_out]
    return "\n".join(lines)


def fill(table: Any, rows: Sequence[Sequence[str]], *, numbers: Sequence[int], widest: int) -> None:
    """Put texts into a QTableWidget that is as high as they are, up to a point.

    Args:
        table: With as many columns as the rows.
        rows: The texts.
        numbers: Columns whose texts stand at the right.
        widest: The column that takes the room that is left.
    """
    table.setRowCount(len(rows))
    for row, texts in enumerate(rows):
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(text)
            if column in numbers:
                item.setTextAlignment(int(qt.Qt.AlignRight) | int(qt.Qt.AlignVCenter))
            table.setItem(row, column, item)
    table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
    table.horizontalHeader().setSectionResizeMode(widest, qt.QHeaderView.Stretch)
    table.resizeRowsToContents()
    shown = min(len(rows), _MOST_ROWS_IN_VIEW)
    height = table.horizontalHeader().sizeHint.height() + _ROW_MARGIN_PX
    table.setFixedHeight(height + shown * (table.rowHeight(0) if rows else 0))


def _organ_row(organ: OrganOverCases) -> tuple[str, str, str, str]:
    cases = str(organ.dice.n)
    if organ.assd_mm.n != organ.dice.n:  # where a mask is empty there is a Dice and no distance
        cases += " " + _("(ASSD {count})").format(count=organ.assd_mm.n)
    return organ.organ, _spread(organ.dice, 3), _spread(organ.assd_mm, 2), cases


def _spread(spread: Spread, digits: int) -> str:
    if spread.mean is None:
        return "–"
    return f"{spread.mean:.{digits}f}" + ("" if spread.sd is None else f" ± {spread.sd:.{digits}f}")
