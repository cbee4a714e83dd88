import hashlib
import http.server
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.message import Message
from io import BytesIO
from pathlib import Path

import pytest
from filelock import FileLock

from cisfa.bundle import download
from cisfa.bundle.bundle_folder import open_bundle
from cisfa.bundle.download import download_bundle
from cisfa.bundle.remote_file import RemoteFile, _Redirects
from cisfa.errors import BundleError, Cancelled, DownloadError
from cisfa.events import Event, Notice, Progress, ignore

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


class Server:
    """A server on this computer, which answers as a test wants it to.

    Attributes:
        content: The file it has, whatever it is asked for.
        ranges: The Range header of each request so far; None for a request without.
        answers: Used up one a request, before the usual answer is given again.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.ranges: list[str | None] = []
        self.answers: list[Answer] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.ranges.append(self.headers.get("Range"))
                (server.answers.pop(0) if server.answers else server.send)(self)

            def log_message(self, *args: object) -> None:
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/models/model.zip"

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def send(self, request: http.server.BaseHTTPRequestHandler, most: int | None = None) -> None:
        """Send the file, or what the range asks for; but ``most`` bytes, and then hang up."""
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        first, size = int(asked[1]) if asked else 0, len(self.content)
        if first >= size:
            request.send_error(416)
            return
        request.send_response(206 if asked else 200)
        if asked:
            request.send_header("Content-Range", f"bytes {first}-{size - 1}/{size}")
        request.send_header("Content-Length", str(size - first))
        request.end_headers()
        request.wfile.write(self.content[first:][:most])

    def hanging_up_after(self, most: int) -> Answer:
        return lambda request: self.send(request, most)

    def ignoring_ranges(self, request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()  # says no length either
        request.wfile.write(self.content)


def refusing(code: int) -> Answer:
    return lambda request: request.send_error(code)


def sending_on_to(url: str) -> Answer:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", url)
        request.end_headers()

    return answer


@pytest.fixture(autouse=True)
def no_proxy_and_no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(download, "_WAITS_S", (0.01, 0.01))


@pytest.fixture
def server(zipped: Path) -> Iterator[Server]:
    running = Server(zipped.read_bytes())
    yield running
    running.close()


@pytest.fixture
def remote(server: Server) -> RemoteFile:
    return RemoteFile(server.url, hashlib.sha256(server.content).hexdigest().upper(), len(server.content))


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "Modell ü.zip"


@pytest.fixture
def part(output: Path) -> Path:
    output.parent.mkdir()
    return output.with_name("Modell ü.zip.part")


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# what goes well


def test_a_bundle_is_downloaded_verified_and_put_in_its_place(
    server: Server, remote: RemoteFile, output: Path, zipped: Path
) -> None:
    events: list[Event] = []
    bundle = download_bundle(remote, output, events.append)
    assert bundle == open_bundle(output)
    assert output.read_bytes() == zipped.read_bytes()
    assert names_in(output.parent) == [output.name]
    fractions = [event.fraction for event in events if isinstance(event, Progress) and event.stage == "downloading"]
    assert (fractions[0], fractions[-1]) == (0, 1)
    assert fractions == sorted(fractions)
    assert server.ranges == [None]


def test_a_download_goes_on_where_the_connection_was_lost(server: Server, remote: RemoteFile, output: Path) -> None:
    server.answers = [server.hanging_up_after(100), server.hanging_up_after(50)]
    events: list[Event] = []
    download_bundle(remote, output, events.append)
    assert open_bundle(output)
    assert server.ranges == [None, "bytes=100-", "bytes=150-"]
    notices = [event.message for event in events if isinstance(event, Notice)]
    assert len(notices) == 2
    assert "The connection to 127.0.0.1 failed (the server closed it early). Trying again" in notices[0]


def test_tries_that_bring_much_may_be_many(
    server: Server, remote: RemoteFile, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_WORTH_A_TRY_BYTES", 100)
    server.answers = [server.hanging_up_after(100)] * 7
    download_bundle(remote, output, ignore)
    assert len(server.ranges) == 8


def test_a_part_that_was_left_is_not_downloaded_again(
    server: Server, remote: RemoteFile, output: Path, part: Path
) -> None:
    part.write_bytes(server.content[:700])
    events: list[Event] = []
    download_bundle(remote, output, events.append)
    assert server.ranges == ["bytes=700-"]
    assert isinstance(events[0], Progress)
    assert events[0].fraction == pytest.approx(700 / remote.size_bytes)
    assert names_in(output.parent) == [output.name]


def test_a_part_that_is_whole_needs_no_server(server: Server, remote: RemoteFile, output: Path, part: Path) -> None:
    part.write_bytes(server.content)
    download_bundle(remote, output, ignore)
    assert server.ranges == []


def test_a_part_that_is_too_long_is_of_another_file(
    server: Server, remote: RemoteFile, output: Path, part: Path
) -> None:
    part.write_bytes(server.content + b"more")
    download_bundle(remote, output, ignore)
    assert server.ranges == [None]


def test_a_server_that_knows_no_ranges_makes_the_download_start_again(
    server: Server, remote: RemoteFile, output: Path, part: Path
) -> None:
    part.write_bytes(b"x" * 700)
    server.answers = [server.ignoring_ranges]
    download_bundle(remote, output, ignore)
    assert server.ranges == ["bytes=700-"]


def test_never_more_is_written_than_was_expected(server: Server, remote: RemoteFile, output: Path) -> None:
    server.content += b"x" * 100_000
    server.answers = [server.ignoring_ranges]
    download_bundle(remote, output, ignore)
    assert output.stat().st_size == remote.size_bytes


def test_a_busy_server_is_asked_again(server: Server, remote: RemoteFile, output: Path) -> None:
    server.answers = [refusing(503), refusing(429)]
    download_bundle(remote, output, ignore)
    assert open_bundle(output)


def test_a_server_may_send_on_to_a_safe_address_and_the_range_goes_with_it(
    server: Server, remote: RemoteFile, output: Path, part: Path
) -> None:
    part.write_bytes(server.content[:700])
    server.answers = [sending_on_to("/elsewhere/model.zip")]
    download_bundle(remote, output, ignore)
    assert server.ranges == ["bytes=700-", "bytes=700-"]


def test_a_network_drive_is_read_and_gone_on_with(zipped: Path, remote: RemoteFile, output: Path, part: Path) -> None:
    part.write_bytes(zipped.read_bytes()[:700])
    drive = zipped.rename(zipped.with_name("Modelle & mehr.zip"))
    download_bundle(RemoteFile(drive.as_uri(), remote.sha256, remote.size_bytes), output, ignore)
    assert output.read_bytes() == drive.read_bytes()


def test_a_bundle_that_is_there_is_replaced_only_when_it_may_be(
    server: Server, remote: RemoteFile, output: Path, part: Path
) -> None:
    output.write_bytes(b"mine")
    with pytest.raises(BundleError, match="is there already"):
        download_bundle(remote, output, ignore)
    assert output.read_bytes() == b"mine"
    assert server.ranges == []
    download_bundle(remote, output, ignore, overwrite=True)
    assert open_bundle(output)


# cancelling


def test_what_was_received_before_a_cancellation_is_not_asked_for_again(
    server: Server, remote: RemoteFile, output: Path, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_REPORT_EVERY_S", 0.0)

    def cancel(event: Event) -> None:
        if isinstance(event, Progress) and event.fraction > 0:
            raise Cancelled("Stopped on request.")

    server.answers = [server.hanging_up_after(500)]
    with pytest.raises(Cancelled):
        download_bundle(remote, output, cancel)
    assert names_in(output.parent) == [part.name]
    assert part.read_bytes() == server.content[:500]
    download_bundle(remote, output, ignore)
    assert server.ranges == [None, "bytes=500-"]


def test_a_download_can_be_cancelled_while_it_waits_for_the_next_try(
    server: Server, remote: RemoteFile, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_WAITS_S", (600.0,))
    monkeypatch.setattr(download, "_REPORT_EVERY_S", 0.01)
    heard: list[Event] = []

    def cancel(event: Event) -> None:
        heard.append(event)
        if isinstance(event, Progress) and any(isinstance(earlier, Notice) for earlier in heard):
            raise Cancelled("Stopped on request.")

    server.answers = [refusing(503)]
    with pytest.raises(Cancelled):
        download_bundle(remote, output, cancel)


# what cannot be had


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (404, r"There is no file at http://127\.0\.0\.1:\d+/models/model\.zip \(404 Not Found\)\. Check the address"),
        (410, "There is no file"),
        (403, r"127\.0\.0\.1 does not hand out .*\(403 Forbidden\)\. Ask whoever"),
        (407, "The proxy wants a name and a password"),
        (418, r"answers 418 .*Check the address"),
    ],
)
def test_a_server_without_the_file_is_asked_once(
    server: Server, remote: RemoteFile, output: Path, code: int, sentence: str
) -> None:
    server.answers = [refusing(code)] * 3
    with pytest.raises(DownloadError, match=sentence):
        download_bundle(remote, output, ignore)
    assert len(server.ranges) == 1
    assert names_in(output.parent) == []


def test_a_server_that_stays_busy_is_given_up_on(server: Server, remote: RemoteFile, output: Path) -> None:
    server.answers = [refusing(503)] * 9
    with pytest.raises(DownloadError, match=r"again and again \(127\.0\.0\.1 answers 503.*online.*HTTPS_PROXY.*kept"):
        download_bundle(remote, output, ignore)
    assert len(server.ranges) == 3


def test_a_computer_that_is_offline_is_told_to_check(remote: RemoteFile, server: Server, output: Path) -> None:
    closed = Server(b"")
    closed.close()
    with pytest.raises(DownloadError, match="Check that this computer is online, and that its proxy"):
        download_bundle(RemoteFile(closed.url, remote.sha256, remote.size_bytes), output, ignore)


def test_a_network_drive_that_is_not_there_is_named(tmp_path: Path, remote: RemoteFile, output: Path) -> None:
    gone = RemoteFile((tmp_path / "gone.zip").as_uri(), remote.sha256, remote.size_bytes)
    with pytest.raises(DownloadError, match=r"gone\.zip cannot be read: .*that the drive is connected"):
        download_bundle(gone, output, ignore)


def test_a_certificate_that_cannot_be_verified_is_not_tried_again(
    remote: RemoteFile, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def fail(*args: object, **how: object) -> None:
        tries.append(how["timeout"])
        error = ssl.SSLCertVerificationError(1, "certificate verify failed")
        error.verify_message = "self-signed certificate in certificate chain"
        raise urllib.error.URLError(error)

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", fail)
    with pytest.raises(DownloadError, match=r"certificate of 127\.0\.0\.1 cannot be verified \(self-signed.*SSL_CERT"):
        download_bundle(remote, output, ignore)
    assert tries == [30.0]


def test_the_proxy_is_asked_for_what_is_elsewhere_and_not_for_what_is_here(
    server: Server, remote: RemoteFile, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", server.url)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    asked: list[str] = []

    def refuse(request: http.server.BaseHTTPRequestHandler) -> None:
        asked.append(request.path)
        request.send_error(407)

    monkeypatch.setattr(server._http.RequestHandlerClass, "do_CONNECT", refuse, raising=False)
    elsewhere = RemoteFile("https://models.example/model.zip", remote.sha256, remote.size_bytes)
    with pytest.raises(DownloadError, match="The proxy wants a name and a password"):
        download_bundle(elsewhere, output, ignore)
    assert asked == ["models.example:443"]
    download_bundle(remote, output, ignore)


# what is not what was expected


def test_wrong_bytes_are_deleted_and_said_to_be_wrong(server: Server, remote: RemoteFile, output: Path) -> None:
    server.content = server.content[:-1] + b"x"
    with pytest.raises(DownloadError, match=r"is not what was expected \(its SHA-256 is .*and was deleted\. Try again"):
        download_bundle(remote, output, ignore)
    assert names_in(output.parent) == []


def test_a_file_that_changed_between_two_tries_is_found_out(
    server: Server, remote: RemoteFile, output: Path, part: Path
) -> None:
    part.write_bytes(b"x" * 700)
    with pytest.raises(DownloadError, match="and was deleted"):
        download_bundle(remote, output, ignore)
    assert names_in(output.parent) == []
    download_bundle(remote, output, ignore)
    assert open_bundle(output)


@pytest.mark.parametrize("change", [-900, 1000])
@pytest.mark.parametrize("had", [0, 700])
def test_a_file_of_another_size_is_not_even_begun(
    server: Server, remote: RemoteFile, output: Path, part: Path, change: int, had: int
) -> None:
    part.write_bytes(server.content[:had])
    server.content = server.content[:change] if change < 0 else server.content + b"x" * change
    with pytest.raises(DownloadError, match=rf"has \d+ bytes, but {remote.size_bytes} are expected"):
        download_bundle(remote, output, ignore)
    assert part.stat().st_size == had


def test_a_server_whose_file_ends_before_the_part_does_has_another_file(
    server: Server, remote: RemoteFile, output: Path, part: Path
) -> None:
    part.write_bytes(server.content[:700])
    server.content = b"x" * 600
    with pytest.raises(DownloadError, match="has fewer bytes"):
        download_bundle(remote, output, ignore)


def test_another_part_than_was_asked_for_is_refused(
    server: Server, remote: RemoteFile, output: Path, part: Path
) -> None:
    def send_another(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(206)
        request.send_header("Content-Range", f"bytes 0-9/{remote.size_bytes}")
        request.end_headers()

    part.write_bytes(server.content[:700])
    server.answers = [send_another]
    with pytest.raises(DownloadError, match="something else than the rest of the file"):
        download_bundle(remote, output, ignore)


def test_what_is_expected_but_no_bundle_is_deleted(server: Server, output: Path) -> None:
    server.content = b"no bundle" * 100
    remote = RemoteFile(server.url, hashlib.sha256(server.content).hexdigest(), len(server.content))
    with pytest.raises(DownloadError, match=r"no bundle that can be used here, and was deleted\. .*no readable zip"):
        download_bundle(remote, output, ignore)
    assert names_in(output.parent) == []


# what is not safe


@pytest.mark.parametrize(
    "url",
    [
        "http://models.example/model.zip",
        "http://127.0.0.1.models.example/model.zip",
        "http://user@127.0.0.1/model.zip",
        "https://user:secret@models.example/model.zip",
        "https:///model.zip",
        "https://models.example:many/model.zip",
        "https://models.example/a model.zip",
        "https://models.example/m\nodel.zip",
        "https://models.example/mödel.zip",
        "https://[models.example/model.zip",
        "ftp://models.example/model.zip",
        "data:,model.zip",
        "file:",
        "/models/model.zip",
        "C:\\models\\model.zip",
        "",
    ],
)
def test_an_address_that_is_not_safe_is_refused(url: str) -> None:
    with pytest.raises(DownloadError, match=r"no address that bundles are downloaded from\. Give one that begins with"):
        RemoteFile(url, "0" * 64, 1)


@pytest.mark.parametrize(
    "url", ["https://models.example:8443/m.zip?key=a", "http://localhost:8000/m.zip", "http://[::1]/m"]
)
def test_an_address_that_is_safe_is_taken(url: str) -> None:
    assert RemoteFile(url, "0" * 64, 1).url == url


def test_a_key_in_an_address_is_not_shown() -> None:
    assert RemoteFile("https://models.example/m.zip?key=a#b", "0" * 64, 1).shown == "https://models.example/m.zip"


@pytest.mark.parametrize(("sha256", "size"), [("0" * 63, 1), ("x" * 64, 1), ("0" * 64, 0), ("0" * 64, 1 << 40)])
def test_a_digest_or_size_that_cannot_be_is_refused(sha256: str, size: int) -> None:
    with pytest.raises(DownloadError, match="it must be"):
        RemoteFile("https://models.example/model.zip", sha256, size)


@pytest.mark.parametrize(
    "url", ["http://models.example/model.zip", "file:///etc/hostname", "ftp://models.example/m.zip"]
)
def test_a_server_may_not_send_on_to_an_unsafe_address(
    server: Server, remote: RemoteFile, output: Path, url: str
) -> None:
    server.answers = [sending_on_to(url)]
    with pytest.raises(DownloadError, match=r"sends this computer on to an unsafe address|is not allowed"):
        download_bundle(remote, output, ignore)
    assert len(server.ranges) == 1


@pytest.mark.parametrize("url", ["http://models.example/m.zip", "http://127.0.0.1/m.zip"])
def test_encryption_is_not_given_up_on_the_way(url: str) -> None:
    request = urllib.request.Request("https://models.example/model.zip")
    with pytest.raises(DownloadError, match="unsafe address"):
        _Redirects().redirect_request(request, BytesIO(), 302, "Found", Message(), url)
    there = "https://mirror.example/model.zip"
    followed = _Redirects().redirect_request(request, BytesIO(), 302, "Found", Message(), there)
    assert followed is not None
    assert followed.full_url == there


# what cannot be stored


def test_too_little_space_is_noticed_before_anything_is_asked_for(
    server: Server, remote: RemoteFile, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1000, 900, 100))
    with pytest.raises(DownloadError, match=r"has 0\.0 MB free, and the download needs"):
        download_bundle(remote, output, ignore)
    assert server.ranges == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_disk_that_fills_up_is_named(server: Server, remote: RemoteFile, output: Path, part: Path) -> None:
    part.symlink_to("/dev/full")
    with pytest.raises(DownloadError, match=r"part cannot be written: No space left on device\. Choose a folder"):
        download_bundle(remote, output, ignore)


def test_a_folder_that_cannot_be_made_is_named(remote: RemoteFile, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(DownloadError, match=r"model\.zip cannot be written"):
        download_bundle(remote, tmp_path / "file" / "model.zip", ignore)


def test_a_name_without_zip_is_refused(remote: RemoteFile, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"Name a file that ends in \.zip"):
        download_bundle(remote, tmp_path / "model", ignore)


def test_two_processes_do_not_write_into_one_part(server: Server, remote: RemoteFile, output: Path, part: Path) -> None:
    with (
        FileLock(output.with_name(f".{output.name}.lock")),
        pytest.raises(DownloadError, match="Another process is downloading"),
    ):
        download_bundle(remote, output, ignore)
    download_bundle(remote, output, ignore)


def test_downloading_needs_neither_torch_nor_numpy() -> None:
    code = "import sys, cisfa.bundle.download; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, timeout=60).returncode == 0
