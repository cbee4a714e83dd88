"""Several runs in one picture."""

from pathlib import Path

import pytest

from cisfa.runs.run_state import Status
from training.run_folders import OpenTab, add_validation, make_run, open_tab, write_json


@pytest.fixture
def tab(host, root: Path, tmp_path: Path):
    for name, step in (("a", 400), ("b", 200), ("c", 300)):
        make_run(tmp_path / "runs" / name, Status.TRAINING, step=step)
    made = open_tab(root, tmp_path)
    made.section.refresh()
    yield made
    made.section.end_now()


def quantities(tab: OpenTab) -> list[str]:
    return [tab.ui.comparisonSelector.itemText(place) for place in range(tab.ui.comparisonSelector.count)]


def legend(tab: OpenTab) -> list[str]:
    return [line.split(",")[0] for line in tab.ui.comparisonLabel.toolTip.split("\n")]


def test_two_runs_are_compared_by_what_is_chosen(tab: OpenTab) -> None:
    tab.choose("a", "b")
    assert tab.ui.comparisonSection.text == "Comparison of 2 trainings"
    assert quantities(tab)[:2] == ["Dice", "agreement"]
    assert "generator adversary" in quantities(tab)
    assert quantities(tab)[-1] == "gradient of segmenter"
    assert legend(tab) == ["a: 0.7958 at step 400", "b: 0.7214 at step 200"]
    tab.ui.comparisonSelector.setCurrentIndex(quantities(tab).index("Dice: spleen"))
    assert [line.split(":")[0] for line in legend(tab)] == ["a", "b"]
    assert not tab.ui.comparisonSmoothingSlider.enabled
    tab.ui.comparisonSelector.setCurrentIndex(quantities(tab).index("patch contrast"))
    assert tab.ui.comparisonSmoothingSlider.enabled


def test_one_run_alone_is_shown_and_not_compared(tab: OpenTab) -> None:
    tab.choose("a", "b")
    assert tab.ui.runBox.isHidden()
    assert tab.ui.scoreSection.isHidden()
    assert not tab.ui.comparisonSection.isHidden()
    tab.choose("b")
    assert tab.ui.comparisonSection.isHidden()
    assert tab.ui.runBox.title == "b"


def test_what_is_chosen_stays_when_another_run_joins(tab: OpenTab) -> None:
    tab.choose("a", "b")
    tab.ui.comparisonSelector.setCurrentIndex(1)
    tab.choose("a", "b", "c")
    assert tab.ui.comparisonSelector.currentText == "agreement"
    assert len(legend(tab)) == 3


def test_new_scores_are_drawn(tab: OpenTab, tmp_path: Path) -> None:
    tab.choose("a", "b")
    add_validation(tmp_path / "runs" / "b", [300])
    tab.section.poll()
    assert legend(tab)[1] == "b: 0.7684 at step 300"


def test_a_run_that_cannot_be_read_is_left_out(tab: OpenTab, tmp_path: Path) -> None:
    write_json(tmp_path / "runs" / "c" / "config.json", {"schema": 9})
    tab.section.refresh()
    tab.choose("a", "b", "c")
    assert len(legend(tab)) == 2


def test_the_comparison_is_saved(host, tab: OpenTab, tmp_path: Path) -> None:
    tab.choose("a", "b")
    host.dialogs.answer_next(str(tmp_path / "b.png"))
    tab.ui.saveComparisonButton.click()
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")


def test_several_are_deleted_at_once(host, tab: OpenTab, tmp_path: Path) -> None:
    for name in "ab":
        write_json(tmp_path / "runs" / name / "state.json", {"status": "done"})
    tab.section.refresh()
    tab.choose("a", "b")
    assert not tab.ui.openRunFolderButton.enabled
    host.dialogs.answer_next("Yes")
    tab.ui.deleteRunButton.click()
    assert "a (" in host.dialogs.texts[-1]
    assert "b (" in host.dialogs.texts[-1]
    assert tab.names == ["c"]
    assert tab.ui.runBox.title == "c"


def test_no_more_than_eight_are_compared_and_that_is_said(tab: OpenTab, tmp_path: Path) -> None:
    for name in "defghij":
        make_run(tmp_path / "runs" / name)
    tab.section.refresh()
    tab.choose(*"abcdefgh")
    assert len(legend(tab)) == 8
    assert tab.ui.comparisonHintLabel.isHidden()
    tab.choose(*"abcdefghij")
    assert len(legend(tab)) == 8
    assert tab.ui.comparisonHintLabel.text == "The first 8 of the 10 chosen trainings are compared."
    assert not tab.ui.comparisonHintLabel.isHidden()
