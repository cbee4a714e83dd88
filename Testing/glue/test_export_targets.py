from pathlib import Path

import pytest

from cisfa.pacs.address import DicomWebService, DimseNode, parse_target
from CISFASegmentationLib.export_targets import (
    DatabaseTarget,
    FolderTarget,
    NodeTarget,
    TargetError,
    dicomweb_target,
    dimse_target,
    folder_target,
    target_of,
)


@pytest.mark.parametrize(
    ("typed", "root"),
    [
        ("https://pacs.example.org/dicom-web", "https://pacs.example.org/dicom-web"),
        (" HTTPS://pacs.example.org:8043/dicom-web/ ", "https://pacs.example.org:8043/dicom-web"),
        ("http://localhost:8042/dicom-web", "http://localhost:8042/dicom-web"),
        ("dicomweb://pacs.example.org", "https://pacs.example.org"),
        ("dicomweb+http://[::1]:8042/a", "http://[::1]:8042/a"),
    ],
)
def test_the_command_understands_every_web_address(typed: str, root: str) -> None:
    assert parse_target(dicomweb_target(typed).address) == DicomWebService(root)


@pytest.mark.parametrize(
    ("fields", "node"),
    [
        (("pacs.example.org", 104, "ARCHIVE", ""), DimseNode("pacs.example.org", 104, "ARCHIVE", "CISFA")),
        ((" 192.0.2.7 ", 11112, " A-1_b ", "SLICER+1"[:6]), DimseNode("192.0.2.7", 11112, "A-1_b", "SLICER")),
        (("::1", 4242, "ORTHANC", ""), DimseNode("::1", 4242, "ORTHANC", "CISFA")),
    ],
)
def test_the_command_understands_every_node(fields: tuple, node: DimseNode) -> None:
    assert parse_target(dimse_target(*fields).address) == node


@pytest.mark.parametrize(
    "address", ["", "pacs.example.org", "ftp://a/b", "https://", "https://a b/c", "https://a/b?key=1", "https://a#b"]
)
def test_an_incomplete_web_address_is_explained(address: str) -> None:
    with pytest.raises(TargetError, match="Write it like https://"):
        dicomweb_target(address)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(TargetError, match="their own fields") as refused:
        dicomweb_target("https://anna:geheim@pacs.example.org/x")
    assert "geheim" not in str(refused.value)


def test_a_password_needs_a_user_and_a_user_may_be_in_the_keyring() -> None:
    with pytest.raises(TargetError, match="a password and no user") as refused:
        dicomweb_target("https://a/b", "", "geheim")
    assert "geheim" not in str(refused.value)
    assert dicomweb_target("https://a/b", "anna").variables["CISFA_DICOMWEB_USER"] == "anna"


def test_what_is_typed_comes_before_a_token_of_the_environment_and_is_shown_to_nobody() -> None:
    target = dicomweb_target("https://a/b", "anna", "geheim")
    assert target.variables == {
        "CISFA_DICOMWEB_USER": "anna",
        "CISFA_DICOMWEB_PASSWORD": "geheim",
        "CISFA_DICOMWEB_TOKEN": "",
        "CISFA_DICOMWEB_HOST": "",
    }
    assert "geheim" not in repr(target) + target.address
    assert dicomweb_target("https://a/b").variables == {}


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        (("", 104, "A"), "no name of a computer"),
        (("a/b", 104, "A"), "no name of a computer"),
        (("a", 0, "A"), "The port 0"),
        (("a", 65536, "A"), "The port 65536"),
        (("a", 104, ""), "called AE title is ''"),
        (("a", 104, "A" * 17), "called AE title"),
        (("a", 104, "A\\B"), "called AE title"),
        (("a", 104, "A", "B\\C"), "calling AE title is"),
    ],
)
def test_an_incomplete_node_is_explained(fields: tuple, complaint: str) -> None:
    with pytest.raises(TargetError, match=complaint):
        dimse_target(*fields)


def test_scripts_name_targets_in_a_word(tmp_path: Path) -> None:
    assert target_of("database") == DatabaseTarget()
    assert target_of(tmp_path) == target_of(str(tmp_path)) == FolderTarget(tmp_path)
    assert target_of("dimse://a:104/B") == NodeTarget("dimse://a:104/B")
    assert target_of("dicomweb://a/b") == NodeTarget("dicomweb://a/b")
    assert target_of(DatabaseTarget()) == DatabaseTarget()


@pytest.mark.parametrize(("text", "complaint"), [("", "No folder is chosen"), ("/no/such/folder", "is no folder")])
def test_a_folder_has_to_be_there(text: str, complaint: str) -> None:
    with pytest.raises(TargetError, match=complaint):
        folder_target(text)
