"""Settings and data of runs, those of older versions among them."""

import json
from pathlib import Path
from typing import Any

import pytest

from cisfa.config import TrainingConfig
from cisfa.config_files import compose, to_json_values
from cisfa.errors import RunError
from cisfa.runs.run_data import read_run_data
from cisfa.runs.run_json import read_run_config

# data.json as version 0.1 wrote it
OLD_DATA = {
    "organs": [
        {
            "name": "liver", "label": 1, "colour": [221, 130, 101],
            "category": {"scheme": "SCT", "value": "123037004", "meaning": "Anatomical Structure"},
            "type": {"scheme": "SCT", "value": "10200004", "meaning": "Liver"}, "laterality": None,
        }
    ],
    "source_modality": "CT", "target_modality": "MR", "source_fingerprints": ["a", "b"], "target_fingerprints": ["c"],
    "source_slices": 12, "target_slices": 9, "target_range": [-2.1, 5.5], "source_label_fingerprints": ["d", "e"],
}  # fmt: skip


def write_config(folder: Path, **changes: Any) -> None:
    values = {"schema": 1, **to_json_values(compose(assignments=["seed=3"])), **changes}
    kept = {name: value for name, value in values.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept), encoding="utf-8")


def test_settings_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_config(tmp_path, validation={"every": 7, "held_out": 0.25}, few_labels={"weight": 2})
    config = read_run_config(tmp_path)
    assert (config.seed, config.validation.every, config.validation.held_out) == (3, 7, 0.25)
    assert config.few_labels.weight == 2


def test_a_run_that_knows_of_no_validation_holds_out_no_case(tmp_path: Path) -> None:
    write_config(tmp_path, validation=None, few_labels=None)
    config = read_run_config(tmp_path)
    assert config.validation.held_out == 0
    assert config.few_labels.weight == 0
    assert TrainingConfig().validation.held_out > 0


def test_data_of_an_older_version_are_read(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text(json.dumps(OLD_DATA), encoding="utf-8")
    data = read_run_data(tmp_path)
    assert data is not None
    assert data.source_fingerprints == ("a", "b")
    assert (data.held_out_cases, data.few_label_fingerprints) == (0, ())


def test_settings_of_a_newer_version_are_refused(tmp_path: Path) -> None:
    write_config(tmp_path, schema=2)
    with pytest.raises(RunError, match="newer version"):
        read_run_config(tmp_path)
