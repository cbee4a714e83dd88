import numpy as np
import pytest

from cisfa.imaging.resampling import linear_weights, resize_linear, resize_nearest

LENGTHS = [(37, 37), (37, 32), (32, 37), (100, 32), (32, 100), (512, 196), (5, 196), (1, 32), (33, 1)]


def slow_weight(length: int, new_length: int, new: int, old: int) -> float:
    """The triangle over the old pixel, as wide as the larger of both pixels, before its sum is made one."""
    factor = length / new_length
    centre = min(max((new + 0.5) * factor - 0.5, 0), length - 1)
    return max(0.0, 1 - abs(old - centre) / max(1.0, factor))


@pytest.mark.parametrize(("length", "new_length"), LENGTHS)
def test_weights_are_triangles_that_sum_to_one(length: int, new_length: int) -> None:
    expected = np.array([[slow_weight(length, new_length, i, j) for j in range(length)] for i in range(new_length)])
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(linear_weights(length, new_length), expected, atol=1e-6)


@pytest.mark.parametrize(("length", "new_length"), LENGTHS)
def test_a_constant_stays_constant(length: int, new_length: int) -> None:
    np.testing.assert_allclose(linear_weights(length, new_length).sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(("length", "new_length"), LENGTHS)
def test_resizing_a_mirrored_slice_gives_the_mirrored_result(length: int, new_length: int) -> None:
    weights = linear_weights(length, new_length)
    np.testing.assert_allclose(weights[::-1, ::-1], weights, atol=1e-6)


@pytest.mark.parametrize(("length", "new_length"), [(100, 64), (64, 100), (96, 48), (48, 96), (512, 196)])
def test_a_ramp_keeps_its_place(length: int, new_length: int) -> None:
    # the value of a ramp at a pixel is where the pixel's centre lies, in old pixels
    resized = linear_weights(length, new_length) @ np.arange(length, dtype=np.float32)
    centres = (np.arange(new_length) + 0.5) * length / new_length - 0.5
    displacements = (resized - centres)[2:-2]
    assert abs(displacements).max() < 0.06
    assert abs(displacements.mean()) < 0.001


def test_rows_and_columns_are_resized_each_to_its_length() -> None:
    slices = np.random.default_rng(0).normal(size=(3, 2, 20, 30)).astype(np.float32)
    resized = resize_linear(slices, (8, 50))
    assert resized.shape == (3, 2, 8, 50)
    assert resized.dtype == np.float32
    expected = np.einsum("ri,abij,cj->abrc", linear_weights(20, 8), slices, linear_weights(30, 50))
    np.testing.assert_allclose(resized, expected, atol=1e-5)


def test_the_same_size_is_left_exactly_alone() -> None:
    slices = np.random.default_rng(1).normal(size=(2, 20, 30)).astype(np.float32)
    np.testing.assert_array_equal(resize_linear(slices, (20, 30)), slices)
    labels = np.random.default_rng(1).integers(0, 9, (2, 20, 30)).astype(np.uint8)
    np.testing.assert_array_equal(resize_nearest(labels, (20, 30)), labels)


def test_a_pattern_too_fine_for_the_new_size_becomes_grey() -> None:
    stripes = np.tile(np.array([0, 1], np.float32), (512, 256))
    resized = resize_linear(stripes, (196, 196))
    assert abs(resized[:, 4:-4] - 0.5).max() < 0.1


def test_labels_are_taken_at_the_centre_of_the_new_pixel() -> None:
    labels = np.arange(7, dtype=np.uint16)[None, :] + 300 * np.arange(5, dtype=np.uint16)[:, None]
    resized = resize_nearest(labels[None], (10, 3))
    assert resized.dtype == np.uint16
    # centres of three pixels over seven: 1.17, 3.5 and 5.83 from the left edge
    np.testing.assert_array_equal(resized[0, 0], [1, 3, 5])
    np.testing.assert_array_equal(resized[0, :, 0] // 300, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4])


def test_resized_labels_are_labels_that_were_there() -> None:
    labels = np.random.default_rng(2).choice(np.array([0, 1, 300], np.uint16), size=(2, 40, 37))
    assert set(np.unique(resize_nearest(labels, (64, 32)))) <= {0, 1, 300}


def test_labels_and_slices_stay_on_top_of_each_other() -> None:
    rows, columns = np.mgrid[:100, :150]
    disc = (rows - 61.3) ** 2 + (columns - 40.7) ** 2 < 22**2
    grey = resize_linear(disc.astype(np.float32), (64, 64))
    labels = resize_nearest(disc.astype(np.uint8), (64, 64))
    shares = [np.argwhere(np.ones_like(grey)).T @ image.ravel() / image.sum() for image in (grey, labels)]
    np.testing.assert_allclose(shares[0], shares[1], atol=0.1)


def test_cached_weights_cannot_be_changed_by_accident() -> None:
    with pytest.raises(ValueError, match="read-only"):
        linear_weights(20, 10)[0, 0] = 1
