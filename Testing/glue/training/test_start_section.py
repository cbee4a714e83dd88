"""The tab of the start: the check before it, and what is started."""

import json
from pathlib import Path

import pytest

from cisfa.cases.case_list import ListedCase, read_case_list
from cisfa.config_files import compose
from cisfa.imaging.segments import Segment
from cisfa.training.methods import METHODS
from CISFATrainingLib.methods import method_choices
from panel_steps import check_that_finds, touch

# a `cisfa` that checks, and that does nothing when it is to train
CHECKS_AND_TRAINS = """
if sys.argv[1] == "train":
    Path(argument("--run")).mkdir()
    (Path(argument("--run")) / "words.json").write_text(json.dumps(sys.argv[1:]), encoding="utf-8")
    sys.exit(0)
"""


@pytest.fixture
def store(training):
    return training.logic.training.store


@pytest.fixture
def filled(store, tmp_path: Path, job_does):
    """Two cases in the tables, and a check that finds nothing wrong."""
    job_does(CHECKS_AND_TRAINS + check_that_finds())
    store.add("source", [ListedCase("a", tmp_path / "a.nii", tmp_path / "a_seg.nii", segments=(Segment(1, "liver"),))])
    store.add("target", [ListedCase("b", tmp_path / "b.nii")])
    return store


@pytest.fixture
def checked(host, tabs):
    def wait() -> None:
        host.spin_until(lambda: tabs.checkButton.text == "Check", "the check")

    return wait


def index_of(name: str) -> int:
    return [choice.name for choice in method_choices()].index(name)


def test_the_methods_are_those_of_the_command(host) -> None:
    assert {choice.name: choice.has_target for choice in method_choices()} == {
        name: entry.has_target for name, entry in METHODS.items()
    }


def test_without_cases_a_sentence_says_where_they_are_added(tabs) -> None:
    tabs.startButton.click()
    assert "There are no source cases" in tabs.startMessageLabel.text


def test_a_method_without_target_needs_none(tabs, filled, checked) -> None:
    filled.remove("target", ["b"])
    tabs.checkButton.click()
    assert "There are no target cases" in tabs.startMessageLabel.text
    tabs.methodSelector.setCurrentIndex(index_of("supervised"))
    tabs.checkButton.click()
    checked()
    assert tabs.startMessageLabel.text == "Ready to start."


def test_a_check_shows_errors_before_warnings_and_blocks(tabs, filled, job_does, checked, folders: Path) -> None:
    job_does(CHECKS_AND_TRAINS + check_that_finds(("error", "a is <broken>."), ("warning", "Few slices.")))
    tabs.startButton.click()
    checked()
    shown = tabs.findingsBrowser.plainText
    assert shown.index("Error: a is <broken>.") < shown.index("Warning: Few slices.")
    assert "cannot be trained yet" in tabs.startMessageLabel.text
    assert not (folders / "Läufe").exists()


def test_warnings_explain_and_do_not_block(host, tabs, filled, job_does, checked, folders: Path) -> None:
    job_does(CHECKS_AND_TRAINS + check_that_finds(("warning", "Few slices.")))
    tabs.nameEdit.text = "Müllers Läufe"
    tabs.startButton.click()
    checked()
    assert "Warning: Few slices." in tabs.findingsBrowser.plainText
    run = folders / "Läufe" / "Müllers Läufe"
    host.spin_until(lambda: (run / "words.json").is_file(), "the start")


def test_what_is_chosen_is_what_is_trained(host, tabs, filled, checked, folders: Path) -> None:
    tabs.nameEdit.text = "x"
    tabs.methodSelector.setCurrentIndex(index_of("source-only"))
    tabs.presetSelector.setCurrentIndex(0)
    tabs.deviceSelector.setCurrentText("cpu")
    tabs.startButton.click()
    checked()
    host.spin_until(lambda: (folders / "Läufe" / "x" / "words.json").is_file(), "the start")
    words = json.loads((folders / "Läufe" / "x" / "words.json").read_text(encoding="utf-8"))
    companion = folders / "Läufe" / "x.local"
    expected = ["train", "--cases", str(companion / "cases.json"), "--config", str(companion / "config.json")]
    assert words == [*expected, "--run", str(folders / "Läufe" / "x"), "--device", "cpu"]
    config = json.loads((companion / "config.json").read_text(encoding="utf-8"))
    assert (config["method"], config["organs"], config["schedule"]["steps"]) == ("source-only", {"1": "liver"}, 1200)
    assert config["few_labels"]["weight"] == 0
    assert read_case_list(companion / "cases.json").source[0].name == "a"
    # and the list of runs is what one sees next
    assert tabs.tabs.currentIndex == 3


def test_few_labels_and_all_cards_are_passed_on(host, tabs, filled, checked, folders: Path, tmp_path: Path) -> None:
    drawn = ListedCase("b", tmp_path / "b.nii", few_labels=tmp_path / "few.nrrd", segments=(Segment(1, "liver"),))
    filled.set_few_labels("b", drawn)
    tabs.fewLabelsCheckBox.checked = True
    tabs.allCardsCheckBox.checked = True
    tabs.nameEdit.text = "x"
    tabs.startButton.click()
    checked()
    host.spin_until(lambda: (folders / "Läufe" / "x" / "words.json").is_file(), "the start")
    words = json.loads((folders / "Läufe" / "x" / "words.json").read_text(encoding="utf-8"))
    assert words[-2:] == ["--processes", "all"]
    config = json.loads((folders / "Läufe" / "x.local" / "config.json").read_text(encoding="utf-8"))
    assert config["few_labels"]["weight"] == 1


def test_settings_of_another_run_are_taken_over_and_reset_to_the_preset(training, tabs, filled, tmp_path: Path) -> None:
    start = training.panel.start
    other = compose(preset="quick", assignments=["seed=77", "few_labels.weight=0.3"], method="source-only")
    start.take(other, None)
    assert (start.config.seed, start.config.method) == (77, "source-only")
    # no case has drawn slices
    assert not tabs.fewLabelsCheckBox.checked
    assert start.config.few_labels.weight == 0
    drawn = ListedCase("b", tmp_path / "b.nii", few_labels=tmp_path / "few.nrrd", segments=(Segment(1, "liver"),))
    filled.set_few_labels("b", drawn)
    start.take(other, filled.cases)
    assert start.config.few_labels.weight == 0.3
    tabs.resetSettingsButton.click()
    assert start.config.seed == 0


def test_a_check_is_cancelled(host, tabs, filled, job_does, checked) -> None:
    job_does("wait_for_stdin_to_close()\nsys.exit(3)")
    tabs.startButton.click()
    assert tabs.checkButton.text == "Cancel"
    assert not tabs.startButton.enabled
    tabs.checkButton.click()
    checked()
    assert tabs.startButton.enabled
    assert "Stopped" in tabs.startMessageLabel.text


def test_a_change_during_the_check_is_not_trained_with_what_was_there_before(
    tabs, filled, checked, folders: Path
) -> None:
    tabs.startButton.click()
    tabs.methodSelector.setCurrentIndex(1)
    checked()
    assert "were changed during the check" in tabs.startMessageLabel.text
    assert tabs.findingsBrowser.plainText == ""
    assert not (folders / "Läufe").exists()


def test_findings_go_when_cases_or_settings_change(tabs, filled, checked, tmp_path: Path) -> None:
    for change in (
        lambda: tabs.presetSelector.setCurrentIndex(1),
        lambda: filled.add("target", [ListedCase("c", tmp_path / "c.nii")]),
        lambda: tabs.methodSelector.setCurrentIndex(1),
    ):
        tabs.checkButton.click()
        checked()
        assert tabs.findingsBrowser.plainText
        change()
        assert not tabs.findingsBrowser.plainText


def test_a_python_that_cannot_be_started_is_a_sentence(host, tabs, filled, monkeypatch, tmp_path: Path) -> None:
    host.app.userSettings().setValue("CISFA/ExternalPython", str(tmp_path / "nowhere"))
    monkeypatch.undo()
    tabs.checkButton.click()
    assert "is no Python that can be started" in tabs.startMessageLabel.text


def test_a_folder_for_a_cluster_names_nobody(host, tabs, filled, tmp_path: Path) -> None:
    touch(tmp_path / "Müller.nii.gz", tmp_path / "Müller_seg.nii.gz", tmp_path / "Meier.nrrd")
    filled.clear()
    segments = (Segment(1, "liver"),)
    source = ListedCase("Müller", tmp_path / "Müller.nii.gz", tmp_path / "Müller_seg.nii.gz", segments=segments)
    filled.add("source", [source])
    filled.add("target", [ListedCase("Meier", tmp_path / "Meier.nrrd", patient_keys=("f00",))])
    place = tmp_path / "for the cluster"
    place.mkdir()
    host.dialogs.answer_next(str(place))
    tabs.slurmButton.click()
    host.spin_until(lambda: "sbatch" in tabs.startMessageLabel.text, "the folder")
    folder = place / "cisfa-training"
    cases = read_case_list(folder / "cases.json")
    assert [case.name for case in (*cases.source, *cases.target)] == ["source-001", "target-001"]
    assert cases.source[0].labels == folder / "cases" / "source-001-labels.nii.gz"
    assert all(path.is_file() for path in (cases.source[0].volume, cases.source[0].labels, cases.target[0].volume))
    everything = "".join(
        path.name + (path.read_text(encoding="utf-8") if path.suffix in (".json", ".slurm") else "")
        for path in folder.rglob("*")
    )
    assert not any(word in everything for word in ("Müller", "Meier", "f00", str(tmp_path)))
    assert "srun" in (folder / "train.slurm").read_text(encoding="utf-8")
    # what is there already is not overwritten
    host.dialogs.answer_next(str(place))
    tabs.slurmButton.click()
    assert "is there already" in tabs.startMessageLabel.text
    assert tabs.startProgressBar.isHidden()


def test_a_folder_for_a_cluster_can_be_given_up(host, tabs, filled, tmp_path: Path) -> None:
    touch(tmp_path / "a.nii", tmp_path / "a_seg.nii", tmp_path / "b.nii")
    host.dialogs.answer_next(str(tmp_path))
    tabs.slurmButton.click()
    assert tabs.slurmButton.text == "Cancel"
    tabs.slurmButton.click()
    host.spin_until(lambda: tabs.startMessageLabel.text == "Nothing was written.", "the end")
    assert not (tmp_path / "cisfa-training").exists()
    assert tabs.slurmButton.text == "For a cluster…"
