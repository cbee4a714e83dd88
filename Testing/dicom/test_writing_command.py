"""``cisfa export-seg``, as a child process once and else as the function that it calls."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

import cisfa
from cisfa.bundle.bundle_folder import open_bundle, write_bundle
from cisfa.bundle.manifest import Domain, Manifest, SegmenterSpec, TrainingSummary
from cisfa.cli.main import main
from cisfa.config import PreprocessingConfig
from cisfa.dicom.segment_list import DescribedSegment, SegmentList, write_segment_list
from cisfa.events import Finished, Progress, from_json_line
from cisfa.imaging.volume import LabelMap
from cisfa.imaging.volume_files import write_label_map
from segmented_phantom import ALGORITHM, ORGANS, SegmentedSeries, segmented_series
from validators import brought_onto, read_with_dcmqi

LABELS = {number: organ.label for number, organ in enumerate(ORGANS, 1)}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle whose weights are none: an export looks at its manifest alone."""
    import safetensors.numpy

    summary = TrainingSummary(
        steps=1, epochs=1, seed=7, batch_size=1, source_cases=1, target_cases=1, minutes=0.1, hardware="a CPU"
    )
    manifest = Manifest(
        name="CISFA Bündel", version="1.0", description="Segments nothing.", created="2026-01-31T12:00:00Z",
        organs=ORGANS, source=Domain(name="phantom MR", modality="MR", cases=1),
        target=Domain(name="phantom CT", modality="CT", cases=1), preprocessing=PreprocessingConfig(size=32),
        segmenter=SegmenterSpec(width=2, classes=len(ORGANS) + 1), method="cisfa", training=summary,
        licence="CC0-1.0", versions={},
    )  # fmt: skip
    weights = safetensors.numpy.save({"nothing": np.zeros(1, np.float32)})
    return write_bundle(manifest, weights, tmp_path / "bundle.zip")


@pytest.fixture
def case(tmp_path: Path) -> SegmentedSeries:
    return segmented_series(tmp_path / "Bilder von Jürgen" / "CT 1", position="oblique")


@pytest.fixture
def labels(tmp_path: Path, case: SegmentedSeries) -> Path:
    path = tmp_path / "Bilder von Jürgen" / "Organe (größte).nii.gz"
    write_label_map(case.label_map, path)
    return path


def words_of(labels: Path, case: SegmentedSeries, bundle: Path, output: Path) -> list[str]:
    return [
        "export-seg", str(labels), "--series", str(case.folder), "--bundle", str(bundle), "--output", str(output)
    ]  # fmt: skip


def test_the_command_writes_a_segmentation_and_says_how_far_it_is(
    tmp_path: Path, case: SegmentedSeries, labels: Path, bundle: Path
) -> None:
    output = tmp_path / "neuer Ordner" / "Organe größte.dcm"
    command = [sys.executable, "-W", "error", "-m", "cisfa", *words_of(labels, case, bundle, output), "--events"]
    environment = {**os.environ, "PYTHONPATH": str(Path(cisfa.__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    events = [from_json_line(line) for line in done.stdout.splitlines()]
    assert events[-1] == Finished((str(output),))
    stages = [(event.stage, event.fraction) for event in events if isinstance(event, Progress)]
    assert stages == sorted(stages)
    assert stages[-1] == ("writing", 1.0)
    made = pydicom.dcmread(output)
    assert made.DeviceSerialNumber == open_bundle(bundle).checksum
    assert {item.SegmentAlgorithmType for item in made.SegmentSequence} == {"AUTOMATIC"}
    assert {item.SegmentAlgorithmName for item in made.SegmentSequence} == {"CISFA Bündel"}
    merged, _ = read_with_dcmqi(output, tmp_path / "dcmqi")
    np.testing.assert_array_equal(brought_onto(merged, case.label_map.geometry, LABELS), case.label_map.voxels)


def test_an_edited_label_map_is_semiautomatic(
    tmp_path: Path, case: SegmentedSeries, labels: Path, bundle: Path
) -> None:
    output = tmp_path / "seg.dcm"
    words = words_of(labels, case, bundle, output)
    assert main([*words, "--edited", "--kind", "labelmap"]) == 0
    made = pydicom.dcmread(output)
    assert {item.SegmentAlgorithmType for item in made.SegmentSequence} == {"SEMIAUTOMATIC"}
    assert made.SegmentationType == "LABELMAP"
    assert main([*words, "--overwrite"]) == 0
    assert pydicom.dcmread(output).SegmentationType == "BINARY"


def test_lists_of_segments_and_files_take_the_place_of_bundle_and_folder(
    tmp_path: Path, case: SegmentedSeries, labels: Path
) -> None:
    segments = (
        DescribedSegment(ORGANS[0], "MANUAL"),
        *(DescribedSegment(organ, "AUTOMATIC") for organ in ORGANS[1:]),
    )
    write_segment_list(SegmentList(segments, ALGORITHM), tmp_path / "segments.json")
    files = tmp_path / "files.txt"
    files.write_text("\r\n".join(map(str, reversed(case.paths))) + "\r\n\r\n", encoding="utf-8-sig", newline="")
    output = tmp_path / "seg.dcm"
    words = ["export-seg", str(labels), "--series-files", str(files), "--segments", str(tmp_path / "segments.json")]
    assert main([*words, "--output", str(output)]) == 0
    types = [item.SegmentAlgorithmType for item in pydicom.dcmread(output).SegmentSequence]
    assert types == ["MANUAL", *["AUTOMATIC"] * 4]


def test_what_makes_no_sense_is_refused_in_a_sentence(
    tmp_path: Path, case: SegmentedSeries, labels: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty, binary, segments, output = (tmp_path / name for name in ("empty.txt", "b.txt", "s.json", "seg.dcm"))
    empty.write_text("\n", encoding="utf-8")
    binary.write_bytes(b"\xff\xfe\xfa")
    write_segment_list(SegmentList((DescribedSegment(ORGANS[0], "MANUAL"),)), segments)
    there = tmp_path / "there.dcm"
    there.touch()
    series, meaning, to = ["--series", str(case.folder)], ["--bundle", str(bundle)], ["--output", str(output)]
    refused = {
        "ends in .dcm": [str(labels), *series, *meaning, "--output", str(tmp_path / "seg.nrrd")],
        "is a folder": [str(labels), *series, *meaning, "--output", str(_folder(tmp_path / "folder.dcm"))],
        "exists already": [str(labels), *series, *meaning, "--output", str(there)],
        "is an image of the series itself": [
            str(labels), *series, *meaning, "--output", str(case.paths[0]), "--overwrite"
        ],
        "goes with --bundle": [str(labels), *series, "--segments", str(segments), *to, "--edited"],
        "lists no files": [str(labels), "--series-files", str(empty), *meaning, *to],
        "is no list of the series' files": [str(labels), "--series-files", str(binary), *meaning, *to],
        "holds the labels 4, 5, 7": [str(labels), *series, "--segments", str(segments), *to],
        "not a volume": [str(segments), *series, *meaning, *to],
        "no model bundle": [str(labels), *series, "--bundle", str(case.folder), *to],
        "does not exist": [str(labels), "--series", str(tmp_path / "nowhere"), *meaning, *to],
        "required": [str(labels), *meaning, *to],
        "not allowed with": [str(labels), *series, *meaning, "--segments", str(segments), *to],
    }  # fmt: skip
    for text, words in refused.items():
        assert main(["export-seg", *words]) == 2
        assert text in capsys.readouterr().err
    assert not output.exists()
    assert there.stat().st_size == 0


def test_voxels_that_are_no_labels_are_refused(
    tmp_path: Path, case: SegmentedSeries, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from cisfa.imaging.volume import Volume
    from cisfa.imaging.volume_files import write_volume

    path = tmp_path / "probabilities.nrrd"
    geometry = case.label_map.geometry
    write_volume(Volume(np.full(geometry.shape, 0.5, np.float32), geometry), path)
    assert main(words_of(path, case, bundle, tmp_path / "seg.dcm")) == 2
    assert "is no label map: it holds the value 0.5" in capsys.readouterr().err


def test_a_label_map_that_knows_its_frame_of_reference_keeps_to_it(
    tmp_path: Path, case: SegmentedSeries, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for suffix in (".nrrd", ".nii.gz", ".mha"):
        path, output = tmp_path / f"labels{suffix}", tmp_path / f"{suffix[1:]}.dcm"
        label_map = case.label_map
        own = case.series.facts.frame_of_reference_uid
        write_label_map(LabelMap(label_map.voxels, label_map.geometry, frame_of_reference_uid=own), path)
        assert main(words_of(path, case, bundle, output)) == 0
        write_label_map(LabelMap(label_map.voxels, label_map.geometry, frame_of_reference_uid="1.2.3"), path)
        assert main([*words_of(path, case, bundle, output), "--overwrite"]) == 2
        assert "belongs to another frame of reference (1.2.3)" in capsys.readouterr().err


def test_a_missing_library_is_named(
    tmp_path: Path,
    case: SegmentedSeries,
    labels: Path,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(words_of(labels, case, bundle, tmp_path / "seg.dcm")) == 2
    assert "needs highdicom, which is not installed: pip install highdicom" in capsys.readouterr().err


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
