"""What can be done with runs."""

from pathlib import Path

import pytest

from cisfa.bundle.manifest_file import read_manifest
from cisfa.errors import CisfaError
from cisfa.runs.run_state import RunState, Status, write_state
from cisfa_slicer.run_library import RunLibrary
from stand_ins import WAITS, python_that_does
from training.run_folders import OpenTab, case_list, make_local, make_run, open_tab
from training.tiny_training import train_tiny

MAKES = """
Path(argument("--output")).write_bytes(json.dumps(sys.argv[2:]).encode())
say("finished", outputs=[argument("--output")])
"""


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def tab(host, root: Path, tmp_path: Path, runs: Path):
    make_run(runs / "a")
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


def is_idle(tab: OpenTab) -> bool:
    return tab.ui.runJobBox.isHidden()


def finish(host, tab: OpenTab) -> None:
    host.spin_until(lambda: is_idle(tab), "the job to end", timeout_s=120)


# opening


def test_the_folder_and_the_log_are_opened(host, tab: OpenTab, runs: Path) -> None:
    tab.ui.openRunFolderButton.click()
    assert host.opened_urls[-1] == (runs / "a").as_uri()
    assert not tab.ui.openRunLogButton.enabled
    companion = make_local(runs / "a")
    tab.section.refresh()
    tab.ui.openRunLogButton.click()
    assert host.opened_urls[-1] == companion.log.as_uri()


# settings


def test_the_settings_and_the_cases_are_handed_on(tab: OpenTab, runs: Path) -> None:
    taken: list = []
    tab.section.on_duplicate = lambda config, cases: taken.append((config, cases))
    tab.ui.duplicateRunButton.click()
    make_local(runs / "a")
    tab.ui.duplicateRunButton.click()
    assert [config.method for config, _ in taken] == ["cisfa", "cisfa"]
    assert [cases for _, cases in taken] == [None, case_list(runs)]


def test_the_settings_of_a_run_that_never_began_are_those_of_its_plan(tab: OpenTab, runs: Path) -> None:
    taken: list = []
    tab.section.on_duplicate = lambda config, cases: taken.append(config.seed)
    make_local(runs / "failed").write_launch(2**22 + 1, "auto", "1")
    tab.section.refresh()
    tab.section.select(runs / "failed")
    tab.ui.duplicateRunButton.click()
    assert taken == [7]


def test_cases_that_cannot_be_read_are_told_and_the_settings_come_all_the_same(tab: OpenTab, runs: Path) -> None:
    taken: list = []
    tab.section.on_duplicate = lambda config, cases: taken.append(cases)
    make_local(runs / "a").cases.write_text("{", encoding="utf-8")
    tab.ui.duplicateRunButton.click()
    assert taken == [None]
    assert tab.has("Its cases are not taken over", "is not JSON")


# deleting


def test_deleting_asks_with_name_and_size_and_takes_what_lies_beside(host, tab: OpenTab, runs: Path) -> None:
    make_local(runs / "a")
    host.dialogs.answer_next("No", "Yes")
    tab.ui.deleteRunButton.click()
    assert (runs / "a").is_dir()
    assert host.dialogs.texts[0].startswith("Delete a (1")
    tab.ui.deleteRunButton.click()
    assert list(runs.iterdir()) == []
    assert tab.names == []


def test_what_is_being_trained_is_not_deleted_and_nobody_is_asked(host, tab: OpenTab, runs: Path) -> None:
    write_state(runs / "a", RunState(Status.TRAINING))  # since the list was read
    tab.ui.deleteRunButton.click()
    assert tab.has("a is being trained. Stop it first, then delete it.")
    assert host.dialogs.shown == []
    assert (runs / "a").is_dir()


# adding


def test_a_run_brought_back_is_copied_and_chosen(host, tab: OpenTab, runs: Path, tmp_path: Path) -> None:
    make_run(tmp_path / "from the cluster" / "a", Status.PAUSED)
    host.dialogs.answer_next(str(tmp_path / "from the cluster" / "a"))
    tab.ui.addRunButton.click()
    assert not is_idle(tab)
    finish(host, tab)
    assert sorted(tab.names) == ["a", "a 2"]
    assert tab.ui.runBox.title == "a 2"
    assert tab.has("a 2 was added.")
    assert (runs / "a 2" / "checkpoints").is_dir()


def test_copying_can_be_cancelled_and_leaves_nothing(
    host, tab: OpenTab, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cisfa_slicer.run_copy.PIECE_BYTES", 100)
    host.dialogs.answer_next(str(make_run(tmp_path / "from the cluster" / "b")))
    tab.ui.addRunButton.click()
    assert tab.ui.runJobLabel.text.startswith("Adding b, copying files")
    tab.ui.cancelRunJobButton.click()
    finish(host, tab)
    assert tab.has("Stopped on request.")
    assert [path.name for path in runs.iterdir()] == ["a"]


def test_what_is_no_run_is_not_added(host, tab: OpenTab, tmp_path: Path) -> None:
    host.dialogs.answer_next(str(tmp_path), "")
    tab.ui.addRunButton.click()
    assert tab.has("holds no run")
    tab.ui.addRunButton.click()
    assert tab.names == ["a"]


# a model of it


def test_the_real_command_makes_a_model_of_a_run(host, root: Path, tmp_path: Path) -> None:
    train_tiny(tmp_path)
    tab = open_tab(root, tmp_path)
    tab.section.refresh()
    host.load_module(root / "CISFASegmentation" / "CISFASegmentation.py")
    host.dialogs.answer_next("Leber ü: CT/MR")
    tab.ui.useModelButton.click()
    finish(host, tab)
    assert tab.ui.runMessageLabel.text == "Leber ü: CT/MR is now in the list of models of CISFA Segmentation."
    manifest = read_manifest(tmp_path / "models" / "Leber ü- CT-MR.zip")
    assert manifest.name == "Leber ü: CT/MR"
    assert manifest.licence == "not stated"
    assert not tab.ui.openSegmentationButton.isHidden()
    tab.ui.openSegmentationButton.click()
    assert tab.ui.openSegmentationButton.isHidden()


def test_a_name_is_offered_and_a_model_of_that_name_is_replaced_only_when_the_user_says_so(
    host, tab: OpenTab, tmp_path: Path, jobs_do
) -> None:
    jobs_do(MAKES)
    host.dialogs.answer_next("m", "m", "No", "m", "Yes", "")
    for _ in range(4):
        tab.ui.useModelButton.click()
        finish(host, tab)
    assert tab.ui.runMessageLabel.text == ""  # how the last one ended is no news any more
    made = (tmp_path / "models" / "m.zip").read_text(encoding="utf-8")
    assert "--name=m" in made
    assert "--overwrite" in made
    assert "There is a model called m.zip already. Replace it?" in host.dialogs.texts


def test_a_run_that_goes_on_can_be_used_and_one_without_a_checkpoint_cannot(tab: OpenTab, runs: Path) -> None:
    make_run(runs / "b", Status.TRAINING)
    tab.section.refresh()
    tab.section.select(runs / "b")
    assert tab.ui.useModelButton.enabled
    next((runs / "b" / "checkpoints").iterdir()).unlink()
    tab.section.poll()
    assert not tab.ui.useModelButton.enabled


def test_without_what_has_to_be_installed_nothing_is_made(host, root: Path, tmp_path: Path, runs: Path) -> None:
    def refuse() -> None:
        raise CisfaError("CISFA cannot work without torch.")

    make_run(runs / "a")
    tab = open_tab(root, tmp_path, require_installed=refuse)
    tab.section.refresh()
    host.dialogs.answer_next("m")
    tab.ui.useModelButton.click()
    assert tab.has("CISFA cannot work without torch.")
    assert is_idle(tab)
    assert not (tmp_path / "models").exists()


def test_a_failure_is_said_and_logged(host, tab: OpenTab, jobs_do) -> None:
    jobs_do("say('failed', message='The disk is full.'); sys.exit(2)")
    host.dialogs.answer_next("m")
    tab.ui.useModelButton.click()
    finish(host, tab)
    assert tab.has("The disk is full.")
    assert "The disk is full." in tab.log
    assert tab.ui.openSegmentationButton.isHidden()


def test_one_job_at_a_time_which_can_be_cancelled(host, tab: OpenTab, jobs_do) -> None:
    jobs_do(WAITS)
    host.dialogs.answer_next("m")
    tab.ui.useModelButton.click()
    host.spin_until(lambda: "segmenting" in tab.ui.runJobLabel.text, "it says how far it is")
    tab.ui.useModelButton.click()
    assert tab.has("Making the model m is still going on.")
    tab.ui.cancelRunJobButton.click()
    assert tab.ui.runJobLabel.text == "Stopping …"
    finish(host, tab)
    assert tab.has("Stopped on request.")


def test_quitting_ends_a_job(host, tab: OpenTab, jobs_do) -> None:
    jobs_do(WAITS)
    host.dialogs.answer_next("m")
    tab.ui.useModelButton.click()
    host.spin_until(lambda: "segmenting" in tab.ui.runJobLabel.text, "it says how far it is")
    tab.section.end_now()
    assert is_idle(tab)


def test_a_models_name_is_that_of_its_organs_and_what_it_adapts(runs: Path, host) -> None:
    from CISFATrainingLib.run_actions import file_name, model_name

    library = RunLibrary()
    assert model_name(library.look_at(make_run(runs / "b"))) == "liver, spleen, right kidney, CT to MR (cisfa)"
    supervised = library.look_at(make_run(runs / "c", method="supervised"))
    assert model_name(supervised) == "liver, spleen, right kidney, MR (supervised)"
    assert model_name(library.look_at(runs / "nowhere")) == "nowhere"
    assert [file_name(name) for name in (" a/b:c. ", "..", "Leber ü")] == ["a-b-c", "model", "Leber ü"]
