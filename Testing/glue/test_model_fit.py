from pathlib import Path

import pytest

from cisfa.bundle.manifest import Manifest
from cisfa.bundle.manifest_file import read_manifest
from CISFASegmentationLib.model_fit import doubts


@pytest.fixture
def manifest(root: Path) -> Manifest:
    """For MR of the abdomen."""
    return read_manifest(root / "CISFASegmentation" / "Resources" / "CISFASegmentationDemoBundle.zip")


@pytest.mark.parametrize("body_part", ["", "ABDOMEN", "Liver", "CHEST_ABDOMEN", "ABDOMENPELVIS", "WHOLEBODY", "KIDNEY"])
def test_nothing_speaks_against_a_volume_of_the_models_kind(manifest: Manifest, body_part: str) -> None:
    assert doubts(manifest, "MR", body_part) == ()


def test_another_modality_is_doubted(manifest: Manifest) -> None:
    assert [sentence for sentence in doubts(manifest, "CT", "") if "for MR" in sentence and "looks like CT" in sentence]
    assert doubts(manifest, "PT", "")


@pytest.mark.parametrize("body_part", ["HEAD", "BRAIN", "KNEE", "HAND", "CHEST"])
def test_another_part_of_the_body_is_doubted(manifest: Manifest, body_part: str) -> None:
    (sentence,) = doubts(manifest, "MR", body_part)
    assert "is for the abdomen" in sentence
    assert body_part in sentence


def test_both_are_said(manifest: Manifest) -> None:
    assert len(doubts(manifest, "CT", "HEAD")) == 2
