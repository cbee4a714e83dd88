"""Sending by C-STORE: to Orthanc, to DCMTK's storescp, and to a node that fails on purpose."""

import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest

pytest.importorskip("pynetdicom")
pytest.importorskip("requests")

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, Verification

from cisfa.errors import Cancelled, PacsError
from cisfa.events import Event, Notice, Progress, ignore
from cisfa.pacs.address import parse_target
from cisfa.pacs.patience import Patience
from cisfa.pacs.store import store_instances
from orthanc import Orthanc, free_port, running_orthanc, what_is_missing

# pynetdicom's node loses a socket when a connection ends while it is being closed: its own race, and none of ours
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")

PATIENCE = Patience(connect_s=5, read_s=20)
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
Handler = Callable[[evt.Event], int]


class Node:
    """A node of our own: what it was sent, and what it says to that."""

    def __init__(self, port: int, received: list[pydicom.Dataset], associations: list[evt.Event]) -> None:
        self.address = f"dimse://127.0.0.1:{port}/ARCHIVE"
        self.received, self.associations = received, associations


@contextmanager
def running_node(
    handler: Handler | None = None,
    *,
    syntaxes: list[str] | None = None,
    classes: list[str] | None = None,
    known: list[str] | None = None,
    echoes: bool = True,
) -> Iterator[Node]:
    received: list[pydicom.Dataset] = []
    associations: list[evt.Event] = []

    def store(event: evt.Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        received.append(dataset)
        return handler(event) if handler else 0

    entity = AE(ae_title="ARCHIVE")
    entity.require_calling_aet = known or []
    if echoes:
        entity.add_supported_context(Verification)
    for kind in classes or [CTImageStorage, LABEL_MAP]:
        entity.add_supported_context(kind, syntaxes or [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless])
    handlers = [(evt.EVT_C_STORE, store), (evt.EVT_ACCEPTED, associations.append)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield Node(server.socket.getsockname()[1], received, associations)
    finally:
        server.shutdown()


def send(files: list[Path], address: str, patience: Patience = PATIENCE) -> list[str]:
    """Send files; the notices that came of it."""
    events: list[Event] = []
    store_instances(files, parse_target(address), events.append, patience=patience)
    return [event.message for event in events if isinstance(event, Notice) and not event.message.startswith("Stored")]


def refusal(files: list[Path], address: str, patience: Patience = PATIENCE) -> str:
    with pytest.raises(PacsError) as refused:
        send(files, address, patience)
    return str(refused.value)


def with_class(path: Path, sop_class: str) -> Path:
    dataset = pydicom.dcmread(path)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.save_as(path)
    return path


def test_a_series_arrives_in_a_pacs_as_it_was_sent(orthanc: Orthanc, ct_series: list[Path], tmp_path: Path) -> None:
    ct_series[0] = with_class(ct_series[0], LABEL_MAP)
    assert send(ct_series, orthanc.node) == []
    assert send(ct_series, orthanc.node) == []
    assert len(orthanc.instances()) == len(ct_series)
    for path in ct_series:
        sent = pydicom.dcmread(path)
        (tmp_path / "got.dcm").write_bytes(orthanc.file_of(sent.SOPInstanceUID))
        assert pydicom.dcmread(tmp_path / "got.dcm") == sent


def test_all_files_go_over_one_association_with_progress(ct_series: list[Path]) -> None:
    events: list[Event] = []
    with running_node() as node:
        store_instances(ct_series, parse_target(node.address), events.append, patience=PATIENCE)
        assert len(node.associations) == 1
        assert [dataset.SOPInstanceUID for dataset in node.received] == [
            pydicom.dcmread(path).SOPInstanceUID for path in ct_series
        ]
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == [0.0, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


def test_we_give_the_title_that_the_address_says(ct_series: list[Path]) -> None:
    with running_node() as node:
        send(ct_series[:1], node.address)
        send(ct_series[:1], f"{node.address}?calling=STATION_2")
        titles = [event.assoc.requestor.ae_title for event in node.associations]
    assert titles == ["CISFA", "STATION_2"]


def test_a_title_that_the_node_does_not_know_is_named(ct_series: list[Path]) -> None:
    with running_node(known=["STATION_2"]) as node:
        assert "does not know the calling AE title CISFA" in refusal(ct_series, node.address)
        assert send(ct_series, f"{node.address}?calling=STATION_2") == []
        assert len(node.received) == len(ct_series)


def test_a_node_that_takes_only_one_plain_encoding_gets_that(ct_series: list[Path]) -> None:
    with running_node(syntaxes=[ImplicitVRLittleEndian]) as node:
        assert send(ct_series[:1], node.address) == []
        assert node.received[0].file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
        assert node.received[0].PixelData == pydicom.dcmread(ct_series[0]).PixelData


def test_a_compressed_file_stays_compressed(ct_series: list[Path]) -> None:
    dataset = pydicom.dcmread(ct_series[0])
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.save_as(ct_series[0])
    with running_node() as node:
        send(ct_series, node.address)
        assert node.received[0].file_meta.TransferSyntaxUID == RLELossless
        assert node.received[0].PixelData == dataset.PixelData
    with running_node(syntaxes=[ExplicitVRLittleEndian]) as node:
        sentence = refusal(ct_series[:1], node.address)
        assert node.received == []
    assert "does not take files like" in sentence
    assert "encoded as RLE Lossless" in sentence


def test_more_kinds_than_one_association_can_have_are_refused_before_anything_is_sent(ct_series: list[Path]) -> None:
    from cisfa.pacs.dimse import store_in_node
    from cisfa.pacs.store import DicomFile

    files = [DicomFile(ct_series[0], f"1.2.{kind}", "1.3", "1.4", "1.5", ExplicitVRLittleEndian) for kind in range(70)]
    with running_node() as node:
        with pytest.raises(PacsError, match="140 combinations of kind and encoding"):
            store_in_node(files, parse_target(node.address), ignore, PATIENCE)
        assert node.associations == []


def test_a_kind_that_the_node_does_not_take_is_named(ct_series: list[Path]) -> None:
    with_class(ct_series[1], LABEL_MAP)
    with running_node(classes=[CTImageStorage]) as node:
        assert "does not take files like" in refusal(ct_series, node.address)
        assert len(node.received) == 1


def test_a_node_without_an_echo_is_stored_into_nevertheless(ct_series: list[Path]) -> None:
    with running_node(echoes=False) as node:
        assert send(ct_series[:1], node.address) == []
        assert len(node.received) == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0xA700, "no room or memory left (0xA700)"),
        (0xA7FF, "no room or memory left (0xA7FF)"),
        (0xA900, "does not match its kind (SOP class) (0xA900)"),
        (0xC123, "cannot understand it (0xC123)"),
        (0x0110, "could not process it (0x0110)"),
        (0x0124, "may not store there (0x0124)"),
    ],
)
def test_a_refused_file_is_an_error_with_the_status_in_words(status: int, words: str, ct_series: list[Path]) -> None:
    with running_node(lambda event: status) as node:
        assert f"did not store {ct_series[0]}: " in (sentence := refusal(ct_series, node.address))
        assert words in sentence
        assert len(node.received) == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [(0xB000, "changed values"), (0xB007, "does not match its kind"), (0x0111, "already, and was not stored a second")],
)
def test_a_warning_is_a_notice(status: int, words: str, ct_series: list[Path]) -> None:
    with running_node(lambda event: status) as node:
        notices = send(ct_series[:2], node.address)
    assert len(notices) == 2
    assert all(words in notice for notice in notices)


def test_a_node_that_aborts_leaves_no_doubt_about_what_to_do(ct_series: list[Path]) -> None:
    aborts = [True]

    def abort_once(event: evt.Event) -> int:
        if aborts:
            aborts.pop()
            event.assoc.abort()
        return 0

    with running_node(abort_once) as node:
        sentence = refusal(ct_series, node.address)
        assert "it may be stored. Repeat it: no second copy arises" in sentence
        assert send(ct_series, node.address) == []


def test_a_silent_node_is_given_up(ct_series: list[Path]) -> None:
    done = threading.Event()

    def wait(event: evt.Event) -> int:
        done.wait(10)
        return 0

    with running_node(wait) as node:
        began_s = time.monotonic()
        assert "or was silent" in refusal(ct_series, node.address, Patience(connect_s=5, read_s=1))
        assert time.monotonic() - began_s < 8
        done.set()


def test_a_port_that_listens_and_says_nothing_is_given_up(ct_series: list[Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"dimse://127.0.0.1:{listener.getsockname()[1]}/ARCHIVE"
        assert "is its port a DICOM listener" in refusal(ct_series, address, Patience(connect_s=5, read_s=0.5))


@pytest.mark.parametrize("host", ["127.0.0.1:9", "nobody.invalid:104"])
def test_a_node_that_is_not_there_is_said(host: str, ct_series: list[Path]) -> None:
    assert f"ARCHIVE at {host} cannot be reached (" in refusal(ct_series, f"dimse://{host}/ARCHIVE")


def test_sending_can_be_cancelled_between_two_files(ct_series: list[Path]) -> None:
    def report(event: Event) -> None:
        if isinstance(event, Progress) and event.fraction >= 0.4:
            raise Cancelled("Stopped on request.")

    with running_node() as node:
        with pytest.raises(Cancelled):
            store_instances(ct_series, parse_target(node.address), report)
        assert len(node.received) == 2


def test_titles_that_a_pacs_does_not_know_are_told_apart(ct_series: list[Path], tmp_path: Path) -> None:
    if missing := what_is_missing():
        pytest.skip(f"needs the package {missing}: python3 Testing/dicom/require_programs.py")
    known = {"station": ["STATION_2", "127.0.0.1", 104]}
    options = {"DicomCheckCalledAet": True, "DicomAlwaysAllowStore": False, "DicomModalities": known}
    with running_orthanc(tmp_path, **options) as pacs:
        sentence = refusal(ct_series, pacs.node.replace("ARCHIVE", "PACS_1"))
        assert "does not go by the called AE title PACS_1" in sentence
        sentence = refusal(ct_series, f"{pacs.node}?calling=STRANGER")
        assert "STRANGER" in sentence
        assert pacs.instances() == []
        assert send(ct_series, f"{pacs.node}?calling=STATION_2") == []
        assert len(pacs.instances()) == len(ct_series)


@contextmanager
def running_storescp(folder: Path, *options: str) -> Iterator[str]:
    """DCMTK's own node, which writes what it gets into a folder; its address."""
    program = shutil.which("storescp")
    if program is None:
        pytest.skip("needs the package dcmtk: python3 Testing/dicom/require_programs.py")
    folder.mkdir()
    port = free_port()
    with (folder.parent / "storescp.log").open("wb") as log:
        process = subprocess.Popen([program, "-od", str(folder), *options, str(port)], stdout=log, stderr=log)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"dimse://127.0.0.1:{port}/STORESCP"
    finally:
        process.kill()
        process.wait(timeout=30)


def test_dcmtk_receives_what_was_sent(ct_series: list[Path], tmp_path: Path) -> None:
    with running_storescp(tmp_path / "got", "--prefer-little") as address:
        assert send(ct_series, address) == []
    got = {dataset.SOPInstanceUID: dataset for dataset in map(pydicom.dcmread, (tmp_path / "got").iterdir())}
    assert len(got) == len(ct_series)
    for path in ct_series:
        sent = pydicom.dcmread(path)
        assert got[sent.SOPInstanceUID] == sent


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--refuse", "rejects the connection"),
        ("--abort-during", "it may be stored"),
        ("--abort-after", "it may be stored"),
    ],
)
def test_dcmtk_refuses_in_its_own_ways(option: str, words: str, ct_series: list[Path], tmp_path: Path) -> None:
    with running_storescp(tmp_path / "got", option) as address:
        assert words in refusal(ct_series, address)


def test_without_the_library_the_command_that_installs_it_is_said(
    ct_series: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynetdicom", None)
    with pytest.raises(PacsError, match="needs pynetdicom: python -m pip install"):
        store_instances(ct_series, parse_target("dimse://127.0.0.1:9/A"), ignore)
