"""Storing over DICOMweb: once, and never in doubt about what is there."""

import time
from pathlib import Path

import pydicom
import pytest

pytest.importorskip("dicomweb_client")

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from cisfa.errors import Cancelled, PacsError
from cisfa.events import Event, Notice, Progress, ignore
from cisfa.pacs.address import parse_series_address, parse_target
from cisfa.pacs.fetch import fetch_series
from cisfa.pacs.patience import Patience
from cisfa.pacs.store import store_instances
from faulty_pacs import (
    Fault,
    FaultyPacs,
    answer_about_storing,
    lose_the_answer,
    lose_the_request,
    only,
    read_slowly,
    refuse,
    silent,
)
from orthanc import Orthanc

PATIENCE = Patience(connect_s=5, read_s=20, waits_s=(0.01, 0.01))
SEGMENTATION, LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"


def store(files: list[Path], pacs: Orthanc | FaultyPacs, patience: Patience = PATIENCE) -> list[str]:
    """Store files; the notices that came of it."""
    events: list[Event] = []
    store_instances(files, parse_target(pacs.address), events.append, patience=patience)
    return [event.message for event in events if isinstance(event, Notice) and not event.message.startswith("Stored")]


def refusal(files: list[Path], pacs: Orthanc | FaultyPacs, patience: Patience = PATIENCE) -> str:
    with pytest.raises(PacsError) as refused:
        store(files, pacs, patience)
    return str(refused.value)


def uids(files: list[Path]) -> list[str]:
    return sorted(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in files)


def write_object(path: Path, like: Path, sop_class: str, size_bytes: int) -> Path:
    """An object of some kind in the study of another, with a private element, sequences and so many bytes of pixels."""
    source = pydicom.dcmread(like, stop_before_pixels=True)
    instance, item = Dataset(), Dataset()
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "SpecificCharacterSet"):
        setattr(instance, keyword, source[keyword].value)
    item.SegmentNumber, item.SegmentLabel = 1, "Leber, größter Teil"
    instance.SegmentSequence = [item]
    instance.SOPClassUID, instance.SOPInstanceUID, instance.SeriesInstanceUID = (
        sop_class,
        generate_uid(),
        generate_uid(),
    )
    instance.Modality = "SEG"
    instance.private_block(0x0011, "PHANTOMS", create=True).add_new(1, "LO", "kept")
    instance.PixelData = bytes(range(256)) * (size_bytes // 256)
    instance["PixelData"].VR = "OB"
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance.save_as(path, enforce_file_format=True)
    return path


def test_a_series_is_found_after_it_was_stored(orthanc: Orthanc, ct_series: list[Path]) -> None:
    assert store(ct_series, orthanc) == []
    assert sorted(orthanc.instances()) == uids(ct_series)
    study = pydicom.dcmread(ct_series[0]).StudyInstanceUID
    found = orthanc.ask(f"/dicom-web/studies/{study}/instances").json()
    assert sorted(each["00080018"]["Value"][0] for each in found) == uids(ct_series)


@pytest.mark.parametrize("sop_class", [SEGMENTATION, LABEL_MAP])
@pytest.mark.parametrize("size_bytes", [1024, 1 << 20], ids=["small", "in many pieces"])
def test_an_object_comes_back_as_it_was_stored(
    sop_class: str, size_bytes: int, orthanc: Orthanc, ct_series: list[Path], tmp_path: Path
) -> None:
    path = write_object(tmp_path / "object.dcm", ct_series[0], sop_class, size_bytes)
    assert store([path], orthanc) == []
    sent = pydicom.dcmread(path)
    address = f"{orthanc.address}/studies/{sent.StudyInstanceUID}/series/{sent.SeriesInstanceUID}"
    (got,) = fetch_series(parse_series_address(address), tmp_path / "got", ignore, patience=PATIENCE)
    assert pydicom.dcmread(got) == sent
    assert pydicom.dcmread(got).file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID


def test_what_is_there_already_is_not_sent_again(faulty: FaultyPacs, ct_series: list[Path]) -> None:
    store(ct_series[:2], faulty)
    assert faulty.count("POST") == 2
    notices = store(ct_series[:3], faulty)
    assert len(notices) == 2
    assert notices == [
        f"The instance {pydicom.dcmread(path).SOPInstanceUID} is in 127.0.0.1:{faulty.port} already, and was not stored"
        " a second time."
        for path in ct_series[:2]
    ]
    assert faulty.count("POST") == 3
    assert faulty.behind is not None
    assert sorted(faulty.behind.instances()) == uids(ct_series[:3])


def test_a_service_that_heeds_no_filter_is_not_taken_to_have_everything(
    faulty: FaultyPacs, ct_series: list[Path]
) -> None:
    store(ct_series[:1], faulty)
    other = orthanc_answer(faulty, ct_series[0])
    faulty.fault = only("GET", refuse(200, other, "application/dicom+json"))
    assert store(ct_series[1:2], faulty) == []
    assert faulty.count("POST") == 2


def orthanc_answer(faulty: FaultyPacs, path: Path) -> bytes:
    """What the real service says of a study's instances."""
    if faulty.behind is None:
        raise RuntimeError(faulty.address)
    return faulty.behind.ask(f"/dicom-web/studies/{pydicom.dcmread(path).StudyInstanceUID}/instances").content


@pytest.mark.parametrize("code", [400, 403, 404, 405, 501])
def test_a_service_that_cannot_be_searched_is_stored_into_nevertheless(
    code: int, faulty: FaultyPacs, ct_series: list[Path]
) -> None:
    faulty.fault = only("GET", refuse(code))
    assert store(ct_series[:1], faulty) == []
    assert faulty.behind is not None
    assert faulty.behind.instances() == uids(ct_series[:1])


def test_a_file_whose_answer_got_lost_is_asked_for_and_found(faulty: FaultyPacs, ct_series: list[Path]) -> None:
    faulty.fault = only("POST", lose_the_answer)
    (notice,) = store(ct_series[:1], faulty)
    assert "is stored there" in notice
    assert faulty.count("POST") == 1
    assert faulty.behind is not None
    assert faulty.behind.instances() == uids(ct_series[:1])


def test_a_file_that_got_lost_is_not_half_stored_and_can_be_sent_again(
    faulty: FaultyPacs, ct_series: list[Path]
) -> None:
    faulty.fault = only("POST", lose_the_request)
    sentence = refusal(ct_series[:1], faulty)
    assert "does not list it" in sentence
    assert "no second copy arises" in sentence
    assert faulty.count("POST") == 1
    assert faulty.behind is not None
    assert faulty.behind.instances() == []
    faulty.fault = lambda pacs, request: False
    assert store(ct_series, faulty) == []
    assert sorted(faulty.behind.instances()) == uids(ct_series)


@pytest.mark.parametrize("fault", [lose_the_answer, lose_the_request])
def test_where_nobody_can_be_asked_the_file_may_be_stored(
    fault: Fault, faulty: FaultyPacs, ct_series: list[Path]
) -> None:
    posted: list[bool] = []

    def then_down(pacs: FaultyPacs, request: object) -> bool:
        if request.command == "POST":  # type: ignore[attr-defined]
            posted.append(True)
            return fault(pacs, request)  # type: ignore[arg-type]
        return bool(posted) and refuse(503)(pacs, request)  # type: ignore[arg-type]

    faulty.fault = then_down
    sentence = refusal(ct_series[:1], faulty)
    assert "cannot be asked: it may be." in sentence
    assert "no second copy arises" in sentence
    faulty.fault = lambda pacs, request: False
    store(ct_series[:1], faulty)
    assert faulty.behind is not None
    assert faulty.behind.instances() == uids(ct_series[:1])


def test_a_silent_service_is_asked_whether_the_file_arrived(faulty: FaultyPacs, ct_series: list[Path]) -> None:
    def late(pacs: FaultyPacs, request: object) -> bool:
        lose_the_answer(pacs, request)  # type: ignore[arg-type]
        return silent(4)(pacs, request)  # type: ignore[arg-type]

    faulty.fault = only("POST", late)
    (notice,) = store(ct_series[:1], faulty, Patience(connect_s=5, read_s=2))
    assert "no answer within 2 s" in notice
    assert "is stored there" in notice


def test_storing_is_not_repeated_by_itself(faulty: FaultyPacs, ct_series: list[Path]) -> None:
    faulty.fault = only("POST", refuse(503))
    assert "it answers 503" in refusal(ct_series[:1], faulty)
    assert faulty.count("POST") == 1


@pytest.mark.parametrize("status", [200, 202, 400, 409])
@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0xA700, "no room or memory left (0xA700)"),
        (0xA9FE, "does not match its kind (SOP class) (0xA9FE)"),
        (0xC122, "does not take its encoding (transfer syntax) (0xC122)"),
        (0xC0DE, "cannot understand it (0xC0DE)"),
        (272, "could not process it (0x0110)"),
        (290, "does not take its kind (SOP class) (0x0122)"),
        (0x7777, "a reason that is not in the standard (0x7777)"),
    ],
)
def test_a_refused_file_is_an_error_with_the_reason_in_words(
    code: int, words: str, status: int, faulty: FaultyPacs, ct_series: list[Path]
) -> None:
    faulty.fault = only("POST", answer_about_storing(code, status=status))
    assert f"did not store {ct_series[0]}: " in (sentence := refusal(ct_series[:1], faulty))
    assert words in sentence


@pytest.mark.parametrize(("code", "words"), [(0xB000, "changed values"), (0xB006, "left elements of it out")])
def test_a_file_that_was_stored_otherwise_than_sent_is_a_notice(
    code: int, words: str, faulty: FaultyPacs, ct_series: list[Path]
) -> None:
    faulty.fault = only("POST", answer_about_storing(code, is_failure=False))
    (notice,) = store(ct_series[:1], faulty)
    assert words in notice


def test_a_refusal_as_a_duplicate_is_no_error(faulty: FaultyPacs, ct_series: list[Path]) -> None:
    faulty.fault = only("POST", answer_about_storing(0x0111, status=409))
    (notice,) = store(ct_series[:1], faulty)
    assert "already" in notice


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (401, "does not know this computer's user"),
        (403, "does not let this user store the file"),
        (404, "knows nothing at that address"),
        (409, "answers 409"),
        (413, "files so large"),
        (415, "files of this kind"),
        (500, "answers 500"),
    ],
)
def test_a_refused_request_is_an_error(code: int, words: str, faulty: FaultyPacs, ct_series: list[Path]) -> None:
    faulty.fault = only("POST", refuse(code))
    assert words in refusal(ct_series[:1], faulty)


def test_an_answer_that_says_nothing_is_checked(faulty: FaultyPacs, ct_series: list[Path]) -> None:
    faulty.fault = only("POST", refuse(200))
    assert "without saying that it is stored" in refusal(ct_series[:1], faulty)


def test_what_was_stored_is_said_once_for_each_series(
    faulty: FaultyPacs, ct_series: list[Path], tmp_path: Path
) -> None:
    path = write_object(tmp_path / "object.dcm", ct_series[0], SEGMENTATION, 1024)
    told: list[Event] = []
    store_instances([*ct_series[:2], path], parse_target(faulty.address), told.append, patience=PATIENCE)
    first, second = (pydicom.dcmread(each) for each in (ct_series[0], path))
    study, place = first.StudyInstanceUID, f"127.0.0.1:{faulty.port}"
    assert [event.message for event in told if isinstance(event, Notice)] == [
        f"Stored series {series} in the study {study} of {place}."
        for series in (first.SeriesInstanceUID, second.SeriesInstanceUID)
    ]
    told.clear()
    store_instances([path], parse_target(faulty.address), told.append, patience=PATIENCE)
    assert [event.message for event in told if isinstance(event, Notice)] == [
        f"The segmentation {second.SOPInstanceUID} is in {place} already, and was not stored a second time."
    ]


def test_storing_can_be_cancelled_between_two_files(orthanc: Orthanc, ct_series: list[Path]) -> None:
    def report(event: Event) -> None:
        if isinstance(event, Progress) and event.fraction >= 0.4:
            raise Cancelled("Stopped on request.")

    with pytest.raises(Cancelled):
        store_instances(ct_series, parse_target(orthanc.address), report)
    assert sorted(orthanc.instances()) == uids(ct_series[:2])


def test_a_large_file_can_be_cancelled_on_its_way(faulty: FaultyPacs, ct_series: list[Path], tmp_path: Path) -> None:
    path = write_object(tmp_path / "object.dcm", ct_series[0], SEGMENTATION, 1 << 25)
    faulty.fault = only("POST", read_slowly)
    told: list[Event] = []

    def report(event: Event) -> None:
        told.append(event)
        if len(told) > 2:
            raise Cancelled("Stopped on request.")

    began_s = time.monotonic()
    with pytest.raises(Cancelled):
        store_instances([path], parse_target(faulty.address), report, patience=PATIENCE)
    assert time.monotonic() - began_s < 4
    assert faulty.behind is not None
    assert faulty.behind.instances() == []


def test_nothing_is_sent_when_a_file_cannot_be(orthanc: Orthanc, ct_series: list[Path], tmp_path: Path) -> None:
    (tmp_path / "text.dcm").write_text("no DICOM", encoding="utf-8")
    nameless = pydicom.dcmread(ct_series[4])
    del nameless.StudyInstanceUID
    nameless.save_as(ct_series[4])
    for path, words in (
        (tmp_path / "text.dcm", "is no DICOM file"),
        (tmp_path, "cannot be read"),
        (tmp_path / "nothing.dcm", "cannot be read"),
        (ct_series[4], "belongs to no study"),
    ):
        assert words in refusal([ct_series[0], path], orthanc)
    assert orthanc.instances() == []


def test_a_file_that_is_cut_off_is_not_sent(orthanc: Orthanc, ct_series: list[Path]) -> None:
    content = ct_series[0].read_bytes()
    ct_series[0].write_bytes(content[:-100])
    assert "is a damaged DICOM file (cut off)" in refusal(ct_series[:1], orthanc)
    assert orthanc.instances() == []


def test_a_service_that_is_down_is_said(unknown_user: None, ct_series: list[Path]) -> None:
    with pytest.raises(PacsError, match=r"127\.0\.0\.1:9 failed again and again"):
        store_instances(ct_series, parse_target("dicomweb+http://127.0.0.1:9/rs"), ignore, patience=PATIENCE)
