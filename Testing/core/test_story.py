"""The product as its users meet it: phantoms, an adaptation, a bundle, a segmentation, a score."""

import json
from pathlib import Path

import pytest

from cisfa.bundle.bundle_folder import open_bundle
from cisfa.cli.main import main
from cisfa.imaging.volume_files import read_label_map, read_volume

DEMO_BUNDLE = Path(__file__).parents[2] / "CISFASegmentation" / "Resources" / "CISFASegmentationDemoBundle.zip"
TINY = (
    *("preprocessing.size=48", "networks.generator_width=4", "networks.generator_blocks=1"),
    *("networks.segmenter_width=4", "networks.discriminator_width=4", "schedule.steps=4", "patch_contrast.patches=32"),
)


def cisfa(*words: object) -> int:
    return main([str(word) for word in words])


def test_from_annotated_ct_to_a_scored_segmentation_of_mr(tmp_path: Path) -> None:
    cases, run, bundle = tmp_path / "cas d'école", tmp_path / "run", tmp_path / "model.zip"
    assert cisfa("phantom", cases, "--domain", "both", "--cases", 2, "--seed", 3, "--size", "small") == 0
    settings = [word for setting in TINY for word in ("--set", setting)]
    trained = ("train", "--source", cases / "ct", "--target", cases / "mr", "--run", run, "--device", "cpu")
    assert cisfa(*trained, *settings) == 0
    assert cisfa("bundle", "make", run, "--output", bundle) == 0
    volumes, predictions = cases / "mr" / "images", tmp_path / "predictions"
    assert cisfa("segment", volumes, "--bundle", bundle, "--output", predictions, "--device", "cpu") == 0
    volume = next(iter(sorted(volumes.iterdir())))
    assert read_label_map(predictions / volume.name).geometry.is_same_grid(read_volume(volume).geometry)
    scored = ("evaluate", "--predictions", predictions, "--labels", cases / "mr" / "labels", "--images", volumes)
    assert cisfa(*scored, "--bundle", bundle, "--output", tmp_path / "report") == 0
    summary = json.loads((tmp_path / "report" / "summary.json").read_text(encoding="utf-8"))
    organs = [row["organ"] for row in summary["methods"][0]["summary"]]
    assert organs[:4] == ["liver", "right kidney", "left kidney", "spleen"]
    assert (tmp_path / "report" / "contours.png").stat().st_size > 10_000


def test_the_demo_bundle_is_small_and_says_that_it_is_of_phantoms() -> None:
    assert DEMO_BUNDLE.stat().st_size <= 5_000_000
    manifest = open_bundle(DEMO_BUNDLE).manifest
    assert manifest.method == "cisfa-plus"
    assert (manifest.source.modality, manifest.target.modality) == ("CT", "MR")
    assert "phantom" in manifest.description


def test_the_demo_bundle_finds_the_organs_of_a_patient_it_has_not_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = tmp_path / "case"
    assert cisfa("phantom", case, "--domain", "mr", "--cases", 1, "--seed", 2026, "--severity", 0.25) == 0
    words = ("--bundle", DEMO_BUNDLE, "--output", tmp_path / "labels", "--device", "cpu")
    assert cisfa("segment", case / "images", *words) == 0
    scored = ("evaluate", "--predictions", tmp_path / "labels", "--labels", case / "labels", "--bundle", DEMO_BUNDLE)
    assert cisfa(*scored, "--output", tmp_path / "report") == 0
    summary = json.loads((tmp_path / "report" / "summary.json").read_text(encoding="utf-8"))
    dice = {row["organ"]: row["measures"]["dice"]["mean"] for row in summary["methods"][0]["summary"]}
    assert dice["mean over organs"] > 0.7
    assert "liver" in capsys.readouterr().out
