"""Reading a series from a PACS: a real one, and one that fails on purpose."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pydicom
import pytest

pytest.importorskip("dicomweb_client")

from pydicom.uid import JPEG2000Lossless, RLELossless, generate_uid

from cisfa.errors import Cancelled, PacsError
from cisfa.events import Event, Notice, Progress, ignore
from cisfa.pacs.address import SeriesAddress, parse_series_address, parse_target
from cisfa.pacs.fetch import fetch_series
from cisfa.pacs.patience import Patience
from cisfa.pacs.store import store_instances
from faulty_pacs import (
    Fault,
    FaultyPacs,
    cut_off,
    first,
    in_chunks,
    keep_back_the_last,
    only,
    refuse,
    send_instances,
    silent,
    trickle,
)
from orthanc import Orthanc

PATIENCE = Patience(connect_s=5, read_s=20, waits_s=(0.01, 0.01))
SERIES, INSTANCES = r"/series\?", r"/series/[0-9.]+$"


@pytest.fixture
def stored(orthanc: Orthanc, ct_series: list[Path]) -> list[Path]:
    """A series that the PACS has."""
    for path in ct_series:
        orthanc.take(path)
    return ct_series


def address_of(files: list[Path], service: Orthanc | FaultyPacs) -> SeriesAddress:
    header = pydicom.dcmread(files[0], stop_before_pixels=True)
    place = f"/studies/{header.StudyInstanceUID}/series/{header.SeriesInstanceUID}"
    return parse_series_address(service.address + place)


def by_uid(files: list[Path] | tuple[Path, ...]) -> dict[str, pydicom.Dataset]:
    datasets = [pydicom.dcmread(path) for path in files]
    return {dataset.SOPInstanceUID: dataset for dataset in datasets}


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def failure(files: list[Path], pacs: Orthanc | FaultyPacs, folder: Path, patience: Patience = PATIENCE) -> str:
    """The sentence with which a retrieval ends, after making sure that it left nothing behind."""
    with pytest.raises(PacsError) as failed:
        fetch_series(address_of(files, pacs), folder, ignore, patience=patience)
    assert not folder.exists()
    return str(failed.value)


def test_a_series_comes_back_as_it_was_stored(stored: list[Path], orthanc: Orthanc, tmp_path: Path) -> None:
    events: list[Event] = []
    files = fetch_series(address_of(stored, orthanc), tmp_path / "got", events.append)
    assert contents(tmp_path / "got") == [f"{number:05d}.dcm" for number in range(1, 6)]
    assert sorted(files) == sorted((tmp_path / "got").iterdir())
    sent, got = by_uid(stored), by_uid(files)
    assert got.keys() == sent.keys()
    for uid, dataset in got.items():
        assert dataset == sent[uid]
        np.testing.assert_array_equal(dataset.pixel_array, sent[uid].pixel_array)
        assert dataset.file_meta.TransferSyntaxUID == sent[uid].file_meta.TransferSyntaxUID
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert {0.0, 0.2, 0.4, 1.0} <= set(fractions)


def test_an_answer_in_chunks_is_read(stored: list[Path], faulty: FaultyPacs, tmp_path: Path) -> None:
    faulty.fault = only("GET", in_chunks(1), path=INSTANCES)
    files = fetch_series(address_of(stored, faulty), tmp_path / "got", ignore, patience=PATIENCE)
    assert by_uid(files) == by_uid(stored)


def test_a_series_that_does_not_say_how_long_it_is_is_counted(
    stored: list[Path], faulty: FaultyPacs, tmp_path: Path
) -> None:
    series = pydicom.dcmread(stored[0]).SeriesInstanceUID
    answer = f'[{{"0020000E": {{"vr": "UI", "Value": ["{series}"]}}}}]'.encode()
    faulty.fault = only("GET", refuse(200, answer, "application/dicom+json"), path=SERIES)
    files = fetch_series(address_of(stored, faulty), tmp_path / "got", ignore, patience=PATIENCE)
    assert by_uid(files) == by_uid(stored)
    assert any(line.endswith("/metadata") for line in faulty.asked)


def test_an_empty_folder_is_filled_and_one_that_is_in_use_is_not(
    stored: list[Path], orthanc: Orthanc, tmp_path: Path
) -> None:
    (tmp_path / "got").mkdir()
    fetch_series(address_of(stored, orthanc), tmp_path / "got", ignore)
    with pytest.raises(PacsError, match="is not empty"):
        fetch_series(address_of(stored, orthanc), tmp_path / "got", ignore)
    assert len(contents(tmp_path / "got")) == len(stored)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_a_compressed_series_stays_compressed(
    syntax: pydicom.uid.UID, orthanc: Orthanc, ct_series: list[Path], tmp_path: Path
) -> None:
    for path in ct_series:
        dataset = pydicom.dcmread(path)
        if syntax == RLELossless:
            dataset.compress(syntax, generate_instance_uid=False)
        else:  # nobody has to decode it
            from pydicom.encaps import encapsulate

            dataset.PixelData = encapsulate([b"\xff\x4f\xff\x51" + bytes(path.name, "ascii") * 20])
            dataset["PixelData"].VR = "OB"
            dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(path)
    store_instances(ct_series, parse_target(orthanc.address), ignore, patience=PATIENCE)
    got = by_uid(fetch_series(address_of(ct_series, orthanc), tmp_path / "got", ignore))
    for uid, sent in by_uid(ct_series).items():
        assert got[uid].file_meta.TransferSyntaxUID == syntax
        assert got[uid].PixelData == sent.PixelData


def test_a_series_that_is_not_there_is_said(stored: list[Path], orthanc: Orthanc, tmp_path: Path) -> None:
    there = address_of(stored, orthanc)
    for study, series in (
        (there.study_uid, str(generate_uid())),
        (str(generate_uid()), there.series_uid),
    ):
        with pytest.raises(PacsError, match=f"no series {series} in the study {study}"):
            fetch_series(SeriesAddress(there.service, study, series), tmp_path / "got", ignore)
        assert not (tmp_path / "got").exists()


def test_a_folder_that_was_there_stays(orthanc: Orthanc, ct_series: list[Path], tmp_path: Path) -> None:
    (tmp_path / "got").mkdir()
    with pytest.raises(PacsError, match="no series"):
        fetch_series(address_of(ct_series, orthanc), tmp_path / "got", ignore)
    assert contents(tmp_path / "got") == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (refuse(401), r"does not know this computer's user.*keyring set cisfa-dicomweb:127\.0\.0\.1:\d+ USER"),
        (refuse(403), "does not let this user look for the series"),
        (refuse(404), "knows nothing at that address"),
        (refuse(500), "answers 500 .* its log says why"),
        (refuse(200, b"<html>Sign in</html>", "text/html"), "something that is not DICOMweb"),
        (refuse(200, b'[{"0020000E": 7}]', "application/dicom+json"), "something that is not DICOMweb"),
        (refuse(200, b"", "application/dicom+json"), "has no series"),
        (only("GET", refuse(404), path=INSTANCES), "asked to hand out the series, and knows nothing"),
        (only("GET", refuse(403), path=INSTANCES), "does not let this user hand out the series"),
        (only("GET", refuse(200, b"", "text/html"), path=INSTANCES), "something that is not DICOMweb"),
    ],
)
def test_a_refusal_is_said_at_once_and_leaves_nothing(
    fault: Fault, words: str, stored: list[Path], faulty: FaultyPacs, tmp_path: Path
) -> None:
    faulty.fault = fault
    sentence = failure(stored, faulty, tmp_path / "got")
    assert re.search(words, sentence), sentence
    assert len(faulty.asked) <= 2


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (only("GET", cut_off(0.5), path=INSTANCES), "failed again and again"),
        (only("GET", cut_off(0.5, is_announced=False), path=INSTANCES), "failed again and again"),
        (only("GET", cut_off(0.98, is_announced=False), path=INSTANCES), "failed again and again"),
        (only("GET", in_chunks(0.5), path=INSTANCES), "failed again and again"),
        (only("GET", keep_back_the_last, path=INSTANCES), "it sent 4 of 5 files"),
        (only("GET", refuse(503), path=INSTANCES), "it answers 503"),
        (refuse(502), "it answers 502"),
        (only("GET", silent(0), path=INSTANCES), "failed again and again"),
    ],
)
def test_a_series_that_is_never_whole_is_tried_three_times_and_leaves_nothing(
    fault: Fault, words: str, stored: list[Path], faulty: FaultyPacs, tmp_path: Path
) -> None:
    faulty.fault = fault
    assert words in failure(stored, faulty, tmp_path / "got")
    assert 3 <= len(faulty.asked) <= 4


@pytest.mark.parametrize("fault", [refuse(503), cut_off(0.5), cut_off(0.5, is_announced=False), keep_back_the_last])
def test_a_fault_that_passes_is_got_over(fault: Fault, stored: list[Path], faulty: FaultyPacs, tmp_path: Path) -> None:
    faulty.fault = only("GET", first(2, fault), path=INSTANCES)
    events: list[Event] = []
    files = fetch_series(address_of(stored, faulty), tmp_path / "got", events.append, patience=PATIENCE)
    assert by_uid(files) == by_uid(stored)
    assert len(contents(tmp_path / "got")) == len(stored)
    notices = [event.message for event in events if isinstance(event, Notice)]
    assert len(notices) == 2
    assert all(message.endswith("Trying again in 0.01 s.") for message in notices)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (only("GET", silent(3), path=INSTANCES), "no answer within 0.5 s"),
        (only("GET", trickle(5), path=INSTANCES), "the answer trickles"),
        (only("GET", trickle(5), path=SERIES), "the answer trickles"),
    ],
)
def test_a_slow_service_is_given_up(
    fault: Fault, words: str, stored: list[Path], faulty: FaultyPacs, tmp_path: Path
) -> None:
    faulty.fault = fault
    assert words in failure(stored, faulty, tmp_path / "got", Patience(connect_s=5, read_s=0.5))


def test_a_service_that_is_down_is_said(stored: list[Path], orthanc: Orthanc, tmp_path: Path) -> None:
    address = address_of(stored, orthanc)
    down = parse_series_address(f"dicomweb+http://127.0.0.1:9/studies/{address.study_uid}/series/{address.series_uid}")
    with pytest.raises(PacsError, match=r"127\.0\.0\.1:9 failed again and again \(.*refused.*\)"):
        fetch_series(down, tmp_path / "got", ignore, patience=PATIENCE)
    assert not (tmp_path / "got").exists()


def cancelling_at(fraction: float) -> Callable[[Event], None]:
    def report(event: Event) -> None:
        if isinstance(event, Progress) and event.fraction >= fraction:
            raise Cancelled("Stopped on request.")

    return report


def test_a_retrieval_can_be_cancelled_and_leaves_nothing(stored: list[Path], orthanc: Orthanc, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        fetch_series(address_of(stored, orthanc), tmp_path / "got", cancelling_at(0.5), patience=PATIENCE)
    assert not (tmp_path / "got").exists()


def test_it_can_be_cancelled_while_an_answer_trickles(stored: list[Path], faulty: FaultyPacs, tmp_path: Path) -> None:
    faulty.fault = only("GET", trickle(20), path=INSTANCES)
    told: list[Event] = []

    def report(event: Event) -> None:
        told.append(event)
        if len(told) > 3:
            raise Cancelled("Stopped on request.")

    with pytest.raises(Cancelled):
        fetch_series(address_of(stored, faulty), tmp_path / "got", report, patience=PATIENCE)
    assert not (tmp_path / "got").exists()


def test_something_of_another_series_is_not_taken(stored: list[Path], faulty: FaultyPacs, tmp_path: Path) -> None:
    other = pydicom.dcmread(stored[0])
    other.SeriesInstanceUID = generate_uid()
    other.save_as(tmp_path / "other.dcm")
    faulty.fault = only("GET", send_instances((tmp_path / "other.dcm").read_bytes()), path=INSTANCES)
    assert "sends something of another one" in failure(stored, faulty, tmp_path / "got")


def test_an_instance_that_comes_twice_is_kept_once(stored: list[Path], faulty: FaultyPacs, tmp_path: Path) -> None:
    contents = [path.read_bytes() for path in (*stored[:2], *stored)]
    faulty.fault = only("GET", send_instances(*contents), path=INSTANCES)
    files = fetch_series(address_of(stored, faulty), tmp_path / "got", ignore, patience=PATIENCE)
    assert len(files) == len(stored)
    assert by_uid(files) == by_uid(stored)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.999])
def test_a_damaged_instance_is_said_and_leaves_nothing(
    part: float, stored: list[Path], faulty: FaultyPacs, tmp_path: Path
) -> None:
    contents = [path.read_bytes() for path in stored]
    damaged = contents[1][: int(part * len(contents[1]))] or b"no DICOM at all"
    faulty.fault = only("GET", send_instances(contents[0], damaged, *contents[2:]), path=INSTANCES)
    sentence = failure(stored, faulty, tmp_path / "got")
    assert "damaged" in sentence


def test_a_file_that_windows_lets_nobody_move_for_a_moment_is_moved_later(
    stored: list[Path], orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, refusals = os.replace, [PermissionError(13, "Access is denied")] * 3

    def refuse_at_first(*words: Any) -> None:
        if refusals:
            raise refusals.pop()
        replace(*words)

    monkeypatch.setattr("cisfa.whole_files.sys", SimpleNamespace(platform="win32"))
    monkeypatch.setattr("cisfa.whole_files.os.replace", refuse_at_first)
    assert len(fetch_series(address_of(stored, orthanc), tmp_path / "got", ignore)) == len(stored)
    assert refusals == []


def test_a_folder_that_cannot_be_made_is_said(stored: list[Path], orthanc: Orthanc, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(PacsError, match=r"file.got cannot be written"):
        fetch_series(address_of(stored, orthanc), tmp_path / "file" / "got", ignore)


def test_without_the_library_the_command_that_installs_it_is_said(
    orthanc: Orthanc, ct_series: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "dicomweb_client", None)
    sentence = failure(ct_series, orthanc, tmp_path / "got")
    assert sentence == 'Reading from a PACS needs dicomweb-client: python -m pip install "cisfa[pacs]"'
