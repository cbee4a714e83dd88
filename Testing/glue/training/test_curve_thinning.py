"""What is painted of long curves."""

import math
import time
from pathlib import Path

import pytest

from cisfa.runs.run_state import Status
from training.run_folders import append_rows, make_run, open_tab

LOSSES = [f"loss {number}" for number in range(12)]


@pytest.fixture
def thin(training):
    from CISFATrainingLib import curve_thinning

    return curve_thinning


def test_a_short_curve_is_kept_as_it_is(thin) -> None:
    curve = thin.ThinCurve([3.0, math.nan, 1.0], 0.0)
    assert curve.indices == [0, 1, 2]
    assert (curve.missing, curve.last) == (1, 2)


def test_every_spike_and_the_last_value_of_a_long_curve_stay(thin) -> None:
    values = [1.0] * 30_001
    values[777], values[20_002], values[-1] = 9.0, -9.0, 2.0
    kept = thin.ThinCurve(values, 0.0).indices
    assert len(kept) <= thin.MOST_POINTS + 1
    assert {777, 20_002, 30_000} <= set(kept)
    assert kept == sorted(kept)


def test_a_gap_stays_a_gap(thin) -> None:
    values = [1.0] * 5000 + [math.nan] * 5000 + [2.0] * 5000
    kept = thin.ThinCurve(values, 0.0).indices
    assert any(math.isnan(values[index]) for index in kept)


@pytest.mark.parametrize("count", [10, 999, 4321])
def test_a_curve_that_grows_is_the_same_as_one_seen_at_once(thin, count: int) -> None:
    from CISFATrainingLib.plot_scale import smoothed

    values = [math.sin(step) + step % 7 if step % 11 else math.nan for step in range(count)]
    growing: list[float] = []
    curve = thin.ThinCurve(growing, 0.9)
    for start in range(0, count, 137):
        growing += values[start : start + 137]
        curve.update()
    once = thin.ThinCurve(values, 0.9)
    assert (curve.indices, curve.missing, curve.last) == (once.indices, once.missing, once.last)
    at = [index for index in once.indices if math.isfinite(values[index])]
    whole = smoothed(values, 0.9)
    assert curve.smoothed(at) == pytest.approx([whole[index] for index in at])


def test_a_look_at_a_long_run_with_one_new_row_is_fast(host, root: Path, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "runs" / "a", Status.TRAINING)
    (folder / "metrics.csv").unlink()
    rows = [[step, *(1 / (step + place) + step % 13 for place in range(1, 13))] for step in range(20_000)]
    append_rows(folder / "metrics.csv", ["step", *LOSSES], rows)
    tab, spent = open_tab(root, tmp_path), []
    tab.section.refresh()
    for step in range(20_000, 20_005):
        append_rows(folder / "metrics.csv", ["step", *LOSSES], [[step, *[0.5] * 12]])
        begin = time.perf_counter()
        tab.section.poll()
        spent.append(time.perf_counter() - begin)
    assert f"at step {step}" in tab.ui.curveLabel.toolTip
    # about 0.05 s; more here for a busy computer
    assert min(spent) < 0.5
    tab.section.end_now()
