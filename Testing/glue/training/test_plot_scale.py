import math
import random

import numpy as np
import pytest

from CISFATrainingLib.plot_scale import (
    Axis,
    Scale,
    box_of,
    log_ticks,
    nice_ticks,
    pixel_runs,
    scale_over,
    smoothed,
    step_scale_over,
    tick_texts,
    value_text,
)

NAN, INF = math.nan, math.inf

# ticks


@pytest.mark.parametrize(
    ("low", "high", "most", "ticks"),
    [
        (0.0, 1.0, 5, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        (0.0, 1.0, 2, (0.0, 0.5, 1.0)),
        (-0.3, 0.31, 6, (-0.2, 0.0, 0.2)),
        (12.0, 87.0, 8, (20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0)),
        (0.0, 99_999.0, 5, (0.0, 20_000.0, 40_000.0, 60_000.0, 80_000.0)),
        (1.0003, 1.0011, 4, (1.0004, 1.0006, 1.0008, 1.001)),
    ],
)
def test_ticks_are_multiples_of_one_two_or_five(low: float, high: float, most: int, ticks: tuple[float, ...]) -> None:
    assert nice_ticks(low, high, most) == ticks


def test_ticks_stay_in_the_range_and_are_few_whatever_the_range() -> None:
    chance = random.Random(3)
    for _ in range(2000):
        low = chance.uniform(-1, 1) * 10 ** chance.uniform(-12, 12)
        high = low + abs(low) * 10 ** chance.uniform(-5, 3)
        most, rim = chance.randint(2, 12), 1e-9 * (high - low) + 1e-15 * abs(low)
        ticks = nice_ticks(low, high, most)
        assert len(ticks) <= most + 1
        assert all(low - rim <= tick <= high + rim for tick in ticks)
        assert len(set(tick_texts(ticks))) == len(ticks)


def test_ticks_of_steps_are_whole() -> None:
    assert nice_ticks(0.0, 2.0, 8, is_whole=True) == (0.0, 1.0, 2.0)
    assert nice_ticks(4.5, 5.5, 8, is_whole=True) == (5.0,)
    assert nice_ticks(0.2, 0.4, 2, is_whole=True) == (0.2, 0.3, 0.4)


@pytest.mark.parametrize(
    ("low", "high", "most", "ticks"),
    [
        (0.0009, 12.0, 9, (1e-3, 1e-2, 0.1, 1.0, 10.0)),
        (1e-9, 1e3, 4, (1e-8, 1e-4, 1.0)),
        (0.15, 0.9, 5, (0.2, 0.5)),
        (0.31, 0.39, 5, (0.32, 0.34, 0.36, 0.38)),
    ],
)
def test_ticks_of_a_logarithmic_axis(low: float, high: float, most: int, ticks: tuple[float, ...]) -> None:
    assert log_ticks(low, high, most) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("ticks", "texts"),
    [
        ((0.0, 0.5, 1.0), ["0.0", "0.5", "1.0"]),
        ((-0.2, -0.0, 0.2), ["-0.2", "0.0", "0.2"]),
        ((0.0, 20_000.0, 40_000.0), ["0", "20000", "40000"]),
        ((0.0, 5e6, 1e7), ["0", "5e6", "1e7"]),
        ((0.0, 0.00005, 0.0001), ["0", "5e-5", "1.0e-4"]),
        ((1.0004, 1.0006), ["1.0004", "1.0006"]),
        ((), []),
        ((5.0,), ["5"]),
    ],
)
def test_tick_texts_have_the_decimals_that_tell_them_apart(ticks: tuple[float, ...], texts: list[str]) -> None:
    assert [text.replace(".0e", "e") for text in tick_texts(ticks)] == [text.replace(".0e", "e") for text in texts]


def test_powers_of_ten_are_written_each_for_itself() -> None:
    assert tick_texts((1e-5, 0.001, 0.1, 10.0), is_log=True) == ["1e-5", "0.001", "0.1", "10"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123456, "0.1235"), (2000, "2000"), (1e-5, "1e-5"), (123456.7, "1.235e5"), (-0.0, "0"), (0.5, "0.5")],
)
def test_a_value_has_four_digits_that_count(value: float, text: str) -> None:
    assert value_text(value) == text


# scales


def test_a_scale_holds_all_values_with_a_rim() -> None:
    scale = scale_over([[1.0, 3.0], [NAN, 11.0, INF, -INF]])
    assert scale == Scale(0.5, 11.5)
    assert Axis(scale, 200.0, 100.0).position(6.0) == 150.0


@pytest.mark.parametrize("values", [[], [[]], [[NAN, INF]], [[], []]])
def test_nothing_to_show_has_no_scale(values: list[list[float]]) -> None:
    assert scale_over(values) is None
    assert step_scale_over(values) is None


@pytest.mark.parametrize(
    "values", [[0.0], [5.0, 5.0], [-1e-7], [1e300], [1e-300], [-1.7e308, 1.7e308], [1.0, 1 + 1e-15]]
)
@pytest.mark.parametrize("is_log", [False, True])
def test_constant_and_extreme_values_have_a_range_and_ticks(values: list[float], is_log: bool) -> None:
    scale = scale_over([values], is_log=is_log)
    if scale is None:
        assert is_log
        assert max(values) <= 0
        return
    assert scale.low < scale.high
    assert all(math.isfinite(Axis(scale, 0.0, 100.0).position(value)) for value in values if value > 0 or not is_log)
    assert 1 <= len(tick_texts(scale.ticks(5), is_log=is_log)) <= 6


def test_a_logarithmic_axis_gives_every_decade_the_same_length_and_ignores_zero() -> None:
    scale = scale_over([[0.0, -3.0, 0.01, 100.0]], is_log=True, margin=0.0)
    assert scale == Scale(0.01, 100.0, is_log=True)
    axis = Axis(scale, 400.0, 0.0)
    assert [axis.position(value) for value in (0.01, 0.1, 1, 10, 100)] == pytest.approx([400, 300, 200, 100, 0])


def test_a_single_step_lies_in_the_middle() -> None:
    assert step_scale_over([[7.0]]) == Scale(6.5, 7.5)
    assert step_scale_over([[0.0, 500.0], [1000.0]]) == Scale(0.0, 1000.0)


# pixels


def axes(steps: int, scale: Scale | None = None) -> tuple[Axis, Axis]:
    """100 pixels of steps, values from 0 to 10 on 10 pixels that count downwards."""
    return Axis(Scale(0.0, steps), 0.0, 100.0), Axis(scale or Scale(0.0, 10.0), 10.0, 0.0)


def test_a_short_curve_keeps_every_point() -> None:
    x, y = axes(4)
    assert pixel_runs([0, 1, 2, 4], [0.0, 10.0, 5.0, 1.0], x, y) == [[(0, 10), (25, 0), (50, 5), (100, 9)]]


def test_a_spike_in_a_long_curve_stays() -> None:
    x, y = axes(100_000)
    values = [5.0] * 100_000
    values[43_210], values[43_215] = 10.0, 0.0
    (run,) = pixel_runs(range(100_000), values, x, y)
    assert len(run) <= 2 * 101
    assert {height for at, height in run if 43 <= at < 44} == {0.0, 10.0}


def test_the_last_value_stays_whatever_came_before() -> None:
    x, y = axes(1000)
    (run,) = pixel_runs(range(1000), [index % 10 for index in range(995)] + [3.0, 9.0, 1.0, 8.0, 4.0], x, y)
    assert run[-1] == pytest.approx((99.9, 6.0))


def test_what_is_no_number_interrupts_the_line() -> None:
    x, y = axes(6)
    runs = pixel_runs(range(7), [1.0, 2.0, NAN, 3.0, INF, -INF, 4.0], x, y)
    assert [len(run) for run in runs] == [2, 1, 1]


def test_a_gap_that_nobody_can_see_does_not_cut_a_long_curve_to_pieces() -> None:
    x, y = axes(100_000)
    values = [NAN if index % 2 else float(index % 10) for index in range(100_000)]
    assert len(pixel_runs(range(100_000), values, x, y)) <= 101


def test_gaps_at_both_ends_are_nothing() -> None:
    x, y = axes(4)
    assert [len(run) for run in pixel_runs(range(4), [NAN, 1.0, 2.0, NAN], x, y)] == [2]
    assert pixel_runs([0, 1], [NAN, NAN], x, y) == []
    assert pixel_runs([], [], x, y) == []


def test_a_step_without_a_number_is_a_gap_too() -> None:
    x, y = axes(4)
    assert [len(run) for run in pixel_runs([0, NAN, 2], [1.0, 1.0, 1.0], x, y)] == [1, 1]


def test_steps_that_go_back_after_a_resumption_are_drawn_as_they_are() -> None:
    x, y = axes(4)
    (run,) = pixel_runs([0, 2, 1, 3], [1.0, 2.0, 3.0, 4.0], x, y)
    assert [at for at, _ in run] == [0, 50, 25, 75]


def test_a_logarithmic_axis_leaves_gaps_where_values_are_not_positive() -> None:
    x, y = axes(4, Scale(0.1, 10.0, is_log=True))
    runs = pixel_runs(range(5), [1.0, 0.0, 10.0, -1.0, 0.1], x, y)
    assert [run[0][1] for run in runs] == pytest.approx([5, 0, 10])


# smoothing


def test_smoothing_begins_at_the_first_value_and_follows_its_equation() -> None:
    values = [3.0, 1.0, 4.0, 1.0, 5.0]
    weight, expected, average = 0.8, [], 0.0
    for index, value in enumerate(values, start=1):
        average = weight * average + (1 - weight) * value
        expected.append(average / (1 - weight**index))
    assert smoothed(values, weight) == pytest.approx(expected)
    assert smoothed(values, weight)[0] == 3.0


def test_smoothing_does_not_change_a_constant() -> None:
    assert smoothed([2.5] * 50, 0.99) == pytest.approx([2.5] * 50)


def test_smoothing_leaves_gaps_where_they_are() -> None:
    found = smoothed([1.0, NAN, INF, 1.0], 0.5)
    assert math.isnan(found[1])
    assert found[2] == INF
    assert found[3] == 1.0


def test_without_weight_nothing_is_smoothed() -> None:
    assert smoothed([1.0, 7.0], 0.0) == [1.0, 7.0]
    assert smoothed([], 0.9) == []


@pytest.mark.parametrize("weight", [-0.1, 1.0, NAN])
def test_a_weight_that_is_none_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="from 0 to below 1"):
        smoothed([1.0], weight)


# boxes


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 10, 31])
def test_quartiles_are_numpys(count: int) -> None:
    values = [random.Random(count).gauss(0, 1) for _ in range(count)]
    box = box_of(values)
    expected = np.percentile(values, [25, 50, 75])
    assert (box.lower_quartile, box.median, box.upper_quartile) == pytest.approx(tuple(expected))
    assert box.count == count


def test_whiskers_end_at_values_and_what_is_beyond_is_an_outlier() -> None:
    box = box_of([10.0, 11, 12, 13, 14, 19, 30, -5])
    # quartiles 10.75 and 15.25, so the fences are 4 and 22
    assert (box.lower_whisker, box.upper_whisker) == (10.0, 19.0)
    assert box.outliers == (-5.0, 30.0)


def test_a_whisker_never_ends_inside_the_box() -> None:
    box = box_of([0.0, 100.0, 101.0, 102.0])
    assert box.lower_whisker == box.lower_quartile == 75.0
    assert box.outliers == (0.0,)


def test_missing_values_are_skipped_and_counted() -> None:
    box = box_of([1.0, None, NAN, 3.0, INF])
    assert (box.count, box.skipped, box.median) == (2, 3, 2.0)


def test_a_group_without_values_has_a_box_without_numbers() -> None:
    box = box_of([None, NAN])
    assert (box.count, box.skipped, box.outliers) == (0, 2, ())
    assert math.isnan(box.median)
    assert box_of([]).count == 0
