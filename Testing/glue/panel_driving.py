"""What tests of the panel do and see again and again."""

from pathlib import Path

import slicer


def is_idle(ui) -> bool:
    return ui.segmentButton.text == "Segment" and ui.segmentButton.enabled


def finish(host, ui) -> None:
    """Wait for the end; nothing is left on the disk then."""
    host.spin_until(lambda: is_idle(ui), "the panel to be idle", timeout_s=120)
    assert leftovers() == []


def leftovers() -> list[Path]:
    return list(Path(slicer.app.temporaryPath).glob("cisfa-job-*"))


def table(ui) -> list[list[str]]:
    return [[ui.organTable.item(row, column).text() for column in range(5)] for row in range(ui.organTable.rowCount)]


def segmentations() -> list:
    return slicer.util.getNodesByClass("vtkMRMLSegmentationNode")


def refused(ui, *sentences: str) -> None:
    """A sentence in the panel, the same in the log without the names of nodes, the button back, nothing left."""
    from cisfa_slicer.log_view import node_names, without_names

    for sentence in sentences:
        assert sentence in ui.messageLabel.text
    assert without_names(ui.messageLabel.text, node_names()) in ui.logText.plainText
    assert is_idle(ui)
    assert leftovers() == []
