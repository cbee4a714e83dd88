"""How requests are sent: encrypted, with credentials for one service only, and never for ever.

Certificates are always verified. A hospital's own certificate authority is named, as usual, by ``REQUESTS_CA_BUNDLE``
or ``SSL_CERT_FILE``, a proxy by ``HTTPS_PROXY``.
"""

import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit
from weakref import WeakSet

import requests
import requests.adapters
import urllib3.exceptions

from cisfa.errors import PacsError
from cisfa.pacs.address import DicomWebService
from cisfa.pacs.credentials import Credentials
from cisfa.pacs.patience import Patience
from cisfa.pacs.plain_words import plain
from cisfa.pacs.proxy import require_usable_proxy

_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_SLOWEST_BYTES_PER_S = 1024
_PORTS = {"http": 80, "https": 443}


class ConnectionLostError(Exception):
    """An answer did not come, or not whole.

    Attributes:
        is_worth_a_try: Whether another try may mend it soon.
    """

    def __init__(self, reason: str, *, is_worth_a_try: bool = True) -> None:
        super().__init__(reason)
        self.is_worth_a_try = is_worth_a_try


class WebSession(requests.Session):
    """Requests to one service.

    Args:
        service: Which; nobody else gets to see the credentials.
        credentials: None where there are none.
        patience: How slow an answer may be.

    Raises:
        PacsError: The certificates or the proxy that this computer was told of cannot be used.
    """

    def __init__(self, service: DicomWebService, credentials: Credentials | None, patience: Patience) -> None:
        super().__init__()
        self._service = service
        self._ca_file = _ca_file()
        if not service.is_loopback:
            require_usable_proxy(service.root)
        self._is_given_up = threading.Event()
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._latest: requests.Response | None = None
        self.auth = _Authorization(credentials)
        self.headers["Accept-Encoding"] = "identity"
        for scheme in ("https://", "http://"):
            self.mount(scheme, _Adapter(patience, self._heard, self._sockets))

    def request(self, method: Any, url: Any, *args: Any, **settings: Any) -> requests.Response:
        """Send a request; the host is ours to state, since dicomweb-client forgets the port."""
        settings["headers"] = {
            name: value for name, value in (settings.get("headers") or {}).items() if name.lower() != "host"
        }
        if isinstance(settings.get("data"), Iterator):
            settings["data"] = self._in_hearing(settings["data"])
        self._let_go()
        self._latest = super().request(method, url, *args, **settings)
        return self._latest

    def give_up(self) -> None:
        """Let the request that another thread waits for end with an error, now."""
        self._is_given_up.set()
        for each in list(self._sockets):
            with suppress(OSError):  # it is closed already
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close every connection."""
        if not self._is_given_up.is_set():  # closing would wait for whoever reads; that thread does it
            self._let_go()
        super().close()

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where a server sends us on to.

        Raises:
            PacsError: To somebody else, or while something is being stored.
        """
        target = super().get_redirect_target(resp)
        if target is None:
            return None
        wanted = urlsplit(urljoin(resp.url, target))
        if _origin(resp.url) != _origin(wanted.geturl()) or resp.request.method != "GET":
            resp.close()
            elsewhere = plain(f"{wanted.scheme}://{wanted.hostname or ''}")
            raise PacsError(
                f"{self._service.place} sends this computer on to another address ({elsewhere}), which is not followed,"
                " lest a password or a patient reach somebody else. Give the final address, or ask whoever runs the"
                " PACS for it."
            )
        return target

    def merge_environment_settings(self, url: Any, *args: Any, **settings: Any) -> dict[str, Any]:
        """What this computer's environment says of certificates and proxies."""
        merged: dict[str, Any] = super().merge_environment_settings(url, *args, **settings)
        if self._ca_file is not None:
            merged["verify"] = self._ca_file
        if self._service.is_loopback:  # what stays on this computer passes no proxy
            merged["proxies"] = {}
        return merged

    def _heard(self) -> None:
        if self._is_given_up.is_set():
            raise ConnectionLostError("it was given up", is_worth_a_try=False)

    def _in_hearing(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """What is sent, so that it can be given up: the body is not whole then, and a service drops it."""
        for piece in pieces:
            self._heard()
            yield piece

    def _let_go(self) -> None:
        """Close an answer that nobody read to its end: dicomweb-client leaves one open when it is a refusal."""
        if self._latest is not None:
            self._latest.close()


class _Authorization(requests.auth.AuthBase):
    """Sends what it was given or nothing; without it, requests would look for a password in a file called .netrc."""

    def __init__(self, credentials: Credentials | None) -> None:
        self._credentials = credentials

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._credentials is not None:
            request.headers["Authorization"] = self._credentials.authorization
        return request


class _Adapter(requests.adapters.HTTPAdapter):
    """Lets every answer be watched."""

    def __init__(self, patience: Patience, heard: Callable[[], None], sockets: "WeakSet[socket.socket]") -> None:
        super().__init__()
        self._patience, self._heard, self._sockets = patience, heard, sockets

    def send(self, *args: Any, **settings: Any) -> requests.Response:
        response = super().send(*args, **settings)
        marker = _closing_marker(response.headers.get("Content-Type", ""))
        response.raw = _WatchedBody(response.raw, self._patience, self._heard, marker)
        return response

    def get_connection_with_tls_context(self, *args: Any, **settings: Any) -> Any:
        """Where connections are made and kept; every one's socket is remembered."""
        pool = super().get_connection_with_tls_context(*args, **settings)
        make = type(pool).ConnectionCls

        def make_and_remember(*args: Any, **settings: Any) -> Any:
            connection: Any = make(*args, **settings)
            connect = connection.connect

            def connect_and_remember() -> None:
                connect()
                if connection.sock is not None:
                    self._sockets.add(connection.sock)

            connection.connect = connect_and_remember
            return connection

        # urllib3 only calls it
        pool.ConnectionCls = make_and_remember  # type: ignore[assignment]
        return pool


class _WatchedBody:
    """An answer's body that must neither trickle nor end before its end."""

    def __init__(self, raw: Any, patience: Patience, heard: Callable[[], None], marker: bytes) -> None:
        self._raw, self._patience, self._heard, self._marker = raw, patience, heard, marker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def stream(self, amt: int, decode_content: bool = True) -> Iterator[bytes]:
        """Pieces as they come."""
        try:
            yield from self._watched(amt, decode_content)
        except BaseException:
            self._raw.close()  # requests leaves that to chance
            raise

    def _watched(self, amt: int, decode_content: bool) -> Iterator[bytes]:
        began_s, received, tail = time.monotonic(), 0, b""
        for piece in self._pieces(amt, decode_content):
            received += len(piece)
            tail = (tail + piece)[-len(self._marker) - 16 :]
            now_s = time.monotonic()
            if now_s - began_s > self._patience.read_s:
                if received < _SLOWEST_BYTES_PER_S * self._patience.read_s:
                    raise ConnectionLostError(
                        f"the answer trickles: {received} bytes in {now_s - began_s:.0f} s", is_worth_a_try=False
                    )
                began_s, received = now_s, 0
            self._heard()
            yield piece
        if self._marker not in tail:
            raise urllib3.exceptions.ProtocolError("the answer ends before its closing boundary")

    def _pieces(self, amt: int, decode_content: bool) -> Iterator[bytes]:
        # stream would wait until all of `amt` is there, so that a server which trickles could not be told from a quick
        # one; urllib3 before 2 has no read1
        if self._raw.headers.get("Content-Encoding") or self._raw.chunked or not hasattr(self._raw, "read1"):
            yield from self._raw.stream(amt, decode_content=decode_content)
            return
        while piece := self._raw.read1(amt, decode_content=decode_content):
            yield piece


def _closing_marker(content_type: str) -> bytes:
    """What a multipart answer has to end with; nothing for others."""
    found = re.search(r'(?i)^multipart/.*boundary=(?:"([^"]+)"|([^;\s]+))', content_type)
    return f"--{found[1] or found[2]}--".encode("latin-1") if found else b""


def _ca_file() -> str | None:
    """The certificates to trust, where a variable names some.

    Raises:
        PacsError: There are none in it.
    """
    variable = next((name for name in _CA_VARIABLES if os.environ.get(name)), None)
    if variable is None:
        return None
    path = Path(os.environ[variable])
    try:
        is_folder = path.is_dir()
        ssl.create_default_context(cafile=None if is_folder else path, capath=path if is_folder else None)
    except OSError as error:  # ssl.SSLError is one
        raise PacsError(
            f"{variable} is set to {path}, in which there are no certificates ({error.strerror or error}). Let it name"
            " a file of certificates in PEM format, or unset it."
        ) from error
    return str(path)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parsed = urlsplit(url)
        return parsed.scheme, parsed.hostname, parsed.port or _PORTS.get(parsed.scheme)
    except ValueError:
        return "", None, None
