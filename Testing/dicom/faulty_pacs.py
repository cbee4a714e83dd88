"""A DICOMweb service that can be told to fail in a certain way; what it is not told about it leaves to a real one."""

import http.server
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import requests

from orthanc import Orthanc

Request = http.server.BaseHTTPRequestHandler
# True when it has dealt with the request
Fault = Callable[["FaultyPacs", Request], bool]
_NOT_PASSED_ON = {"host", "connection", "transfer-encoding", "content-length", "accept-encoding"}


@dataclass
class FaultyPacs:
    """A service in front of a real one.

    Attributes:
        behind: The real one; None where every request fails.
        port: On 127.0.0.1.
        fault: What goes wrong.
        asked: Method and path of every request, in their order.
        authorizations: What every request had to say about who sends it.
    """

    behind: Orthanc | None
    port: int = 0
    fault: Fault = lambda pacs, request: False
    asked: list[str] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"dicomweb+http://127.0.0.1:{self.port}/dicom-web"

    def count(self, method: str) -> int:
        return sum(line.startswith(method) for line in self.asked)

    def pass_on(self, request: Request, body: bytes | None) -> requests.Response:
        if self.behind is None:
            raise RuntimeError(f"{request.path} was asked of nobody")
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_PASSED_ON}
        return requests.request(
            request.command,
            f"{self.behind.root}{request.path}",
            data=body,
            headers={**headers, "Accept-Encoding": "identity"},
            timeout=30,
            proxies={"http": "", "https": ""},
        )

    def handle(self, request: Request) -> None:
        self.asked.append(f"{request.command} {request.path}")
        self.authorizations.append(request.headers.get("Authorization"))
        with suppress(OSError):  # the client has had enough
            if not self.fault(self, request):
                answer = self.pass_on(request, body_of(request) if request.command == "POST" else None)
                send(request, answer.status_code, answer.content, answer.headers.get("Content-Type", ""))


@contextmanager
def running_faulty_pacs(behind: Orthanc | None) -> Iterator[FaultyPacs]:
    """Start one, with no fault yet."""
    pacs = FaultyPacs(behind)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            pacs.handle(self)

        def do_POST(self) -> None:
            pacs.handle(self)

        def log_message(self, *words: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        pacs.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield pacs
        finally:
            server.shutdown()
            thread.join(timeout=10)


def send(request: Request, code: int, body: bytes, content_type: str, *, announced: int | None = None) -> None:
    """An answer, whose body may be announced as longer than it is."""
    request.send_response(code)
    if content_type:
        request.send_header("Content-Type", content_type)
    request.send_header("Content-Length", str(len(body) if announced is None else announced))
    request.end_headers()
    request.wfile.write(body)


def body_of(request: Request) -> bytes:
    """All that a request sends."""
    if request.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return request.rfile.read(int(request.headers.get("Content-Length", 0)))
    body = b""
    while size := int(request.rfile.readline(), 16):
        body += request.rfile.read(size)
        request.rfile.readline()
    request.rfile.readline()
    return body


def only(method: str, fault: Fault, *, path: str = "") -> Fault:
    """A fault for some requests alone; the path is a regular expression that is searched for."""

    def when_meant(pacs: FaultyPacs, request: Request) -> bool:
        is_meant = request.command == method and re.search(path, request.path) is not None
        return is_meant and fault(pacs, request)

    return when_meant


def first(times: int, fault: Fault) -> Fault:
    """A fault that passes."""
    left = [times]

    def while_it_lasts(pacs: FaultyPacs, request: Request) -> bool:
        if left[0] <= 0:
            return False
        left[0] -= 1
        return fault(pacs, request)

    return while_it_lasts


def refuse(code: int, body: bytes = b"", content_type: str = "text/plain") -> Fault:
    def fault(pacs: FaultyPacs, request: Request) -> bool:
        if request.command == "POST":
            body_of(request)
        send(request, code, body, content_type)
        return True

    return fault


def refuse_in_raw_words(code: int, reason: bytes) -> Fault:
    """A status with whatever behind it."""

    def fault(pacs: FaultyPacs, request: Request) -> bool:
        request.wfile.write(b"HTTP/1.1 %d %b\r\nContent-Length: 0\r\n\r\n" % (code, reason))
        request.close_connection = True
        return True

    return fault


def find_nothing_and_warn(warning: str) -> Fault:
    """An empty list of what was asked for, and a header that says more."""

    def fault(pacs: FaultyPacs, request: Request) -> bool:
        request.send_response(200)
        request.send_header("Content-Type", "application/dicom+json")
        request.send_header("Warning", warning)
        request.send_header("Content-Length", "2")
        request.end_headers()
        request.wfile.write(b"[]")
        return True

    return fault


def send_on_to(location: str) -> Fault:
    def fault(pacs: FaultyPacs, request: Request) -> bool:
        if request.command == "POST":
            body_of(request)
        request.send_response(307)
        request.send_header("Location", location)
        request.send_header("Content-Length", "0")
        request.end_headers()
        return True

    return fault


def silent(seconds: float) -> Fault:
    """Says nothing for a while, then hangs up."""

    def fault(pacs: FaultyPacs, request: Request) -> bool:
        time.sleep(seconds)
        return True

    return fault


def trickle(seconds: float) -> Fault:
    """Sends the real answer byte by byte, ten a second."""

    def fault(pacs: FaultyPacs, request: Request) -> bool:
        answer = pacs.pass_on(request, None)
        send(request, answer.status_code, b"", answer.headers["Content-Type"], announced=len(answer.content))
        ends_s = time.monotonic() + seconds
        for place in range(len(answer.content)):
            if time.monotonic() > ends_s:
                break
            request.wfile.write(answer.content[place : place + 1])
            time.sleep(0.1)
        return True

    return fault


def cut_off(part: float, *, is_announced: bool = True) -> Fault:
    """Sends part of the real answer; where no length was announced, nobody but its end can tell that it is cut off."""

    def fault(pacs: FaultyPacs, request: Request) -> bool:
        answer = pacs.pass_on(request, None)
        body = answer.content[: int(len(answer.content) * part)]
        if is_announced:
            send(request, 200, body, answer.headers["Content-Type"], announced=len(answer.content))
        else:
            request.send_response(200)
            request.send_header("Content-Type", answer.headers["Content-Type"])
            request.end_headers()
            request.wfile.write(body)
        return True

    return fault


def send_instances(*instances: bytes) -> Fault:
    """Sends these as if they were the series."""
    parts = [b"--mark\r\nContent-Type: application/dicom\r\n\r\n" + instance + b"\r\n" for instance in instances]
    return refuse(200, b"".join(parts) + b"--mark--", 'multipart/related; type="application/dicom"; boundary=mark')


def in_chunks(part: float) -> Fault:
    """Sends the real answer, or part of it, in chunks of lengths that are not announced together."""

    def fault(pacs: FaultyPacs, request: Request) -> bool:
        answer = pacs.pass_on(request, None)
        request.send_response(200)
        request.send_header("Content-Type", answer.headers["Content-Type"])
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        for begin in range(0, int(len(answer.content) * part), 1000):
            piece = answer.content[begin : begin + 1000]
            request.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        request.wfile.write(b"0\r\n\r\n" if part == 1 else b"3e8\r\nin the middle of a chunk")
        return True

    return fault


def keep_back_the_last(pacs: FaultyPacs, request: Request) -> bool:
    """Sends a whole answer in which one instance is missing."""
    answer = pacs.pass_on(request, None)
    found = re.search(r'boundary="?([^";]+)', answer.headers["Content-Type"])
    if found is None:
        raise RuntimeError(answer.headers["Content-Type"])
    marker = b"--" + found[1].encode("ascii")
    parts = answer.content.split(marker)
    send(request, 200, marker.join(parts[:-2] + parts[-1:]), answer.headers["Content-Type"])
    return True


def lose_the_request(pacs: FaultyPacs, request: Request) -> bool:
    """Reads half of what is sent, passes nothing on and hangs up."""
    length = int(request.headers.get("Content-Length", 2000))
    request.rfile.read(length // 2)
    return True


def read_slowly(pacs: FaultyPacs, request: Request) -> bool:
    """Reads what is sent as a slow line would bring it, for some seconds, passes nothing on and hangs up."""
    for _ in range(100):
        request.rfile.read(1 << 14)
        time.sleep(0.05)
    return True


def lose_the_answer(pacs: FaultyPacs, request: Request) -> bool:
    """Passes everything on, so that it is stored, and hangs up."""
    pacs.pass_on(request, body_of(request)).raise_for_status()
    return True


def answer_about_storing(code: int, *, status: int = 202, is_failure: bool = True) -> Fault:
    """A STOW-RS response that refuses what was sent, or warns about it, without passing it on."""

    def fault(pacs: FaultyPacs, request: Request) -> bool:
        body = body_of(request)
        uid = re.search(rb"\x08\x00\x18\x00UI..([0-9.]+)", body, re.DOTALL)
        reference = {
            "00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]},
            "00081155": {"vr": "UI", "Value": [uid[1].decode("ascii") if uid else ""]},
            ("00081197" if is_failure else "00081196"): {"vr": "US", "Value": [code]},
        }
        sequence = "00081198" if is_failure else "00081199"
        answer = json.dumps({sequence: {"vr": "SQ", "Value": [reference]}})
        send(request, status, answer.encode("utf-8"), "application/dicom+json")
        return True

    return fault
