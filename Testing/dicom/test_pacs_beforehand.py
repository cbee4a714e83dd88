"""What makes storing impossible is told before the work; and what a server says never reaches a terminal raw."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("dicomweb_client")
pytest.importorskip("pynetdicom")

from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, Verification

from cisfa.errors import PacsError
from cisfa.events import ignore
from cisfa.pacs.address import parse_series_address, parse_target
from cisfa.pacs.fetch import require_fetchable
from cisfa.pacs.patience import Patience
from cisfa.pacs.plain_words import plain
from cisfa.pacs.store import require_storable, store_instances
from faulty_pacs import Fault, FaultyPacs, find_nothing_and_warn, only, refuse, refuse_in_raw_words, send_on_to
from orthanc import Orthanc

PATIENCE = Patience(connect_s=5, read_s=2, waits_s=(0.01,))
SERIES = "/studies/1.2.3/series/1.2.3.4"
ELSEWHERE = "dicomweb+http://pacs.example.org/rs"

# pynetdicom's node loses a socket when a connection ends while it is being closed: its own race, and none of ours
_LOST_SOCKET = "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
pytestmark = [pytest.mark.usefixtures("unknown_user"), pytest.mark.filterwarnings(_LOST_SOCKET)]


def refusal(address: str) -> str:
    with pytest.raises(PacsError) as refused:
        require_storable(parse_target(address), patience=PATIENCE)
    return str(refused.value)


def test_a_pacs_that_is_there_is_not_changed(orthanc: Orthanc) -> None:
    require_storable(parse_target(orthanc.address))
    require_storable(parse_target(orthanc.node))
    assert orthanc.instances() == []


@pytest.mark.parametrize("code", [400, 403, 404, 405, 500, 501])
def test_a_service_that_cannot_be_searched_may_be_stored_into(code: int, faulty: FaultyPacs) -> None:
    faulty.fault = refuse(code)
    require_storable(parse_target(faulty.address), patience=PATIENCE)
    assert faulty.count("POST") == 0


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (refuse(401), "does not know this computer's user"),
        (refuse(503), "failed again and again (it answers 503"),
        (refuse(200, b"<html>Sign in</html>", "text/html"), "something that is not DICOMweb"),
        (send_on_to("http://sso.example.org/login"), "sends this computer on to another address"),
    ],
)
def test_a_service_that_will_not_take_anything_is_said(fault: Fault, words: str, faulty: FaultyPacs) -> None:
    faulty.fault = fault
    assert words in refusal(faulty.address)


@pytest.mark.parametrize("address", ["dicomweb+http://127.0.0.1:9/rs", "dimse://127.0.0.1:9/ARCHIVE"])
def test_a_pacs_that_is_down_is_said(address: str) -> None:
    assert "refused" in refusal(address)


@pytest.mark.parametrize("scheme", ["dicomweb+http", "dimse"])
def test_a_silent_pacs_is_said(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sentence = refusal(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/ARCHIVE")
    assert "2 s" in sentence


@pytest.mark.parametrize("kinds", [[Verification], [CTImageStorage], [CTImageStorage, Verification]])
def test_a_node_that_answers_is_there_whatever_it_takes(kinds: list[str]) -> None:
    received: list[evt.Event] = []
    entity = AE(ae_title="ARCHIVE")
    for kind in kinds:
        entity.add_supported_context(kind)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, received.append)])
    try:
        require_storable(parse_target(f"dimse://127.0.0.1:{server.socket.getsockname()[1]}/ARCHIVE"))
    finally:
        server.shutdown()
    assert received == []


def test_a_node_that_does_not_know_us_is_said() -> None:
    entity = AE(ae_title="ARCHIVE")
    entity.require_calling_aet = ["STATION_2"]
    entity.add_supported_context(Verification)
    server = entity.start_server(("127.0.0.1", 0), block=False)
    try:
        sentence = refusal(f"dimse://127.0.0.1:{server.socket.getsockname()[1]}/ARCHIVE")
    finally:
        server.shutdown()
    assert "does not know the calling AE title CISFA" in sentence


def test_what_is_wrong_here_is_said_without_asking_anybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_fetchable(parse_series_address(ELSEWHERE + SERIES))
    wrong = {
        "CISFA_DICOMWEB_TOKEN": ("planted", "without TLS"),
        "REQUESTS_CA_BUNDLE": (str(tmp_path / "nothing.pem"), "REQUESTS_CA_BUNDLE is set to"),
        "SSL_CERT_FILE": (str(tmp_path / "nothing.pem"), "SSL_CERT_FILE is set to"),
        "HTTP_PROXY": ("http://planted:port", "HTTP_PROXY is set to something"),
    }
    for name, (value, words) in wrong.items():
        with monkeypatch.context() as patched:
            patched.setenv(name, value)
            assert words in refusal(ELSEWHERE)
            with pytest.raises(PacsError, match=words) as refused:
                require_fetchable(parse_series_address(ELSEWHERE + SERIES))
            assert "planted" not in str(refused.value)


@pytest.mark.parametrize(
    ("module", "address"),
    [("dicomweb_client", ELSEWHERE), ("pynetdicom", "dimse://pacs.example.org:104/ARCHIVE")],
)
def test_a_library_that_is_missing_is_said(module: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert 'python -m pip install "cisfa[pacs]"' in refusal(address)
    if module == "dicomweb_client":
        with pytest.raises(PacsError, match=r"cisfa\[pacs\]"):
            require_fetchable(parse_series_address(address + SERIES))


def test_words_of_others_are_made_plain() -> None:
    assert plain("500 \x1b[31mPWNED\x1b]0;title\x07 \u202eabc") == "500 [31mPWNED ]0;title abc"
    assert len(plain("x" * 5000)) == 80


@pytest.mark.parametrize(
    "fault",
    [
        refuse_in_raw_words(500, b"\x1b[31mPWNED\x1b]0;title\x07" + b"x" * 3000),
        refuse_in_raw_words(401, b"\x1b[31mPWNED"),
        refuse_in_raw_words(503, b"\x9b31m\x1b[2J"),
        only("GET", find_nothing_and_warn('299 srv "Patient Mueller^Hans has more results"')),
    ],
)
def test_nothing_that_a_server_says_reaches_the_terminal_raw(
    fault: Fault, faulty: FaultyPacs, ct_series: list[Path]
) -> None:
    faulty.fault = fault
    ended = subprocess.run(
        [sys.executable, "-m", "cisfa", "send", str(ct_series[0]), "--to", faulty.address],
        env=dict(os.environ), capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    said = (ended.stdout + ended.stderr).decode("utf-8")
    assert "Mueller" not in said
    assert [letter for letter in said if not letter.isprintable() and letter not in "\r\n"] == []
    assert len(said) < 2000


@pytest.mark.parametrize(
    "answer",
    [
        b'{"00081198": {"vr": "LO", "Value": ["no list"]}}',
        b'{"00081199": {"vr": "UI", "Value": ["1.2"]}}',
    ],
)
def test_an_answer_of_another_form_is_not_taken_for_a_yes(
    answer: bytes, faulty: FaultyPacs, ct_series: list[Path]
) -> None:
    faulty.fault = only("POST", refuse(200, answer, "application/dicom+json"))
    with pytest.raises(PacsError, match="without saying that it is stored"):
        store_instances(ct_series[:1], parse_target(faulty.address), ignore, patience=PATIENCE)
