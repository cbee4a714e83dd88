"""A result on its way out of Slicer: the real command, read back with others' code; and all that can go wrong."""

import json
from collections.abc import Iterator
from pathlib import Path

import highdicom
import numpy as np
import pytest
import slicer
from pydicom import dcmread
from pynetdicom import AE, evt
from pynetdicom.sop_class import LabelMapSegmentationStorage, SegmentationStorage

from cisfa.errors import Cancelled, CisfaError
from cisfa_slicer.job import Outcome
from cisfa_slicer.model_library import ModelLibrary
from cisfa_slicer.requirements import DICOM_FILE, PACS_FILE, Requirement, RequirementsError
from CISFASegmentationLib.export_run import ExportEnd
from CISFASegmentationLib.export_targets import NodeTarget, dicomweb_target, dimse_target
from CISFASegmentationLib.segmentation_logic import ExportFailedError, SegmentationLogic
from dicom_scene import SHAPE, Database, geometry, labels, load_from_dicom, make_result, oriented, paint, use_database
from panel_driving import leftovers
from scenes import add_transform, snapshot
from stand_ins import EXPORTED, GOOD, WAITS

KIDNEY = "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
KIDNEY += "~SCT^64033007^Kidney~SCT^24028007^Right~Anatomic codes - DICOM master list~^^~^^"
MINE = np.zeros(SHAPE, bool)
MINE[0:2, 15:18, 1:4] = True


@pytest.fixture
def logic(host, resources: Path) -> Iterator[SegmentationLogic]:
    library = ModelLibrary(resources / "CISFASegmentationDemoBundle.zip", resources / "CISFASegmentationCatalogue.json")
    made = SegmentationLogic(library)
    yield made
    made.end_now()


@pytest.fixture
def database(host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Database:
    return use_database(monkeypatch, tmp_path / "database")


@pytest.fixture
def volume(database: Database, tmp_path: Path):
    return load_from_dicom(database, tmp_path / "Müller, Anna" / "series 1")


@pytest.fixture
def node(logic: SegmentationLogic, volume):
    return make_result(volume)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "Aus gang ä"
    folder.mkdir()
    return folder


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """What the stand-in for a command was told."""
    folder = tmp_path / "kept"
    folder.mkdir()
    monkeypatch.setenv("CISFA_TEST_KEEPS", str(folder))

    def read(command: str) -> dict:
        return json.loads((folder / f"{command}.json").read_text(encoding="utf-8"))

    return read


def run_to_end(host, logic: SegmentationLogic, node, target, **choices: object) -> ExportEnd:
    ends: list[ExportEnd] = []
    logic.start_export(node, target, **choices).ended.connect(ends.append)
    host.spin_until(lambda: ends, timeout_s=60)
    assert len(ends) == 1
    assert leftovers() == []
    return ends[0]


def masks_of(file: Path | str) -> dict[str, tuple[str, np.ndarray]]:
    """Who drew each segment, and its voxels on the volume's grid, as highdicom reads them."""
    read = highdicom.seg.segread(file)
    place = geometry()
    found = {}
    for number in read.segment_numbers:
        described = read.get_segment_description(number)
        volume = read.get_volume(segment_numbers=[number], combine_segments=True, relabel=True)
        mask = np.zeros(SHAPE, bool)
        where = np.argwhere(volume.array > 0)
        world = volume.map_indices_to_reference(where.astype(float))
        back = np.linalg.inv(place.index_to_lps) @ np.c_[world, np.ones(len(world))].T
        index = np.round(back[:3]).astype(int)
        np.testing.assert_allclose(back[:3], index, atol=1e-2)
        mask[tuple(index)] = True
        found[str(described.segment_label)] = (described.algorithm_type.value, mask)
    return found


# where it goes


def test_segment_correct_draw_and_export(host, logic: SegmentationLogic, volume, job_does, out: Path) -> None:
    """The whole story: the model's organs, one corrected by hand, one drawn by hand."""
    job_does(GOOD, modules=("segmentation_run",))
    node = logic.segment(volume)
    paint(node, "spleen", volume, np.roll(labels() == 4, 1, axis=2))
    mine = node.AddSegmentFromBinaryLabelmapRepresentation(oriented(volume, MINE), "mine", [1.0, 0.5, 0.0])
    node.GetSegmentation().GetSegment(mine).SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), KIDNEY)
    before = snapshot()
    delivered = logic.export_dicom_seg(node, out)
    assert snapshot() == before
    assert [str(path) for path in out.iterdir()] == [delivered.place]
    assert Path(delivered.place).name.startswith("segmentation-2")
    found = masks_of(delivered.place)
    assert {name: drawn for name, (drawn, _) in found.items()} == {
        "liver": "AUTOMATIC",
        "spleen": "SEMIAUTOMATIC",
        "mine": "MANUAL",
    }
    spleen = (labels() == 4) | np.roll(labels() == 4, 1, axis=2)
    for name, mask in (("liver", labels() == 1), ("spleen", spleen), ("mine", MINE)):
        np.testing.assert_array_equal(found[name][1], mask)
    written = dcmread(delivered.place)
    assert written.PatientID == "PH-0042"
    identified = written.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert identified.AlgorithmName == "Abdomen of phantoms, CT to MR"
    assert "SegmentationAlgorithmIdentificationSequence" not in written.SegmentSequence[2]
    side = written.SegmentSequence[2].SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
    assert side.CodeMeaning == "Right"
    assert delivered.description == written.SeriesDescription
    assert delivered.size == Path(delivered.place).stat().st_size
    assert leftovers() == []


@pytest.mark.parametrize("kind", ["binary", "labelmap"])
def test_under_a_transform_it_lies_where_the_scanner_saw_it(
    kind: str, host, logic: SegmentationLogic, node, volume, out: Path
) -> None:
    transform = add_transform()
    for each in (node, volume):
        each.SetAndObserveTransformNodeID(transform.GetID())
    end = run_to_end(host, logic, node, out, kind=kind)
    assert end.outcome is Outcome.DONE, end.message
    (file,) = out.iterdir()
    assert dcmread(file).SegmentationType == ("BINARY" if kind == "binary" else "LABELMAP")
    np.testing.assert_array_equal(masks_of(file)["liver"][1], labels() == 1)
    np.testing.assert_array_equal(masks_of(file)["spleen"][1], labels() == 4)


def test_the_end_says_what_was_written_where(host, logic: SegmentationLogic, node, out: Path) -> None:
    message = run_to_end(host, logic, node, out).message
    (file,) = out.iterdir()
    assert str(file) in message
    assert dcmread(file).SeriesDescription in message
    assert "kB)" in message
    assert "Müller" not in file.name


def test_a_file_that_is_there_stays(host, logic: SegmentationLogic, node, out: Path, monkeypatch) -> None:
    monkeypatch.setattr("CISFASegmentationLib.export_run.time.strftime", lambda form: "segmentation-1.dcm")
    (out / "segmentation-1.dcm").write_text("somebody's", encoding="utf-8")
    run_to_end(host, logic, node, out)
    assert {file.name for file in out.iterdir()} == {"segmentation-1.dcm", "segmentation-1-2.dcm"}
    assert (out / "segmentation-1.dcm").read_text(encoding="utf-8") == "somebody's"


def test_slicers_database_gets_a_copy_and_keeps_it(host, logic: SegmentationLogic, node, database: Database) -> None:
    before = set(database.files)
    end = run_to_end(host, logic, node, "database")
    assert end.outcome is Outcome.DONE, end.message
    assert "is in Slicer's DICOM database" in end.message
    (instance,) = set(database.files) - before
    assert dcmread(database.files[instance]).Modality == "SEG"
    # the same again is the same object
    run_to_end(host, logic, node, "database")
    assert set(database.files) == before | {instance}


def test_a_database_that_takes_nothing_is_explained(host, logic: SegmentationLogic, node, database: Database) -> None:
    database.takes = False
    end = run_to_end(host, logic, node, "database")
    assert end.outcome is Outcome.FAILED
    assert "did not take the segmentation" in end.message


@pytest.fixture
def archive() -> Iterator[tuple[int, list]]:
    """A node that takes what is sent to it."""
    received: list = []

    def keep(event: evt.Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        received.append((event.assoc.requestor.ae_title, dataset))
        return 0x0000

    node = AE(ae_title="ARCHIVE")
    for kind in (SegmentationStorage, LabelMapSegmentationStorage):
        node.add_supported_context(kind)
    server = node.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    yield server.server_address[1], received
    server.shutdown()


def test_a_pacs_gets_it_with_c_store(host, logic: SegmentationLogic, node, archive) -> None:
    port, received = archive
    end = run_to_end(host, logic, node, dimse_target("127.0.0.1", port, "ARCHIVE", "SLICER1"))
    assert end.outcome is Outcome.DONE, end.message
    assert f"was sent to dimse://127.0.0.1:{port}/ARCHIVE" in end.message
    ((calling, dataset),) = received
    assert calling == "SLICER1"
    assert [each.SegmentLabel for each in dataset.SegmentSequence] == ["liver", "spleen"]


def test_a_pacs_that_is_not_there_is_explained(host, logic: SegmentationLogic, node) -> None:
    end = run_to_end(host, logic, node, dimse_target("127.0.0.1", 1, "ARCHIVE"))
    assert end.outcome is Outcome.FAILED
    assert "127.0.0.1" in end.message
    assert "segmentation-2" not in end.message  # a temporary file's name says nothing to anybody


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
