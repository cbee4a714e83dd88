"""What tests of several rooms need: a grid that lies askew in the patient, and a small bundle of random weights."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cisfa.imaging.geometry import Geometry

MakeGeometry = Callable[..., Geometry]
MakeBundle = Callable[..., Path]

# slices run nearly to Superior, rows nearly to Posterior, columns nearly to Left: 17 degrees about no anatomical axis
_AXIS = np.array([2.0, -1.0, 1.5]) / np.linalg.norm([2.0, -1.0, 1.5])
_CROSS = np.cross(np.eye(3), _AXIS)
_TILT = np.cos(0.3) * np.eye(3) + np.sin(0.3) * _CROSS + (1 - np.cos(0.3)) * np.outer(_AXIS, _AXIS)
_AXES_LPS = np.eye(3)[::-1] @ _TILT
_SPACING_MM = np.array([3.1, 0.9, 0.7])
_ORIGIN_LPS_MM = np.array([-91.5, 20.25, 413.0])


@pytest.fixture
def oblique() -> MakeGeometry:
    """Make an oblique, anisotropic grid; every order and direction of its axes covers the same block of the patient.

    Args:
        shape: Number of voxels along (Superior, Posterior, Left).
        order: Which of those the array's axes run along.
        signs: -1 for an array axis that runs the other way.
    """

    def make(
        shape: tuple[int, int, int] = (5, 40, 37),
        order: tuple[int, int, int] = (0, 1, 2),
        signs: tuple[int, int, int] = (1, 1, 1),
    ) -> Geometry:
        steps = _AXES_LPS * _SPACING_MM[:, None]
        origin = _ORIGIN_LPS_MM.copy()
        for axis, sign in zip(order, signs, strict=True):
            if sign < 0:
                origin += steps[axis] * (shape[axis] - 1)
        return Geometry.from_axes(
            (shape[order[0]], shape[order[1]], shape[order[2]]),
            spacing_mm=_SPACING_MM[list(order)],
            origin_lps_mm=origin,
            axes_lps=_AXES_LPS[list(order)] * np.array(signs)[:, None],
        )

    return make


@pytest.fixture
def make_bundle(tmp_path: Path) -> MakeBundle:
    """Write a bundle whose segmenter has random weights.

    Args:
        name: Of the folder, or zip file.
        modality: Of the target.
        organs: As on a command line.
        settings: Of the preprocessing.
    """

    def make(
        name: str = "bundle", modality: str = "MR", organs: str = "1=liver,5=right kidney", **settings: object
    ) -> Path:
        import safetensors.torch
        import torch

        from cisfa.bundle.bundle_folder import write_bundle
        from cisfa.networks.segmenter import Segmenter

        manifest = _manifest(modality, organs, settings)
        torch.manual_seed(7)
        segmenter = Segmenter(classes=manifest.segmenter.classes, width=manifest.segmenter.width)
        return write_bundle(manifest, safetensors.torch.save(segmenter.state_dict()), tmp_path / name)

    return make


def _manifest(modality: str, organs: str, settings: dict[str, object]):  # type: ignore[no-untyped-def]
    from cisfa.bundle.manifest import Domain, Manifest, SegmenterSpec, TrainingSummary
    from cisfa.config import PreprocessingConfig
    from cisfa.imaging.organs import parse_organs

    parsed = parse_organs(organs)
    return Manifest(
        name="random weights",
        version="1.0",
        description="Segments nothing in particular.",
        created="2026-01-31T12:00:00Z",
        organs=parsed,
        source=Domain(name="phantom CT", modality="CT", cases=1),
        target=Domain(name=f"phantom {modality}", modality=modality, cases=1),
        preprocessing=PreprocessingConfig(**{"size": 32, **settings}),
        segmenter=SegmenterSpec(width=2, classes=len(parsed) + 1),
        method="cisfa",
        training=TrainingSummary(
            steps=1, epochs=1, seed=7, batch_size=1, source_cases=1, target_cases=1, minutes=0.1, hardware="a CPU"
        ),
        licence="CC0-1.0",
        versions={"cisfa": "0.1.0"},
    )
