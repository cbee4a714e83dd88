import numpy as np
import pytest

from cisfa.inference.confidence import ConfidenceGathering


def gathered(inside: float, *, batch: int = 4) -> ConfidenceGathering:
    """Of four slices with a block that is of class 1 with a probability, in batches."""
    organ = np.zeros((4, 20, 30), dtype=np.float32)
    organ[1:3, 5:15, 10:20] = inside
    probabilities = np.stack([1 - organ, organ, np.zeros_like(organ)], axis=1)
    classes = probabilities.argmax(axis=1).astype(np.uint8)
    gathering = ConfidenceGathering(3)
    for first in range(0, len(classes), batch):
        gathering.add(probabilities[first : first + batch], classes[first : first + batch])
    return gathering


@pytest.mark.parametrize("inside", [1.0, 0.9, 0.6])
@pytest.mark.parametrize("batch", [1, 3, 4])
def test_confidence_is_the_mean_of_the_winning_probability_in_the_organ(inside: float, batch: int) -> None:
    assert gathered(inside, batch=batch).of_class(1) == pytest.approx(inside)
    assert gathered(inside, batch=batch).of_class(0) == pytest.approx(1)


def test_slices_count_by_their_pixels() -> None:
    gathering = ConfidenceGathering(2)
    for size, probability in ((10, 0.6), (30, 0.9)):
        gathering.add(
            np.tile(np.array([1 - probability, probability], np.float32), (1, size, 1)).transpose(0, 2, 1)[..., None],
            np.ones((1, size, 1), np.uint8),
        )
    assert gathering.of_class(1) == pytest.approx((10 * 0.6 + 30 * 0.9) / 40)


def test_there_is_no_confidence_in_what_was_not_found() -> None:
    assert gathered(0.9).of_class(2) is None
    assert gathered(0.4).of_class(1) is None
