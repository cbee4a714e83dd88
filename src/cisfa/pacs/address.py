"""Addresses of a PACS, as they are given on a command line.

``dicomweb://HOST[:PORT]/PATH`` is a DICOMweb service over https, ``dicomweb+http://...`` one without TLS; with
``/studies/UID/series/UID`` behind it, one of its series. ``dimse://HOST:PORT/CALLED_AET[?calling=AET]`` is a node that
takes files by C-STORE; a blank in a title is ``%20``. Free of all that is heavy.
"""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from cisfa.errors import PacsError

_WEB_SCHEMES = {"dicomweb": "https", "dicomweb+http": "http"}
_MEANT = {scheme: ours for ours, scheme in _WEB_SCHEMES.items()}
_DIMSE_SCHEME = "dimse"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_OWN_AE_TITLE = "CISFA"
_SERIES = re.compile(r"(?P<root>.*?)/studies/(?P<study>[^/]*)/series/(?P<series>[^/]*)/?")
# numbers with a leading zero are forbidden and exist
_UID = re.compile(r"\d+(\.\d+)+")
_LONGEST_UID, _LONGEST_AE_TITLE = 64, 16
_AE_TITLE = re.compile(r"[\x20-\x5b\x5d-\x7e]+")


@dataclass(frozen=True)
class DicomWebService:
    """A PACS that speaks DICOMweb.

    Attributes:
        root: Where QIDO-RS, WADO-RS and STOW-RS begin: https, or http, without a slash at the end.
    """

    root: str

    @property
    def address(self) -> str:
        """As a command line has it."""
        scheme, _, rest = self.root.partition("://")
        return f"{'dicomweb' if scheme == 'https' else 'dicomweb+http'}://{rest}"

    @property
    def place(self) -> str:
        """Host, and the port where one is stated."""
        return urlsplit(self.root).netloc

    @property
    def is_loopback(self) -> bool:
        """Whether it is this computer's own, so that nothing sent to it can be overheard."""
        return urlsplit(self.root).hostname in _LOOPBACK

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS keeps what is sent from being overheard."""
        return urlsplit(self.root).scheme == "https"


@dataclass(frozen=True)
class SeriesAddress:
    """A series in a PACS.

    Attributes:
        service: Which keeps it.
        study_uid: Study Instance UID.
        series_uid: Series Instance UID.
    """

    service: DicomWebService
    study_uid: str
    series_uid: str


@dataclass(frozen=True)
class DimseNode:
    """A PACS that takes files by C-STORE.

    Attributes:
        host: Name or number.
        port: Of its DICOM listener.
        called: Its AE title.
        calling: The AE title that we give ourselves.
    """

    host: str
    port: int
    called: str
    calling: str = _OWN_AE_TITLE

    @property
    def address(self) -> str:
        """As a command line has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        behind = "" if self.calling == _OWN_AE_TITLE else f"?calling={quote(self.calling, safe='')}"
        return f"dimse://{host}:{self.port}/{quote(self.called, safe='')}{behind}"

    @property
    def place(self) -> str:
        """Title, host and port, for people."""
        return f"{self.called} at {self.host}:{self.port}"


def looks_like_address(text: str) -> bool:
    """Whether this is meant as an address of whatever kind, and not as a file's name."""
    return "://" in text


def is_dicomweb_address(text: str) -> bool:
    """Whether this is meant as an address of a DICOMweb service, and not as a file's name."""
    return text.partition("://")[0].lower() in _WEB_SCHEMES and "://" in text


def parse_series_address(text: str) -> SeriesAddress:
    """Read the address of a series.

    Raises:
        PacsError: It is none.
    """
    parsed = _split(text)
    found = _SERIES.fullmatch(parsed.path)
    if parsed.scheme == _DIMSE_SCHEME:
        raise PacsError(
            f"{_shown(parsed)} is no address of a series: those are read over DICOMweb alone. Give one like"
            " dicomweb://pacs.example.org/dicom-web/studies/1.2.3/series/1.2.3.4."
        )
    if parsed.scheme not in _WEB_SCHEMES or found is None:
        raise PacsError(
            f"{_shown(parsed)} is no address of a series. Give one like"
            " dicomweb://pacs.example.org/dicom-web/studies/1.2.3/series/1.2.3.4."
        )
    for name, uid in (("study", found["study"]), ("series", found["series"])):
        if not _UID.fullmatch(uid) or len(uid) > _LONGEST_UID:
            raise PacsError(
                f"The UID of the {name} is {uid[:100]!r}; it must be numbers with dots between them, of"
                f" {_LONGEST_UID} characters at most. Copy it from the PACS."
            )
    return SeriesAddress(_service(parsed, found["root"]), found["study"], found["series"])


def parse_target(text: str) -> DicomWebService | DimseNode:
    """Read the address of what files are sent to; of the address of a series, its service.

    Raises:
        PacsError: It is none.
    """
    parsed = _split(text)
    if parsed.scheme == _DIMSE_SCHEME:
        return _node(parsed)
    if parsed.scheme not in _WEB_SCHEMES:
        raise PacsError(
            f"{_shown(parsed)} is no address of a PACS. Give dicomweb://HOST/PATH, dicomweb+http://HOST/PATH (without"
            " TLS) or dimse://HOST:PORT/AET."
        )
    return _service(parsed, parsed.path.partition("/studies/")[0])


def _split(text: str) -> SplitResult:
    """An address's parts, after making sure that it has no secrets in it; no error repeats what might be one."""
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise PacsError("The address of the PACS has a blank or a letter other than a to z in it. Copy it anew.")
    try:
        parsed = urlsplit(text)
        has_user, port = "@" in parsed.netloc, parsed.port
    except ValueError:
        raise PacsError(
            "The address of the PACS has a port or host that is none. Give HOST or HOST:PORT, with a port from 1 to"
            " 65535."
        ) from None
    try:
        (parsed.hostname or "").encode("idna")
    except UnicodeError:
        raise PacsError(
            f"{(parsed.hostname or '')[:100]!r} is no name of a computer. Give HOST or HOST:PORT as the PACS has it."
        ) from None
    if has_user:
        raise PacsError(
            f"The address of {parsed.hostname or 'the PACS'} has a user's name in it: credentials belong in the"
            " environment (CISFA_DICOMWEB_USER and CISFA_DICOMWEB_PASSWORD) or the keyring. Leave out everything up"
            " to the @."
        )
    if not parsed.hostname or port == 0:
        raise PacsError(f"The address {_shown(parsed)} names no host, or port 0. Give SCHEME://HOST[:PORT]/PATH.")
    if parsed.scheme in _MEANT:
        raise PacsError(
            f"{_shown(parsed)} is an address of a web page, and no address of a series or a PACS. Write"
            f" {_shown(parsed._replace(scheme=_MEANT[parsed.scheme]))} instead."
        )
    return parsed


def _service(parsed: SplitResult, root: str) -> DicomWebService:
    if parsed.query or parsed.fragment or "?" in root:
        raise PacsError(
            f"The address {_shown(parsed)} has a ? or a # behind it. Leave that out; a DICOMweb service is named by"
            " its path alone."
        )
    return DicomWebService(f"{_WEB_SCHEMES[parsed.scheme]}://{parsed.netloc.lower()}{root.rstrip('/')}")


def _node(parsed: SplitResult) -> DimseNode:
    called, words = unquote(parsed.path.removeprefix("/")), parse_qsl(parsed.query, keep_blank_values=True)
    if parsed.port is None or not called or parsed.fragment or [name for name, _ in words] not in ([], ["calling"]):
        raise PacsError(
            f"{_shown(parsed)} is no address of a DICOM node. Give dimse://HOST:PORT/CALLED_AET, and behind it"
            " ?calling=AET where the PACS knows this computer by another title than CISFA."
        )
    calling = words[0][1] if words else _OWN_AE_TITLE
    for title in (called, calling):
        if not _AE_TITLE.fullmatch(title) or len(title) > _LONGEST_AE_TITLE or not title.strip():
            raise PacsError(
                f"The AE title is {title[:100]!r}; it must have 1 to {_LONGEST_AE_TITLE} characters and no backslash."
                " Ask whoever runs the PACS for it."
            )
    return DimseNode(parsed.hostname or "", parsed.port, called, calling)


def _shown(parsed: SplitResult) -> str:
    """An address for people, without a query, which may hold somebody's key."""
    return f"{parsed.scheme}://{parsed.netloc}{parsed.path}"[:200] if parsed.scheme else repr(parsed.path[:200])
