"""Pictures, read pixel by pixel."""

import math
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import qt

from cisfa.errors import CisfaError
from CISFATrainingLib.box_plot import BOX_COLOUR, BoxPlot
from CISFATrainingLib.curve_plot import PALETTE, Curve, CurvePlot, colour_of

RED, BLUE, LEAF = (200, 20, 20), (20, 20, 200), (20, 160, 20)
WIDTH, HEIGHT, LEGEND_ENDS = 480, 300, 52
WHITE, BLACK, NIGHT = (255, 255, 255), (0, 0, 0), (32, 33, 36)
Colour = tuple[int, int, int]


@pytest.fixture
def label(host):
    return new_label(WHITE, BLACK)


def new_label(background: Colour, foreground: Colour):
    made = qt.QLabel()
    palette = made.palette
    palette.setColor(qt.QPalette.Base, qt.QColor(*background))
    palette.setColor(qt.QPalette.Text, qt.QColor(*foreground))
    made.setPalette(palette)
    made.resize(WIDTH, HEIGHT)
    return made


def pixels(label) -> np.ndarray:
    """Colours by row and column; through a file, since asking for one pixel after the other takes seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.ppm"
        assert label.pixmap.save(str(path), "PPM")
        kind, size, largest, values = path.read_bytes().split(b"\n", 3)
    assert (kind, largest) == (b"P6", b"255")
    width, height = map(int, size.split())
    return np.frombuffer(values, np.uint8).reshape(height, width, 3).astype(int)


def where(label, colour: Colour, *, is_plot: bool = True, tolerance: int = 60) -> list[tuple[int, int]]:
    """Column and row of the pixels of about a colour; ``is_plot`` leaves out the title and the legend."""
    near = (abs(pixels(label) - colour) <= tolerance).all(axis=2)
    near[: LEGEND_ENDS if is_plot else 0] = False
    rows, columns = near.nonzero()
    return sorted(zip(columns.tolist(), rows.tolist(), strict=True))


def heights(label, colour: Colour) -> list[float]:
    """The mean row of a colour in every column that has it."""
    rows: dict[int, list[int]] = {}
    for x, y in where(label, colour):
        rows.setdefault(x, []).append(y)
    return [statistics.mean(rows[x]) for x in sorted(rows)]


def curve(values, colour: Colour = RED, name: str = "loss") -> Curve:
    return Curve(name, range(len(values)), values, colour)


# curves


def test_a_rising_curve_is_higher_on_the_right(label) -> None:
    CurvePlot(label).show([curve([float(step) for step in range(50)])], title="Rises")
    found = heights(label, RED)
    assert len(found) > WIDTH // 2
    assert all(later <= earlier + 1 for earlier, later in pairwise(found))
    assert found[0] - found[-1] > HEIGHT / 3


def test_an_exponential_curve_is_straight_on_a_logarithmic_axis_alone(label) -> None:
    def bend() -> float:
        found = heights(label, RED)
        return abs(found[len(found) // 2] - (found[0] + found[-1]) / 2)

    values = [10 ** (step / 20) for step in range(81)]
    CurvePlot(label).show([curve(values)], title="Exponential", is_log=True)
    assert bend() < 3
    CurvePlot(label).show([curve(values)], title="Exponential")
    assert bend() > HEIGHT / 6


def test_curves_have_their_colours_and_the_legend_has_them_too(label) -> None:
    CurvePlot(label).show([curve([1.0, 1.0], RED), curve([2.0, 2.0], BLUE), curve([3.0, 3.0], LEAF)], title="Three")
    red, blue, leaf = (statistics.mean(heights(label, colour)) for colour in (RED, BLUE, LEAF))
    assert red > blue > leaf
    for colour in (RED, BLUE, LEAF):
        assert min(y for _, y in where(label, colour, is_plot=False)) < LEGEND_ENDS


def test_a_spike_in_a_long_curve_is_visible(label) -> None:
    values = [0.0] * 20_000
    values[11_111] = 1.0
    CurvePlot(label).show([curve(values)], title="Spike")
    rows = [y for _, y in where(label, RED)]
    assert max(rows) - min(rows) > HEIGHT / 3


def test_values_that_are_no_number_leave_a_gap(label) -> None:
    CurvePlot(label).show([curve([1.0, 1.0, math.nan, 1.0, 1.0])], title="Gap")
    columns = sorted({x for x, _ in where(label, RED)})
    widest = max(later - earlier for earlier, later in pairwise(columns))
    assert widest > WIDTH / 4
    assert "1 at step 4, 1 without a finite value" in label.toolTip


def test_a_smoothed_curve_has_the_raw_one_pale_behind_it(label) -> None:
    chance = random.Random(1)
    noisy = [chance.choice([0.0, 1.0]) for _ in range(300)]
    CurvePlot(label).show([curve(noisy)], title="Smoothed", smoothing=0.97)
    strong = where(label, RED)
    pale = where(label, tuple(round(0.35 * own + 0.65 * 255) for own in RED))

    def extent(found: list[tuple[int, int]]) -> int:
        return max(y for _, y in found[len(found) // 2 :]) - min(y for _, y in found[len(found) // 2 :])

    assert extent(pale) > HEIGHT / 3
    assert extent(strong) < extent(pale) / 2
    assert "smoothed 0." in label.toolTip


def test_a_single_value_is_a_dot(label) -> None:
    CurvePlot(label).show([curve([0.3])], title="One")
    assert 4 <= len(where(label, RED)) <= 60


def test_a_constant_curve_is_level(label) -> None:
    CurvePlot(label).show([curve([0.7] * 9)], title="Level")
    assert len({round(y) for y in heights(label, RED)}) <= 2


def test_the_tool_tip_lists_the_last_values(label) -> None:
    CurvePlot(label).show([curve([3.0, 0.123456], name="adversarial"), curve([], BLUE, "empty")], title="Two")
    assert label.toolTip.split("\n") == ["adversarial: 0.1235 at step 1", "empty: no finite value"]


@pytest.mark.parametrize(
    ("curves", "is_log", "sentence"),
    [
        ([], False, "No curves yet."),
        ([Curve("loss", [], [], RED)], False, "No curves yet."),
        ([Curve("loss", [0, 1], [math.nan, math.inf], RED)], False, "No finite value yet."),
        ([Curve("loss", [0, 1], [0.0, -1.0], RED)], True, "only positive values"),
    ],
)
def test_where_there_is_nothing_to_show_a_sentence_says_why(label, curves, is_log: bool, sentence: str) -> None:
    plot = CurvePlot(label)
    plot.show([curve([1.0, 2.0])], title="Before")
    plot.show(curves, title="Empty", is_log=is_log)
    assert sentence in label.text
    assert label.toolTip == ""


def test_as_many_steps_as_values_are_needed() -> None:
    with pytest.raises(ValueError, match="loss has 2 steps and 1 values"):
        Curve("loss", [0, 1], [1.0], RED)


def test_a_dark_palette_gives_a_dark_picture_with_light_words(host) -> None:
    label = new_label(NIGHT, WHITE)
    CurvePlot(label).show([curve([1.0, 2.0])], title="Dark", y_title="loss")
    found = pixels(label)
    assert (found == NIGHT).all(axis=2).mean() > 0.8
    assert (found.min(axis=2) > 200).any()
    assert where(label, RED)


def test_a_refreshed_picture_fits_the_label_and_its_colours(label) -> None:
    plot = CurvePlot(label)
    plot.show([curve([1.0, 2.0])], title="Same")
    assert (label.pixmap.width(), label.pixmap.height()) == (WIDTH, HEIGHT)
    label.resize(700, 200)
    palette = label.palette
    palette.setColor(qt.QPalette.Base, qt.QColor(*NIGHT))
    label.setPalette(palette)
    plot.refresh()
    assert (label.pixmap.width(), label.pixmap.height()) == (700, 200)
    assert tuple(pixels(label)[0, 0]) == NIGHT


def test_pictures_do_not_keep_their_labels_from_getting_smaller(host) -> None:
    window = qt.QWidget()
    layout = qt.QVBoxLayout(window)
    labels = [qt.QLabel(), qt.QLabel()]
    plots = [CurvePlot(label) for label in labels]
    for label in labels:
        layout.addWidget(label)
    window.resize(900, 700)
    window.show()
    host.process_events()
    for plot in plots:
        plot.show([curve([1.0, 2.0])], title="Wide")
    window.resize(320, 340)
    host.process_events()
    assert (window.width, window.height) == (320, 340)
    assert all(label.width < 320 for label in labels)
    assert abs(labels[0].height - labels[1].height) <= 1


@pytest.mark.parametrize("size", [(1, 1), (60, 20), (200, 140), (90, 900)])
def test_a_label_without_room_is_no_reason_to_fail(label, size: tuple[int, int]) -> None:
    label.setMinimumSize(1, 1)
    label.resize(*size)
    many = [curve([1.0, float(index)], colour_of(index), f"a rather long name {index}") for index in range(30)]
    CurvePlot(label).show(many, title="A title that has no room here " * 5, y_title="A long name of an axis " * 9)
    assert label.pixmap.width() >= 200
    BoxPlot(label).show({"a name of an organ " * 3: [1.0], "b" * 40: [2.0]}, title="Boxes", y_title="Dice")


def test_a_message_takes_the_pictures_place_and_stays(label) -> None:
    plot = CurvePlot(label)
    plot.show([curve([1.0, 2.0])], title="Shown")
    plot.clear("No curves yet.")
    plot.refresh()
    assert label.text == "No curves yet."


@pytest.mark.parametrize("smoothing", [0.0, 0.9])
def test_a_hundred_thousand_points_are_fast(label, smoothing: float) -> None:
    chance = random.Random(1)
    long = curve([chance.gauss(0, 1) for _ in range(100_000)])
    plot, spent = CurvePlot(label), []
    for _ in range(5):
        begin = time.perf_counter()
        plot.show([long], title="Long", smoothing=smoothing)
        spent.append(time.perf_counter() - begin)
    # 0.05 s and 0.08 s in Slicer; more here for a busy computer
    assert statistics.median(spent) < 0.5


def test_colours_differ_until_they_repeat() -> None:
    assert len(set(PALETTE)) == len(PALETTE) >= 6
    assert colour_of(len(PALETTE)) == colour_of(0)


# saving


def test_a_saved_picture_is_the_shown_one(label, tmp_path: Path) -> None:
    plot, path = CurvePlot(label), tmp_path / "Kurven ä.png"
    plot.show([curve([1.0, 2.0])], title="Saved")
    plot.save(path)
    plot.save(path)  # over the old one
    assert path.read_bytes().startswith(b"\x89PNG")
    saved = qt.QLabel()
    saved.setPixmap(qt.QPixmap(str(path)))
    assert (pixels(saved) == pixels(label)).all()
    assert list(tmp_path.iterdir()) == [path]


def folder_that_is_not_there(tmp_path: Path) -> Path:
    return tmp_path / "nowhere" / "curves.png"


def folder_of_that_name(tmp_path: Path) -> Path:
    (tmp_path / "curves.png").mkdir()
    return tmp_path / "curves.png"


@pytest.mark.parametrize("place", [folder_that_is_not_there, folder_of_that_name])
def test_a_picture_that_cannot_be_written_is_a_sentence(label, tmp_path: Path, place: Callable[[Path], Path]) -> None:
    plot, path = CurvePlot(label), place(tmp_path)
    plot.show([curve([1.0, 2.0])], title="Saved")
    with pytest.raises(CisfaError, match=r"curves\.png cannot be written\. Choose a folder"):
        plot.save(path)
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


def test_without_a_picture_there_is_nothing_to_save(label, tmp_path: Path) -> None:
    plot = CurvePlot(label)
    with pytest.raises(CisfaError, match="no picture to save"):
        plot.save(tmp_path / "curves.png")
    plot.show([curve([1.0, 2.0])], title="Shown")
    plot.clear("No curves yet.")
    with pytest.raises(CisfaError, match="no picture to save"):
        plot.save(tmp_path / "curves.png")


# boxes


def columns_of(label, colour: Colour) -> list[list[int]]:
    """Runs of columns that have a colour: one for each box."""
    runs: list[list[int]] = []
    for x in sorted({x for x, _ in where(label, colour, tolerance=12)}):
        if runs and x - runs[-1][-1] <= 2:
            runs[-1].append(x)
        else:
            runs.append([x])
    return runs


def test_every_group_has_a_box_and_the_better_one_is_higher(label) -> None:
    groups = {"liver": [0.4, 0.45, 0.5, 0.55], "spleen": [0.7, 0.75, 0.8, 0.85]}
    BoxPlot(label).show(groups, title="Dice", y_title="Dice", y_range=(0, 1))
    boxes = columns_of(label, BOX_COLOUR)
    assert len(boxes) == 2
    found = where(label, BOX_COLOUR, tolerance=12)
    worse, better = (statistics.mean(y for x, y in found if x in columns) for columns in boxes)
    assert worse - better > HEIGHT / 8


def test_the_range_of_the_axis_is_kept_and_grows_where_values_lie_outside(label) -> None:
    def height(y_range: tuple[float, float]) -> int:
        BoxPlot(label).show({"liver": [0.2, 0.8]}, title="Dice", y_title="Dice", y_range=y_range)
        rows = [y for _, y in where(label, BOX_COLOUR, is_plot=False, tolerance=12)]
        return max(rows) - min(rows)

    assert height((0, 1)) > 1.8 * height((0, 2))
    assert height((0.4, 0.5)) > height((0, 1))


def test_an_outlier_is_a_dot_of_its_own(label) -> None:
    values = [0.50, 0.51, 0.52, 0.53, 0.54] * 10
    BoxPlot(label).show({"liver": values}, title="Dice", y_title="Dice", y_range=(0, 1))
    without = len(where(label, BOX_COLOUR, tolerance=12))
    BoxPlot(label).show({"liver": [*values, 0.1]}, title="Dice", y_title="Dice", y_range=(0, 1))
    assert len(where(label, BOX_COLOUR, tolerance=12)) > without + 15


def test_small_groups_show_every_value(label) -> None:
    grey = tuple(round(255 * 0.55) for _ in range(3))
    small = [0.2 + 0.02 * index for index in range(30)]

    def dots(values: list[float]) -> int:
        BoxPlot(label).show({"liver": values}, title="Dice", y_title="", y_range=(0, 1))
        return len(where(label, grey, tolerance=8))

    assert dots(small) > dots([*small, 0.5]) + 30


def test_missing_values_are_counted_in_the_tool_tip(label) -> None:
    BoxPlot(label).show({"liver": [0.5, None, math.nan, 0.7], "spleen": [None]}, title="Dice", y_title="Dice")
    assert label.toolTip.split("\n") == [
        "liver: median 0.6, quartiles 0.55 to 0.65, n = 2 of 4",
        "spleen: n = 0 of 1",
    ]
    assert len(columns_of(label, BOX_COLOUR)) == 1


@pytest.mark.parametrize("groups", [{}, {"liver": []}, {"liver": [None], "spleen": [math.nan]}])
def test_groups_without_values_are_a_sentence(label, groups) -> None:
    BoxPlot(label).show(groups, title="Dice", y_title="Dice", y_range=(0, 1))
    assert label.text == "No values yet."


def test_box_plots_are_saved_and_refreshed_like_curves(label, tmp_path: Path) -> None:
    plot = BoxPlot(label)
    plot.show({"liver": [0.5, 0.6]}, title="Dice", y_title="Dice")
    label.resize(300, 300)
    plot.refresh()
    plot.save(tmp_path / "boxes.png")
    assert qt.QPixmap(str(tmp_path / "boxes.png")).width() == 300
