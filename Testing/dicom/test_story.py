"""The whole way, as a user goes it: a series in, a segmentation, a real PACS, and back; in real child processes."""

import io
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest

from cisfa.cli.main import main
from cisfa.errors import PacsError
from cisfa.events import Event, Failed, Finished, Notice, from_json_line
from cisfa.imaging.volume import LabelMap
from cisfa.imaging.volume_files import read_label_map, write_volume
from cisfa.phantom.case import make_case
from orthanc import Orthanc
from series_writer import write_series
from validators import brought_onto, inconsistencies, read_with_dcmqi, read_with_highdicom, standard_errors

BUNDLE = Path(__file__).parents[2] / "CISFASegmentation" / "Resources" / "CISFASegmentationDemoBundle.zip"
ORGANS = {"liver": 1, "right kidney": 2, "left kidney": 3, "spleen": 4}
USER_CAN_MEND = 2


@dataclass(frozen=True)
class Result:
    code: int
    events: list[Event]
    errors: str

    @property
    def outputs(self) -> tuple[str, ...]:
        return next(event.outputs for event in self.events if isinstance(event, Finished))

    @property
    def notices(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Notice)]

    @property
    def failure(self) -> str:
        return next(event.message for event in self.events if isinstance(event, Failed))


def cisfa(*words: object) -> Result:
    command = [sys.executable, "-m", "cisfa", *map(str, words), "--events"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=240, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    events = [from_json_line(line) for line in done.stdout.splitlines()]
    assert None not in events, done.stdout
    return Result(done.returncode, [event for event in events if event is not None], done.stderr)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MR phantom as a scanner would leave it."""
    folder = tmp_path_factory.mktemp("Aufnahmen ü") / "T2 axial"
    volume, _ = make_case("mr", seed=2026, index=0, severity=0.25, size="small")
    write_series(folder, volume, modality="MR")
    return folder


@pytest.fixture(scope="module")
def segmented(series: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Its label map and its DICOM segmentation, made in one go."""
    folder = tmp_path_factory.mktemp("results")
    result = cisfa("segment", series, "--bundle", BUNDLE, "--output", folder / "labels.nrrd", "--dicom-seg")
    assert result.code == 0, result.errors
    assert result.outputs == (str(folder / "labels.nrrd"), str(folder / "labels.dcm"))
    return folder / "labels.nrrd", folder / "labels.dcm"


def series_address(pacs: Orthanc, paths: Sequence[Path]) -> str:
    header = pydicom.dcmread(paths[0], stop_before_pixels=True)
    return f"{pacs.address}/studies/{header.StudyInstanceUID}/series/{header.SeriesInstanceUID}"


def segmentations_in(pacs: Orthanc) -> list[pydicom.Dataset]:
    found = []
    for each in pacs.ask("/series?expand").json():
        if each["MainDicomTags"]["Modality"] == "SEG":
            tags = [pacs.ask(f"/instances/{instance}").json()["MainDicomTags"] for instance in each["Instances"]]
            found += [stored_in(pacs, of_one["SOPInstanceUID"]) for of_one in tags]
    return found


def stored_in(pacs: Orthanc, instance_uid: str) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(pacs.file_of(instance_uid)))


def test_what_is_segmented_is_read_by_others_as_it_was_meant(
    series: Path, segmented: tuple[Path, Path], tmp_path: Path
) -> None:
    labels, seg = read_label_map(segmented[0]), segmented[1]
    assert set(np.unique(labels.voxels)) == {0, *ORGANS.values()}
    assert standard_errors(seg) == []
    assert inconsistencies([*series.iterdir(), seg]) == []

    merged, described = read_with_dcmqi(seg, tmp_path / "dcmqi")
    meant = {each["labelID"]: ORGANS[each["SegmentLabel"]] for each in described}
    np.testing.assert_array_equal(brought_onto(merged, labels.geometry, meant), labels.voxels)
    assert {each["SegmentLabel"]: each["SegmentedPropertyTypeCodeSequence"]["CodeValue"] for each in described} == {
        "liver": "10200004", "right kidney": "64033007", "left kidney": "64033007", "spleen": "78961009",
    }  # fmt: skip
    assert {each["SegmentAlgorithmType"] for each in described} == {"AUTOMATIC"}
    found, _ = read_with_highdicom(seg)
    np.testing.assert_array_equal(brought_onto(found, labels.geometry), labels.voxels)


def test_a_series_is_segmented_as_the_same_volume_in_another_format_is(
    segmented: tuple[Path, Path], tmp_path: Path
) -> None:
    volume, _ = make_case("mr", seed=2026, index=0, severity=0.25, size="small")
    write_volume(volume, tmp_path / "volume.nrrd")
    result = cisfa("segment", tmp_path / "volume.nrrd", "--bundle", BUNDLE, "--output", tmp_path / "labels.nrrd")
    assert result.code == 0, result.errors
    other, ours = read_label_map(tmp_path / "labels.nrrd"), read_label_map(segmented[0])
    np.testing.assert_array_equal(brought_onto(other, ours.geometry), ours.voxels)
    assert (bool(ours.frame_of_reference_uid), other.frame_of_reference_uid) == (True, "")


def test_a_label_map_exported_afterwards_gives_the_same_object(
    series: Path, segmented: tuple[Path, Path], tmp_path: Path
) -> None:
    words = ("export-seg", segmented[0], "--series", series, "--bundle", BUNDLE, "--output", tmp_path / "later.dcm")
    assert main([str(word) for word in words]) == 0
    now, later = (pydicom.dcmread(path) for path in (segmented[1], tmp_path / "later.dcm"))
    assert now.SOPInstanceUID == later.SOPInstanceUID
    assert now.PixelData == later.PixelData


def test_stored_in_a_pacs_it_is_found_and_comes_back_identical(
    orthanc: Orthanc, series: Path, segmented: tuple[Path, Path]
) -> None:
    for target in (orthanc.address, orthanc.node):
        orthanc.forget_everything()
        assert main(["send", *map(str, series.iterdir()), str(segmented[1]), "--to", target]) == 0
        sent = pydicom.dcmread(segmented[1])
        answer = orthanc.ask(f"/dicom-web/studies/{sent.StudyInstanceUID}/series?Modality=SEG").json()
        assert [each["0020000E"]["Value"] for each in answer] == [[sent.SeriesInstanceUID]]
        assert stored_in(orthanc, sent.SOPInstanceUID) == sent


def test_a_series_in_a_pacs_is_segmented_where_it_lies_and_only_once(
    orthanc: Orthanc, series: Path, segmented: tuple[Path, Path], tmp_path: Path
) -> None:
    paths = sorted(series.iterdir())
    assert main(["send", *map(str, paths), "--to", orthanc.address]) == 0
    words = ("segment", series_address(orthanc, paths), "--bundle", BUNDLE)
    first = cisfa(*words)
    assert first.code == 0, first.errors
    assert first.outputs == ()
    (stored,) = segmentations_in(orthanc)
    assert stored.SOPInstanceUID == pydicom.dcmread(segmented[1]).SOPInstanceUID
    assert stored.PixelData == pydicom.dcmread(segmented[1]).PixelData

    again = cisfa(*words, "--output", tmp_path / "kept")
    assert again.code == 0, again.errors
    assert len(segmentations_in(orthanc)) == 1
    assert sorted(path.suffix for path in (tmp_path / "kept").iterdir()) == [".dcm", ".gz"]
    assert any("already" in notice for notice in again.notices)
    assert orthanc.password not in first.errors + again.errors + repr(first.events + again.events)


def test_what_a_segmentation_cannot_refer_to_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--bundle", str(BUNDLE), "--dicom-seg", "--output", str(tmp_path / "out")]
    anonymised = tmp_path / "anonymised"

    def without_uids(dataset: pydicom.Dataset, index: int) -> None:
        dataset.StudyInstanceUID = dataset.FrameOfReferenceUID = ""

    volume, _ = make_case("mr", seed=2026, index=0, severity=0.25, size="small")
    write_series(anonymised, volume, modality="MR", change=without_uids)
    assert main(["segment", str(anonymised), *words]) == USER_CAN_MEND
    captured = capsys.readouterr()
    assert "Study Instance UID" in captured.err
    assert "segmenting" not in captured.err
    write_volume(volume, tmp_path / "volume.nrrd")
    assert main(["segment", str(tmp_path / "volume.nrrd"), *words]) == USER_CAN_MEND
    assert "volume.nrrd is no DICOM series" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_label_maps_keep_the_frame_of_reference_of_their_series(
    segmented: tuple[Path, Path], series: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels: LabelMap = read_label_map(segmented[0])
    other = tmp_path / "another patient"
    volume, _ = make_case("mr", seed=2026, index=0, severity=0.25, size="small")
    write_series(other, volume, modality="MR")
    header = pydicom.dcmread(next(series.iterdir()), stop_before_pixels=True)
    assert labels.frame_of_reference_uid == header.FrameOfReferenceUID
    words = ("export-seg", segmented[0], "--series", other, "--bundle", BUNDLE, "--output", tmp_path / "wrong.dcm")
    assert main([str(word) for word in words]) == USER_CAN_MEND
    assert "frame of reference" in capsys.readouterr().err
    assert not (tmp_path / "wrong.dcm").exists()


def test_a_report_on_a_series_shows_its_slices(series: Path, segmented: tuple[Path, Path], tmp_path: Path) -> None:
    for name, files in (("images", [series]), ("predictions", [segmented[0]]), ("labels", [segmented[0]])):
        (tmp_path / name).mkdir()
        for file in files:
            target = tmp_path / name / ("case" if file.is_dir() else "case.nrrd")
            shutil.copytree(file, target) if file.is_dir() else shutil.copy(file, target)
    words = ["evaluate", "--predictions", str(tmp_path / "predictions"), "--labels", str(tmp_path / "labels")]
    words += ["--images", str(tmp_path / "images"), "--bundle", str(BUNDLE), "--output", str(tmp_path / "report")]
    assert main(words) == 0
    assert list((tmp_path / "report").glob("*.png"))


def test_a_result_that_a_pacs_does_not_take_is_kept_and_can_be_sent_later(
    series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PacsError("THE PACS at 192.0.2.7:104 broke off the connection.")

    monkeypatch.setattr("cisfa.pacs.store.require_storable", lambda *_: None)
    monkeypatch.setattr("cisfa.pacs.store.store_instances", refuse)
    target = "dimse://192.0.2.7:104/THE%20PACS"
    words = ["segment", str(series), "--bundle", str(BUNDLE), "--output", str(tmp_path / "out"), "--store", target]
    assert main(words) == USER_CAN_MEND
    kept = tmp_path / "out" / f"{series.name}.dcm"
    assert standard_errors(kept) == []
    assert f"send it again with: cisfa send '{kept}' --to {target}" in capsys.readouterr().err


def test_an_input_that_is_empty_or_of_another_kind_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for text, complaint in (
        ("", "An input is empty"),
        ("dimse://pacs:104/A", "no address of a series"),
        ("https://pacs/dicom-web/studies/1.2/series/1.3", "dicomweb://"),
        ("nothere", "nothere does not exist"),
    ):
        assert main(["segment", text, "--bundle", str(BUNDLE), "--output", "out"]) == USER_CAN_MEND
        said = capsys.readouterr().err
        assert complaint in said
        assert "loading the model" not in said
