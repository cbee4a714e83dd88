from collections.abc import Callable

import numpy as np
import pytest

from cisfa.inference import agreement as module
from cisfa.inference.agreement import CHANGES, measure_agreement, slices_at_once

Take = Callable[[int, np.ndarray], None]


class Runner:
    """Finds class 1 where it is bright, in batches of three; adds what a test wants to be wrong."""

    def __init__(self, spoil: Callable[[np.ndarray], np.ndarray] = lambda bright: bright) -> None:
        self.spoil, self.seen, self.most_at_once = spoil, 0, 0

    def run(self, slices: np.ndarray, take: Take) -> None:
        self.most_at_once = max(self.most_at_once, len(slices))
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


def test_a_budget_of_bytes_says_how_many_slices_lie_in_memory_together() -> None:
    assert slices_at_once(96 * 96, 5) > 100
    assert slices_at_once(512 * 512, 105) == 1
    assert slices_at_once(4096 * 4096, 300) == 1
    for pixels, classes in ((256 * 256, 5), (512 * 512, 14)):
        # in float32: probabilities, the same moved back, and the slices themselves, changed and not
        assert 64 * 2**20 < slices_at_once(pixels, classes) * pixels * 4 * (2 * classes + 2) <= 256 * 2**20


def test_the_budget_changes_how_much_is_held_and_not_what_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured_with(most_bytes: int) -> tuple[np.ndarray, Runner, list[float]]:
        monkeypatch.setattr(module, "_MOST_BYTES", most_bytes)
        runner, heard = Runner(), list[float]()
        return agreement(runner, heard.append), runner, heard

    roomy, together, _ = measured_with(2**30)
    tight, apart, heard = measured_with(5 * 50 * 60 * 4 * 14)
    np.testing.assert_array_equal(tight, roomy)
    assert (together.most_at_once, apart.most_at_once) == (32, 5)
    assert together.seen == apart.seen == 32
    assert heard == sorted(heard)
    assert heard[-1] == 1


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
