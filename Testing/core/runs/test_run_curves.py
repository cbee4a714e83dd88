import math
from pathlib import Path

import pytest

from cisfa.runs.run_curves import CurveReader
from cisfa.whole_files import write_text


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "metrics.csv"


def write(table: Path, text: str) -> None:
    with table.open("a", encoding="utf-8", newline="") as file:
        file.write(text)


def test_a_file_that_is_not_there_has_nothing_new(table: Path) -> None:
    reader = CurveReader(table)
    assert not reader.read()
    assert (reader.steps, reader.values) == ([], {})


def test_rows_are_read_as_they_come_and_each_once(table: Path) -> None:
    reader = CurveReader(table)
    write(table, 'step,dice,"a, b"\r\n10,0.5,1\r\n')
    assert reader.read()
    assert not reader.read()
    write(table, "20,0.25,2\r\n")
    assert reader.read()
    assert reader.steps == [10, 20]
    assert reader.values == {"dice": [0.5, 0.25], "a, b": [1, 2]}


def test_half_a_row_waits_for_its_end(table: Path) -> None:
    reader = CurveReader(table)
    write(table, "step,dice\r\n10,0.")
    reader.read()
    assert reader.steps == []
    write(table, "5\r\n")
    reader.read()
    assert reader.values == {"dice": [0.5]}


def test_values_that_are_missing_or_no_number_are_nan(table: Path) -> None:
    write(table, "step,a,b\r\n10,,x\r\n20,1\r\n")
    reader = CurveReader(table)
    reader.read()
    assert [math.isnan(value) for value in reader.values["a"]] == [True, False]
    assert all(math.isnan(value) for value in reader.values["b"])


@pytest.mark.parametrize("later", ["", "20,7\r\n30,8\r\n", "20,7\r\n30,8\r\n40,9\r\n50,10\r\n"])
def test_rows_that_a_resumed_run_drops_are_forgotten(table: Path, later: str) -> None:
    reader = CurveReader(table)
    write(table, "step,a\r\n10,1\r\n20,2\r\n30,3\r\n")
    reader.read()
    write_text(table, f"step,a\r\n10,1\r\n{later}")
    assert reader.read()
    assert not reader.read()
    assert reader.values["a"] == [1, 7, 8, 9, 10][: len(reader.steps)]
    assert reader.steps == [10, 20, 30, 40, 50][: 1 + later.count("\n")]


def test_the_middle_of_a_number_is_not_taken_for_a_step(table: Path) -> None:
    """What was read ended inside of what is a longer row now, and the rest of that looks like a later step."""
    reader = CurveReader(table)
    write(table, "step,a\r\n10,1\r\n20,2\r\n")
    reader.read()
    table.write_bytes(b"step,a\r\n10,1\r\n20,0.0099,7\r\n30,8\r\n")
    reader.read()
    assert reader.steps == [10, 20, 30]


def test_a_file_that_goes_away_takes_its_values_with_it(table: Path) -> None:
    reader = CurveReader(table)
    write(table, "step,a\r\n10,1\r\n")
    reader.read()
    table.unlink()
    assert reader.read()
    assert (reader.steps, reader.values) == ([], {})
