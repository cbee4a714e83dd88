"""The settings of a training as a tree."""

import pytest
import qt

from cisfa.config import TrainingConfig
from cisfa.config_fields import config_fields
from cisfa.config_files import compose
from CISFATrainingLib.settings_tree import SettingsTree


@pytest.fixture
def tree(host):
    widget = qt.QTreeWidget()
    widget.setColumnCount(3)
    return widget


@pytest.fixture
def settings(tree):
    made = SettingsTree(tree)
    made.set_config(compose(preset="quick"))
    return made


def item_of(tree, path: str):
    group, _dot, name = path.rpartition(".")
    tops = [tree.topLevelItem(index) for index in range(tree.topLevelItemCount)]
    found = [top for top in tops if top.text(0) == (group or name).replace("_", " ")]
    if not group:
        return found[0]
    children = [found[0].child(index) for index in range(found[0].childCount())]
    return next(child for child in children if child.text(0) == name.replace("_", " "))


def test_every_setting_is_there_with_its_explanation(tree, settings) -> None:
    for field in config_fields():
        if field.path in ("method", "organs", "few_labels.weight"):
            continue  # chosen elsewhere in the panel
        item = item_of(tree, field.path)
        assert item.text(2) == field.explanation
        assert field.path in item.toolTip(1)


def test_a_value_is_changed_and_stands_out(tree, settings) -> None:
    item = item_of(tree, "optimiser.batch_size")
    assert not item.font(1).bold()
    item.setText(1, "8")
    assert settings.config.optimiser.batch_size == 8
    assert item.font(1).bold()
    settings.reset()
    assert (item.text(1), item.font(1).bold()) == ("4", False)


def test_a_value_that_cannot_be_is_refused_and_the_old_one_stays(tree, settings) -> None:
    refused: list[str] = []
    settings.on_refused = refused.append
    item = item_of(tree, "optimiser.batch_size")
    item.setText(1, "many")
    assert "optimiser.batch_size" in refused[0]
    assert item.text(1) == "4"
    assert settings.config.optimiser.batch_size == 4


def test_words_and_lists_are_typed_as_they_are_shown(tree, settings) -> None:
    item_of(tree, "preprocessing.plane").setText(1, "coronal")
    item_of(tree, "preprocessing.ct_window_hu").setText(1, "[-100, 300]")
    item_of(tree, "schedule.steps").setText(1, "null")
    assert settings.config.preprocessing.plane == "coronal"
    assert settings.config.preprocessing.ct_window_hu == (-100, 300)
    assert settings.config.schedule.steps is None


def test_settings_of_another_run_are_compared_with_the_preset(tree, settings) -> None:
    settings.set_config(TrainingConfig(seed=7), compose(preset="full"))
    assert item_of(tree, "seed").font(1).bold()
    assert not item_of(tree, "optimiser.batch_size").font(1).bold()
