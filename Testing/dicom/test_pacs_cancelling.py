"""A PACS that says nothing can be left at once, and its silence is never taken for an answer."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

pytest.importorskip("dicomweb_client")
pytest.importorskip("pynetdicom")

import pydicom
from pynetdicom import AE, evt
from pynetdicom.dul import DULServiceProvider
from pynetdicom.sop_class import CTImageStorage, Verification

from cisfa.errors import Cancelled
from cisfa.events import Event, Progress
from cisfa.pacs.address import parse_series_address, parse_target
from cisfa.pacs.fetch import fetch_series
from cisfa.pacs.store import require_storable, store_instances
from faulty_pacs import FaultyPacs, only, silent

# pynetdicom's node loses a socket when a connection ends while it is being closed: its own race, and none of ours
_LOST_SOCKET = "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
pytestmark = [pytest.mark.usefixtures("unknown_user"), pytest.mark.filterwarnings(_LOST_SOCKET)]

CANCELLED = 3
# Slicer kills the process after six
SOON_S = 4.0
SERIES = "/studies/1.2.3/series/1.2.3.4"


@pytest.fixture
def silent_port() -> Iterator[int]:
    """One on which connections are taken, and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def cancelling_after(seconds: float) -> "tuple[list[Event], object]":
    """What was told, and a report that cancels."""
    told: list[Event] = []
    began_s = time.monotonic()

    def report(event: Event) -> None:
        told.append(event)
        if isinstance(event, Progress) and time.monotonic() - began_s > seconds:
            raise Cancelled("Stopped on request.")

    return told, report


def seconds_until_cancelled(work: object) -> float:
    """How long it takes from the wish to the end of work that takes a report."""
    _, report = cancelling_after(0.6)
    began_s = time.monotonic()
    with pytest.raises(Cancelled):
        work(report)  # type: ignore[operator]
    return time.monotonic() - began_s - 0.6


def living_threads() -> list[str]:
    """Threads of pynetdicom's that serve us and would keep the process from ending."""
    serving = [each for each in threading.enumerate() if isinstance(each, DULServiceProvider)]
    return [each.name for each in serving if each.assoc.is_requestor]


@pytest.mark.parametrize("scheme", ["dicomweb+http", "dicomweb", "dimse"])
def test_a_silent_pacs_can_be_left_while_it_is_stored_into(
    scheme: str, silent_port: int, ct_series: list[Path]
) -> None:
    target = parse_target(f"{scheme}://127.0.0.1:{silent_port}/ARCHIVE")
    assert seconds_until_cancelled(lambda report: store_instances(ct_series, target, report)) < SOON_S
    assert seconds_until_cancelled(lambda report: require_storable(target, report)) < SOON_S
    assert living_threads() == []


@pytest.mark.parametrize("scheme", ["dicomweb+http", "dicomweb"])
def test_a_silent_pacs_can_be_left_while_it_is_read_from(scheme: str, silent_port: int, tmp_path: Path) -> None:
    address = parse_series_address(f"{scheme}://127.0.0.1:{silent_port}/rs{SERIES}")
    assert seconds_until_cancelled(lambda report: fetch_series(address, tmp_path / "got", report)) < SOON_S
    assert not (tmp_path / "got").exists()


def test_one_that_falls_silent_in_the_middle_of_a_series_can_be_left(
    faulty: FaultyPacs, ct_series: list[Path], tmp_path: Path
) -> None:
    for path in ct_series:
        faulty.behind.take(path)  # type: ignore[union-attr]
    done = threading.Event()

    def begin_only(pacs: FaultyPacs, request: object) -> bool:
        answer = pacs.pass_on(request, None)  # type: ignore[arg-type]
        request.send_response(200)  # type: ignore[attr-defined]
        request.send_header("Content-Type", answer.headers["Content-Type"])  # type: ignore[attr-defined]
        request.end_headers()  # type: ignore[attr-defined]
        request.wfile.write(answer.content[: len(answer.content) // 2])  # type: ignore[attr-defined]
        done.wait(30)
        return True

    faulty.fault = only("GET", begin_only, path=r"/series/[0-9.]+$")
    header = pydicom.dcmread(ct_series[0])
    place = f"/studies/{header.StudyInstanceUID}/series/{header.SeriesInstanceUID}"
    address = parse_series_address(faulty.address + place)
    assert seconds_until_cancelled(lambda report: fetch_series(address, tmp_path / "got", report)) < SOON_S
    assert not (tmp_path / "got").exists()
    done.set()


def test_one_that_keeps_its_answer_about_a_file_to_itself_can_be_left(
    faulty: FaultyPacs, ct_series: list[Path]
) -> None:
    faulty.fault = only("POST", silent(8))
    target = parse_target(faulty.address)
    assert seconds_until_cancelled(lambda report: store_instances(ct_series, target, report)) < SOON_S


@contextmanager
def running_node(*, is_silent: bool) -> Iterator[int]:
    """A node, perhaps one that never says what became of a file; its port."""
    done = threading.Event()

    def store(event: evt.Event) -> int:
        done.wait(30 if is_silent else 0)
        return 0

    entity = AE(ae_title="ARCHIVE")
    entity.add_supported_context(Verification)
    entity.add_supported_context(CTImageStorage)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        yield server.socket.getsockname()[1]
    finally:
        done.set()
        server.shutdown()


def test_a_node_that_never_confirms_a_file_can_be_left(ct_series: list[Path]) -> None:
    with running_node(is_silent=True) as port:
        target = parse_target(f"dimse://127.0.0.1:{port}/ARCHIVE")
        assert seconds_until_cancelled(lambda report: store_instances(ct_series, target, report)) < SOON_S


@contextmanager
def clogged(port: int, passes_bytes: int) -> Iterator[int]:
    """A port that passes on so much of what it is sent, then reads no more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken: list[socket.socket] = []

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client = listener.accept()[0]
                    inner = socket.create_connection(("127.0.0.1", port))
                    taken.extend((client, inner))
                    threading.Thread(target=pass_on, args=(inner, client, 1 << 30), daemon=True).start()
                    threading.Thread(target=pass_on, args=(client, inner, passes_bytes), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.close()
            for each in taken:
                each.close()


def pass_on(source: socket.socket, target: socket.socket, left: int) -> None:
    with suppress(OSError):
        while left > 0 and (piece := source.recv(min(left, 4096))):
            target.sendall(piece)
            left -= len(piece)
        if left > 0:
            target.shutdown(socket.SHUT_WR)


def test_a_node_that_reads_no_more_can_be_left(ct_series: list[Path]) -> None:
    large = pydicom.dcmread(ct_series[0])
    large.PixelData = bytes(1 << 25)
    large.save_as(ct_series[0])
    with running_node(is_silent=False) as node, clogged(node, 1 << 16) as port:
        target = parse_target(f"dimse://127.0.0.1:{port}/ARCHIVE")
        assert seconds_until_cancelled(lambda report: store_instances(ct_series, target, report)) < SOON_S
    assert living_threads() == []


@pytest.mark.parametrize("scheme", ["dicomweb+http", "dimse"])
@pytest.mark.parametrize("wish", ["standard input closes", "terminated"])
def test_a_command_ends_soon_and_as_cancelled(wish: str, scheme: str, silent_port: int, ct_series: list[Path]) -> None:
    if wish == "terminated" and os.name != "posix":
        pytest.skip("this system has no such signal")
    command = [sys.executable, "-m", "cisfa", "send", str(ct_series[0]), "--events", "--cancel-when-stdin-closes"]
    process = subprocess.Popen(
        [*command, "--to", f"{scheme}://127.0.0.1:{silent_port}/ARCHIVE"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    with process, closing(process.stdin):  # type: ignore[type-var]
        for line in process.stdout or ():
            if re.search(r'"progress"', line):
                break
        time.sleep(1)
        began_s = time.monotonic()
        if wish == "terminated":
            process.send_signal(signal.SIGTERM)
        else:
            process.stdin.close()  # type: ignore[union-attr]
        errors = process.stderr.read()  # type: ignore[union-attr]
        assert process.wait(timeout=30) == CANCELLED, errors
    assert time.monotonic() - began_s < SOON_S
    assert errors == "cisfa: cancelled: Stopped on request.\n"
