"""From a run to a bundle that segments."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cisfa.bundle.bundle_folder import open_bundle
from cisfa.cli.main import main
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_files import read_label_map, write_label_map, write_volume
from cisfa.inference.network import load_segmenter

SHAPE = (4, 40, 33)
SETTINGS = (
    "preprocessing.size=32",
    "networks.segmenter_width=2",
    "schedule.steps=3",
    'organs={"2":"spleen","7":"left kidney"}',
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of source-only on two domains of two cases each."""
    folder = tmp_path_factory.mktemp("runs to export")
    rng = np.random.default_rng(5)
    geometry = Geometry.from_axes(SHAPE, spacing_mm=(5.0, 1.2, 1.7), origin_lps_mm=(-20, 3, 40))
    for domain, low in (("ct", -900), ("mr", 0)):
        for number in range(2):
            voxels = rng.integers(low, low + 1000, SHAPE).astype(np.int16)
            labels = np.zeros(SHAPE, dtype=np.uint8)
            labels[1:3, 5:20, 4:15], labels[1:3, 22:35, 16:30] = 2, 7
            write_volume(Volume(voxels, geometry), folder / domain / "images" / f"{domain}_{number}.nrrd")
            if domain == "ct":
                write_label_map(LabelMap(labels, geometry), folder / domain / "labels" / f"{domain}_{number}.nrrd")
    words = ["train", "--source", str(folder / "ct"), "--target", str(folder / "mr"), "--run", str(folder / "run")]
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    assert main([*words, "--method", "source-only", "--device", "cpu", *settings]) == 0
    return folder


def make(folder: Path, output: Path, *more: str) -> int:
    return main(["bundle", "make", str(folder / "run"), "--output", str(output), *more])


def test_the_bundle_says_what_the_run_was(folder: Path, tmp_path: Path) -> None:
    assert make(folder, tmp_path / "model.zip", "--licence", "CC-BY-4.0", "--name", "Spleen and kidney") == 0
    manifest = open_bundle(tmp_path / "model.zip").manifest
    assert manifest.name == "Spleen and kidney"
    assert manifest.licence == "CC-BY-4.0"
    assert [(organ.label, organ.name) for organ in manifest.organs] == [(2, "spleen"), (7, "left kidney")]
    assert (manifest.source.modality, manifest.target.modality) == ("CT", "MR")
    assert (manifest.training.steps, manifest.training.source_cases, manifest.training.target_cases) == (3, 2, 2)
    assert manifest.method == "source-only"
    assert manifest.preprocessing.size == 32
    assert manifest.training.losses["dice"] > 0


def test_the_bundle_holds_the_weights_of_the_last_checkpoint(folder: Path, tmp_path: Path) -> None:
    make(folder, tmp_path / "model")
    segmenter = load_segmenter(open_bundle(tmp_path / "model"))
    state = torch.load(folder / "run" / "checkpoints" / "step-00000003.pt", weights_only=True)
    weights = state["networks"]["segmenter"]
    assert set(weights) == set(segmenter.state_dict())
    assert all(torch.equal(value, weights[name]) for name, value in segmenter.state_dict().items())


def test_the_bundle_segments_into_the_organs_own_labels(folder: Path, tmp_path: Path) -> None:
    make(folder, tmp_path / "model.zip")
    volume = folder / "mr" / "images" / "mr_0.nrrd"
    words = ["segment", str(volume), "--bundle", str(tmp_path / "model.zip"), "--output", str(tmp_path / "out.nrrd")]
    assert main([*words, "--device", "cpu"]) == 0
    assert set(np.unique(read_label_map(tmp_path / "out.nrrd").voxels)) <= {0, 2, 7}


def test_a_bundle_is_not_overwritten_without_being_told(folder: Path, tmp_path: Path) -> None:
    assert make(folder, tmp_path / "model.zip") == 0
    before = (tmp_path / "model.zip").read_bytes()
    assert make(folder, tmp_path / "model.zip", "--name", "another") == 2
    assert (tmp_path / "model.zip").read_bytes() == before
    assert make(folder, tmp_path / "model.zip", "--name", "another", "--overwrite") == 0
    assert open_bundle(tmp_path / "model.zip").manifest.name == "another"


def test_a_folder_that_is_no_run_makes_no_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    assert make(tmp_path, tmp_path / "model.zip") == 2
    assert "holds no run" in capsys.readouterr().err
    assert not (tmp_path / "model.zip").exists()
