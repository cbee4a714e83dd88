"""A real PACS for the tests: Debian's Orthanc with its DICOMweb plugin, on free ports, in a folder of its own."""

import json
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

PLUGINS = (
    Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so"),
    Path("/usr/lib/orthanc/libOrthancDicomWeb.so"),
)
_START_S, _TRIES = 60.0, 3


def what_is_missing() -> str:
    """The packages that are not installed, in words; empty when a PACS can be started."""
    missing = [] if program() else ["orthanc"]
    if plugin() is None:
        missing.append("orthanc-dicomweb")
    return " and ".join(missing)


def program() -> str | None:
    """Where Orthanc is; Debian has it in a folder that is not on everybody's path."""
    return shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")


def plugin() -> Path | None:
    return next((path for path in PLUGINS if path.exists()), None)


@dataclass(frozen=True)
class Orthanc:
    """A PACS that runs.

    Attributes:
        web_port: Of its DICOMweb service and its own interface.
        dicom_port: Of its DICOM listener.
        user: Who may use the web port.
        password: Theirs.
    """

    web_port: int
    dicom_port: int
    user: str
    password: str = field(repr=False)

    @property
    def address(self) -> str:
        return f"dicomweb+http://127.0.0.1:{self.web_port}/dicom-web"

    @property
    def node(self) -> str:
        return f"dimse://127.0.0.1:{self.dicom_port}/ARCHIVE"

    @property
    def web_address(self) -> tuple[str, int]:
        return "127.0.0.1", self.web_port

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    def ask(self, path: str, **settings: Any) -> requests.Response:
        """A question that no test is about; raises for a refusal."""
        answer = requests.request(
            settings.pop("method", "GET"),
            f"{self.root}{path}",
            auth=(self.user, self.password),
            timeout=30,
            proxies={"http": "", "https": ""},
            **settings,
        )
        answer.raise_for_status()
        return answer

    def instances(self) -> list[str]:
        """SOP Instance UIDs of all that is stored, one for each copy."""
        return [each["MainDicomTags"]["SOPInstanceUID"] for each in self.ask("/instances?expand").json()]

    def file_of(self, instance_uid: str) -> bytes:
        """What is stored under a SOP Instance UID."""
        found = self.ask("/tools/lookup", method="POST", data=instance_uid).json()
        return self.ask(f"/instances/{found[0]['ID']}/file").content

    def take(self, file: Path) -> None:
        """Store a file by the shortest way."""
        self.ask("/instances", method="POST", data=file.read_bytes())

    def forget_everything(self) -> None:
        for patient in self.ask("/patients").json():
            self.ask(f"/patients/{patient}", method="DELETE")


@contextmanager
def running_orthanc(folder: Path, **options: object) -> Iterator[Orthanc]:
    """Start one and kill it at the end; another try with other ports where somebody else was quicker to take them."""
    for _ in range(_TRIES):
        pacs = Orthanc(free_port(), free_port(), "tester", secrets.token_urlsafe(18))
        settings = folder / "orthanc.json"
        settings.write_text(json.dumps(_settings(pacs, folder) | options), encoding="utf-8")
        with (folder / "orthanc.log").open("wb") as log:
            process = subprocess.Popen(
                [str(program()), str(settings)], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            if _comes_alive(pacs, process):
                yield pacs
                return
        finally:
            process.kill()
            process.wait(timeout=30)
    log_text = (folder / "orthanc.log").read_text(encoding="utf-8", errors="replace")
    raise RuntimeError(f"Orthanc did not start in {_TRIES} tries:\n{log_text[-3000:]}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def _settings(pacs: Orthanc, folder: Path) -> dict[str, object]:
    return {
        "Name": "Tests",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(plugin())],
        "HttpPort": pacs.web_port,
        "DicomPort": pacs.dicom_port,
        "DicomAet": "ARCHIVE",
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowEcho": True,
        "UnknownSopClassAccepted": True,
        "RemoteAccessAllowed": True,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {pacs.user: pacs.password},
        "HttpThreadsCount": 8,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
    }


def _comes_alive(pacs: Orthanc, process: "subprocess.Popen[bytes]") -> bool:
    """Wait until both ports answer, and it is our password that opens one of them."""
    ends_s = time.monotonic() + _START_S
    while time.monotonic() < ends_s and process.poll() is None:
        try:
            pacs.ask("/dicom-web/studies?limit=1")
            with socket.create_connection(("127.0.0.1", pacs.dicom_port), timeout=5):
                return True
        except (requests.RequestException, OSError):
            time.sleep(0.05)
    return False
