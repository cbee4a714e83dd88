"""Who we are to a PACS: from the environment, or from the keyring of the operating system.

``CISFA_DICOMWEB_TOKEN`` is a bearer token; else ``CISFA_DICOMWEB_USER`` and ``CISFA_DICOMWEB_PASSWORD`` are a name and
a password. Where neither is set the keyring is asked, which ``keyring set cisfa-dicomweb:pacs.example.org USER`` fills
(with the port, where the address has one); where it keeps no names, as on macOS, ``CISFA_DICOMWEB_USER`` says whose
password is meant. There is no option for them, since a command line can be read by everybody on a computer.
"""

import base64
import os
import re
from dataclasses import dataclass, field

from cisfa.errors import PacsError
from cisfa.pacs.address import DicomWebService

TOKEN, USER, PASSWORD = "CISFA_DICOMWEB_TOKEN", "CISFA_DICOMWEB_USER", "CISFA_DICOMWEB_PASSWORD"
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
    found = _from_environment() or _from_keyring(service)
    if found is None:
        if os.environ.get(USER):
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


def how_to_keep(service: DicomWebService) -> str:
    """The command that puts a password into the keyring."""
    return f"keyring set {_SERVICE_NAME}:{service.place} USER"


def _from_environment() -> Credentials | None:
    token, user, password = (os.environ.get(name, "") for name in (TOKEN, USER, PASSWORD))
    if token:
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            raise PacsError(
                f"{TOKEN} holds a blank, a line break or a letter other than a to z. Set it to the token alone."
            )
        return Credentials(f"Bearer {token}")
    if password and not user:
        raise PacsError(f"{PASSWORD} is set, but {USER} is not. Set both.")
    return _basic(user, password) if user and password else None


def _from_keyring(service: DicomWebService) -> Credentials | None:
    try:
        import keyring
        import keyring.errors
    except ImportError:
        return None
    try:
        found = keyring.get_credential(f"{_SERVICE_NAME}:{service.place}", os.environ.get(USER) or None)
    except keyring.errors.KeyringError:  # a server without a desktop has none, or one that nobody unlocked
        return None
    return _basic(found.username, found.password) if found is not None else None


def _basic(user: str, password: str) -> Credentials:
    if ":" in user:
        raise PacsError("The user's name for the PACS has a colon in it, which cannot be sent. Use another account.")
    return Credentials("Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii"))
