"""Certificates are verified, always, and a hospital may have its own authority."""

from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

pytest.importorskip("dicomweb_client")
pytest.importorskip("cryptography")

from cisfa.errors import PacsError
from cisfa.events import ignore
from cisfa.pacs.address import parse_series_address, parse_target
from cisfa.pacs.fetch import fetch_series
from cisfa.pacs.patience import Patience
from cisfa.pacs.store import store_instances
from orthanc import Orthanc
from tls_front import make_certificate, tls_front

PATIENCE = Patience(connect_s=5, read_s=20, waits_s=(0.01,))
CA_VARIABLES = ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate that nobody but itself has signed."""
    folder = tmp_path_factory.mktemp("certificates")
    make_certificate(folder)
    return folder


@pytest.fixture
def encrypted(orthanc: Orthanc, certificates: Path) -> Iterator[str]:
    """The address of the PACS behind TLS."""
    with tls_front(orthanc.web_address, certificates) as port:
        yield f"dicomweb://127.0.0.1:{port}/dicom-web"


def test_a_certificate_that_signed_itself_is_refused_with_the_variable_that_helps(
    encrypted: str, orthanc: Orthanc, ct_series: list[Path], tmp_path: Path
) -> None:
    header = pydicom.dcmread(ct_series[0])
    address = f"{encrypted}/studies/{header.StudyInstanceUID}/series/{header.SeriesInstanceUID}"
    words = "cannot be verified .*self.signed certificate.* let REQUESTS_CA_BUNDLE or SSL_CERT_FILE name a file"
    with pytest.raises(PacsError, match=words):
        store_instances(ct_series, parse_target(encrypted), ignore, patience=PATIENCE)
    with pytest.raises(PacsError, match=words):
        fetch_series(parse_series_address(address), tmp_path / "got", ignore, patience=PATIENCE)
    assert not (tmp_path / "got").exists()
    assert orthanc.instances() == []


@pytest.mark.parametrize("variable", CA_VARIABLES)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_hospitals_own_authority_is_trusted_when_it_is_named(
    variable: str, host: str, encrypted: str, orthanc: Orthanc, ct_series: list[Path], certificates: Path,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv(variable, str(certificates / "certificate.pem"))
    service = encrypted.replace("127.0.0.1", host)
    store_instances(ct_series, parse_target(service), ignore, patience=PATIENCE)
    assert len(orthanc.instances()) == len(ct_series)
    header = pydicom.dcmread(ct_series[0])
    address = f"{service}/studies/{header.StudyInstanceUID}/series/{header.SeriesInstanceUID}"
    files = fetch_series(parse_series_address(address), tmp_path / "got", ignore, patience=PATIENCE)
    assert len(files) == len(ct_series)


def test_a_certificate_for_another_host_is_refused_even_when_it_is_trusted(
    orthanc: Orthanc, ct_series: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(make_certificate(tmp_path, "pacs.example.org")))
    with tls_front(orthanc.web_address, tmp_path) as port:
        target = parse_target(f"dicomweb://127.0.0.1:{port}/dicom-web")
        with pytest.raises(PacsError, match=r"cannot be verified \(IP address mismatch"):
            store_instances(ct_series, target, ignore, patience=PATIENCE)
    assert orthanc.instances() == []


@pytest.mark.parametrize("variable", CA_VARIABLES)
@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_are_none_are_named_with_their_variable(
    variable: str, content: str | None, encrypted: str, ct_series: list[Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if content is not None:
        (tmp_path / "hospital.pem").write_text(content, encoding="utf-8")
    monkeypatch.setenv(variable, str(tmp_path / "hospital.pem"))
    with pytest.raises(PacsError, match=f"{variable} is set to .*hospital.pem, in which there are no certificates"):
        store_instances(ct_series, parse_target(encrypted), ignore, patience=PATIENCE)


def test_a_service_without_tls_is_not_taken_for_one_with_it(orthanc: Orthanc, ct_series: list[Path]) -> None:
    address = orthanc.address.replace("dicomweb+http", "dicomweb")
    with pytest.raises(PacsError, match="cannot be spoken to with TLS"):
        store_instances(ct_series, parse_target(address), ignore, patience=PATIENCE)


def test_this_computers_own_service_is_asked_without_the_proxy(
    orthanc: Orthanc, ct_series: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    store_instances(ct_series[:1], parse_target(orthanc.address), ignore, patience=PATIENCE)
    assert len(orthanc.instances()) == 1


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    "value", ["http://", "http://planted:port", "http://planted a b:80", "ftp://planted:21", "a..planted"]
)
def test_a_proxy_that_is_none_is_named_by_its_variable(
    variable: str, value: str, unknown_user: None, ct_series: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(PacsError, match="is set to something that is no address of a proxy") as refused:
        store_instances(ct_series[:1], parse_target("dicomweb://pacs.example.org/rs"), ignore, patience=PATIENCE)
    assert str(refused.value).upper().startswith(variable.upper())
    assert "planted" not in str(refused.value)


def test_a_proxy_that_refuses_is_said_without_its_password(
    unknown_user: None, ct_series: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://anna:planted@127.0.0.1:9")
    with pytest.raises(PacsError, match="proxy") as refused:
        store_instances(ct_series[:1], parse_target("dicomweb://pacs.example.org/rs"), ignore, patience=PATIENCE)
    assert "planted" not in str(refused.value)
