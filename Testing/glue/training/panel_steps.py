"""What tests of the panel do again and again."""

from pathlib import Path

from cisfa.cases.check_report import CaseFacts, CheckReport, FoundSegment
from cisfa.imaging.segments import Segment


def rows(table) -> list[list[str]]:
    """The texts of a table; of a cell with a combo box in it, what is chosen."""
    found = []
    for row in range(table.rowCount):
        texts = []
        for column in range(table.columnCount):
            widget = table.cellWidget(row, column)
            item = table.item(row, column)
            texts.append(widget.currentText if widget else (item.text() if item else ""))
        found.append(texts)
    return found


def select_row(table, row: int) -> None:
    table.clearSelection()
    table.selectRow(row)


def facts(name: str, domain="source", *, segments=(), **more) -> CaseFacts:
    """What a look at a case may find."""
    found = tuple(FoundSegment(segment, 100, is_listed=True) for segment in segments)
    values = {"shape": (36, 192, 180), "spacing_mm": (3.0, 1.25, 1.5), "slices": 36, "modality": "CT", **more}
    return CaseFacts(domain, name, segments=found, has_labels=bool(found), **values)


def report(*cases: CaseFacts) -> CheckReport:
    return CheckReport(cases=cases)


def unnamed(*values: int) -> list[Segment]:
    return [Segment(value, f"label {value}") for value in values]


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


# a `cisfa check` that looks into no file: every case is 180 x 192 x 36, and has the segments that the list names
CHECK = """
cases = json.loads(Path(argument("--cases")).read_text(encoding="utf-8"))
found = []
for domain in ("source", "target"):
    for case in cases[domain]:
        segments = [{"segment": s, "voxels": 100, "is_listed": True} for s in case.get("segments", [])]
        found.append({"domain": domain, "name": case["name"], "shape": [36, 192, 180], "slices": 36,
                      "spacing_mm": [3.0, 1.25, 1.5], "modality": "CT" if domain == "source" else "MR",
                      "has_labels": bool(segments), "segments": segments})
        say("progress", stage="looking", fraction=0.5)
report = {"schema": 1, "cases": found, "findings": FINDINGS, "estimate": None}
Path(argument("--report")).write_text(json.dumps(report), encoding="utf-8")
if any(finding["severity"] == "error" for finding in FINDINGS):
    say("failed", message="The cases cannot be trained with.")
    sys.exit(2)
say("finished", outputs=[])
"""


def check_that_finds(*findings: tuple[str, str]) -> str:
    """The script of a check, with findings of (severity, message)."""
    listed = [{"severity": severity, "message": message} for severity, message in findings]
    return f"FINDINGS = {listed!r}\n{CHECK}"
