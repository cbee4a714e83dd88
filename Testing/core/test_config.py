"""Settings: defaults, ranges, presets, files, and what a command line assigns."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from cisfa.config import (
    AugmentationConfig,
    FeatureContrastConfig,
    FewLabelsConfig,
    OptimiserConfig,
    PatchContrastConfig,
    PreprocessingConfig,
    ScheduleConfig,
    SegmentationAdversaryConfig,
    SupervisionConfig,
    TeacherConfig,
    TrainingConfig,
    ValidationConfig,
)
from cisfa.config_files import compose, from_json_values, preset_names, read_preset, to_json_values
from cisfa.errors import ConfigError


def test_the_defaults_are_the_papers() -> None:
    config = compose()
    assert config == TrainingConfig()
    assert (config.preprocessing.size, config.preprocessing.plane) == (196, "axial")
    assert (config.networks.generator_width, config.networks.generator_blocks) == (64, 9)
    assert (config.optimiser.learning_rate, config.optimiser.betas) == (2e-4, (0.5, 0.999))
    assert (config.optimiser.batch_size, config.schedule.epochs) == (4, 200)
    assert (config.patch_contrast.organ_weight, config.patch_contrast.temperature) == (2.0, 0.2)
    assert (config.patch_contrast.patches, config.feature_contrast.temperature) == (256, 0.2)
    assert config.feature_contrast.combination == "sum"
    assert config.segmentation_adversary.pushes == "synthetic"


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_and_says_what_it_is_for(name: str) -> None:
    assert isinstance(compose(preset=name), TrainingConfig)
    path = Path(__file__).parents[2] / "src" / "cisfa" / "presets" / f"{name}.json"
    assert len(json.loads(path.read_text(encoding="utf-8"))["about"]) > 20
    assert "about" not in read_preset(name)


def test_presets_differ_from_each_other() -> None:
    assert {"full", "heart", "reduced"} <= set(preset_names())
    assert len({json.dumps(to_json_values(compose(preset=name))) for name in preset_names()}) == len(preset_names())
    assert compose(preset="heart").preprocessing.size == 160
    assert compose(preset="heart").preprocessing.plane == "coronal"
    assert set(compose(preset="heart").organs.values()).isdisjoint(compose().organs.values())


def test_an_unknown_preset_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"no preset 'fulll'; there are .*full.*reduced"):
        compose(preset="fulll")
    with pytest.raises(ConfigError, match="no preset"):
        compose(preset="../config")


@pytest.mark.parametrize("name", preset_names())
def test_settings_survive_json(name: str) -> None:
    config = compose(preset=name, assignments=['organs={"7": "Überbein"}', "schedule.steps=5"], method="source-only")
    values = json.loads(json.dumps(to_json_values(config)))
    assert from_json_values(TrainingConfig, values) == config


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        compose().seed = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("assignment", "suggestion"),
    [
        ("optimiser.lerning_rate=1", "no setting optimiser.lerning_rate. Did you mean optimiser.learning_rate?"),
        ("optimizer.batch_size=1", "no setting optimizer. Did you mean optimiser?"),
        ("sead=1", "no setting sead. Did you mean seed?"),
        ("patch_contrast.qqqqqq=1", "no setting patch_contrast.qqqqqq. Known here: patch_contrast.enabled, "),
        ("batch_size=8", "no setting batch_size."),
    ],
)
def test_an_unknown_setting_is_refused_with_a_suggestion(assignment: str, suggestion: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(assignments=[assignment])
    assert suggestion in str(caught.value)


@pytest.mark.parametrize(
    ("assignment", "complaint"),
    [
        ("seed=a", "seed is 'a'; it must be a whole number"),
        ("seed=1.5", "seed is 1.5; it must be a whole number"),
        ("seed=true", "seed is True; it must be a whole number"),
        ("seed=", "seed is ''; it must be a whole number"),
        ("seed=null", "seed is None; it must be a whole number"),
        ("optimiser.learning_rate=true", "optimiser.learning_rate is True; it must be a number"),
        ("optimiser.learning_rate=NaN", "optimiser.learning_rate is nan; it must be a number"),
        ("optimiser.learning_rate=Infinity", "optimiser.learning_rate is inf; it must be a number"),
        ("optimiser.learning_rate=1" + 400 * "0", "it must be a number"),
        ("optimiser.betas=0.5", "optimiser.betas is 0.5; it must be a list"),
        ("optimiser.betas=[0.5]", "optimiser.betas is [0.5]; it must be a list of 2 numbers"),
        ('optimiser.betas=[0.5, "a"]', "optimiser.betas is 'a'; it must be a number"),
        ("optimiser=3", "optimiser is 3; it must be a group of settings"),
        ("optimiser.precision=float16", "optimiser.precision is 'float16'; it must be one of bfloat16, float32"),
        ("preprocessing.plane=[1]", "preprocessing.plane is [1]; it must be one of axial"),
        ("preprocessing.crop_to_body=1", "preprocessing.crop_to_body is 1; it must be true or false"),
        ("preprocessing.crop_to_body=yes", "preprocessing.crop_to_body is 'yes'; it must be true or false"),
        ("organs=liver", "organs is 'liver'; it must be an object"),
        ("organs.1=7", "organs.1 is 7; it must be a text"),
        ("method=3", "method is 3; it must be a text"),
        ("schedule.steps=many", "schedule.steps is 'many'; it must be a whole number"),
        ("seed.x=1", "seed is a setting of its own and holds no others"),
        ("seed.x.y=1", "seed is a setting of its own and holds no others"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_name(assignment: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(assignments=[assignment])
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (PreprocessingConfig, {"size": 31}),
        (PreprocessingConfig, {"ct_window_hu": (100.0, 100.0)}),
        (PreprocessingConfig, {"mr_clip_percentile": 50.0}),
        (PreprocessingConfig, {"mr_clip_percentile": 100.1}),
        (PatchContrastConfig, {"organ_weight": 0.0}),
        (PatchContrastConfig, {"temperature": 0.0}),
        (PatchContrastConfig, {"patches": 1}),
        (FeatureContrastConfig, {"temperature": -0.2}),
        (SegmentationAdversaryConfig, {"weight": -0.1}),
        (OptimiserConfig, {"learning_rate": 0.0}),
        (OptimiserConfig, {"cooldown": 1.1}),
        (OptimiserConfig, {"batch_size": 0}),
        (SupervisionConfig, {"cooldown": -0.1}),
        (TeacherConfig, {"begin": 1.1}),
        (TeacherConfig, {"ramp_up": -0.1}),
        (OptimiserConfig, {"betas": (0.5, 1.0)}),
        (OptimiserConfig, {"betas": (-0.1, 0.9)}),
        (AugmentationConfig, {"rotation_degrees": -1.0}),
        (AugmentationConfig, {"scaling": 1.0}),
        (AugmentationConfig, {"shift": -0.1}),
        (AugmentationConfig, {"gamma": -0.1}),
        (ValidationConfig, {"every": 0}),
        (ValidationConfig, {"held_out": -0.1}),
        (ValidationConfig, {"held_out": 0.6}),
        (FewLabelsConfig, {"weight": -1.0}),
        (ScheduleConfig, {"epochs": 0}),
        (ScheduleConfig, {"steps": 0}),
        (ScheduleConfig, {"checkpoint_every": 0}),
        (ScheduleConfig, {"keep_checkpoints": 0}),
        (ScheduleConfig, {"metrics_every": 0}),
        (ScheduleConfig, {"preview_every": 0}),
        (TrainingConfig, {"seed": -1}),
        (TrainingConfig, {"seed": 2**63}),
        (TrainingConfig, {"organs": {"0": "background"}}),
        (TrainingConfig, {"organs": {"65536": "liver"}}),
        (TrainingConfig, {"organs": {"one": "liver"}}),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(kind: Any, values: dict[str, Any]) -> None:
    (name,) = values
    with pytest.raises(ConfigError, match=f"{name}.* must be"):
        kind(**values)


def test_later_settings_lie_over_earlier_ones(tmp_path: Path) -> None:
    file = tmp_path / "Einstellungen für MR.json"
    file.write_text('{"seed": 3, "optimiser": {"batch_size": 6}, "schedule": {"epochs": 7}}', encoding="utf-8")
    config = compose(
        preset="reduced", file=file, assignments=["optimiser.batch_size=8", "seed=4", "seed=5"], method="supervised"
    )
    assert config.networks == compose(preset="reduced").networks
    assert (config.schedule.epochs, config.optimiser.batch_size) == (7, 8)
    assert (config.seed, config.method) == (5, "supervised")
    assert config.optimiser.learning_rate == 2e-4


@pytest.mark.parametrize(
    ("assignment", "name", "value"),
    [
        ("optimiser.betas=[0.9, 0.99]", "optimiser.betas", (0.9, 0.99)),
        ("optimiser.learning_rate=1", "optimiser.learning_rate", 1.0),
        (" optimiser.learning_rate = 1e-3 ", "optimiser.learning_rate", 1e-3),
        ("preprocessing.plane=coronal", "preprocessing.plane", "coronal"),
        ('preprocessing.plane="coronal"', "preprocessing.plane", "coronal"),
        ("patch_contrast.enabled=false", "patch_contrast.enabled", False),
        ("schedule.steps=null", "schedule.steps", None),
        ("schedule.steps=12", "schedule.steps", 12),
        ('preprocessing={"size": 64, "plane": "auto"}', "preprocessing.size", 64),
        ('organs={"9": "a=b"}', "organs", {"9": "a=b"}),
    ],
)
def test_assignments_are_json_or_plain_words(assignment: str, name: str, value: object) -> None:
    found: Any = compose(assignments=[assignment])
    for part in name.split("."):
        found = getattr(found, part)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("assignment", ["seed", "=3", " = 3", ""])
def test_what_is_no_assignment_is_refused_with_an_example(assignment: str) -> None:
    with pytest.raises(ConfigError, match=r"write it as key=value, for instance optimiser\.batch_size=8"):
        compose(assignments=[assignment])


def test_organs_are_replaced_as_a_whole_or_named_one_by_one() -> None:
    assert compose(assignments=['organs={"5": "stomach"}']).organs == {"5": "stomach"}
    assert compose(assignments=["organs.5=stomach"]).organs == {**TrainingConfig().organs, "5": "stomach"}
    both = compose(preset="heart", assignments=['organs={"1": "a"}', "organs.2=b", "organs.3=c"])
    assert both.organs == {"1": "a", "2": "b", "3": "c"}


def test_a_runs_config_and_a_copied_preset_will_do_as_files(tmp_path: Path) -> None:
    config = compose(preset="reduced", assignments=["seed=3", 'organs={"5": "stomach"}'])
    of_run = tmp_path / "config.json"
    of_run.write_text(json.dumps({"schema": 1, **to_json_values(config)}), encoding="utf-8")
    assert compose(file=of_run) == config
    preset = tmp_path / "mine.json"
    preset.write_text('{"about": "Mine.", "seed": 3}', encoding="utf-8-sig")  # as Windows' Notepad saves it
    assert compose(file=preset).seed == 3


def test_settings_may_be_laid_over_those_of_a_run() -> None:
    base = compose(preset="heart", assignments=["seed=3"])
    assert compose(base=base) == base
    longer = compose(base=base, assignments=["schedule.epochs=300"])
    assert longer.schedule.epochs == 300
    assert dataclasses.replace(longer, schedule=base.schedule) == base


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{", "is not JSON"),
        (b"[]", "holds list, not an object"),
        (b"\xff\xfe", "is not JSON"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_holds_no_settings_is_named(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    file = tmp_path / "settings.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=complaint) as caught:
        compose(file=file)
    assert str(file) in str(caught.value)


def test_a_missing_setting_is_named_where_there_is_no_default() -> None:
    @dataclasses.dataclass(frozen=True)
    class Inner:
        needed: int

    @dataclasses.dataclass(frozen=True)
    class Outer:
        names: tuple[str, ...]
        inner: Inner

    globals().update(Inner=Inner)  # where get_type_hints looks for it
    with pytest.raises(ConfigError, match=r"The setting inner\.needed is missing"):
        from_json_values(Outer, {"names": ["a", "b"], "inner": {}})
    with pytest.raises(ConfigError, match=r"names\[1\] is 3; it must be a text"):
        from_json_values(Outer, {"names": ["a", 3], "inner": {"needed": 1}})
    assert from_json_values(Outer, {"names": ["a"], "inner": {"needed": 1}}) == Outer(("a",), Inner(1))
