import pytest

from cisfa.errors import PacsError
from cisfa.pacs.address import (
    DicomWebService,
    DimseNode,
    SeriesAddress,
    is_dicomweb_address,
    looks_like_address,
    parse_series_address,
    parse_target,
)

SERIES = "/studies/1.2.840.1/series/1.2.840.2"


@pytest.mark.parametrize(
    ("text", "root"),
    [
        (f"dicomweb://pacs.example.org/dicom-web{SERIES}", "https://pacs.example.org/dicom-web"),
        (f"dicomweb://pacs.example.org:8443/dicom-web{SERIES}/", "https://pacs.example.org:8443/dicom-web"),
        (f"DicomWeb://PACS.example.org/a/b/rs{SERIES}", "https://pacs.example.org/a/b/rs"),
        (f"dicomweb+http://localhost:8042/dicom-web{SERIES}", "http://localhost:8042/dicom-web"),
        (f"dicomweb://pacs.example.org{SERIES}", "https://pacs.example.org"),
        (f"dicomweb://[::1]:8042/dicom-web{SERIES}", "https://[::1]:8042/dicom-web"),
    ],
)
def test_a_series_has_an_address(text: str, root: str) -> None:
    expected = SeriesAddress(DicomWebService(root), "1.2.840.1", "1.2.840.2")
    assert parse_series_address(text) == expected
    assert parse_target(text) == expected.service
    assert is_dicomweb_address(text)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("dicomweb://pacs.example.org/dicom-web/", DicomWebService("https://pacs.example.org/dicom-web")),
        ("dicomweb+http://127.0.0.1:8042/rs", DicomWebService("http://127.0.0.1:8042/rs")),
        ("dicomweb://pacs.example.org/rs/studies/1.2", DicomWebService("https://pacs.example.org/rs")),
        ("dimse://pacs.example.org:104/ARCHIVE", DimseNode("pacs.example.org", 104, "ARCHIVE", "CISFA")),
        ("dimse://a:1/THE%20PACS", DimseNode("a", 1, "THE PACS", "CISFA")),
        ("dimse://10.0.0.7:11112/ARCHIVE?calling=STATION_2", DimseNode("10.0.0.7", 11112, "ARCHIVE", "STATION_2")),
    ],
)
def test_what_files_are_sent_to_has_an_address(text: str, target: DicomWebService | DimseNode) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text", ["volume.nii.gz", "C:\\data\\ct", "/data/ct", "dicomweb", "https://a/b", "dimse://a:1/B"]
)
def test_a_files_name_is_no_address_of_a_service(text: str) -> None:
    assert not is_dicomweb_address(text)


@pytest.mark.parametrize(("text", "does"), [("https://a/b", True), ("dimse://a:1/B", True), ("C:\\data\\ct", False)])
def test_what_looks_like_an_address_is_told_from_a_files_name(text: str, does: bool) -> None:
    assert looks_like_address(text) is does


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dicomweb://pacs.example.org/dicom-web", "no address of a series"),
        (
            "https://pacs.example.org/dicom-web/studies/1.2/series/1.3",
            r"Write dicomweb://pacs\.example\.org/dicom-web/studies/1\.2/series/1\.3 instead",
        ),
        ("dimse://pacs.example.org:104/ARCHIVE", "no address of a series: those are read over DICOMweb alone"),
        ("dicomweb://a..b/rs/studies/1.2/series/1.3", r"'a\.\.b' is no name of a computer"),
        (f"dicomweb://{'a' * 64}.org/rs/studies/1.2/series/1.3", "is no name of a computer"),
        ("dicomweb://pacs.example.org/dicom-web/studies/1.2/series/", "UID of the series is ''"),
        ("dicomweb://pacs.example.org/dicom-web/studies/1.a/series/1.3", "UID of the study is '1.a'"),
        (f"dicomweb://pacs.example.org/rs/studies/1.2/series/1.{'3' * 63}", "64 characters at most"),
        ("dicomweb://pacs.example.org/rs/studies/1.2/series/1.3?limit=1", r"has a \? or a #"),
        ("dicomweb://pacs.example.org/rs/studies/1.2/series/1.3#top", r"has a \? or a #"),
        ("dicomweb:///rs/studies/1.2/series/1.3", "names no host"),
        ("dicomweb://pacs.example.org:0/rs/studies/1.2/series/1.3", "port 0"),
        ("dicomweb://pacs.example.org:99999/rs/studies/1.2/series/1.3", "port or host that is none"),
        ("dicomweb://pacs.example.org/r s/studies/1.2/series/1.3", "has a blank"),
        ("dicomweb://klinik-köln.example.org/rs/studies/1.2/series/1.3", "letter other than a to z"),
    ],
)
def test_what_is_no_address_of_a_series_is_refused_in_a_sentence(text: str, words: str) -> None:
    with pytest.raises(PacsError, match=words):
        parse_series_address(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ftp://pacs.example.org/rs", "no address of a PACS"),
        ("https://pacs.example.org/rs?key=hidden", r"Write dicomweb://pacs\.example\.org/rs instead"),
        ("http://pacs.example.org:8042/rs", r"Write dicomweb\+http://pacs\.example\.org:8042/rs instead"),
        ("dimse://a..b:104/ARCHIVE", r"'a\.\.b' is no name of a computer"),
        ("pacs.example.org", "names no host"),
        ("dimse://pacs.example.org/ARCHIVE", "no address of a DICOM node"),
        ("dimse://pacs.example.org:104", "no address of a DICOM node"),
        ("dimse://pacs.example.org:104/ARCHIVE?called=A", "no address of a DICOM node"),
        ("dimse://pacs.example.org:104/ARCHIVE?calling=", "AE title is ''"),
        ("dimse://pacs.example.org:104/ARCHIVE_OF_THE_HOSPITAL", "1 to 16 characters"),
        ("dimse://pacs.example.org:104/A\\B", "no backslash"),
        ("dicomweb://pacs.example.org/rs?key=hidden", r"has a \? or a #"),
    ],
)
def test_what_nothing_can_be_sent_to_is_refused_in_a_sentence(text: str, words: str) -> None:
    with pytest.raises(PacsError, match=words) as refused:
        parse_target(text)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["dicomweb", "dicomweb+http", "dimse"])
@pytest.mark.parametrize("who", ["anna:hidden", "hidden", ":hidden"])
def test_credentials_in_an_address_are_refused_and_not_repeated(scheme: str, who: str) -> None:
    with pytest.raises(PacsError, match=r"credentials belong in the environment .* or the keyring") as refused:
        parse_target(f"{scheme}://{who}@pacs.example.org:104/rs")
    assert "hidden" not in str(refused.value)
