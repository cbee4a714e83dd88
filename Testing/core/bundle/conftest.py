from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from cisfa.bundle.bundle_folder import write_bundle
from cisfa.bundle.manifest import Domain, Manifest, Scores, SegmenterSpec, TrainingSummary
from cisfa.config import PreprocessingConfig
from cisfa.imaging.organs import parse_organs
from cisfa.imaging.training_reference import IntensityProfile, SolidityRange, TrainingReference, VolumeRange


@pytest.fixture
def manifest() -> Manifest:
    return Manifest(
        name="Bauch-MR, für Ärzte",
        version="1.0",
        description="Segments two organs.\nOf phantoms: CT → MR.",
        created="2026-01-31T12:00:00Z",
        organs=parse_organs("1=liver,5=right kidney,9=a new organ"),
        source=Domain(name="phantom CT", modality="CT", cases=12, intensity={"mean": -80.5, "percentile_99_5": 300.0}),
        target=Domain(name="phantom MR", modality="MR", cases=10),
        preprocessing=PreprocessingConfig(size=96, plane="coronal", ct_window_hu=(-100.0, 300.0)),
        segmenter=SegmenterSpec(width=8, classes=4),
        method="cisfa",
        training=TrainingSummary(
            steps=600,
            epochs=3,
            seed=7,
            batch_size=4,
            source_cases=10,
            target_cases=10,
            minutes=14.5,
            hardware="2-core CPU",
            losses={"segmentation": 0.12, "patch contrast": 3.4},
        ),
        licence="CC-BY-4.0",
        versions={"cisfa": "0.1.0", "torch": "2.13.0+cpu"},
        body_region="abdomen",
        scores=Scores(cases=2, scored_on="target cases held out", organs={"liver": {"dice": 0.91, "assd_mm": 1.4}}),
        reference=TrainingReference(
            volumes_ml={"liver": VolumeRange(cases=10, low_ml=1050.5, median_ml=1500.0, high_ml=2100.0)},
            solidity={"liver": SolidityRange(cases=10, low=0.57, median=0.68, high=0.76)},
            intensity=IntensityProfile(
                cases=10,
                quantiles=(-1.1, -1.0, -0.9, -0.6, -0.2, 0.5, 1.3, 1.9, 3.2),
                deviations=(0.1, 0.1, 0.1, 0.2, 0.2, 0.2, 0.3, 0.3, 0.4),
            ),
        ),
    )


@pytest.fixture
def weights() -> bytes:
    generator = np.random.default_rng(3)
    return save(
        {
            "encoder.weight": generator.normal(size=(8, 1, 3, 5)).astype(np.float32),
            "encoder.bias": generator.normal(size=8).astype(np.float32),
        }
    )


@pytest.fixture
def zipped(manifest: Manifest, weights: bytes, tmp_path: Path) -> Path:
    return write_bundle(manifest, weights, tmp_path / "model.zip")
