"""``cisfa phantom`` writes folders that training reads, and never over anything unasked."""

import json
from pathlib import Path

import numpy as np
import pytest

from cisfa.cli import phantom
from cisfa.cli.main import DONE, USER_CAN_MEND, main
from cisfa.events import Event, Finished, Progress
from cisfa.imaging.organs import organs_of_dataset_json
from cisfa.imaging.volume_files import read_label_map, read_volume
from cisfa.phantom.case import make_case

SMALL = ("--size", "small", "--cases", "1")


def make(folder: Path, *options: str) -> int:
    return main(["phantom", str(folder), *SMALL, *options])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_one_domain_is_written_to_the_folder_itself(tmp_path: Path) -> None:
    assert make(tmp_path / "mr", "--domain", "mr", "--cases", "2") == DONE
    assert sorted(contents(tmp_path / "mr")) == [
        "dataset.json",
        str(Path("images", "phantom_mr_000.nii.gz")),
        str(Path("images", "phantom_mr_001.nii.gz")),
        str(Path("labels", "phantom_mr_000.nii.gz")),
        str(Path("labels", "phantom_mr_001.nii.gz")),
    ]


def test_both_domains_get_a_folder_each_with_names_of_their_own(tmp_path: Path) -> None:
    assert make(tmp_path) == DONE
    names = {domain: {path.name for path in (tmp_path / domain).rglob("*.gz")} for domain in ("ct", "mr")}
    assert names == {"ct": {"phantom_ct_000.nii.gz"}, "mr": {"phantom_mr_000.nii.gz"}}


@pytest.mark.parametrize("domain", ["ct", "mr"])
def test_files_read_back_as_the_case_that_was_made(tmp_path: Path, domain: str) -> None:
    make(tmp_path, "--domain", domain, "--seed", "3", "--severity", "0.2")
    name = f"phantom_{domain}_000.nii.gz"
    volume, labels = read_volume(tmp_path / "images" / name), read_label_map(tmp_path / "labels" / name)
    made, made_labels = make_case(domain, seed=3, index=0, severity=0.2, size="small")  # type: ignore[arg-type]
    assert volume.geometry.is_same_grid(labels.geometry)
    assert volume.geometry.is_same_grid(made.geometry)
    np.testing.assert_array_equal(volume.voxels, made.voxels)
    np.testing.assert_array_equal(labels.voxels, made_labels.voxels)
    assert volume.voxels.dtype == np.int16


def test_the_labels_meanings_are_written_beside_them(tmp_path: Path) -> None:
    make(tmp_path, "--domain", "ct")
    organs = organs_of_dataset_json(tmp_path / "dataset.json")
    assert {organ.name: organ.label for organ in organs} == {
        "liver": 1,
        "right kidney": 2,
        "left kidney": 3,
        "spleen": 4,
    }
    values = json.loads((tmp_path / "dataset.json").read_text(encoding="utf-8"))
    assert values["labels"]["background"] == 0
    assert values["numTraining"] == 1


def test_a_case_does_not_depend_on_how_many_are_made(tmp_path: Path) -> None:
    make(tmp_path / "one", "--domain", "ct")
    make(tmp_path / "two", "--domain", "ct", "--cases", "2")
    first = Path("images", "phantom_ct_000.nii.gz")
    np.testing.assert_array_equal(
        read_volume(tmp_path / "one" / first).voxels, read_volume(tmp_path / "two" / first).voxels
    )


def test_nothing_is_overwritten_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, "--domain", "ct")
    before = contents(tmp_path)
    assert make(tmp_path, "--domain", "ct", "--seed", "9") == USER_CAN_MEND
    message = capsys.readouterr().err
    assert str(tmp_path) in message
    assert "--overwrite" in message
    assert contents(tmp_path) == before


def test_when_one_of_two_folders_is_taken_neither_is_touched(tmp_path: Path) -> None:
    make(tmp_path / "mr", "--domain", "mr")
    before = contents(tmp_path)
    assert make(tmp_path) == USER_CAN_MEND
    assert contents(tmp_path) == before


def test_overwriting_leaves_no_case_of_before(tmp_path: Path) -> None:
    make(tmp_path, "--domain", "ct", "--cases", "2")
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    assert make(tmp_path, "--domain", "ct", "--seed", "9", "--overwrite") == DONE
    assert sorted(path.name for path in tmp_path.rglob("*.gz")) == ["phantom_ct_000.nii.gz"] * 2
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_phantoms_are_never_mixed_with_other_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    patient = tmp_path / "images" / "patient.nii.gz"
    patient.parent.mkdir()
    patient.write_bytes(b"a patient")
    assert make(tmp_path, "--domain", "ct", "--overwrite") == USER_CAN_MEND
    assert "patient.nii.gz" in capsys.readouterr().err
    assert contents(tmp_path) == {str(Path("images", "patient.nii.gz")): b"a patient"}


def test_a_file_in_the_folders_place_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    assert make(tmp_path / "taken", "--domain", "ct") == USER_CAN_MEND
    assert "taken is a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--cases", "0"), ("--seed", "-1"), ("--severity", "1.5"), ("--severity", "nan")],
)
def test_a_number_out_of_range_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    assert make(tmp_path / "out", option, value) == USER_CAN_MEND
    assert f"{option} is {value}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_progress_grows_to_its_end_and_the_folders_are_reported(tmp_path: Path) -> None:
    import argparse

    parser = argparse.ArgumentParser()
    phantom.add_arguments(parser)
    events: list[Event] = []
    phantom.run(parser.parse_args([str(tmp_path), *SMALL]), events.append)
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == [0.0, 0.5, 1.0]
    assert events[-1] == Finished((str(tmp_path / "ct"), str(tmp_path / "mr")))
