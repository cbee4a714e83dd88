"""Where the tests of DICOM find what writes series for them, and a PACS."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

HERE = Path(__file__).parent
if str(HERE) not in sys.path:
    sys.path.append(str(HERE))

if TYPE_CHECKING:
    from faulty_pacs import FaultyPacs
    from orthanc import Orthanc

CREDENTIALS = ("CISFA_DICOMWEB_HOST", "CISFA_DICOMWEB_TOKEN", "CISFA_DICOMWEB_USER", "CISFA_DICOMWEB_PASSWORD")
# what would let a request go another way than the tests mean
NETWORK = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.fixture
def unknown_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that knows no password, no proxy and no certificates, also in child processes."""
    for name in (*CREDENTIALS, *NETWORK, *map(str.lower, NETWORK)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    if importlib.util.find_spec("keyring"):
        from keyring.backends.null import Keyring

        monkeypatch.setattr("keyring.core._keyring_backend", Keyring())


@pytest.fixture(scope="session")
def running_pacs(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Orthanc]":
    pytest.importorskip("dicomweb_client")
    from orthanc import running_orthanc, what_is_missing

    if missing := what_is_missing():
        pytest.skip(f"needs the package {missing}: python3 Testing/dicom/require_programs.py")
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as pacs:
        yield pacs


@pytest.fixture
def orthanc(running_pacs: "Orthanc", unknown_user: None, monkeypatch: pytest.MonkeyPatch) -> "Orthanc":
    """A PACS with nothing in it, whose password is in the environment."""
    running_pacs.forget_everything()
    monkeypatch.setenv("CISFA_DICOMWEB_USER", running_pacs.user)
    monkeypatch.setenv("CISFA_DICOMWEB_PASSWORD", running_pacs.password)
    return running_pacs


@pytest.fixture
def faulty(orthanc: "Orthanc") -> "Iterator[FaultyPacs]":
    """A service in front of that PACS, to be told what goes wrong."""
    from faulty_pacs import running_faulty_pacs

    with running_faulty_pacs(orthanc) as pacs:
        yield pacs


@pytest.fixture
def ct_series(tmp_path: Path) -> list[Path]:
    """Five slices of noise, anisotropic and oblique, in the order of axis 0."""
    from cisfa.imaging.geometry import Geometry
    from cisfa.imaging.volume import Volume
    from series_writer import write_series

    cos, sin = np.cos(0.3), np.sin(0.3)
    axes = np.array([[0.0, -sin, cos], [0.0, cos, sin], [1.0, 0.0, 0.0]])
    geometry = Geometry.from_axes(
        (5, 40, 37), spacing_mm=np.array([3.1, 0.9, 0.7]), origin_lps_mm=np.array([-91.5, 20.25, 413.0]), axes_lps=axes
    )
    voxels = np.random.default_rng(5).integers(-1000, 1500, geometry.shape).astype(np.int16)
    return write_series(tmp_path / "ct", Volume(voxels, geometry, "ct"))


@pytest.fixture
def closed_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that may not be looked into, whoever runs the tests."""
    folder, scan = tmp_path / "closed", os.scandir
    folder.mkdir()

    def scan_or_not(place: str) -> object:
        if os.fspath(place).endswith(folder.name):
            raise PermissionError(13, "Permission denied", os.fspath(place))
        return scan(place)

    monkeypatch.setattr(os, "scandir", scan_or_not)
    return folder
