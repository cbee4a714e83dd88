"""Read a file from somewhere else: over https, from this computer's own http server, or from a network drive.

Python's urllib does the work, so that the system's proxies and HTTPS_PROXY are heeded and certificates are verified.
Whatever another try cannot mend becomes a :class:`~cisfa.errors.DownloadError`.
"""

import http.client
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from io import BufferedReader
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import SplitResult, urlsplit, urlunsplit

import cisfa
from cisfa.bundle.stored_files import LARGEST_BUNDLE_BYTES, reason_of
from cisfa.errors import DownloadError

_TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 18
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_LOST = (OSError, http.client.HTTPException)
# request timeout, too early, too many requests; the server's own errors come on top
_PASSING = (408, 425, 429)
_PROXY_WANTS_NAME = "Tunnel connection failed: 407"
_PROXY_REFUSES = (
    "The proxy wants a name and a password. Set HTTPS_PROXY to http://NAME:PASSWORD@HOST:PORT, or ask your network's"
    " administrator."
)


class ConnectionLostError(Exception):
    """What another try may mend."""


class _Stream(Protocol):
    """A file or an answer."""

    def read1(self, size: int, /) -> bytes:
        """What is there already, else wait for something."""


@dataclass(frozen=True)
class RemoteFile:
    """A file somewhere else.

    Attributes:
        url: Where it is: https, http to this computer itself, or file.
        sha256: Of the file, 64 hexadecimal digits.
        size_bytes: Of the file.

    Raises:
        DownloadError: It can be no such file.
    """

    url: str
    sha256: str
    size_bytes: int

    def __post_init__(self) -> None:
        _require_allowed(self.url)
        if not _SHA256.fullmatch(self.sha256):
            raise DownloadError(f"The SHA-256 is {self.sha256[:100]!r}; it must be 64 hexadecimal digits.")
        if not 0 < self.size_bytes <= LARGEST_BUNDLE_BYTES:
            raise DownloadError(f"The size is {self.size_bytes} bytes; it must be from 1 byte to 8 GiB.")

    @property
    def shown(self) -> str:
        """Its address for people, without a query, which may hold somebody's key."""
        return urlunsplit((*urlsplit(self.url)[:3], "", ""))

    @property
    def place(self) -> str:
        """Who has to be reached."""
        return urlsplit(self.url).hostname or "the file's folder"


@dataclass(frozen=True)
class Answer:
    """What a server sends.

    Attributes:
        first_byte: Where in the file it begins: where it was asked to, or at 0.
        pieces: The bytes, as they come; raises ConnectionLostError. They may end too early without a word.
    """

    first_byte: int
    pieces: Iterator[bytes]


@contextmanager
def answer_of(remote: RemoteFile, first_byte: int) -> Iterator[Answer]:
    """Ask for a file, or the rest of it.

    Args:
        remote: What.
        first_byte: From where on.

    Raises:
        DownloadError: It is not there, another file is, or the server cannot be trusted.
        ConnectionLostError: The server could not be reached or is busy.
    """
    parsed = urlsplit(remote.url)
    if parsed.scheme == "file":
        with _open_file(remote, _local_path(parsed)) as file:
            file.seek(first_byte)
            yield Answer(first_byte, _pieces(file))
        return
    headers = {"User-Agent": f"cisfa/{cisfa.__version__}"} | ({"Range": f"bytes={first_byte}-"} if first_byte else {})
    with _ask(remote, urllib.request.Request(remote.url, headers=headers)) as response:
        yield Answer(_begin_of(response, remote, first_byte), _pieces(response))


def _ask(remote: RemoteFile, request: urllib.request.Request) -> http.client.HTTPResponse:
    context = ssl.create_default_context()
    opener = urllib.request.build_opener(_Proxies(), _Redirects(), urllib.request.HTTPSHandler(context=context))
    try:
        response: http.client.HTTPResponse = opener.open(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(error, remote) from error
    except _LOST as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise DownloadError(
                f"The certificate of {remote.place} cannot be verified ({reason.verify_message}). Check this computer's"
                " date; where a hospital's proxy inspects connections, let SSL_CERT_FILE name its certificates."
            ) from error
        if _PROXY_WANTS_NAME in str(reason):  # what a proxy answers before there is any connection to the server
            raise DownloadError(_PROXY_REFUSES) from error
        raise ConnectionLostError(reason_of(reason) if isinstance(reason, Exception) else str(reason)) from error
    return response


def _begin_of(response: http.client.HTTPResponse, remote: RemoteFile, first_byte: int) -> int:
    """Where the answer begins, after making sure that it is of the expected file."""
    if response.status == http.HTTPStatus.OK:  # the whole file, whatever was asked for
        _require_size(response.headers.get("Content-Length"), remote)
        return 0
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status != http.HTTPStatus.PARTIAL_CONTENT or found is None or int(found[1]) != first_byte:
        raise DownloadError(
            f"{remote.place} answers with something else than the rest of the file (status {response.status})."
            " Delete what was downloaded of it, the .part file, and try again."
        )
    _require_size(found[2], remote)
    return first_byte


def _refusal(error: urllib.error.HTTPError, remote: RemoteFile) -> Exception:
    said = f"{error.code} {error.reason}"
    match error.code:
        case 404 | 410:
            return DownloadError(f"There is no file at {remote.shown} ({said}). Check the address; it may have moved.")
        case 401 | 403:
            return DownloadError(f"{remote.place} does not hand out {remote.shown} ({said}). Ask whoever offers it.")
        case 407:
            return DownloadError(_PROXY_REFUSES)
        case 416:  # the server's file ends before the part does
            return DownloadError(_another_file(remote, "fewer"))
        case code if code in _PASSING or code >= 500:
            return ConnectionLostError(f"{remote.place} answers {said}")
    return DownloadError(f"{remote.place} answers {said} for {remote.shown}. Check the address.")


def _require_size(found: str | None, remote: RemoteFile) -> None:
    if found is not None and found.isdecimal() and int(found) != remote.size_bytes:
        raise DownloadError(_another_file(remote, found))


def _another_file(remote: RemoteFile, found: str) -> str:
    return (
        f"{remote.shown} has {found} bytes, but {remote.size_bytes} are expected: it is another file by now, or a page"
        " that wants you to sign in. Open the address in a browser, or ask whoever offers the file."
    )


def _pieces(stream: _Stream) -> Iterator[bytes]:
    try:
        while piece := stream.read1(_CHUNK_BYTES):
            yield piece
    except _LOST as error:
        raise ConnectionLostError(reason_of(error)) from error


def _open_file(remote: RemoteFile, path: Path) -> BufferedReader:
    try:
        _require_size(str(path.stat().st_size), remote)
        return path.open("rb")
    except OSError as error:
        raise DownloadError(
            f"{remote.shown} cannot be read: {reason_of(error)}. Check the address, and that the drive is connected."
        ) from error


def _local_path(parsed: SplitResult) -> Path:
    # file://server/share/model.zip is a Windows share
    host = "" if parsed.hostname in (None, *_LOOPBACK) else f"//{parsed.netloc}"
    return Path(urllib.request.url2pathname(host + parsed.path))


def _require_allowed(url: str, *, coming_from: str | None = None) -> None:
    """Refuse what is not safe to read, or to be sent on to."""
    try:
        parsed = urlsplit(url)
        is_plain = parsed.username is None and (parsed.port is None or parsed.port > 0)
    except ValueError:
        parsed, is_plain = urlsplit(""), False
    is_local = parsed.scheme == "http" and parsed.hostname in _LOOPBACK
    if coming_from is not None and not (parsed.scheme == "https" or (is_local and coming_from == "http")):
        raise DownloadError(
            f"The server sends this computer on to an unsafe address ({parsed.scheme}://{parsed.hostname or ''})."
            " Ask whoever offers the file for one that begins with https://."
        )
    is_web = is_local or (parsed.scheme == "https" and bool(parsed.hostname))
    is_printable = not re.search(r"[\x00-\x20\x7f]" if parsed.scheme == "file" else r"[^\x21-\x7e]", url)
    if not (is_plain and is_printable and (is_web or (parsed.scheme == "file" and parsed.path))):
        raise DownloadError(
            f"{url[:200]!r} is no address that bundles are downloaded from. Give one that begins with https:// (or with"
            " file:// for a network drive), without a user's name and without blanks."
        )


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a server to another address only where that is as safe as the first."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        try:
            _require_allowed(newurl, coming_from=urlsplit(req.full_url).scheme)
        except DownloadError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


class _Proxies(urllib.request.ProxyHandler):
    """The system's proxies; what this computer serves itself never leaves it."""

    def proxy_open(self, req: urllib.request.Request, proxy: str, type: str) -> http.client.HTTPResponse | None:
        if urlsplit(req.full_url).hostname in _LOOPBACK:
            return None
        answer: http.client.HTTPResponse | None = super().proxy_open(req, proxy, type)
        return answer
