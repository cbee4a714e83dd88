"""``cisfa prepare`` on a command line: exit codes, the summary, and what it says to the program that follows it."""

from pathlib import Path

import numpy as np
import pytest

from cisfa.cli.main import DONE, USER_CAN_MEND, main
from cisfa.events import Finished, Notice, Progress, from_json_line
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_files import read_label_map, write_label_map, write_volume


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """BTCV of a case, a mirrored one, and one without labels."""
    grid = Geometry.from_axes((4, 12, 20), spacing_mm=(8.0, 9.0, 7.0))
    mirrored = Geometry.from_axes((4, 12, 20), spacing_mm=(8.0, 9.0, 7.0), axes_lps=((0, 0, 1), (0, 1, 0), (-1, 0, 0)))
    labels = np.zeros(grid.shape, np.uint8)
    labels[:, 8:10, 3:6], labels[:, 8:10, 14:17] = 2, 3
    rng = np.random.default_rng(0)
    for number, where in ((1, grid), (2, mirrored), (3, grid)):
        volume = Volume(rng.integers(-100, 200, grid.shape).astype(np.int16), where)
        write_volume(volume, tmp_path / "raw" / "img" / f"img000{number}.nii.gz")
        if number < 3:
            write_label_map(LabelMap(labels, where), tmp_path / "raw" / "label" / f"label000{number}.nii.gz")
    return tmp_path / "raw"


def test_the_summary_counts_what_was_kept_and_each_reason(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", "btcv", str(raw), str(tmp_path / "ct"), "--organs", "left kidney, right kidney"]) == DONE
    said = capsys.readouterr().err
    assert "Kept 1 of 3 cases." in said
    assert "Left out 1: it has no label map (btcv_0003: " in said
    assert "Left out 1: the organs lie mirrored or turned (btcv_0002: the right kidney should lie to the right" in said
    assert f"Wrote {tmp_path / 'ct'}" in said
    values = np.unique(read_label_map(tmp_path / "ct" / "labels" / "btcv_0001.nii.gz").voxels)
    assert values.tolist() == [0, 1, 2]


def test_a_program_can_follow_it(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["prepare", "btcv", str(raw), str(tmp_path / "ct"), "--unlabelled", "--events"]
    assert main(words) == DONE
    events = [from_json_line(line) for line in capsys.readouterr().out.splitlines()]
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == [0.0, 1 / 3, 2 / 3, 1.0]
    assert any(isinstance(event, Notice) and event.message.startswith("Kept 2 of 3") for event in events)
    assert events[-1] == Finished((str(tmp_path / "ct"), str(tmp_path / "ct" / "unlabelled")))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "abdomen"], "is not COLUMN=TEXT"),
        (["--around-organs", "-3"], "--around-organs is -3"),
        (["--organs", "wing"], "has no organ wing"),
        (["--sequence", "t2spir"], "--sequence makes no sense"),
    ],
)
def test_what_makes_no_sense_is_said_and_nothing_written(
    words: list[str], said: str, raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", "btcv", str(raw), str(tmp_path / "ct"), *words]) == USER_CAN_MEND
    assert said in capsys.readouterr().err
    assert not (tmp_path / "ct").exists()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "chaos", str(tmp_path / "nowhere"), str(tmp_path / "mr")]) == USER_CAN_MEND
    assert "nowhere is no folder" in capsys.readouterr().err
