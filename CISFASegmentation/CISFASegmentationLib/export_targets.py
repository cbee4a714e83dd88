"""Where a DICOM segmentation goes: a folder, Slicer's DICOM database, or a node of the network."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from cisfa.errors import CisfaError

_SCHEMES = {
    "https": "dicomweb",
    "http": "dicomweb+http",
    "dicomweb": "dicomweb",
    "dicomweb+http": "dicomweb+http",
}
_LONGEST_TITLE = 16
# what an address can hold
_TITLE = re.compile(r"[\x20-\x5b\x5d-\x7e]+")
_HIGHEST_PORT = 65535


class TargetError(CisfaError):
    """A destination is not complete or not understood."""


@dataclass(frozen=True)
class FolderTarget:
    """A folder, in which a file of a name that says nothing of the patient is made.

    Attributes:
        folder: The folder.
    """

    folder: Path


@dataclass(frozen=True)
class DatabaseTarget:
    """Slicer's DICOM database, which gets a copy of the file."""


@dataclass(frozen=True)
class NodeTarget:
    """A node of the network.

    Attributes:
        address: As ``cisfa send --to`` takes it.
        user: For DICOMweb; empty for what the environment or the system's keyring says.
        password: As the user; empty where the keyring has it.
    """

    address: str
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def variables(self) -> dict[str, str]:
        """What the job's environment gets; never its command line, which every user of the computer can read."""
        if not self.user:
            return {}
        # a token of Slicer's own environment would come before what the user typed
        return {
            "CISFA_DICOMWEB_USER": self.user, "CISFA_DICOMWEB_PASSWORD": self.password, "CISFA_DICOMWEB_TOKEN": "",
            "CISFA_DICOMWEB_HOST": "",
        }  # fmt: skip


Target = FolderTarget | DatabaseTarget | NodeTarget


def folder_target(text: str) -> FolderTarget:
    """A folder that is there.

    Raises:
        TargetError: There is none of that name.
    """
    folder = Path(text.strip()).expanduser()
    if not text.strip() or not folder.is_dir():
        named = f"{folder} is no folder" if text.strip() else "No folder is chosen"
        raise TargetError(f"{named}. Choose one that is there, for the DICOM file to be written into.")
    return FolderTarget(folder)


def dicomweb_target(address: str, user: str = "", password: str = "") -> NodeTarget:
    """A DICOMweb server (STOW-RS).

    Args:
        address: ``https://pacs.example.org/dicom-web``, or as ``cisfa send`` writes it.
        user: Empty for what the environment or the keyring says.
        password: As the user.

    Raises:
        TargetError: The address is not complete, or holds a password; a password came without a user.
    """
    scheme, _, rest = address.strip().partition("://")
    parts = urlsplit(f"//{rest}")
    if "@" in parts.netloc:
        raise TargetError(
            "The address holds a user or a password, and addresses are remembered. Write them into their own fields."
        )
    if scheme.lower() not in _SCHEMES or not parts.hostname or re.search(r"[\s?#]", rest):
        raise TargetError(
            f"The address {address.strip()!r} is not complete. Write it like https://pacs.example.org/dicom-web, with"
            " what the server's services begin with."
        )
    if password and not user.strip():
        raise TargetError(
            "There is a password and no user. Give both, or leave both empty to use the environment or the keyring."
        )
    return NodeTarget(f"{_SCHEMES[scheme.lower()]}://{rest.rstrip('/')}", user.strip(), password)


def dimse_target(host: str, port: int, called: str, calling: str = "") -> NodeTarget:
    """A node that takes objects with C-STORE.

    Raises:
        TargetError: The host, the port or a title is missing or cannot be one.
    """
    host = host.strip()
    if not host or re.search(r"[\s/@?#]", host):
        raise TargetError(f"The host {host!r} is no name of a computer. Write it like pacs.example.org or 192.0.2.7.")
    if not 1 <= port <= _HIGHEST_PORT:
        raise TargetError(f"The port {port} is not between 1 and {_HIGHEST_PORT}. DICOM's own are 104 and 11112.")
    _require_title(called, "called")
    address = f"dimse://{f'[{host}]' if ':' in host else host}:{port}/{quote(called.strip(), safe='')}"
    if calling.strip():
        _require_title(calling, "calling")
        address += f"?calling={quote(calling.strip(), safe='')}"
    return NodeTarget(address)


def target_of(target: Target | Path | str) -> Target:
    """A destination as a script names it: a folder's path, "database", or an address as ``cisfa send --to`` takes it.

    Raises:
        TargetError: It is none of these.
    """
    if not isinstance(target, Path | str):
        return target
    text = str(target)
    if text == "database":
        return DatabaseTarget()
    if text.startswith("dimse://"):
        return NodeTarget(text)
    if isinstance(target, str) and text.partition("://")[0].lower() in _SCHEMES and "://" in text:
        return dicomweb_target(text)
    return folder_target(text)


def _require_title(title: str, which: str) -> None:
    if not _TITLE.fullmatch(title.strip()) or len(title.strip()) > _LONGEST_TITLE:
        raise TargetError(
            f"The {which} AE title is {title.strip()!r}. It must have 1 to {_LONGEST_TITLE} plain characters and"
            " no backslash; ask whoever runs the PACS."
        )
