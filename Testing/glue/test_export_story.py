"""A result on its way out of Slicer with the real command, read back with other people's code."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import highdicom
import numpy as np
import pytest
import slicer
from pydicom import dcmread
from pynetdicom import AE, evt
from pynetdicom.sop_class import LabelMapSegmentationStorage, SegmentationStorage

from cisfa_slicer.job import Outcome
from CISFASegmentationLib.export_targets import dicomweb_target, dimse_target
from CISFASegmentationLib.segmentation_logic import SegmentationLogic
from dicom_scene import SHAPE, Database, geometry, labels, load_from_dicom, make_result, oriented, paint, run_to_end
from panel_driving import leftovers
from scenes import add_transform, snapshot
from stand_ins import GOOD

# pynetdicom's node loses a socket when a connection ends while it is being closed: its own race, and none of ours
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")

KIDNEY = "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
KIDNEY += "~SCT^64033007^Kidney~SCT^24028007^Right~Anatomic codes - DICOM master list~^^~^^"
MINE = np.zeros(SHAPE, bool)
MINE[0:2, 15:18, 1:4] = True


@pytest.fixture
def volume(database: Database, tmp_path: Path):
    return load_from_dicom(database, tmp_path / "Müller, Anna" / "series 1")


@pytest.fixture
def node(logic: SegmentationLogic, volume):
    return make_result(volume)


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


@pytest.fixture
def web_archive() -> Iterator[tuple[str, list]]:
    """A DICOMweb server that has nothing, and takes what comes."""
    received: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = parse_qs(urlsplit(self.path).query).get("SOPInstanceUID", [""])
            found = [{"00080018": {"vr": "UI", "Value": asked}}] if received else []
            self.answer(200, json.dumps(found).encode("ascii"))

        def do_POST(self) -> None:
            received.append((self.headers["Authorization"], self.rfile.read(int(self.headers["Content-Length"]))))
            self.answer(200, b"{}")

        def answer(self, code: int, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/dicom-web", received
        server.shutdown()
        thread.join()


def test_a_pacs_gets_it_over_dicomweb_with_what_the_user_typed(
    host, logic: SegmentationLogic, node, web_archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CISFA_DICOMWEB_TOKEN", "a token of somebody else's")
    address, received = web_archive
    end = run_to_end(host, logic, node, dicomweb_target(address, "anna", "geheim"))
    assert end.outcome is Outcome.DONE, end.message
    ((authorization, body),) = received
    assert authorization == "Basic " + base64.b64encode(b"anna:geheim").decode("ascii")
    assert b"DICM" in body
