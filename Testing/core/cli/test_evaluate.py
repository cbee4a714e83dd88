import argparse
import csv
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from cisfa.bundle.bundle_folder import write_bundle
from cisfa.bundle.manifest import Domain, Manifest, SegmenterSpec, TrainingSummary
from cisfa.cli import evaluate
from cisfa.config import PreprocessingConfig
from cisfa.errors import CaseError, CisfaError, ConfigError, GeometryError
from cisfa.events import Event, Finished, Notice, Progress
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.organs import parse_organs
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_files import write_label_map, write_volume

AXES = np.linalg.qr(np.array([[0.05, 0.1, 1.0], [-0.1, 1.0, 0.05], [1.0, 0.08, -0.06]]))[0]
GEOMETRY = Geometry.from_axes((5, 14, 11), spacing_mm=(6.0, 1.25, 1.25), origin_lps_mm=(-60, 20, 90), axes_lps=AXES)
CASES = ("Zoë 1", "mr_02", "mr_03")
ORGANS = "1=liver,3=spleen"


def label_map(shift: int = 0, *, extra: int = 0, geometry: Geometry = GEOMETRY) -> LabelMap:
    voxels = np.zeros(geometry.shape, np.uint8)
    voxels[1:4, 2 + shift : 6 + shift, 3:8] = 1
    voxels[2, 11:13, 2:6] = 3
    voxels[0, 0, 0] = extra
    return LabelMap(voxels, geometry)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder with labels, images and the predictions of two models."""
    folder = tmp_path / "Étude à froid"
    noise = np.random.default_rng(0).normal(100, 20, GEOMETRY.shape).astype(np.float32)
    for number, case in enumerate(CASES):
        write_label_map(label_map(), folder / "labels" / f"{case}.nii.gz")
        write_label_map(label_map(number % 2), folder / "cisfa" / f"{case}.nii.gz")
        write_label_map(label_map(1 + number % 2), folder / "source only" / f"{case}.nrrd")
        write_volume(Volume(noise, GEOMETRY), folder / "images" / f"{case}_0000.nii.gz")
    return folder


def run(
    study: Path, *words: str, predictions: str = "cisfa", labels: str = "labels", output: str = "out"
) -> list[Event]:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", action="store_true")
    evaluate.add_arguments(parser)
    events: list[Event] = []
    folders = [
        f"--{name}={study / folder}"
        for name, folder in (("predictions", predictions), ("labels", labels), ("output", output))
    ]
    evaluate.run(parser.parse_args([*folders, *words]), events.append)
    return events


def rows(study: Path) -> list[dict[str, str]]:
    with (study / "out" / "scores.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_predictions_are_scored_reported_and_shown(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = run(study, "--organs", ORGANS, f"--images={study / 'images'}")
    written = ["scores.csv", "summary.json", "report.md", "contours.png"]
    assert events[-1] == Finished(tuple(str(study / "out" / name) for name in written))
    assert all((study / "out" / name).stat().st_size for name in written)
    assert not [event for event in events if isinstance(event, Notice)]
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == pytest.approx([0, 1 / 3, 2 / 3, 1])
    by_case = {(row["case"], row["organ"]): float(row["dice"]) for row in rows(study)}
    assert by_case == pytest.approx({(case, organ): 0.75 if (case, organ) == ("mr_02", "liver") else 1.0
                                     for case in CASES for organ in ("liver", "spleen")})  # fmt: skip
    shown = capsys.readouterr().out
    assert "Dice %, all slices" in shown
    assert "| liver            | 91.7 ± 14.4" in shown


def test_nothing_but_events_is_printed_when_events_are_wanted(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(study, "--organs", ORGANS, "--events")
    assert capsys.readouterr().out == ""


def test_a_second_model_is_tested_against(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(study, "--organs", ORGANS, f"--against={study / 'source only'}")
    summary = json.loads((study / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["reference"] == "source only"
    assert [method["method"] for method in summary["methods"]] == ["cisfa", "source only"]
    test = summary["methods"][0]["against_reference"]["dice"]["liver"]
    assert test["n"] == 3
    assert test["mean_difference"] == pytest.approx(0.25)
    assert "source only:\n" in capsys.readouterr().out


def test_models_in_folders_of_one_name_are_told_apart(study: Path) -> None:
    (study / "other").mkdir()
    (study / "source only").rename(study / "other" / "cisfa")
    run(study, "--organs", ORGANS, f"--against={study / 'other' / 'cisfa'}")
    assert {row["method"] for row in rows(study)} == {"predictions", "against"}


def test_a_model_is_not_tested_against_itself(study: Path) -> None:
    with pytest.raises(ConfigError, match="are one folder"):
        run(study, "--organs", ORGANS, f"--against={study / 'cisfa'}")


def test_without_names_every_value_found_is_an_organ(study: Path) -> None:
    run(study)
    assert [row["organ"] for row in rows(study)[:2]] == ["label 1", "label 3"]


def test_a_data_sets_description_names_the_organs(study: Path) -> None:
    labels = {"labels": {"background": 0, "Liver": 1, "spleen": 3}}
    (study / "dataset.json").write_text(json.dumps(labels), encoding="utf-8")
    run(study)
    assert [row["organ"] for row in rows(study)[:2]] == ["liver", "spleen"]


def test_a_bundle_names_the_organs(study: Path) -> None:
    domain = Domain(name="abdominal CT", modality="CT", cases=2)
    training = TrainingSummary(
        steps=1, epochs=1, seed=0, batch_size=1, source_cases=2, target_cases=2, minutes=1.0, hardware="CPU"
    )
    manifest = Manifest(
        name="toy",
        version="1",
        description="",
        created="2026-01-31T12:00:00Z",
        organs=parse_organs("1=liver,3=my organ"),
        source=domain,
        target=domain,
        preprocessing=PreprocessingConfig(),
        segmenter=SegmenterSpec(width=1, classes=3),
        method="toy",
        training=training,
        licence="Apache-2.0",
        versions={},
    )
    bundle = write_bundle(manifest, save({"weight": np.zeros(1, np.float32)}), study / "bündle.zip")
    run(study, f"--bundle={bundle}")
    assert [row["organ"] for row in rows(study)[:2]] == ["liver", "my organ"]


def test_a_bundle_and_names_at_once_are_refused(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(study, "--organs", ORGANS, f"--bundle={study}")
    assert "not allowed with" in capsys.readouterr().err


def test_labels_without_any_organ_are_refused(study: Path) -> None:
    write_label_map(LabelMap(np.zeros(GEOMETRY.shape, np.uint8), GEOMETRY), study / "blank" / "mr_02.nii.gz")
    with pytest.raises(CaseError, match="background alone"):
        run(study, labels="blank")


def test_labels_without_a_prediction_are_all_named(study: Path) -> None:
    (study / "cisfa" / "mr_02.nii.gz").unlink()
    (study / "cisfa" / "Zoë 1.nii.gz").unlink()
    with pytest.raises(CaseError, match=r"2 of 3 cases: Zoë 1, mr_02|2 of 3 cases: mr_02, Zoë 1"):
        run(study, "--organs", ORGANS)
    assert not (study / "out").exists()


def test_a_prediction_without_a_label_is_a_notice(study: Path) -> None:
    write_label_map(label_map(), study / "cisfa" / "mr_99.nii.gz")
    notices = [event.message for event in run(study, "--organs", ORGANS) if isinstance(event, Notice)]
    assert len(notices) == 1
    assert "mr_99.nii.gz" in notices[0]
    assert {row["case"] for row in rows(study)} == set(CASES)


def test_a_prediction_on_another_grid_is_an_error_that_names_both_files(study: Path) -> None:
    write_label_map(label_map(geometry=GEOMETRY.flipped(0)), study / "cisfa" / "mr_02.nii.gz")
    with pytest.raises(GeometryError, match=r"prediction mr_02\.nii\.gz and the label map mr_02\.nii\.gz"):
        run(study, "--organs", ORGANS)


@pytest.mark.parametrize(("folder", "what"), [("cisfa", "prediction"), ("labels", "label map")])
def test_a_value_that_is_no_organs_is_named(study: Path, folder: str, what: str) -> None:
    write_label_map(label_map(extra=9), study / folder / "mr_03.nii.gz")
    with pytest.raises(CaseError, match=rf"The {what} mr_03\.nii\.gz holds the value 9"):
        run(study, "--organs", ORGANS)


def test_a_damaged_prediction_is_named(study: Path) -> None:
    (study / "cisfa" / "mr_03.nii.gz").write_bytes(b"\x1f\x8b not really")
    with pytest.raises(CisfaError, match=r"mr_03\.nii\.gz"):
        run(study, "--organs", ORGANS)


def test_an_unusable_image_costs_the_background_alone(study: Path) -> None:
    (study / "images" / "mr_02_0000.nii.gz").unlink()
    write_volume(
        Volume(np.zeros((3, 4, 5), np.float32), Geometry.from_axes((3, 4, 5))), study / "images" / "mr_03.nii.gz"
    )
    events = run(study, "--organs", ORGANS, f"--images={study / 'images'}")
    notices = [event.message for event in events if isinstance(event, Notice)]
    assert any("no image for mr_02" in notice for notice in notices)
    assert any("mr_03.nii.gz" in notice and "drawn on black" in notice for notice in notices)
    assert (study / "out" / "contours.png").is_file()


def test_a_folder_in_use_is_not_overwritten_unless_allowed(study: Path) -> None:
    run(study, "--organs", ORGANS)
    with pytest.raises(ConfigError, match="is not empty"):
        run(study, "--organs", ORGANS, predictions="source only")
    assert {row["method"] for row in rows(study)} == {"cisfa"}
    run(study, "--organs", ORGANS, "--overwrite", predictions="source only")
    assert {row["method"] for row in rows(study)} == {"source only"}
