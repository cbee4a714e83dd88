"""Who we are to a PACS, and who gets to know it."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("dicomweb_client")
keyring = pytest.importorskip("keyring")

from keyring.backend import KeyringBackend  # noqa: E402

from cisfa.errors import PacsError  # noqa: E402
from cisfa.events import ignore  # noqa: E402
from cisfa.pacs.address import DicomWebService, parse_series_address, parse_target  # noqa: E402
from cisfa.pacs.credentials import Credentials, find_credentials, require_credentials_for_one  # noqa: E402
from cisfa.pacs.fetch import fetch_series  # noqa: E402
from cisfa.pacs.patience import Patience  # noqa: E402
from cisfa.pacs.store import store_instances  # noqa: E402
from faulty_pacs import FaultyPacs, cut_off, only, refuse, running_faulty_pacs, send_on_to  # noqa: E402
from orthanc import Orthanc  # noqa: E402

pytestmark = pytest.mark.usefixtures("unknown_user")

SERVICE = DicomWebService("https://pacs.example.org:8443/rs")
PATIENCE = Patience(connect_s=5, read_s=20, waits_s=(0.01,))
PASSWORD, TOKEN = "planted-Passwort-1", "planted.token.2"


class SomebodysKeyring(KeyringBackend):
    """One that keeps names, as on Windows, or needs to be told them, as on macOS."""

    priority = 1

    def __init__(self, *, keeps_names: bool) -> None:
        super().__init__()
        self._keeps_names = keeps_names

    def get_password(self, service: str, username: str) -> str | None:
        kept = {("cisfa-dicomweb:pacs.example.org:8443", "anna"): PASSWORD}
        return kept.get((service, username))

    def get_credential(self, service: str, username: str | None) -> "keyring.credentials.Credential | None":
        return super().get_credential(service, username or ("anna" if self._keeps_names else None))

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError

    def delete_password(self, service: str, username: str) -> None:
        raise NotImplementedError


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def test_nobody_is_known_where_nothing_is_set() -> None:
    assert find_credentials(SERVICE) is None


def test_a_name_and_a_password_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CISFA_DICOMWEB_USER", "anna")
    monkeypatch.setenv("CISFA_DICOMWEB_PASSWORD", "grün: 7")
    assert find_credentials(SERVICE) == Credentials(basic("anna", "grün: 7"))


def test_a_token_comes_before_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CISFA_DICOMWEB_USER", "anna")
    monkeypatch.setenv("CISFA_DICOMWEB_PASSWORD", PASSWORD)
    monkeypatch.setenv("CISFA_DICOMWEB_TOKEN", TOKEN)
    assert find_credentials(SERVICE) == Credentials(f"Bearer {TOKEN}")


@pytest.mark.parametrize("keeps_names", [True, False])
def test_a_password_comes_from_the_keyring(keeps_names: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyring.core._keyring_backend", SomebodysKeyring(keeps_names=keeps_names))
    if not keeps_names:
        assert find_credentials(SERVICE) is None
        monkeypatch.setenv("CISFA_DICOMWEB_USER", "anna")
    assert find_credentials(SERVICE) == Credentials(basic("anna", PASSWORD))
    monkeypatch.delenv("CISFA_DICOMWEB_USER", raising=False)
    assert find_credentials(DicomWebService("https://pacs.example.org/rs")) is None


def test_a_server_without_a_keyring_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from keyring.backends.fail import Keyring

    monkeypatch.setattr("keyring.core._keyring_backend", Keyring())
    assert find_credentials(SERVICE) is None
    monkeypatch.setenv("CISFA_DICOMWEB_USER", "anna")
    with pytest.raises(PacsError, match=r"keyring set cisfa-dicomweb:pacs\.example\.org:8443 USER"):
        find_credentials(SERVICE)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"CISFA_DICOMWEB_PASSWORD": PASSWORD}, "CISFA_DICOMWEB_USER is not"),
        ({"CISFA_DICOMWEB_TOKEN": f"{TOKEN}\n"}, "line break"),
        ({"CISFA_DICOMWEB_USER": "a:b", "CISFA_DICOMWEB_PASSWORD": PASSWORD}, "colon"),
    ],
)
def test_what_cannot_be_sent_is_refused_and_not_repeated(
    variables: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(PacsError, match=words) as refused:
        find_credentials(SERVICE)
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize(
    ("host", "is_meant"),
    [
        ("pacs.example.org", True),
        ("PACS.Example.org:8443", True),
        ("pacs.example.org:443", False),
        ("archive.example.org", False),
        ("pacs.example.org.evil.example", False),
    ],
)
def test_the_environment_can_say_whose_password_it_has(
    host: str, is_meant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CISFA_DICOMWEB_HOST", host)
    monkeypatch.setenv("CISFA_DICOMWEB_TOKEN", TOKEN)
    assert find_credentials(SERVICE) == (Credentials(f"Bearer {TOKEN}") if is_meant else None)


@pytest.mark.parametrize("keeps_names", [True, False])
def test_another_host_is_looked_up_in_the_keyring(keeps_names: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyring.core._keyring_backend", SomebodysKeyring(keeps_names=keeps_names))
    monkeypatch.setenv("CISFA_DICOMWEB_HOST", "archive.example.org")
    monkeypatch.setenv("CISFA_DICOMWEB_USER", "anna")
    monkeypatch.setenv("CISFA_DICOMWEB_PASSWORD", "of the archive")
    assert find_credentials(SERVICE) == Credentials(basic("anna", PASSWORD))
    assert find_credentials(DicomWebService("https://archive.example.org/rs")) == Credentials(
        basic("anna", "of the archive")
    )


@pytest.mark.parametrize(
    "host", ["dicomweb://planted/rs", "planted/rs", "a@planted", "planted:x", "pl anted", "a\x1bb"]
)
def test_a_host_that_is_none_is_refused_and_not_repeated(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CISFA_DICOMWEB_HOST", host)
    with pytest.raises(PacsError, match="CISFA_DICOMWEB_HOST") as refused:
        find_credentials(SERVICE)
    assert "planted" not in str(refused.value)
    assert "\x1b" not in str(refused.value)


def test_two_services_do_not_get_one_password(monkeypatch: pytest.MonkeyPatch) -> None:
    other = DicomWebService("https://archive.example.org/rs")
    require_credentials_for_one([SERVICE, other])
    monkeypatch.setenv("CISFA_DICOMWEB_USER", "anna")
    require_credentials_for_one([SERVICE, other])
    monkeypatch.setenv("CISFA_DICOMWEB_PASSWORD", PASSWORD)
    require_credentials_for_one([SERVICE, DicomWebService("https://pacs.example.org:8443/other")])
    with pytest.raises(
        PacsError, match=r"pacs\.example\.org:8443 and archive\.example\.org.*CISFA_DICOMWEB_HOST"
    ) as refused:
        require_credentials_for_one([SERVICE, SERVICE, other])
    assert "planted" not in str(refused.value)
    monkeypatch.setenv("CISFA_DICOMWEB_HOST", "archive.example.org")
    require_credentials_for_one([SERVICE, other])


@pytest.mark.parametrize("name", ["CISFA_DICOMWEB_USER", "CISFA_DICOMWEB_PASSWORD", "CISFA_DICOMWEB_TOKEN"])
@pytest.mark.parametrize("value", ["planted\r\nX: y", "planted\x1b[31m", "planted\udcff"])
def test_bytes_that_are_no_text_are_named_by_their_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.name != "posix" and "\udcff" in value:
        pytest.skip("this system's variables are text")
    monkeypatch.setenv("CISFA_DICOMWEB_USER", "anna")
    monkeypatch.setenv("CISFA_DICOMWEB_PASSWORD", PASSWORD)
    monkeypatch.setenv(name, value)
    with pytest.raises(PacsError, match=name) as refused:
        find_credentials(SERVICE)
    assert "planted" not in str(refused.value)


def test_a_keyring_with_a_password_that_cannot_be_sent_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyring.core._keyring_backend", SomebodysKeyring(keeps_names=True))
    monkeypatch.setattr(f"{__name__}.PASSWORD", "planted\n")
    with pytest.raises(PacsError, match="keyring") as refused:
        find_credentials(SERVICE)
    assert "planted" not in str(refused.value)


def test_a_password_goes_nowhere_without_tls_but_to_this_computer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CISFA_DICOMWEB_TOKEN", TOKEN)
    with pytest.raises(PacsError, match="without TLS") as refused:
        find_credentials(DicomWebService("http://pacs.example.org/rs"))
    assert "planted" not in str(refused.value)
    assert find_credentials(DicomWebService("http://127.0.0.1:8042/rs")) is not None


def test_a_password_is_not_shown() -> None:
    assert PASSWORD not in repr(Credentials(PASSWORD))


def test_a_password_is_not_taken_to_another_host(faulty: FaultyPacs, ct_series: list[Path], tmp_path: Path) -> None:
    address = parse_series_address(f"{faulty.address}/studies/1.2/series/1.3")
    with running_faulty_pacs(None) as elsewhere:
        elsewhere.fault = refuse(404)
        faulty.fault = send_on_to(f"http://localhost:{elsewhere.port}/caught")
        for work in (
            lambda: fetch_series(address, tmp_path / "got", ignore, patience=PATIENCE),
            lambda: store_instances(ct_series[:1], address.service, ignore, patience=PATIENCE),
        ):
            with pytest.raises(PacsError, match="sends this computer on to another address"):
                work()
        assert elsewhere.asked == []
    assert faulty.authorizations[0] is not None


def test_a_netrc_file_is_not_consulted(faulty: FaultyPacs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login anna password {PASSWORD}\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("CISFA_DICOMWEB_USER")
    monkeypatch.delenv("CISFA_DICOMWEB_PASSWORD")
    address = parse_series_address(f"{faulty.address}/studies/1.2/series/1.3")
    with pytest.raises(PacsError, match="does not know this computer's user"):
        fetch_series(address, tmp_path / "got", ignore, patience=PATIENCE)
    assert set(faulty.authorizations) == {None}


@pytest.mark.parametrize(
    ("trouble", "secret"),
    [
        ("wrong password", "password"),
        ("wrong password", "token"),
        ("broken", "token"),
        ("wrong host", "password"),
        ("no TLS", "password"),
        ("in the address", "password"),
    ],
)
def test_a_child_process_never_says_a_secret(
    trouble: str, secret: str, orthanc: Orthanc, ct_series: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    if secret == "password":
        monkeypatch.setenv("CISFA_DICOMWEB_USER", "planted-user")
        monkeypatch.setenv("CISFA_DICOMWEB_PASSWORD", PASSWORD)
    else:
        monkeypatch.setenv("CISFA_DICOMWEB_TOKEN", TOKEN)
    encoded = basic("planted-user", PASSWORD).split()[1]
    with running_faulty_pacs(orthanc) as broken:
        broken.fault = only("GET", cut_off(0.5))
        broken.behind = None
        address = {
            "wrong password": orthanc.address,
            "wrong host": "dicomweb://nobody.invalid/dicom-web",
            "no TLS": orthanc.address.replace("dicomweb+http", "dicomweb"),
            "in the address": f"dicomweb://planted-user:{PASSWORD}@pacs.example.org/rs",
            "broken": broken.address,
        }[trouble]
        command = [sys.executable, "-X", "dev", "-W", "ignore", "-m", "cisfa", "send", str(ct_series[0])]
        ended = subprocess.run(
            [*command, "--to", address, "--timeout", "5", "--events"],
            env=dict(os.environ), capture_output=True, encoding="utf-8", timeout=120, check=False,
        )  # fmt: skip
    assert ended.returncode == 2, ended.stderr
    for text in (ended.stdout, ended.stderr):
        assert '"failed"' in ended.stdout
        assert "Traceback" not in text
        assert not any(word in text for word in ("planted", encoded, PASSWORD, TOKEN))


def test_a_target_has_no_secret_to_show() -> None:
    assert "hidden" not in repr(parse_target("dicomweb://pacs.example.org/rs"))
