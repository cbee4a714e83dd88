"""Whether organs lie as they do in patients, however the volume's axes run."""

from collections.abc import Callable
from itertools import permutations, product

import numpy as np
import pytest

from cisfa.data_sets.found_set import LeftOutError
from cisfa.data_sets.organ_positions import require_plausible_positions
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap

NAMES = {1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"}
VALUES = {name: value for value, name in NAMES.items()}
HEART = {1: "left ventricle", 2: "right ventricle"}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_order_and_direction_of_axes_make_no_difference(order: tuple[int, int, int], abdomen: Callable) -> None:
    labels = abdomen().labels(VALUES)
    for signs in product((1, -1), repeat=3):
        voxels, grid = labels.voxels.transpose(order), labels.geometry.transposed(order)
        for axis in range(3):
            if signs[axis] < 0:
                voxels, grid = np.flip(voxels, axis), grid.flipped(axis)
        assert require_plausible_positions(LabelMap(voxels, grid), NAMES) == ()


@pytest.mark.parametrize(
    ("axis", "said"),
    [(2, "right kidney should lie to the right of the left kidney"), (1, "liver should lie in front of")],
)
def test_a_place_that_mirrors_the_patient_is_refused(axis: int, said: str, abdomen: Callable) -> None:
    with pytest.raises(LeftOutError, match=said):
        require_plausible_positions(abdomen().flipped(axis).labels(VALUES), NAMES)


@pytest.mark.parametrize("is_upside_down", [False, True])
def test_what_a_cut_leaves_of_a_liver_may_lie_behind_the_kidneys(is_upside_down: bool, abdomen: Callable) -> None:
    labels = abdomen().labels(VALUES)
    voxels, grid = labels.voxels, labels.geometry
    # the tip that reaches down beside and behind the kidney
    voxels[1:4, 19:22, 3:6] = VALUES["liver"]
    assert require_plausible_positions(labels, NAMES) == ()
    below = Geometry((4, *grid.shape[1:]), grid.index_to_lps)
    cut = LabelMap(voxels[:4], below)
    if is_upside_down:
        cut = LabelMap(np.flip(cut.voxels, 0), below.flipped(0))
    remarks = require_plausible_positions(cut, NAMES)
    in_front = [remark for remark in remarks if "lie in front of" in remark.detail]
    assert [remark.what for remark in in_front] == ["organs lie unusually"] * 2
    assert "the volume ends in the liver and the right kidney, which can cause that" in in_front[0].detail
    # the same organs, all of them within the volume
    whole = np.zeros(grid.shape, np.uint16)
    whole[1:4] = voxels[1:4]
    with pytest.raises(LeftOutError, match=r"liver should lie in front of .* its header says of its place is wrong"):
        require_plausible_positions(LabelMap(whole, grid), NAMES)


def test_left_and_right_stay_certain_where_organs_are_cut_off(abdomen: Callable) -> None:
    patient = abdomen().flipped(2)
    below = Geometry((4, *patient.geometry.shape[1:]), patient.geometry.index_to_lps)
    cut = LabelMap(patient.labels(VALUES).voxels[:4], below)
    with pytest.raises(LeftOutError, match=r"may be wrong, or its label map, or only a part of the right kidney") as it:
        require_plausible_positions(cut, NAMES)
    assert "of its place is wrong" not in str(it.value)


def test_kidneys_whose_labels_are_exchanged_are_refused(abdomen: Callable) -> None:
    exchanged = {**NAMES, 2: "left kidney", 3: "right kidney"}
    with pytest.raises(LeftOutError, match="right kidney should lie to the right of the left kidney, and lies 55 mm"):
        require_plausible_positions(abdomen().labels(VALUES), exchanged)


def test_head_and_feet_exchanged_is_noted(abdomen: Callable) -> None:
    remarks = require_plausible_positions(abdomen().flipped(0).labels(VALUES), NAMES)
    assert [remark.what for remark in remarks] == ["organs lie unusually"] * 2


def test_a_heart_is_judged_by_its_ventricles(heart: Callable) -> None:
    values = {name: value for value, name in HEART.items()}
    assert require_plausible_positions(heart().labels(values), HEART) == ()
    with pytest.raises(LeftOutError, match="right ventricle"):
        require_plausible_positions(heart().flipped(2).labels(values), HEART)


def test_what_cannot_be_judged_is_said(abdomen: Callable) -> None:
    labels = abdomen().labels({"liver": 1})
    # a tip of a kidney on the wrong side is no proof
    labels.voxels[4, 15, 28] = 2
    (remark,) = require_plausible_positions(labels, NAMES)
    assert remark.what == "left and right could not be checked"
