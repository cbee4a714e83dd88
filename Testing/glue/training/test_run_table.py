"""The list of runs."""

import time
from pathlib import Path

import pytest
import qt

from cisfa.errors import CisfaError
from cisfa.runs.run_state import Status
from cisfa_slicer.error_display import failure_style
from training.run_folders import OpenTab, make_local, make_run, open_tab, rewrite_state, write_json

NAME, STATE, METHOD, DICE, STARTED = range(5)


@pytest.fixture
def tab(host, root: Path, tmp_path: Path):
    made = open_tab(root, tmp_path)
    yield made
    made.section.end_now()


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def begin(folder: Path, hour: int) -> None:
    write_json(folder / "environment.json", {"started": f"2026-01-31T{hour}:00:00+00:00"})


def is_only_to_open_or_delete(tab: OpenTab) -> bool:
    ui = tab.ui
    others = (ui.duplicateRunButton, ui.pauseRunButton, ui.resumeRunButton, ui.stopRunButton)
    others += (ui.useModelButton, ui.scoreButton)
    return ui.openRunFolderButton.enabled and ui.deleteRunButton.enabled and not any(each.enabled for each in others)


def test_a_run_is_told_in_a_row(tab: OpenTab, runs: Path) -> None:
    make_run(runs / "Leber ü", Status.TRAINING, step=200)
    tab.section.refresh()
    name, state, method, dice, started = (tab.cell(0, column) for column in range(5))
    assert name == "Leber ü\n12 CT → 8 MR, 3 organs"
    assert state == "Training\n50 %"
    assert method == "cisfa"
    assert dice == "0.721\nstep 200"
    assert started.endswith(" KB")
    assert " d ago" in started
    assert not tab.ui.runTable.item(0, STATE).icon().isNull()


def test_a_method_without_a_target_names_none(tab: OpenTab, runs: Path) -> None:
    make_run(runs / "a", method="supervised")
    tab.section.refresh()
    assert tab.cell(0, NAME) == "a\n12 CT, 3 organs"


def test_the_newest_run_is_chosen_at_first_and_stays_chosen_when_another_comes(tab: OpenTab, runs: Path) -> None:
    begin(make_run(runs / "a"), 12)
    begin(make_run(runs / "b"), 13)
    tab.section.refresh()
    assert tab.names == ["b", "a"]
    assert tab.ui.runBox.title == "b"
    begin(make_run(runs / "c"), 14)
    tab.section.refresh()
    assert tab.names == ["c", "b", "a"]
    assert tab.ui.runBox.title == "b"


def test_several_chosen_ones_stay_chosen(tab: OpenTab, runs: Path) -> None:
    for name in "abc":
        make_run(runs / name)
    tab.section.refresh()
    tab.choose("a", "c")
    make_run(runs / "d")
    tab.section.refresh()
    assert sorted(run.path.name for run in tab.section._table.selected) == ["a", "c"]


def test_who_chooses_none_gets_none(tab: OpenTab, runs: Path) -> None:
    make_run(runs / "a")
    tab.section.refresh()
    tab.ui.runTable.clearSelection()
    tab.section.refresh()
    assert tab.section._table.selected == ()
    assert tab.ui.runBox.isHidden()
    assert "Choose a training above" in tab.ui.runHintLabel.text


def test_a_run_is_chosen_by_its_folder(tab: OpenTab, runs: Path) -> None:
    make_run(runs / "a")
    make_run(runs / "b")
    tab.section.refresh()
    for name in ("a", "b"):
        tab.section.select(runs / name)
        assert tab.ui.runBox.title == name


def test_a_click_on_a_header_sorts_and_another_one_turns_it_around(tab: OpenTab, runs: Path) -> None:
    for name, step in (("A", 200), ("b", 400), ("C", 50)):
        make_run(runs / name, step=step)
    tab.section.refresh()
    header = tab.ui.runTable.horizontalHeader()
    for column, expected in ((NAME, ["A", "b", "C"]), (NAME, ["C", "b", "A"]), (DICE, ["b", "A", "C"])):
        header.sectionClicked(column)
        assert tab.names == expected
    assert [tab.ui.runTable.horizontalHeaderItem(column).text() for column in (NAME, DICE)] == [
        "Training",
        "Best Dice ▾",
    ]
    make_run(runs / "D", step=300)
    tab.section.refresh()
    assert tab.names == ["b", "D", "A", "C"]


def test_a_changed_state_is_seen_in_its_row(tab: OpenTab, runs: Path) -> None:
    folder = make_run(runs / "a", Status.PAUSED)
    tab.section.refresh()
    assert tab.cell(0, STATE) == "Paused"
    rewrite_state(folder, Status.STOPPED)
    tab.section.refresh()
    assert tab.cell(0, STATE) == "Stopped"


@pytest.mark.parametrize(
    ("file", "values", "sentence"),
    [
        ("config.json", {"schema": 9}, "written by a newer version"),
        ("config.json", [], "holds no JSON object"),
        ("data.json", {}, "is damaged"),
    ],
)
def test_a_run_with_a_problem_is_listed_with_it(
    tab: OpenTab, runs: Path, file: str, values: object, sentence: str
) -> None:
    write_json(make_run(runs / "a", Status.PAUSED) / file, values)
    make_local(runs / "a")
    tab.section.refresh()
    assert tab.cell(0, STATE) == "Unusable"
    assert sentence in tab.ui.runTable.item(0, NAME).toolTip()
    assert sentence in tab.ui.runStateLabel.text
    assert is_only_to_open_or_delete(tab)


def test_a_run_that_failed_before_it_wrote_anything_is_listed(tab: OpenTab, runs: Path) -> None:
    companion = make_local(runs / "a", "Traceback\ncisfa: error: DOE^JANE has no voxels. Leave it out.\n")
    companion.write_launch(2**22 + 1, "auto", "1")
    tab.section.refresh()
    assert tab.names == ["a"]
    assert tab.cell(0, STATE) == "Failed"
    assert tab.ui.runStateLabel.text == "Failed: DOE^JANE has no voxels. Leave it out."
    assert tab.ui.resumeRunButton.text == "Try again"
    assert tab.ui.resumeRunButton.enabled
    assert not any("DOE" in line for line in tab.log)


def test_an_empty_list_says_what_to_do(tab: OpenTab) -> None:
    tab.section.enter()
    assert "Start one in the tab Train" in tab.ui.runHintLabel.text
    assert not tab.ui.deleteRunButton.enabled


def test_the_runs_are_looked_at_while_the_module_is_open_alone(host, tab: OpenTab, runs: Path) -> None:
    tab.section.enter()
    tab.section.exit()
    make_run(runs / "a")
    polls: list[int] = []
    tab.section.poll = lambda: polls.append(1)
    until = time.monotonic() + 1.5
    host.spin_until(lambda: time.monotonic() > until)
    assert tab.names == []
    tab.section.enter()
    assert tab.names == ["a"]


def test_a_run_folder_that_cannot_be_read_is_a_sentence_said_once(
    tab: OpenTab, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.mkdir()

    def refuse(folder: Path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    for _ in range(3):
        tab.section.refresh()
    assert tab.has("cannot be read: Permission denied")
    assert len(tab.log) == 1


def test_fifty_runs_cost_little(tab: OpenTab, runs: Path) -> None:
    """A poll takes about 15 ms, and 1 ms when only the chosen one is looked at; a busy computer gets ten times that."""
    for number in range(50):
        make_run(runs / f"run {number}")
        make_local(runs / f"run {number}")
    tab.section.refresh()
    times = []
    for _ in range(6):
        begun = time.perf_counter()
        tab.section.poll()
        times.append(time.perf_counter() - begun)
    assert max(times) < 0.2
    assert sorted(times)[2] < 0.02
    assert len(tab.names) == 50


def test_the_list_is_as_high_as_its_rows_up_to_five(tab: OpenTab, runs: Path) -> None:
    def height_with(count: int) -> int:
        for number in range(count):
            if not (runs / str(number)).exists():
                make_run(runs / str(number))
        tab.section.refresh()
        return tab.ui.runTable.maximumHeight

    one, five = height_with(1), height_with(5)
    row = tab.ui.runTable.rowHeight(0)
    assert five == one + 4 * row
    assert height_with(7) == five
    assert tab.ui.runTable.minimumHeight == five


def test_the_list_and_the_bar_tell_the_same_percentage_and_hundred_only_at_the_end(tab: OpenTab, runs: Path) -> None:
    rewrite_state(make_run(runs / "a", Status.TRAINING), Status.TRAINING, step=399)
    tab.section.refresh()
    assert tab.cell(0, STATE) == "Training\n99 %"
    assert tab.ui.runProgressBar.format == "99 %"


def test_a_list_that_cannot_be_read_is_not_called_empty(tab: OpenTab, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(5, "Input/output error")

    tab.section.refresh()
    assert tab.ui.runHintLabel.text.startswith("No training yet.")
    assert not tab.ui.runHintLabel.isHidden()
    monkeypatch.setattr(tab.library, "runs", fail)
    tab.section.refresh()
    assert tab.has("Input/output error")
    assert tab.ui.runHintLabel.isHidden()


def test_the_log_names_neither_runs_nor_folders(
    tab: OpenTab, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise CisfaError(f"{runs / 'Mueller'} cannot be read, nor {Path.home() / 'x'}, nor {tmp_path}/models/y.")

    make_run(runs / "Mueller")
    tab.section.refresh()
    monkeypatch.setattr(tab.library, "runs", fail)
    tab.section.refresh()
    assert tab.has("Mueller")
    assert tab.log == ["…/… cannot be read, nor …/x, nor …/y."]


@pytest.mark.parametrize(("background", "red"), [("#ffffff", "#b00020"), ("#202020", "#ff6b6b")])
def test_a_failure_can_be_read_on_light_and_on_dark(tab: OpenTab, background: str, red: str) -> None:
    label = tab.ui.runMessageLabel
    palette = label.palette
    palette.setColor(qt.QPalette.Window, qt.QColor(background))
    label.setPalette(palette)
    assert failure_style(label) == f"color: {red}; font-weight: bold;"
