from collections.abc import Callable

import numpy as np
import pytest

from cisfa.inference.agreement import CHANGES, measure_agreement

Take = Callable[[int, np.ndarray], None]


class Runner:
    """Finds class 1 where it is bright, in batches of three; adds what a test wants to be wrong."""

    def __init__(self, spoil: Callable[[np.ndarray], np.ndarray] = lambda bright: bright) -> None:
        self.spoil, self.seen = spoil, 0

    def run(self, slices: np.ndarray, take: Take) -> None:
        for first in range(0, len(slices), 3):
            batch = slices[first : first + 3]
            self.seen += len(batch)
            bright = self.spoil(batch > 0.9)
            take(first, np.stack([~bright, bright, np.zeros_like(bright)], axis=1).astype(np.float32))


def volume(count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Slices of which those from the eighth on show a bright block, and the classes found in them."""
    slices = np.full((count, 50, 60), -0.5, dtype=np.float32)
    slices[8:, 15:35, 20:45] = 3.0
    return slices, (slices > 0.9).astype(np.uint8)


def agreement(runner: Runner, on_progress: Callable[[float], None] = lambda fraction: None) -> np.ndarray:
    slices, classes = volume()
    return measure_agreement(runner, slices, classes, count=3, on_progress=on_progress)


def test_a_segmenter_that_follows_the_image_agrees_with_itself() -> None:
    assert agreement(Runner())[1] > 0.93


def test_one_that_finds_half_of_it_again_does_not() -> None:
    def half(bright: np.ndarray) -> np.ndarray:
        bright = bright.copy()
        bright[:, :, bright.shape[2] // 2 :] = False
        return bright

    assert 0.4 < agreement(Runner(half))[1] < 0.85
    assert agreement(Runner(np.zeros_like))[1] == 0


def test_what_neither_prediction_has_is_no_disagreement_and_what_is_made_up_is() -> None:
    assert agreement(Runner())[2] == 1
    slices, classes = volume()
    classes[10] = 2
    assert measure_agreement(Runner(), slices, classes, count=3, on_progress=lambda fraction: None)[2] == 0


def test_only_slices_with_an_organ_are_segmented_once_more() -> None:
    runner = Runner()
    agreement(runner)
    assert runner.seen == 32


def test_the_progress_rises_to_one() -> None:
    heard: list[float] = []
    agreement(Runner(), heard.append)
    assert heard == sorted(heard)
    assert heard[-1] == 1
    assert len(heard) > 8


def test_a_volume_without_organs_needs_no_second_look() -> None:
    slices, _ = volume()
    runner = Runner()
    none = np.zeros(slices.shape, np.uint8)
    found = measure_agreement(runner, slices, none, count=3, on_progress=lambda fraction: None)
    assert (found.tolist(), runner.seen) == ([1, 1, 1], 0)


def test_the_same_volume_is_judged_the_same_again() -> None:
    np.testing.assert_array_equal(agreement(Runner()), agreement(Runner()))


def test_changes_of_contrast_alone_are_noticed_by_a_segmenter_that_minds_them() -> None:
    assert {change.gamma < 1 for change in CHANGES} == {True, False}
    slices, _ = volume()
    slices[:, :, 40:] -= 1.7  # so that half of the organ lies near the threshold
    classes = (slices > 0.9).astype(np.uint8)
    found = measure_agreement(Runner(), slices, classes, count=3, on_progress=lambda fraction: None)
    assert found[1] == pytest.approx(agreement(Runner())[1], abs=0.2)
    assert found[1] < agreement(Runner())[1]
