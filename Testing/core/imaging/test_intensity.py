import numpy as np
import pytest

from cisfa.config import PreprocessingConfig
from cisfa.errors import VolumeFileError
from cisfa.imaging.intensity import body_bounds, clip_range, guess_modality, measure_scale

CONFIG = PreprocessingConfig()


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def ct_body(shape: tuple[int, int, int], half: tuple[float, float], noise: float = 20.0) -> np.ndarray:
    """An elliptic body of soft tissue with a rim of fat, on a table, in air; HU, rows run down."""
    _, rows, columns = shape
    y, x = np.mgrid[:rows, :columns]
    radius = np.hypot((y - rows * 0.45) / half[0], (x - columns * 0.52) / half[1])
    one = np.full((rows, columns), -1000.0)
    one[radius < 1] = -100
    one[radius < 0.9] = 40
    table = round(rows * 0.45 + half[0]) + 6
    one[table : table + 2, columns // 8 : -columns // 8] = 300
    voxels = one + chance(1).normal(0, noise, shape)
    return np.clip(voxels, -1024, 3000).astype(np.int16)


# which modality


def test_an_unclipped_ct_is_ct() -> None:
    assert guess_modality(ct_body((4, 100, 120), (35, 45))) == "CT"


def test_a_ct_clipped_to_its_window_is_ct() -> None:
    assert guess_modality(np.clip(ct_body((4, 100, 120), (35, 45)), -125, 275)) == "CT"


def test_a_ct_cut_down_to_the_body_is_ct_by_its_fat() -> None:
    assert guess_modality(ct_body((4, 100, 120), (35, 45))[:, 12:78, 22:103]) == "CT"


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32, np.float64])
def test_magnitudes_are_mr(dtype: type) -> None:
    assert guess_modality(chance().rayleigh(200, (4, 50, 60)).astype(dtype)) == "MR"


def test_an_mr_that_was_resampled_with_overshoot_is_mr() -> None:
    voxels = chance().rayleigh(200, (10, 50, 60))
    voxels[chance(1).random(voxels.shape) < 0.03] = -20
    voxels[chance(2).random(voxels.shape) < 0.002] = -300
    assert guess_modality(voxels) == "MR"


def test_an_mr_with_zero_mean_and_unit_variance_is_mr() -> None:
    assert guess_modality(chance().normal(size=(4, 50, 60))) == "MR"


def test_a_large_volume_is_looked_at_in_all_its_columns() -> None:
    # two million voxels are thinned; every second one would be in every second column
    voxels = np.zeros((32, 256, 256), np.int16)
    voxels[:, :, 1::2] = 1000
    assert clip_range(voxels, "MR", CONFIG) == (0, 1000)
    assert guess_modality(voxels - 1000) == "CT"


# which range


def test_ct_keeps_its_window() -> None:
    config = PreprocessingConfig(ct_window_hu=(-90.0, 210.0))
    assert clip_range(ct_body((2, 60, 60), (20, 20)), "CT", config) == (-90, 210)


def test_mr_keeps_all_but_its_brightest_voxels() -> None:
    voxels = chance().permutation(10_000).reshape(4, 50, 50).astype(np.int32)
    low, high = clip_range(voxels, "MR", PreprocessingConfig(mr_clip_percentile=90))
    assert low == 0
    assert high == pytest.approx(np.percentile(voxels, 90))


# which scale


@pytest.mark.parametrize(
    ("voxels", "modality"),
    [
        (ct_body((3, 60, 50), (20, 20)), "CT"),
        (ct_body((3, 60, 50), (20, 20)).astype(np.float32), "CT"),
        (chance().rayleigh(200, (3, 60, 50)).astype(np.uint16), "MR"),
        (chance().rayleigh(200, (3, 60, 50)) + 1e6, "MR"),
        (chance().rayleigh(1e-7, (3, 60, 50)), "MR"),
        (chance().rayleigh(1e30, (3, 60, 50)), "MR"),
        (chance().integers(0, 255, (3, 60, 50)).astype(np.uint8), "MR"),
        (np.flip(chance().rayleigh(200, (50, 60, 3)).astype(np.float32).transpose(2, 1, 0), (0, 2)), "MR"),
    ],
    ids=["ct", "float ct", "mr", "large offset", "tiny", "huge", "uint8", "turned"],
)
def test_scores_are_those_of_a_plain_computation(voxels: np.ndarray, modality: str) -> None:
    precise = voxels.astype(np.float64)
    low, high = (-125, 275) if modality == "CT" else (precise.min(), np.percentile(precise, 99.5))
    clipped = np.clip(precise, low, high)
    scale = measure_scale(voxels, modality, CONFIG, name="case")
    scores = scale(voxels)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, (clipped - clipped.mean()) / clipped.std(), atol=2e-4)
    assert scores.mean(dtype=np.float64) == pytest.approx(0, abs=1e-5)
    assert scores.std(dtype=np.float64) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("value", [0, 7, -1000, 2000])
def test_a_constant_volume_is_refused_by_name(modality: str, value: int) -> None:
    with pytest.raises(VolumeFileError, match=r"case_3\.nrrd is constant: all its voxels are"):
        measure_scale(np.full((3, 20, 30), value, np.int16), modality, CONFIG, name="case_3.nrrd")


def test_a_volume_that_is_constant_within_the_window_is_refused_with_the_window() -> None:
    voxels = chance().integers(300, 3000, (3, 20, 30)).astype(np.int16)
    with pytest.raises(VolumeFileError, match=r"are 275 within the range used \(-125 to 275, CT\)"):
        measure_scale(voxels, "CT", CONFIG, name="bone")


def test_rounding_does_not_make_a_constant_look_varied() -> None:
    with pytest.raises(VolumeFileError, match="is constant"):
        measure_scale(np.full((3, 20, 30), 0.1), "MR", CONFIG, name="case")


# where the body is


@pytest.mark.parametrize(("rows", "columns"), [(100, 120), (300, 260), (512, 512)])
def test_the_bodys_box_leaves_out_air_and_the_table(rows: int, columns: int) -> None:
    half = rows * 0.3, columns * 0.35
    found = body_bounds(ct_body((6, rows, columns), half), "CT", CONFIG)
    stride = max(1, min(rows, columns) // 128)
    wanted = rows * 0.45, columns * 0.52
    for bounds, centre, reach in zip(found, wanted, half, strict=True):
        # two percent of a row is asked for, so that the ends of an ellipse may be missing
        assert centre - reach - 2 * stride <= bounds.start <= centre - 0.9 * reach
        assert centre + 0.9 * reach <= bounds.stop <= centre + reach + 2 * stride
    assert found[0].stop < rows * 0.45 + half[0] + 6


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1000.0])
def test_the_bodys_box_in_mr_depends_on_no_unit_and_no_noise(scale: float) -> None:
    body = ct_body((6, 150, 130), (45, 40), noise=0) > -500
    noisy = np.hypot(body * 300 + chance().normal(0, 12, body.shape), chance(3).normal(0, 12, body.shape))
    noisy[:, 115:] = chance(4).rayleigh(12, noisy[:, 115:].shape)
    rows, columns = body_bounds(noisy * scale, "MR", CONFIG)
    assert (rows.start, rows.stop) == pytest.approx((22, 113), abs=4)
    assert (columns.start, columns.stop) == pytest.approx((28, 108), abs=4)


def test_the_bodys_box_in_mr_holds_dark_fat_beside_a_stomach_full_of_bright_fluid() -> None:
    rows, columns = np.ogrid[:128, :160]
    from_centre = np.hypot((rows - 66) / 50, (columns - 77) / 62)
    in_stomach = np.hypot((rows - 45) / 18, (columns - 100) / 26) < 1
    signal = np.select([in_stomach, from_centre < 0.8, from_centre < 1], [1000.0, 90.0, 60.0], default=0.0)
    rng = chance()
    noisy = np.hypot(signal + rng.normal(0, 8, (9, 128, 160)), rng.normal(0, 8, (9, 128, 160)))
    found_rows, found_columns = body_bounds(noisy, "MR", CONFIG)
    assert (found_rows.start, found_rows.stop) == pytest.approx((66 - 50, 66 + 51), abs=4)
    assert (found_columns.start, found_columns.stop) == pytest.approx((77 - 62, 77 + 63), abs=4)


def test_a_volume_that_is_all_body_is_kept_whole() -> None:
    voxels = chance().normal(40, 20, (4, 60, 50)).astype(np.int16)
    assert body_bounds(voxels, "CT", CONFIG) == (slice(0, 60), slice(0, 50))


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 3), (3, 1, 50), (4, 60, 50)])
def test_a_volume_without_a_body_is_kept_whole(modality: str, shape: tuple[int, int, int]) -> None:
    voxels = np.full(shape, -1000, np.int16)
    assert body_bounds(voxels, modality, CONFIG) == (slice(0, shape[1]), slice(0, shape[2]))


def test_one_slice_has_a_body_too() -> None:
    rows, columns = body_bounds(ct_body((1, 100, 120), (30, 40)), "CT", CONFIG)
    assert (rows.start, rows.stop) == pytest.approx((15, 75), abs=4)
    assert (columns.start, columns.stop) == pytest.approx((22, 103), abs=4)
