"""The tab of the organs."""

from pathlib import Path

import pytest

from cisfa.cases.case_list import ListedCase
from cisfa.imaging.organs import Code
from cisfa.imaging.segments import Segment
from panel_steps import check_that_finds, facts, report, rows, unnamed

LIVER = Code("SCT", "10200004", "Liver")


@pytest.fixture(autouse=True)
def quick_look(job_does) -> None:
    job_does(check_that_finds())


@pytest.fixture
def store(training):
    return training.logic.training.store


def add(store, name: str, *segments: Segment) -> None:
    store.add("source", [ListedCase(name, Path(f"/{name}.nii"), Path(f"/{name}_seg.nii"), segments=segments)])


def test_the_same_code_is_one_organ_whatever_it_is_called(tabs, store) -> None:
    add(store, "a", Segment(1, "Leber", LIVER))
    add(store, "b", Segment(7, "hepar", LIVER))
    assert rows(tabs.segmentTable) == [
        ["Leber", "SCT:10200004", "1 of 2", "liver"],
        ["hepar", "SCT:10200004", "1 of 2", "liver"],
    ]
    assert "liver" in tabs.organsSummaryLabel.text


def test_an_organ_is_chosen_from_the_list(host, tabs, store) -> None:
    add(store, "a", Segment(1, "x"), Segment(2, "y"))
    box = tabs.segmentTable.cellWidget(0, 3)
    box.setCurrentText("spleen")
    box.activated.emit(box.currentIndex)
    host.spin_until(lambda: store.cases.mapping["x"] == "spleen", "the choice")
    assert [row[3] for row in rows(tabs.segmentTable)] == ["spleen", "y"]


def test_an_organ_is_typed(host, tabs, store) -> None:
    add(store, "a", Segment(1, "x"))
    box = tabs.segmentTable.cellWidget(0, 3)
    box.lineEdit().setText("  right   kidney ")
    box.lineEdit().editingFinished.emit()
    host.spin_until(lambda: store.cases.mapping["x"] == "right kidney", "the choice")


def test_what_is_emptied_is_not_learned(host, tabs, store) -> None:
    add(store, "a", Segment(1, "liver"), Segment(2, "bone"))
    box = tabs.segmentTable.cellWidget(1, 3)
    box.lineEdit().setText("")
    box.lineEdit().editingFinished.emit()
    host.spin_until(lambda: store.cases.mapping["bone"] is None, "the choice")
    assert [organ.name for organ in store.cases.organs] == ["liver"]


def test_values_without_a_name_wait_for_one(tabs, store) -> None:
    store.add("source", [ListedCase("a", Path("/a.nii"), Path("/a_seg.nii"))])
    store.take(report(facts("a", segments=unnamed(3))), store.cases)
    assert rows(tabs.segmentTable) == [["label 3", "", "1 of 1", ""]]
    assert tabs.organsSummaryLabel.text == "Nothing is to be learned yet."


def test_an_organ_without_a_code_is_pointed_out(tabs, store) -> None:
    add(store, "a", Segment(1, "lesion 7"))
    assert "DICOM export will ask for one" in tabs.organsSummaryLabel.text


def test_names_with_signs_of_html_are_shown_as_they_are(tabs, store) -> None:
    add(store, "a", Segment(1, "<b>x</b>"))
    assert "&lt;b&gt;x" in tabs.organsSummaryLabel.text
