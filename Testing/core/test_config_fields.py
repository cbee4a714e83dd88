"""The settings one by one, as a form shows them."""

import json

import pytest

from cisfa.config import TrainingConfig
from cisfa.config_fields import config_fields, value_text
from cisfa.config_files import compose, to_json_values


def leaves(values: dict[str, object], at: str = "") -> set[str]:
    found = set()
    for name, value in values.items():
        nested = isinstance(value, dict) and name != "organs"
        found |= leaves(value, f"{at}{name}.") if nested else {f"{at}{name}"}  # type: ignore[arg-type]
    return found


def test_every_setting_is_there_once() -> None:
    paths = [field.path for field in config_fields()]
    assert len(paths) == len(set(paths))
    assert set(paths) == leaves(to_json_values(TrainingConfig()))


def test_every_setting_is_explained_by_what_stands_below_it() -> None:
    explained = {field.path: field.explanation for field in config_fields()}
    assert [path for path, explanation in explained.items() if not explanation] == []
    assert explained["patch_contrast.organ_weight"] == 'w of eq (3); 1 gives "CISFA (no weight)"'
    # over two lines
    assert explained["segmentation_adversary.pushes"].startswith("synthetic: predictions of synthetic slices")
    assert explained["segmentation_adversary.pushes"].endswith("(as AdaptSegNet and SIFA do)")


def test_a_group_says_what_it_is_about() -> None:
    groups = {field.path: field.group for field in config_fields()}
    assert groups["optimiser.batch_size"] == "Adam, the same for all networks."
    assert groups["seed"] == ""


@pytest.mark.parametrize(
    ("path", "choices"),
    [
        ("preprocessing.plane", ("axial", "coronal", "sagittal", "auto")),
        ("preprocessing.crop_to_body", ("true", "false")),
        ("optimiser.batch_size", ()),
        ("schedule.steps", ()),
    ],
)
def test_a_setting_that_has_few_values_names_them(path: str, choices: tuple[str, ...]) -> None:
    assert next(field for field in config_fields() if field.path == path).choices == choices


def test_a_value_is_written_as_it_can_be_set() -> None:
    config = compose(preset="heart")
    assignments = [f"{field.path}={value_text(config, field.path)}" for field in config_fields()]
    assert compose(assignments=assignments) == config
    assert json.loads(value_text(config, "organs"))["1"] == "myocardium"
