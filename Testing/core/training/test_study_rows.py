"""The rows of a study's table: from a file to settings, and the folders they are kept in."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cisfa.config import TrainingConfig
from cisfa.config_files import compose
from cisfa.errors import ConfigError
from cisfa.training.study_rows import (
    changed_settings,
    read_table,
    row_named,
    rows_named,
    slug_of,
    table_of_methods,
)

BASE = compose(assignments=["schedule.steps=5"])
NO_WEIGHT = {"name": "CISFA, no organ weight", "method": "cisfa", "set": ["patch_contrast.organ_weight=1"]}
ROWS = [{"name": "CISFA", "method": "cisfa"}, NO_WEIGHT, {"name": "floor", "method": "source-only"}]
STUDIES = Path(__file__).parents[2] / "benchmarks" / "studies"


def written(folder: Path, values: Any) -> Path:
    path = folder / "Zeilen für März.json"
    path.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    return path


def test_a_rows_settings_are_laid_over_those_of_the_command(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, {"rows": ROWS, "chosen": ["CISFA"], "about": "a test"}), BASE)
    assert [row.name for row in table.rows] == ["CISFA", "CISFA, no organ weight", "floor"]
    assert [row.config.method for row in table.rows] == ["cisfa", "cisfa", "source-only"]
    assert [row.is_chosen for row in table.rows] == [True, False, False]
    assert [row.config.schedule.steps for row in table.rows] == [5, 5, 5]
    assert [row.config.patch_contrast.organ_weight for row in table.rows] == [2.0, 1.0, 2.0]
    assert table.reference == "CISFA"


def test_the_reference_may_be_any_row(tmp_path: Path) -> None:
    assert read_table(written(tmp_path, {"rows": ROWS, "reference": "floor"}), BASE).reference == "floor"
    assert read_table(written(tmp_path, {"rows": ROWS[:1]}), BASE).reference is None


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = written(tmp_path, {"rows": ROWS})
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read_table(path, BASE).rows) == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rows": [*ROWS, ROWS[0]]}, "Two rows are named 'CISFA'"),
        ({"rows": [*ROWS, {**NO_WEIGHT, "name": "again"}]}, "'again' are the same"),
        ({"rows": [*ROWS, {**NO_WEIGHT, "name": "cisfa"}]}, "'cisfa' would share the folder cisfa"),
        ({"rows": [{**NO_WEIGHT, "sett": []}]}, r"no setting rows\[0\]\.sett\. Did you mean rows\[0\]\.set"),
        ({"rows": [{"name": "a"}]}, r"rows\[0\]\.method is missing"),
        ({"rows": [{"name": "a", "method": "cyclegan"}]}, "The row 'a': There is no method 'cyclegan'"),
        (
            {"rows": [{**NO_WEIGHT, "set": ["patch_contrast.weight=1"]}]},
            "'CISFA, no organ weight': There is no setting",
        ),
        ({"rows": [{**NO_WEIGHT, "set": ["seed=3"]}]}, "seed is set by --seeds"),
        ({"rows": [{**NO_WEIGHT, "set": ["organs.5=stomach"]}]}, "organs is set by --set of the command"),
        ({"rows": [{**NO_WEIGHT, "set": "seed=3"}]}, "must be a list"),
        ({"rows": [{**NO_WEIGHT, "name": " "}]}, "a row's name is ' '"),
        ({"rows": ROWS, "reference": "ceiling"}, "names 'ceiling', which is no row"),
        ({"rows": ROWS, "chosen": ["ceiling"]}, "names 'ceiling', which is no row"),
        ({"rows": []}, "There is no row"),
        ({"rows": ROWS, "seeds": [0]}, "no setting seeds"),
        ([], "holds no object"),
    ],
)
def test_what_is_unknown_or_doubled_is_refused_with_the_file(tmp_path: Path, values: Any, message: str) -> None:
    path = written(tmp_path, values)
    with pytest.raises(ConfigError, match=f"(?i){message}") as refusal:
        read_table(path, BASE)
    assert path.name in str(refusal.value)


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('{"rows": [{"name": "a", "method": "cisfa", "method": "supervised"}]}', encoding="utf-8")
    with pytest.raises(ConfigError, match="twice"):
        read_table(path, BASE)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json cannot be read"):
        read_table(tmp_path / "none.json", BASE)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("CISFA, no organ weight", "cisfa-no-organ-weight"),
        ("source-only", "source-only"),
        ("CISFA+", "cisfa-plus"),
        ("temperature 0.07", "temperature-0-07"),
        ("a/b\\c:d*?", "a-b-c-d"),
        ("con", "row-con"),
        ("LPT1", "row-lpt1"),
        ("Übung", "ubung"),
        ("x" * 200, "x" * 60),
    ],
)
def test_a_rows_folder_is_named_so_that_every_system_takes_it(name: str, slug: str) -> None:
    assert slug_of(name) == slug


def test_names_that_no_letter_can_be_kept_of_get_different_folders() -> None:
    assert slug_of("方法一") != slug_of("方法二")
    assert slug_of("方法一").isascii()
    assert slug_of("τ = 0.07") != slug_of("w = 0.07") != slug_of("= 0.07")


def test_rows_are_picked_by_name_or_folder_though_a_name_holds_a_comma(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, {"rows": ROWS}), BASE)

    def picked(*texts: str) -> list[str]:
        return [row.name for row in rows_named(table, texts)]

    assert picked("CISFA, no organ weight") == ["CISFA, no organ weight"]
    assert picked("floor,CISFA") == ["CISFA", "floor"]
    assert picked("floor, CISFA, no organ weight") == ["CISFA, no organ weight", "floor"]
    assert picked("cisfa-no-organ-weight", "cisfa") == ["CISFA", "CISFA, no organ weight"]
    for wrong in ("ceiling", "floor,ceiling", ","):
        with pytest.raises(ConfigError, match="--only"):
            picked(wrong)
    with pytest.raises(ConfigError, match=r"--figure-row: there is no row 'ceiling'.*CISFA, no organ weight; floor"):
        row_named(table, "ceiling", option="--figure-row")


@pytest.mark.parametrize("methods", [[], ["cisfa", "cisfa"], ["cisfa", "cyclegan"]])
def test_methods_are_named_once_and_known(methods: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"--methods|cyclegan"):
        table_of_methods(methods, BASE)


def test_settings_that_differ_are_told_by_their_dotted_names() -> None:
    config = compose(base=BASE, assignments=["patch_contrast.organ_weight=1", "seed=3"], method="supervised")
    assert changed_settings(config, BASE) == {"patch_contrast.organ_weight": 1.0}
    assert changed_settings(BASE, TrainingConfig()) == {"schedule.steps": 5}


@pytest.mark.parametrize("name", ["abdomen", "heart"])
def test_the_studies_of_the_paper_can_be_read(name: str) -> None:
    table = read_table(STUDIES / f"{name}.json", BASE)
    by_name = {row.name: row.config for row in table.rows}
    assert table.reference == "CISFA"
    of_the_paper = [name for name, config in by_name.items() if not config.method.endswith("-plus")]
    assert [name for name in of_the_paper if not name.startswith("CISFA")] == ["supervised", "source-only"]
    assert by_name["CISFA, no organ weight"].patch_contrast.organ_weight == 1
    neither = by_name["CISFA, no contrast"]
    assert (neither.patch_contrast.enabled, neither.feature_contrast.combination) == (False, "off")


def test_the_ablation_of_cisfa_plus_puts_in_one_ingredient_after_the_other() -> None:
    table = read_table(STUDIES / "cisfa_plus.json", BASE)
    names = [row.name for row in table.rows]
    whole = names.index(table.reference)
    off = [set(changed_settings(row.config, replace(BASE, method="cisfa-plus"))) for row in table.rows[: whole + 1]]
    assert off[-1] == set()
    # what has nothing to do without what was put in
    idle = ({"teacher.filtered"}, {"teacher.least_dice"}, {"translation.structure_weight"})
    for before, after in pairwise(off):
        assert after < before or after - before in idle
    assert {row.config.method for row in table.rows} == {"cisfa-plus"}
