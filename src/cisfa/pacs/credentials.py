"""Who we are to a PACS: from the environment, or from the keyring of the operating system.

``CISFA_DICOMWEB_TOKEN`` is a bearer token; else ``CISFA_DICOMWEB_USER`` and ``CISFA_DICOMWEB_PASSWORD`` are a name and
a password; with ``CISFA_DICOMWEB_HOST`` they are for that host alone. Where none is set for a service the keyring is
asked, which ``keyring set cisfa-dicomweb:pacs.example.org USER`` fills (with the port, where the address has one);
where it keeps no names, as on macOS, ``CISFA_DICOMWEB_USER`` says whose password is meant. There is no option for them,
since a command line can be read by everybody on a computer.
"""

import base64
import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from cisfa.errors import PacsError
from cisfa.pacs.address import DicomWebService

TOKEN, USER, PASSWORD = "CISFA_DICOMWEB_TOKEN", "CISFA_DICOMWEB_USER", "CISFA_DICOMWEB_PASSWORD"
HOST = "CISFA_DICOMWEB_HOST"
_PORTS = {"http": 80, "https": 443}
_UNSENDABLE = ("Cc", "Cs")  # of Unicode: control characters, and what bytes that are not UTF-8 are read as
_SERVICE_NAME = "cisfa-dicomweb"


@dataclass(frozen=True)
class Credentials:
    """What a request has to carry.

    Attributes:
        authorization: Value of the header of that name: a secret.
    """

    authorization: str = field(repr=False)


def find_credentials(service: DicomWebService) -> Credentials | None:
    """What this computer knows to say to a service; None where it knows nothing.

    Raises:
        PacsError: What is set makes no sense, or would be sent where everybody could read it.
    """
    is_meant = _environment_is_for(service)
    found = (_from_environment() if is_meant else None) or _from_keyring(service, is_meant=is_meant)
    if found is None:
        if is_meant and _value_of(USER):
            raise PacsError(
                f"{USER} is set, but there is no password: neither {PASSWORD} nor the keyring has one. Set {PASSWORD},"
                f" or run: {how_to_keep(service)}"
            )
        return None
    if not service.is_encrypted and not service.is_loopback:
        raise PacsError(
            f"A password or token would be sent to {service.place} without TLS, for everybody on the way to read. Use"
            f" an address that begins with dicomweb://, or unset {TOKEN}, {USER} and {PASSWORD} and what the keyring"
            " has for it."
        )
    return found


def require_credentials_for_one(services: Iterable[DicomWebService]) -> None:
    """Make sure that nobody gets a password that is meant for somebody else.

    Args:
        services: All that one run speaks to.

    Raises:
        PacsError: They are several, and the environment has credentials without saying for which.
    """
    places = list({_origin(service): service.place for service in services}.values())
    if len(places) < 2 or _value_of(HOST) or not (_value_of(TOKEN) or _value_of(PASSWORD)):
        return
    raise PacsError(
        f"Two services are spoken to, {places[0]} and {places[1]}, and the name, password or token in the environment"
        f" belongs to one of them. Set {HOST} to that one's host; for the other, if it wants a password too, run:"
        f" keyring set {_SERVICE_NAME}:HOST USER"
    )


def how_to_keep(service: DicomWebService) -> str:
    """The command that puts a password into the keyring."""
    return f"keyring set {_SERVICE_NAME}:{service.place} USER"


def _from_environment() -> Credentials | None:
    token, user, password = os.environ.get(TOKEN, ""), _value_of(USER), _value_of(PASSWORD)
    if token:
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            raise PacsError(
                f"{TOKEN} holds a blank, a line break or a letter other than a to z. Set it to the token alone."
            )
        return Credentials(f"Bearer {token}")
    if password and not user:
        raise PacsError(f"{PASSWORD} is set, but {USER} is not. Set both.")
    return _basic(user, password) if user and password else None


def _environment_is_for(service: DicomWebService) -> bool:
    """Whether the credentials in the environment may be shown to a service."""
    wanted = _value_of(HOST).strip()
    if not wanted:
        return True
    try:
        parsed = urlsplit(f"//{wanted}")
        host, port = parsed.hostname, parsed.port
    except ValueError:
        host, port = None, None
    if not host or parsed.netloc != wanted or re.search(r"[\s@]", wanted):
        raise PacsError(
            f"{HOST} is set to something that is no host. Set it to HOST or HOST:PORT, without dicomweb://."
        )
    return _origin(service) in ((host, port), (host, port or _origin(service)[1]))


def _origin(service: DicomWebService) -> tuple[str | None, int | None]:
    parsed = urlsplit(service.root)
    return parsed.hostname, parsed.port or _PORTS.get(parsed.scheme)


def _value_of(name: str) -> str:
    """A variable's value, empty where it is not set.

    Raises:
        PacsError: It can be no name and no password.
    """
    value = os.environ.get(name, "")
    if any(unicodedata.category(letter) in _UNSENDABLE for letter in value):
        raise PacsError(
            f"{name} holds a control character, such as a line break, or bytes that are not UTF-8. Set it anew."
        )
    return value


def _from_keyring(service: DicomWebService, *, is_meant: bool) -> Credentials | None:
    try:
        import keyring
        import keyring.errors
    except ImportError:
        return None
    try:
        key, user = f"{_SERVICE_NAME}:{service.place}", _value_of(USER) or None
        # on macOS nothing is found without a name, and the one in the environment may be the same here as there
        found = (None if is_meant else keyring.get_credential(key, None)) or keyring.get_credential(key, user)
    except keyring.errors.KeyringError:  # a server without a desktop has none, or one that nobody unlocked
        return None
    return _basic(found.username, found.password) if found is not None else None


def _basic(user: str, password: str) -> Credentials:
    if ":" in user:
        raise PacsError("The user's name for the PACS has a colon in it, which cannot be sent. Use another account.")
    if any(unicodedata.category(letter) in _UNSENDABLE for letter in user + password):
        raise PacsError(
            "The name or password for the PACS in the keyring has a control character in it, which cannot be sent. Keep"
            " it there anew."
        )
    return Credentials("Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii"))
