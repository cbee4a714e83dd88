"""The chosen run, and watching one that goes on."""

import os
import signal
import sys
from pathlib import Path

import pytest
import qt
from filelock import FileLock

from cisfa.config import TrainingConfig
from cisfa.runs.run_state import Status, make_request, read_request
from cisfa_slicer.process_tree import kill_process_tree
from cisfa_slicer.run_companion import RunCompanion
from cisfa_slicer.run_launcher import RunLauncher, RunPlan
from cisfa_slicer.run_library import RunLibrary
from stand_ins import python_that_does
from training.run_folders import (
    OpenTab,
    add_metrics,
    add_previews,
    case_list,
    make_local,
    make_run,
    open_tab,
    rewrite_state,
)

# a training as others see it: holds the lock, writes, heeds requests
TRAINS = """
from filelock import FileLock
run = Path(argument("--run"))
run.mkdir(exist_ok=True)

def put(name, values):
    (run / f"{name}.new").write_text(json.dumps(values), encoding="utf-8")
    os.replace(run / f"{name}.new", run / name)

def state(status, step):
    put("state.json", {"status": status, "step": step, "steps": 100000, "updated": time.time(), "steps_per_s": 50.0})

with FileLock(run / ".lock"):
    if "--config" in sys.argv:
        put("config.json", {"schema": 1, **json.loads(Path(argument("--config")).read_text(encoding="utf-8"))})
    print("training", flush=True)
    for step in range(1, 100001):
        with (run / "metrics.csv").open("a", encoding="utf-8") as file:
            file.write(("step,dice\\n" if step == 1 else "") + f"{step},{1 / step}\\n")
        state("training", step)
        if (run / "request.json").exists():
            request = json.loads((run / "request.json").read_text(encoding="utf-8"))["request"]
            state({"pause": "paused", "stop": "stopped"}[request], step)
            (run / "request.json").unlink()
            break
        time.sleep(0.02)
"""
IS_PAUSABLE, IS_RESUMABLE, IS_STOPPABLE = "pauseRunButton", "resumeRunButton", "stopRunButton"


@pytest.fixture
def tab(host, root: Path, tmp_path: Path):
    made = open_tab(root, tmp_path)
    yield made
    made.section.end_now()


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def enabled(tab: OpenTab) -> set[str]:
    return {name for name in (IS_PAUSABLE, IS_RESUMABLE, IS_STOPPABLE) if getattr(tab.ui, name).enabled}


def plots(tab: OpenTab) -> list[str]:
    return [tab.ui.curveSelector.itemText(place) for place in range(tab.ui.curveSelector.count)]


# what it says


@pytest.mark.parametrize(
    ("status", "buttons", "sentence"),
    [
        (Status.DONE, set(), "Done."),
        (Status.PAUSED, {IS_RESUMABLE}, "Paused. Resume goes on from the newest checkpoint."),
        (Status.STOPPED, {IS_RESUMABLE}, "Stopped before its time. Resume"),
        (Status.FAILED, {IS_RESUMABLE}, "Failed: Memory (RAM) ran out."),
        (Status.TRAINING, {IS_RESUMABLE}, "Interrupted: its process is gone."),  # nobody holds the lock
    ],
)
def test_the_buttons_are_those_of_the_state(
    tab: OpenTab, runs: Path, status: Status, buttons: set[str], sentence: str
) -> None:
    make_run(runs / "a", status, reason="Memory (RAM) ran out.")
    make_local(runs / "a", log="")
    tab.section.refresh()
    assert tab.ui.runStateLabel.text.startswith(sentence)
    assert enabled(tab) == buttons


def test_a_run_from_elsewhere_is_resumed_elsewhere(tab: OpenTab, runs: Path) -> None:
    make_run(runs / "a", Status.PAUSED)
    tab.section.refresh()
    assert tab.ui.runStateLabel.text == "Paused. Resume it where it was started."
    assert enabled(tab) == set()


def test_progress_is_told_in_words(tab: OpenTab, runs: Path) -> None:
    make_run(runs / "a", Status.TRAINING, step=100, steps_per_s=0.25, remaining_s=7800.0, memory_mb=2048.0)
    tab.section.refresh()
    assert tab.ui.runFiguresLabel.text == "step 100 of 400 · 4.0 s per step · about 2 h 10 min left · 2.1 GB memory"
    assert tab.ui.runProgressBar.value == 250
    assert tab.ui.runStateLabel.text == "Training elsewhere."
    assert enabled(tab) == set()  # a copy has no process that could be asked


def test_reading_says_what_is_read(tab: OpenTab, runs: Path) -> None:
    folder = make_run(runs / "a", Status.READING, step=0, stage="reading source cases", fraction=0.5)
    rewrite_state(folder, Status.READING, step=0, steps=0, stage="reading source cases", fraction=0.5)
    tab.section.refresh()
    assert tab.ui.runStateLabel.text == "Reading the cases: reading source cases"
    assert tab.ui.runProgressBar.value == 500


def test_pausing_and_stopping_ask_and_say_so(tab: OpenTab, runs: Path) -> None:
    folder = make_run(runs / "a", Status.TRAINING, step=100)
    make_local(folder)
    with FileLock(folder / ".lock"):
        tab.section.refresh()
        tab.ui.pauseRunButton.click()
        assert read_request(folder) == "pause"
        assert tab.ui.runStateLabel.text == "Pausing after the next step …"
        assert enabled(tab) == {IS_STOPPABLE}
        tab.ui.stopRunButton.click()
        assert read_request(folder) == "stop"
        assert tab.ui.runStateLabel.text == "Stopping after the next step …"
        assert enabled(tab) == set()


def test_nobody_is_promised_what_windows_does_not_keep(
    tab: OpenTab, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_local(make_run(runs / "a", Status.TRAINING, step=100))
    with FileLock(runs / "a" / ".lock"):
        tab.section.refresh()
        assert tab.ui.runStateLabel.text == "Training; it goes on when Slicer is closed."
        monkeypatch.setattr("CISFATrainingLib.run_words.is_bound_to_slicer", lambda process_id: True)
        tab.section.poll()
        assert tab.ui.runStateLabel.text == "Training; it ends when Slicer is closed. Pause it before that."


def test_a_request_that_came_too_late_is_not_told(tab: OpenTab, runs: Path) -> None:
    make_request(make_run(runs / "a", Status.DONE), "stop")
    tab.section.refresh()
    assert tab.ui.runStateLabel.text == "Done."


# curves


def test_curves_are_chosen_by_groups_and_one_by_one(tab: OpenTab, runs: Path) -> None:
    make_run(runs / "a")
    tab.section.refresh()
    assert plots(tab) == [
        *(
            "All losses",
            "Scores without target labels",
            "Dice of each organ",
            "generator adversary",
            "patch contrast",
            "dice",
        ),
        "Gradient norms",
    ]
    assert "patch contrast" in tab.ui.curveLabel.toolTip
    assert "gradient" not in tab.ui.curveLabel.toolTip
    tab.ui.curveSelector.setCurrentIndex(6)
    assert "segmenter: " in tab.ui.curveLabel.toolTip
    tab.ui.curveSelector.setCurrentIndex(2)
    assert [line.split(":")[0] for line in tab.ui.curveLabel.toolTip.split("\n")] == ["liver", "spleen", "right kidney"]


def test_scores_are_not_smoothed_and_losses_as_much_as_the_slider_says(tab: OpenTab, runs: Path) -> None:
    make_run(runs / "a")
    tab.section.refresh()
    assert "smoothed" in tab.ui.curveLabel.toolTip
    tab.ui.curveSmoothingSlider.setValue(0)
    assert "smoothed" not in tab.ui.curveLabel.toolTip
    tab.ui.curveSmoothingSlider.setValue(80)
    tab.ui.curveSelector.setCurrentIndex(1)
    assert "smoothed" not in tab.ui.curveLabel.toolTip
    assert not tab.ui.curveSmoothingSlider.enabled


def test_new_rows_are_drawn_and_what_was_chosen_stays(tab: OpenTab, runs: Path) -> None:
    folder = make_run(runs / "a", Status.TRAINING, step=100)
    tab.section.refresh()
    tab.ui.curveSelector.setCurrentIndex(4)
    tab.ui.curveLogCheckBox.checked = True
    assert "at step 100" in tab.ui.curveLabel.toolTip
    add_metrics(folder, [110, 120])
    tab.section.poll()
    assert tab.ui.curveLabel.toolTip.startswith("patch contrast: ")
    assert "at step 120" in tab.ui.curveLabel.toolTip


def test_a_picture_of_the_curves_is_saved(host, tab: OpenTab, runs: Path, tmp_path: Path) -> None:
    make_run(runs / "a")
    tab.section.refresh()
    host.dialogs.answer_next("", str(tmp_path / "Kurven ü"))
    tab.ui.saveCurveButton.click()
    tab.ui.saveCurveButton.click()
    assert (tmp_path / "Kurven ü.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_saved_is_a_sentence(host, tab: OpenTab, runs: Path, tmp_path: Path) -> None:
    make_run(runs / "a")
    tab.section.refresh()
    host.dialogs.answer_next(str(tmp_path / "nowhere" / "a.png"))
    tab.ui.saveCurveButton.click()
    assert tab.has("cannot be written")


def test_a_run_without_curves_says_so(tab: OpenTab, runs: Path) -> None:
    make_run(runs / "a", Status.READING, step=0)
    tab.section.refresh()
    assert tab.ui.curveLabel.text.startswith("No curves yet")
    assert not tab.ui.saveCurveButton.enabled
    assert tab.ui.previewStepLabel.text == "step 1 (1 of 1)"


# pictures


def test_the_newest_picture_is_followed_unless_another_one_was_chosen(tab: OpenTab, runs: Path) -> None:
    folder = make_run(runs / "a", step=200)
    tab.section.refresh()
    assert tab.ui.previewStepLabel.text == "step 200 (3 of 3)"
    add_previews(folder, [300])
    tab.section.refresh()
    assert tab.ui.previewStepLabel.text == "step 300 (4 of 4)"
    tab.ui.previewSlider.setValue(1)
    assert tab.ui.previewStepLabel.text == "step 100 (2 of 4)"
    add_previews(folder, [400])
    tab.section.refresh()
    assert tab.ui.previewStepLabel.text == "step 100 (2 of 5)"
    tab.ui.previewSlider.setValue(4)
    add_previews(folder, [500])
    tab.section.refresh()
    assert tab.ui.previewStepLabel.text == "step 500 (6 of 6)"
    assert not tab.ui.previewLabel.pixmap.isNull()


def test_the_outlines_colours_are_explained_and_names_cannot_write_html(tab: OpenTab, runs: Path) -> None:
    folder = make_run(runs / "a")
    data = (folder / "data.json").read_text(encoding="utf-8")
    (folder / "data.json").write_text(data.replace('"spleen"', '"<img src=x>"'), encoding="utf-8")
    tab.section.refresh()
    assert "liver" in tab.ui.previewCaptionLabel.text
    assert "&lt;img src=x&gt;" in tab.ui.previewCaptionLabel.text
    assert "<img" not in tab.ui.previewCaptionLabel.text


@pytest.mark.parametrize(
    ("method", "is_translated"),
    [("cisfa", True), ("cisfa-plus", True), ("supervised-plus", False), ("source-only", False)],
)
def test_the_caption_says_what_the_columns_are(tab: OpenTab, runs: Path, method: str, is_translated: bool) -> None:
    make_run(runs / "a", method=method)
    tab.section.refresh()
    assert ("| synthetic |" in tab.ui.previewCaptionLabel.text) is is_translated


def test_a_damaged_picture_is_named(tab: OpenTab, runs: Path) -> None:
    folder = make_run(runs / "a", step=50)
    (folder / "previews" / "step-00000050.png").write_bytes(b"PNG")
    tab.section.refresh()
    assert tab.ui.previewLabel.text == "step-00000050.png cannot be shown: it is damaged."


# log


def test_the_log_is_read_when_somebody_looks_at_it_and_can_be_copied(tab: OpenTab, runs: Path) -> None:
    make_run(runs / "a")
    companion = make_local(runs / "a", "first\nsecond\n")
    tab.section.refresh()
    assert tab.ui.runLogText.plainText == ""
    tab.ui.runLogSection.collapsed = False
    assert tab.ui.runLogText.plainText == "first\nsecond"
    with companion.log.open("a", encoding="utf-8") as file:
        file.write("third\n")
    tab.section.poll()
    assert tab.ui.runLogText.plainText == "first\nsecond\nthird"
    companion.log.write_text("another\n", encoding="utf-8")
    tab.section.poll()
    tab.ui.copyRunLogButton.click()
    assert qt.QApplication.clipboard().text() == "another"
    make_run(runs / "b")
    tab.section.refresh()
    tab.section.select(runs / "b")
    assert tab.ui.runLogText.plainText == "There is no log of it on this computer."


# live


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is another thing there")
def test_a_run_is_watched_paused_resumed_and_killed(host, root: Path, tmp_path: Path) -> None:
    launcher = RunLauncher(RunLibrary(), lambda: python_that_does(TRAINS, tmp_path))
    tab = open_tab(root, tmp_path, launcher=launcher)
    tab.section.enter()
    folder = launcher.start(RunPlan("live", case_list(tmp_path), TrainingConfig()))
    process_id = RunCompanion(folder).read_launch().process_id
    try:
        tab.section.refresh()
        tab.section.select(folder)
        assert tab.cell(0, 1) == "Starting"
        host.spin_until(lambda: tab.ui.runStateLabel.text.startswith("Training"), "it trains")
        assert tab.cell(0, 1).startswith("Training")
        seen = tab.ui.curveLabel.toolTip
        host.spin_until(lambda: tab.ui.curveLabel.toolTip not in ("", seen), "new values are drawn")
        assert enabled(tab) == {IS_PAUSABLE, IS_STOPPABLE}
        tab.ui.deleteRunButton.click()
        assert tab.has("live is being trained. Stop it first")
        tab.ui.pauseRunButton.click()
        host.spin_until(lambda: tab.ui.runStateLabel.text.startswith("Paused"), "it pauses")
        assert tab.cell(0, 1) == "Paused"
        tab.ui.resumeRunButton.click()
        assert tab.ui.runStateLabel.text.startswith(("Starting", "Training"))
        process_id = RunCompanion(folder).read_launch().process_id
        host.spin_until(lambda: tab.ui.runStateLabel.text.startswith("Training"), "it trains again")
        os.kill(process_id, signal.SIGKILL)
        host.spin_until(lambda: tab.ui.runStateLabel.text.startswith("Interrupted"), "somebody notices")
        assert enabled(tab) == {IS_RESUMABLE}
        assert tab.cell(0, 1) == "Interrupted"
    finally:
        tab.section.end_now()
        kill_process_tree(process_id)
