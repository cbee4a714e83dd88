"""An export's secrets, and all that can go wrong with it."""

import json
from pathlib import Path

import pytest

from cisfa.errors import Cancelled, CisfaError
from cisfa_slicer.job import Outcome
from cisfa_slicer.requirements import DICOM_FILE, PACS_FILE, Requirement, RequirementsError
from CISFASegmentationLib.export_run import ExportEnd
from CISFASegmentationLib.export_targets import NodeTarget, dicomweb_target
from CISFASegmentationLib.segmentation_logic import ExportFailedError, SegmentationLogic
from dicom_scene import Database, load_from_dicom, make_result, run_to_end
from panel_driving import leftovers
from stand_ins import EXPORTED, WAITS


@pytest.fixture
def volume(database: Database, tmp_path: Path):
    return load_from_dicom(database, tmp_path / "Müller, Anna" / "series 1")


@pytest.fixture
def node(logic: SegmentationLogic, volume):
    return make_result(volume)


# credentials


def test_a_password_goes_through_the_environment_alone(
    host, logic: SegmentationLogic, node, job_does, kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_does(EXPORTED)
    monkeypatch.setenv("CISFA_DICOMWEB_TOKEN", "of the environment")
    lines: list[str] = []
    ends: list[ExportEnd] = []
    run = logic.start_export(node, dicomweb_target("https://pacs.example.org/dicom-web", "anna", "geheim"))
    run.log.connect(lines.append)
    run.ended.connect(ends.append)
    host.spin_until(lambda: ends)
    sent, exported = kept("send"), kept("export-seg")
    assert sent["variables"] == {
        "CISFA_DICOMWEB_USER": "anna",
        "CISFA_DICOMWEB_PASSWORD": "geheim",
        "CISFA_DICOMWEB_TOKEN": "",
        "CISFA_DICOMWEB_HOST": "",
    }
    assert sent["words"][2:4] == ["--to", "dicomweb://pacs.example.org/dicom-web"]
    assert "geheim" not in json.dumps([sent["words"], exported, lines, ends[0].message])
    assert "CISFA_DICOMWEB_PASSWORD" not in exported["variables"]


def test_without_a_password_the_environment_is_left_as_it_is(
    host, logic: SegmentationLogic, node, job_does, kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_does(EXPORTED)
    monkeypatch.setenv("CISFA_DICOMWEB_TOKEN", "of the environment")
    run_to_end(host, logic, node, NodeTarget("dicomweb://pacs.example.org/dicom-web"))
    assert kept("send")["variables"] == {"CISFA_DICOMWEB_TOKEN": "of the environment"}


def test_the_command_line_names_no_patient_and_no_node(
    host, logic: SegmentationLogic, node, job_does, kept, out
) -> None:
    job_does(EXPORTED)
    run_to_end(host, logic, node, out)
    words = kept("export-seg")["words"]
    assert not any("Müller" in word or "T2 fs" in word for word in words)
    assert words[words.index("--kind") + 1] == "binary"


# what goes wrong


@pytest.mark.parametrize("place", ["folder", "database"])
def test_cancelling_leaves_nothing(
    place: str, host, logic: SegmentationLogic, node, job_does, out: Path, database: Database
) -> None:
    job_does(WAITS)
    before, ends, stages = dict(database.files), [], []
    run = logic.start_export(node, out if place == "folder" else "database")
    run.ended.connect(ends.append)
    run.progress.connect(stages.append)
    host.spin_until(lambda: stages)
    run.cancel()
    host.spin_until(lambda: ends)
    assert ends[0].outcome is Outcome.CANCELLED
    assert (list(out.iterdir()), leftovers(), database.files) == ([], [], before)


def test_cancelling_while_it_is_sent_leaves_nothing_here(host, logic: SegmentationLogic, node, job_does, kept) -> None:
    job_does(f"if sys.argv[1] == 'send':\n    {'    '.join(WAITS.strip().splitlines(True))}\n" + EXPORTED)
    ends, stages = [], []
    run = logic.start_export(node, NodeTarget("dimse://a:104/B"))
    run.ended.connect(ends.append)
    run.progress.connect(lambda event: stages.append(event.stage))
    host.spin_until(lambda: "segmenting" in stages)
    run.cancel()
    host.spin_until(lambda: ends)
    assert ends[0].outcome is Outcome.CANCELLED
    assert leftovers() == []


def test_quitting_ends_an_export(host, logic: SegmentationLogic, node, job_does, out: Path) -> None:
    job_does(WAITS)
    run = logic.start_export(node, out)
    host.process_events()
    host.quit(None)
    assert not run.is_running
    assert (leftovers(), list(out.iterdir())) == ([], [])


def test_a_scene_that_is_closed_ends_an_export(host, logic: SegmentationLogic, node, job_does, out: Path) -> None:
    job_does(WAITS)
    ends: list[ExportEnd] = []
    logic.start_export(node, out).ended.connect(ends.append)
    host.close_scene()
    host.spin_until(lambda: ends)
    assert ends[0].outcome is Outcome.CANCELLED


def test_the_jobs_sentence_is_about_the_segmentation(host, logic: SegmentationLogic, node, job_does, out) -> None:
    job_does("say('failed', message=sys.argv[2] + ' does not fit; labels.nrrd is odd.'); sys.exit(2)")
    with pytest.raises(ExportFailedError) as failed:
        logic.export_dicom_seg(node, out)
    assert str(failed.value) == f"{node.GetName()} does not fit; {node.GetName()} is odd."
    assert (leftovers(), list(out.iterdir())) == ([], [])


def test_a_cancelled_call_says_so(host, logic: SegmentationLogic, node, job_does, out: Path) -> None:
    job_does("sys.exit(3)")
    with pytest.raises(Cancelled):
        logic.export_dicom_seg(node, out)


def test_a_series_that_does_not_fit_the_volume_is_the_jobs_sentence(
    host, logic: SegmentationLogic, node, volume, out: Path
) -> None:
    """A hardened transform, say: the volume no longer lies where its series does."""
    volume.SetOrigin(500, 0, 0)
    for segment in ("liver", "spleen"):
        image = node.GetSegmentation().GetSegment(segment).GetRepresentation("Binary labelmap")
        image.SetOrigin(500, 0, 0)
    with pytest.raises(ExportFailedError, match=r"grid|lie|fit"):
        logic.export_dicom_seg(node, out)
    assert list(out.iterdir()) == []


def test_a_folder_that_goes_away_meanwhile_is_a_sentence(
    host, logic: SegmentationLogic, node, job_does, kept, out: Path
) -> None:
    job_does(EXPORTED)
    ends: list[ExportEnd] = []
    logic.start_export(node, out).ended.connect(ends.append)
    out.rmdir()
    out.write_text("a file now", encoding="utf-8")
    host.spin_until(lambda: ends)
    assert ends[0].outcome is Outcome.FAILED
    assert "cannot be written" in ends[0].message


@pytest.mark.parametrize(("target", "file"), [("database", DICOM_FILE), ("dimse://a:104/B", PACS_FILE)])
def test_without_what_it_needs_a_script_is_told_how_to_install(
    target: str, file: Path, host, logic: SegmentationLogic, node, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def missing(wanted: Path) -> tuple[Requirement, ...]:
        asked.append(wanted)
        return (Requirement("highdicom", "0.27"),)

    monkeypatch.setattr("cisfa_slicer.requirements.missing_requirements", missing)
    with pytest.raises(RequirementsError, match=r"lacks highdicom. Call install_export_requirements\(\)"):
        logic.export_dicom_seg(node, target)
    assert asked == [file]


def test_what_cannot_start_leaves_nothing(host, logic: SegmentationLogic, node, tmp_path: Path) -> None:
    for target, complaint in (("/no/such/folder", "is no folder"), ("ftp://a", "is no folder")):
        with pytest.raises(CisfaError, match=complaint):
            logic.start_export(node, target)
    with pytest.raises(CisfaError, match="There is no segmentation"):
        logic.start_export(None, tmp_path)
    assert leftovers() == []


def test_slicers_process_imports_none_of_the_heavy_packages(root: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; sys.path[:0] = sys.argv[1:];"
        "from slicer_host.installation import install; install();"
        "import CISFASegmentationLib.panel;"
        "heavy = {'torch', 'pydicom', 'highdicom', 'dicomweb_client', 'pynetdicom', 'keyring', 'SimpleITK', 'nibabel'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    places = [root / "src", root / "CISFASegmentation", root / "Testing" / "glue" / "host"]
    subprocess.run([sys.executable, "-c", code, *map(str, places)], check=True, timeout=120)
