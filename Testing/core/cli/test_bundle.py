import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from cisfa.bundle.bundle_folder import open_bundle, write_bundle
from cisfa.bundle.manifest import Domain, Manifest, SegmenterSpec, TrainingSummary
from cisfa.cli import bundle as command
from cisfa.config import PreprocessingConfig
from cisfa.errors import BundleError
from cisfa.events import ignore
from cisfa.imaging.organs import parse_organs


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    manifest = Manifest(
        name="Lëber",
        version="1.0",
        description="Two organs.",
        created="2026-01-31T12:00:00Z",
        organs=parse_organs("1=liver,2=left kidney"),
        source=Domain(name="phantom CT", modality="CT", cases=2),
        target=Domain(name="phantom MR", modality="MR", cases=2),
        preprocessing=PreprocessingConfig(),
        segmenter=SegmenterSpec(width=4, classes=3),
        method="cisfa",
        training=TrainingSummary(
            steps=1, epochs=1, seed=0, batch_size=1, source_cases=2, target_cases=2, minutes=0.1, hardware="CPU"
        ),
        licence="CC-BY-4.0",
        versions={"cisfa": "0.1.0"},
    )
    return write_bundle(manifest, save({"w": np.zeros(3, np.float32)}), tmp_path / "my models" / "Lëber.zip")


def run(*words: str | Path) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args([str(word) for word in words]), ignore)


def test_show_tells_a_person_what_the_model_does(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("show", bundle)

    shown = capsys.readouterr().out
    assert "Lëber" in shown
    assert "left kidney" in shown
    assert "Research only" in shown
    assert open_bundle(bundle).checksum in shown


def test_show_gives_programs_json(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("show", bundle, "--json")

    text = capsys.readouterr().out
    assert text.isascii()
    shown = json.loads(text)
    assert shown["checksum"] == open_bundle(bundle).checksum
    assert shown["manifest"]["name"] == "Lëber"
    assert shown["manifest"]["organs"][1]["laterality"]["value"] == "7771000"


def test_verify_lists_what_was_checked(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("verify", bundle)

    shown = capsys.readouterr().out
    for text in ("manifest.json", "weights.safetensors", "MODEL_CARD.md", "The bundle is whole."):
        assert text in shown


@pytest.mark.parametrize("action", ["show", "verify"])
def test_a_damaged_bundle_is_not_shown_as_whole(bundle: Path, action: str, capsys: pytest.CaptureFixture[str]) -> None:
    bundle.write_bytes(bundle.read_bytes()[:-40])

    with pytest.raises(BundleError, match=r"Lëber\.zip"):
        run(action, bundle)

    assert capsys.readouterr().out == ""


def test_make_needs_to_know_where_to_write() -> None:
    with pytest.raises(SystemExit):
        run("make", "a run")
