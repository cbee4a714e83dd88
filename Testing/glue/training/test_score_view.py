"""Scoring a run on labelled cases."""

from pathlib import Path

import pytest
import qt

from cisfa.cases.case_folder import labelled_cases
from cisfa.evaluation.score_file import read_scores, write_scores
from cisfa_slicer.run_companion import RunCompanion
from stand_ins import WAITS, python_that_does
from training.run_folders import OpenTab, make_local, make_run, open_tab, scores_of, write_json
from training.tiny_training import draw_case, train_tiny

FAILS_AFTER = """
import shutil
output = Path(argument("--output"))
output.mkdir(parents=True)
shutil.copyfile({scores!r}, output / "scores.json")
print("DOE^JANE 1 is left out", file=sys.stderr)
say("failed", message="1 of 5 cases could not be scored: DOE^JANE 1.")
sys.exit(2)
"""
LEAVES_A_LABEL_MAP = """
predictions = Path(argument("--output")) / "predictions"
predictions.mkdir(parents=True)
(predictions / "DOE^JANE 1.nrrd").touch()
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "runs" / "a")


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    for number in range(2):
        draw_case(tmp_path / "Fälle", f"DOE^JANE {number}", 0)
    return tmp_path / "Fälle"


@pytest.fixture
def tab(host, root: Path, tmp_path: Path, run: Path):
    made = open_tab(root, tmp_path)
    made.section.refresh()
    yield made
    made.section.end_now()


@pytest.fixture
def jobs_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Let jobs run a script instead of the real command."""

    def use(script: str) -> None:
        python = python_that_does(script, tmp_path)
        monkeypatch.setattr("CISFATrainingLib.run_job_view.interpreter_of_settings", lambda: python)

    return use


def score(host, tab: OpenTab, cases: Path) -> None:
    host.dialogs.answer_next(str(cases))
    tab.ui.scoreButton.click()
    host.spin_until(lambda: tab.ui.runJobBox.isHidden(), "the job to end", timeout_s=120)


def table(widget) -> list[list[str]]:
    columns = range(widget.columnCount)
    return [[widget.item(row, column).text() for column in columns] for row in range(widget.rowCount)]


def named_in_log(tab: OpenTab) -> bool:
    return any("DOE" in line for line in tab.log)


def test_the_real_command_scores_a_run(host, root: Path, tmp_path: Path) -> None:
    folder = train_tiny(tmp_path)
    tab = open_tab(root, tmp_path)
    tab.section.refresh()
    assert tab.ui.scoreAboutLabel.text.startswith("Not scored yet.")
    score(host, tab, tmp_path / "mr")
    assert tab.has("tiny was scored.")
    output = RunCompanion(folder).path / "scores" / "1"
    scores = read_scores(output / "scores.json")
    assert tab.ui.scoreAboutLabel.text == "Cases scored: 2, with the checkpoint of step 3."
    assert [row[0] for row in table(tab.ui.scoreTable)] == ["spleen", "left kidney", "mean over organs"]
    assert table(tab.ui.scoreTable)[0][1] == f"{scores.organs[0].dice.mean:.3f} ± {scores.organs[0].dice.sd:.3f}"
    assert len(table(tab.ui.caseScoreTable)) == 4
    tab.ui.openReportButton.click()
    assert host.opened_urls[-1] == output.as_uri()
    assert (output / "report.md").is_file()
    assert not named_in_log(tab)
    assert not any("DOE" in path.name for path in folder.rglob("*"))
    assert tab.library.look_at(folder).is_local is False


def test_the_last_scores_are_shown_when_a_run_is_chosen_again(tab: OpenTab, run: Path) -> None:
    make_run(run.with_name("b"))
    for number, count in ((2, 3), (10, 5), (11, 0)):
        folder = RunCompanion(run).path / "scores" / str(number)
        folder.mkdir(parents=True)
        if count:
            write_scores(scores_of(count), folder / "scores.json")
    tab.section.refresh()
    tab.section.select(run.with_name("b"))
    assert tab.ui.scoreTable.isHidden()
    assert not tab.ui.copyScoresButton.enabled
    tab.section.select(run)
    assert not tab.ui.scoreTable.isHidden()
    assert tab.ui.scoreAboutLabel.text == "Cases scored: 5, with the checkpoint of step 400."


def test_tables_tell_means_values_and_what_explains_them(tab: OpenTab, run: Path) -> None:
    write_scores(scores_of(2, left_out=1), RunCompanion(run).path / "scores" / "1" / "scores.json")
    tab.section.poll()
    assert table(tab.ui.scoreTable)[:3] == [
        ["liver", "0.925 ± 0.007", "0.90 ± 0.14", "2"],
        ["spleen", "0.885 ± 0.007", "1.50 ± 0.14", "2"],
        ["right kidney", "0.420 ± 0.594", "2.20", "2 (ASSD 1)"],
    ]
    assert table(tab.ui.caseScoreTable)[2] == ["DOE^JANE 0", "right kidney", "0.000", "–", "prediction empty"]
    assert tab.ui.scoreRemarksLabel.text == (
        "Not scored, since the labels do not name it: stomach.\nROE^RICHARD 0 was left out: Its label map is empty."
    )
    assert "liver: median" in tab.ui.dicePlotLabel.toolTip
    assert "right kidney: median 2.2" in tab.ui.distancePlotLabel.toolTip


def test_the_copied_table_names_no_case(tab: OpenTab, run: Path) -> None:
    write_scores(scores_of(2), RunCompanion(run).path / "scores" / "1" / "scores.json")
    tab.section.poll()
    tab.ui.copyScoresButton.click()
    text = qt.QApplication.clipboard().text()
    assert text.startswith("Organ\tDice\tASSD (mm)\tCases\nliver\t0.925 ± 0.007\t0.90 ± 0.14\t2\n")
    assert "DOE" not in text


def test_scores_of_some_cases_are_shown_with_what_is_wrong_with_the_others(
    host, tab: OpenTab, run: Path, cases: Path, tmp_path: Path, jobs_do
) -> None:
    write_scores(scores_of(4, left_out=1), tmp_path / "scores.json")
    jobs_do(FAILS_AFTER.format(scores=str(tmp_path / "scores.json")))
    score(host, tab, cases)
    assert tab.has("1 of 5 cases could not be scored: DOE^JANE 1.")
    assert tab.ui.scoreAboutLabel.text.startswith("Cases scored: 4,")
    assert not named_in_log(tab)
    assert "… is left out" in tab.log


def test_scores_go_beside_a_run_of_this_computer_and_never_over_older_ones(
    host, tab: OpenTab, run: Path, cases: Path, tmp_path: Path, jobs_do
) -> None:
    make_local(run)
    write_scores(scores_of(4), tmp_path / "scores.json")
    jobs_do(FAILS_AFTER.format(scores=str(tmp_path / "scores.json")))
    score(host, tab, cases)
    score(host, tab, cases)
    assert sorted(path.name for path in (RunCompanion(run).path / "scores").iterdir()) == ["1", "2"]


def test_a_cancelled_scoring_leaves_no_label_maps(host, tab: OpenTab, run: Path, cases: Path, jobs_do) -> None:
    jobs_do(LEAVES_A_LABEL_MAP + WAITS)
    host.dialogs.answer_next(str(cases))
    tab.ui.scoreButton.click()
    host.spin_until(lambda: tab.ui.runJobLabel.text == "Scoring a, segmenting", "it says how far it is")
    tab.ui.cancelRunJobButton.click()
    host.spin_until(lambda: tab.ui.runJobBox.isHidden(), "it stops")
    assert tab.has("Stopped on request.")
    assert list((RunCompanion(run).path / "scores").iterdir()) == []


def test_a_folder_without_labels_is_refused_before_anything_starts(
    host, tab: OpenTab, run: Path, cases: Path, tmp_path: Path
) -> None:
    host.dialogs.answer_next(str(tmp_path), "")
    tab.ui.scoreButton.click()
    assert tab.ui.runJobBox.isHidden()
    assert tab.ui.runMessageLabel.text
    tab.ui.scoreButton.click()
    assert tab.log == []
    assert not RunCompanion(run).path.exists()
    assert len(labelled_cases(cases)) == 2


def test_another_run_may_be_looked_at_meanwhile(
    host, tab: OpenTab, run: Path, cases: Path, tmp_path: Path, jobs_do
) -> None:
    make_run(run.with_name("b"))
    tab.section.refresh()
    tab.section.select(run)
    write_scores(scores_of(4), tmp_path / "scores.json")
    jobs_do(FAILS_AFTER.format(scores=str(tmp_path / "scores.json")))
    host.dialogs.answer_next(str(cases))
    tab.ui.scoreButton.click()
    tab.section.select(run.with_name("b"))
    host.spin_until(lambda: tab.ui.runJobBox.isHidden(), "the job to end")
    assert tab.ui.scoreTable.isHidden()
    tab.section.select(run)
    assert not tab.ui.scoreTable.isHidden()


def test_damaged_scores_are_a_sentence(tab: OpenTab, run: Path) -> None:
    folder = RunCompanion(run).path / "scores" / "1"
    folder.mkdir(parents=True)
    write_json(folder / "scores.json", {"schema": 9})
    tab.section.poll()
    assert "newer version" in tab.ui.scoreAboutLabel.text
    assert tab.ui.scoreTable.isHidden()


def test_all_scorings_of_a_run_can_be_looked_at_the_newest_at_first(host, tab: OpenTab, run: Path) -> None:
    selector, place = tab.ui.scoreSelector, RunCompanion(run).path / "scores"
    assert selector.isHidden()
    write_scores(scores_of(5), place / "1" / "scores.json")
    write_scores(scores_of(2, left_out=3), place / "2" / "scores.json")
    tab.section.poll()
    assert [selector.itemText(index).partition(": ")[2] for index in range(selector.count)] == [
        "cases 2, step 400, left out 3",
        "cases 5, step 400",
    ]
    assert tab.ui.scoreAboutLabel.text.startswith("Cases scored: 2,")
    selector.setCurrentIndex(1)
    assert tab.ui.scoreAboutLabel.text.startswith("Cases scored: 5,")
    tab.section.poll()
    assert selector.currentIndex == 1
    tab.ui.openReportButton.click()
    assert host.opened_urls[-1] == (place / "1").as_uri()
    (place / "3").mkdir()
    (place / "3" / "scores.json").write_text("{", encoding="utf-8")
    tab.section.poll()
    assert selector.currentText.endswith(": cannot be read")
    assert tab.ui.scoreTable.isHidden()
