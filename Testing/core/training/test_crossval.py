"""Cross-validation over disjoint folds, from folders of cases to the report."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from cisfa.cases.case_folder import CaseFiles
from cisfa.cli.main import main
from cisfa.errors import ConfigError
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_files import write_label_map, write_volume
from cisfa.runs.run_json import read_run_config
from cisfa.training.part_result import read_result
from cisfa.training.study import folds_of

SHAPE = (5, 36, 44)
TINY = [
    "preprocessing.size=32",
    "networks.generator_width=2",
    "networks.generator_blocks=1",
    "networks.segmenter_width=2",
    "networks.discriminator_width=2",
    "schedule.steps=2",
    "patch_contrast.patches=16",
]


def cases(count: int) -> list[CaseFiles]:
    return [CaseFiles(f"case_{number:02d}", Path(f"case_{number:02d}.nii.gz"), None) for number in range(count)]


def write_domain(folder: Path, prefix: str, *, count: int, seed: int) -> Path:
    """Bright organ blobs in a noisy body, each patient different; CT-like when the prefix says so."""
    rng = np.random.default_rng(seed)
    geometry = Geometry.from_axes(SHAPE, spacing_mm=(6.0, 2.0, 1.5))
    for number in range(count):
        voxels = rng.normal(0, 20, SHAPE)
        labels = np.zeros(SHAPE, dtype=np.uint8)
        corner = rng.integers(8, 14, size=2)
        for label in range(1, 5):
            row, column = corner[0] + (label - 1) // 2 * 10, corner[1] + (label - 1) % 2 * 12
            labels[1:4, row : row + 6, column : column + 8] = label
            voxels[1:4, row : row + 6, column : column + 8] += 30 * label
        air = -1000 if prefix == "ct" else -100
        voxels[:, :4], voxels[:, -4:] = air, air
        voxels = voxels if prefix == "ct" else voxels + 100
        write_volume(Volume(voxels.astype(np.int16), geometry), folder / "images" / f"{prefix}_{number}.nii.gz")
        write_label_map(LabelMap(labels, geometry), folder / "labels" / f"{prefix}_{number}.nii.gz")
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished cross-validation of two methods in two folds."""
    folder = tmp_path_factory.mktemp("étude croisée")
    write_domain(folder / "ct", "ct", count=2, seed=1)
    write_domain(folder / "mr", "mr", count=3, seed=2)
    assert main(arguments(folder)) == 0
    return folder


def arguments(folder: Path, *more: str) -> list[str]:
    settings = [word for setting in TINY for word in ("--set", setting)]
    return [
        *("crossval", "--source", str(folder / "ct"), "--target", str(folder / "mr"), "--run", str(folder / "study")),
        *("--folds", "2", "--methods", "source-only,supervised", "--device", "cpu", *settings, *more),
    ]


@pytest.mark.parametrize(("count", "folds"), [(15, 4), (4, 4), (7, 2)])
def test_folds_are_disjoint_complete_and_of_nearly_equal_size(count: int, folds: int) -> None:
    shared_out = folds_of(cases(count), folds, seed=3)
    names = [case.name for fold in shared_out for case in fold]
    assert sorted(names) == [case.name for case in cases(count)]
    sizes = [len(fold) for fold in shared_out]
    assert max(sizes) - min(sizes) <= 1


def test_folds_depend_on_the_seed_alone() -> None:
    assert folds_of(cases(9), 3, seed=1) == folds_of(cases(9), 3, seed=1)
    assert folds_of(cases(9), 3, seed=1) != folds_of(cases(9), 3, seed=2)


@pytest.mark.parametrize("folds", [1, 5])
def test_an_impossible_number_of_folds_is_refused(folds: int) -> None:
    with pytest.raises(ConfigError, match="--folds"):
        folds_of(cases(4), folds, seed=0)


def test_every_target_case_is_scored_once_by_every_method(study: Path) -> None:
    with (study / "study" / "report" / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    scored = {(row["method"], row["case"]) for row in rows}
    assert scored == {(method, f"mr_{case}") for method in ("source-only", "supervised") for case in range(3)}
    assert len(rows) == 2 * 3 * 4  # methods, cases, organs


def test_no_case_is_segmented_by_a_model_that_learned_from_it(study: Path) -> None:
    fold_folders = sorted((study / "study").glob("fold-*/supervised"))
    assert len(fold_folders) == 2
    held_out = [{path.name for path in (fold / "predictions").iterdir()} for fold in fold_folders]
    learned = [json.loads((fold / "run" / "data.json").read_text(encoding="utf-8")) for fold in fold_folders]
    assert held_out[0].isdisjoint(held_out[1])
    for names, data in zip(held_out, learned, strict=True):
        assert len(data["source_fingerprints"]) == 3 - len(names)
    assert set(learned[0]["source_fingerprints"]).isdisjoint(learned[1]["source_fingerprints"])


def test_the_mean_dice_of_each_fold_is_written(study: Path) -> None:
    rows = json.loads((study / "study" / "report" / "summary.json").read_text(encoding="utf-8"))["rows"]
    assert [row["row"] for row in rows] == ["source-only", "supervised"]
    for row in rows:
        over_organs = row["dice"]["mean over organs"]
        assert len(over_organs["folds"]) == 2
        assert over_organs["folds_mean"] == pytest.approx(np.mean(over_organs["folds"]), abs=1e-5)
        assert over_organs["folds_sd"] == pytest.approx(np.std(over_organs["folds"], ddof=1), abs=1e-5)


def test_every_training_leaves_its_result(study: Path) -> None:
    results = [read_result(path) for path in sorted((study / "study").glob("fold-*/*/result.json"))]
    parts = [(result.fold, result.row, result.steps, result.chosen_step) for result in results]
    assert parts == [(fold, row, 2, 2) for fold in (1, 2) for row in ("source-only", "supervised")]
    assert all(result.minutes and result.hardware for result in results)
    assert [result.config for result in results] == [
        read_run_config(path.parent) for path in sorted((study / "study").glob("fold-*/*/run/config.json"))
    ]


def test_a_finished_study_is_not_trained_again_when_resumed(study: Path) -> None:
    checkpoints = {path: path.stat().st_mtime_ns for path in study.glob("study/fold-*/*/run/checkpoints/*.pt")}
    assert len(checkpoints) == 4
    assert main(arguments(study, "--resume")) == 0
    assert {path: path.stat().st_mtime_ns for path in study.glob("study/fold-*/*/run/checkpoints/*.pt")} == checkpoints


def test_a_folder_in_use_is_not_written_without_being_told(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(study)) == 2
    assert "--resume" in capsys.readouterr().err


def test_an_unknown_method_is_refused_before_anything_is_trained(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(study, "--methods", "cyclegan", "--run", str(tmp_path / "new"))) == 2
    assert "cyclegan" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_supervised_reads_the_targets_cases_as_the_targets_modality(tmp_path: Path) -> None:
    write_domain(tmp_path / "ct", "ct", count=2, seed=1)
    write_domain(tmp_path / "mr", "mr", count=2, seed=2)
    modalities = ("--set", "source_modality=CT", "--set", "target_modality=MR")
    assert main(arguments(tmp_path, "--methods", "supervised", *modalities)) == 0
    data = json.loads((tmp_path / "study" / "fold-1" / "supervised" / "run" / "data.json").read_text(encoding="utf-8"))
    assert data["source_modality"] == data["target_modality"] == "MR"


def test_rows_are_trained_apart_with_their_own_settings_and_seeds(tmp_path: Path) -> None:
    write_domain(tmp_path / "ct", "ct", count=2, seed=1)
    write_domain(tmp_path / "mr", "mr", count=2, seed=2)
    rows = tmp_path / "rows.json"
    entries = [
        {"name": "floor", "method": "source-only"},
        {"name": "floor, γ", "method": "source-only", "set": ["augmentation.gamma=0.5"]},
    ]
    rows.write_text(json.dumps({"rows": entries}), encoding="utf-8")
    words = [word for word in arguments(tmp_path) if word not in ("--methods", "source-only,supervised")]
    words += ["--rows", str(rows), "--seeds", "3", "--fold", "2"]
    assert main([*words, "--only", "floor"]) == 0
    assert main([*words, "--resume"]) == 0
    runs = sorted((tmp_path / "study").glob("fold-*/*/seed-3/run/config.json"))
    configs = [json.loads(path.read_text(encoding="utf-8")) for path in runs]
    assert [path.relative_to(tmp_path / "study").parts[0] for path in runs] == ["fold-2", "fold-2"]
    assert [(config["seed"], config["augmentation"]["gamma"]) for config in configs] == [(3, 0.0), (3, 0.5)]
    summary = json.loads((tmp_path / "study" / "report-fold-2" / "summary.json").read_text(encoding="utf-8"))
    assert [(row["row"], row["steps"], row["cases"]) for row in summary["rows"]] == [
        ("floor", [2], 1),
        ("floor, γ", [2], 1),
    ]
    assert all(row["minutes"]["mean"] > 0 and row["hardware"] for row in summary["rows"])
