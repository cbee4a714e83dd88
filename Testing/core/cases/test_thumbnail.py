from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from cisfa.cases.thumbnail import draw_thumbnail, slice_to_show, write_picture

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.mark.parametrize(("width_by_height", "columns"), [(1.0, 96), (1.5, 144), (0.5, 48), (30.0, 240), (0.01, 38)])
def test_pictures_are_96_pixels_high_and_as_wide_as_the_slice_in_mm(width_by_height: float, columns: int) -> None:
    scores = np.zeros((40, 70), np.float32)
    assert draw_thumbnail(scores, None, {}, width_by_height=width_by_height).shape == (96, columns, 3)


def test_bright_is_bright_and_rows_run_down() -> None:
    scores = np.full((20, 20), -5, np.float32)
    scores[:10, :10] = 9
    picture = draw_thumbnail(scores, None, {}, width_by_height=1)
    assert picture[5, 5].tolist() == [255, 255, 255]
    assert picture[90, 5].tolist() == picture[5, 90].tolist() == [0, 0, 0]


def test_labels_are_outlined_in_their_colours_and_what_is_inside_stays_visible() -> None:
    labels = np.zeros((96, 96), np.uint8)
    labels[10:30, 10:30], labels[50:70, 50:70], labels[80:90, 10:20] = 1, 7, 9
    picture = draw_thumbnail(np.zeros((96, 96), np.float32), labels, {1: RED, 7: BLUE}, width_by_height=1)
    grey = picture[0, 0].tolist()
    assert picture[10, 20].tolist() == list(RED)
    assert picture[20, 20].tolist() == picture[9, 20].tolist() == grey
    assert picture[60, 69].tolist() == list(BLUE)
    assert picture[85, 10].tolist() == [255, 255, 255]  # of no colour
    assert (picture == RED).all(axis=-1).sum() == 4 * 20 - 4


def test_organs_that_touch_are_told_apart() -> None:
    labels = np.full((96, 96), 1, np.uint8)
    labels[:, 48:] = 2
    picture = draw_thumbnail(np.zeros((96, 96), np.float32), labels, {1: RED, 2: BLUE}, width_by_height=1)
    assert picture[40, 47].tolist() == list(RED)
    assert picture[40, 48].tolist() == list(BLUE)
    assert picture[40, 0].tolist() == picture[0, 20].tolist()  # the picture's edge is no border of an organ


def test_the_slice_with_most_that_is_labelled_is_shown_or_the_middle_one() -> None:
    labels = np.zeros((7, 5, 5), np.uint16)
    assert slice_to_show(7, None) == slice_to_show(7, labels) == 3
    labels[1, 0, 0], labels[5, :2, :2] = 900, 3
    assert slice_to_show(7, labels) == 5


def test_a_picture_is_a_png_file_with_its_colours(tmp_path: Path) -> None:
    picture = np.zeros((96, 50, 3), np.uint8)
    picture[3, 4] = (10, 20, 30)
    write_picture(picture, tmp_path / "new é" / "0af1.png")
    assert (tmp_path / "new é" / "0af1.png").read_bytes().startswith(b"\x89PNG")
    read = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "new é" / "0af1.png")))
    assert np.array_equal(read, picture)
    assert [path.name for path in (tmp_path / "new é").iterdir()] == ["0af1.png"]
