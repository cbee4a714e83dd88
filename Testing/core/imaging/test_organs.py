import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from cisfa.config import ABDOMEN
from cisfa.errors import ConfigError
from cisfa.imaging.organs import (
    Code,
    catalogue_names,
    catalogue_organ,
    organs_from_names,
    organs_of_dataset_json,
    parse_organs,
)


def write_dataset_json(folder: Path, labels: object) -> Path:
    path = folder / "dataset.json"
    path.write_text(json.dumps({"name": "a set", "labels": labels}), encoding="utf-8")
    return path


def test_the_right_kidney_has_the_codes_that_dicom_uses() -> None:
    organ = catalogue_organ("right kidney", 2)

    assert organ.name == "right kidney"
    assert organ.label == 2
    assert organ.category == Code("SCT", "123037004", "Anatomical Structure")
    assert organ.type == Code("SCT", "64033007", "Kidney")
    assert organ.laterality == Code("SCT", "24028007", "Right")
    assert organ.colour == (185, 102, 83)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Kidney_Right", "right kidney"),
        ("kidney-left", "left kidney"),
        ("  LIVER ", "liver"),
        ("adrenal_gland_left", "left adrenal gland"),
        ("Esophagus", "oesophagus"),
        ("bladder", "urinary bladder"),
        ("heart_ventricle_left", "left ventricle"),
        ("right ventricle blood cavity", "right ventricle"),
        ("aorta_ascending", "ascending aorta"),
        ("kidneys", "kidneys"),
        ("lung_upper_lobe_left", "left upper lobe of lung"),
    ],
)
def test_names_as_data_sets_write_them_are_recognised(written: str, expected: str) -> None:
    organ = catalogue_organ(written, 1)

    assert organ.name == expected
    assert organ.type is not None


def test_left_and_right_differ_in_laterality_alone() -> None:
    left, right = catalogue_organ("left lung", 1), catalogue_organ("right lung", 1)

    assert left.type == right.type
    assert left.laterality == Code("SCT", "7771000", "Left")
    assert right.laterality == Code("SCT", "24028007", "Right")
    assert catalogue_organ("lungs", 1).laterality is None


def test_an_unknown_organ_keeps_its_name_and_has_no_codes() -> None:
    organ = catalogue_organ("my  special Region_7", 3)

    assert organ.name == "my special Region_7"
    assert organ.category is None
    assert organ.type is None
    assert organ.laterality is None


def test_unknown_organs_have_distinct_colours() -> None:
    colours = [catalogue_organ(f"region {label}", label).colour for label in range(1, 65)]

    assert len(set(colours)) == 64
    assert all(0 <= part <= 255 for colour in colours for part in colour)


def test_every_organ_of_the_catalogue_is_complete() -> None:
    for name in catalogue_names():
        organ = catalogue_organ(name, 1)
        assert organ.name == name
        assert organ.category is not None
        assert organ.type is not None
        for code in (organ.category, organ.type, organ.laterality):
            if code is not None:
                assert code.scheme == "SCT"
                # at most 16 characters: the value representation of a Code Value is SH
                assert re.fullmatch(r"[1-9]\d{5,15}", code.value)
                assert 0 < len(code.meaning) <= 64
        assert all(0 <= part <= 255 for part in organ.colour)
        sides = {side for side in ("left", "right") if side in name.split()}
        if organ.laterality is not None:
            assert sides == {organ.laterality.meaning.lower()}


def snomed_check_digit_is_right(code: str) -> bool:
    """Verhoeff's check digit, the last of every SNOMED CT identifier, by the dihedral group of the pentagon."""

    def compose(a: int, b: int) -> int:
        rotation = (a + b if a < 5 else a - b) % 5
        return rotation + 5 * ((a >= 5) != (b >= 5))

    permutation = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]
    total = 0
    for place, digit in enumerate(map(int, reversed(code))):
        for _ in range(place % 8):
            digit = permutation[digit]
        total = compose(total, digit)
    return total == 0


def test_no_code_of_the_catalogue_has_a_mistyped_digit() -> None:
    assert snomed_check_digit_is_right("64033007")
    assert not snomed_check_digit_is_right("64033008")
    assert not snomed_check_digit_is_right("60433007")
    for name in catalogue_names():
        organ = catalogue_organ(name, 1)
        for code in (organ.category, organ.type, organ.laterality):
            assert code is None or snomed_check_digit_is_right(code.value), (name, code)


def test_no_name_or_alias_means_two_organs() -> None:
    text = resources.files("cisfa.imaging").joinpath("organ_catalogue.json").read_text(encoding="utf-8")
    names: list[str] = []
    for organ in json.loads(text)["organs"]:
        stems = [organ["name"], *organ.get("aliases", [])]
        names += stems + ([organ["plural"]] if "plural" in organ else [])
        if organ.get("paired"):
            names += [f"{side} {stem}" for side in ("right", "left") for stem in stems]
            names += [f"{stem} {side}" for side in ("right", "left") for stem in stems]

    assert len(names) == len(set(names))


def test_organs_of_a_command_line_come_by_rising_label() -> None:
    organs = parse_organs(" 3 = left kidney,1=liver, 2=right kidney ")

    assert [(organ.label, organ.name) for organ in organs] == [(1, "liver"), (2, "right kidney"), (3, "left kidney")]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not label=name"),
        ("liver", "'liver'.*not label=name"),
        ("1=liver,", "not label=name"),
        ("0=liver", "0; it must be from 1"),
        ("-1=liver", "'-1'"),
        ("65536=liver", "65536"),
        ("1.5=liver", "'1.5'"),
        ("²=liver", "'²'"),
        (f"{'9' * 5000}=liver", "whole number"),
        ("1=", "label 1 has no name"),
        ("1=liver,1=spleen", "label 1 is there 2 times"),
        ("1=liver,2=Liver", "organ liver is there 2 times"),
        ("1=kidney_right,2=right kidney", "organ right kidney is there 2 times"),
    ],
)
def test_a_senseless_command_line_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        parse_organs(text)


def test_the_largest_label_is_allowed() -> None:
    assert parse_organs("65535=liver")[0].label == 65535


def test_organs_of_the_settings_are_read() -> None:
    organs = organs_from_names(ABDOMEN)

    assert [organ.name for organ in organs] == ["liver", "right kidney", "left kidney", "spleen"]
    assert all(organ.type is not None for organ in organs)


@pytest.mark.parametrize("names", [{}, {"x": "liver"}, {"1": ""}, {"0": "liver"}])
def test_senseless_settings_are_refused(names: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        organs_from_names(names)


def test_both_forms_of_dataset_json_mean_the_same(tmp_path: Path) -> None:
    (tmp_path / "décathlon 1").mkdir()
    newer = write_dataset_json(tmp_path, {"background": 0, "kidney_left": 7, "liver": 2})
    older = write_dataset_json(tmp_path / "décathlon 1", {"0": "background", "2": "liver", "7": "left kidney"})

    organs = organs_of_dataset_json(newer)

    assert [(organ.label, organ.name) for organ in organs] == [(2, "liver"), (7, "left kidney")]
    assert organs_of_dataset_json(older) == organs


def test_a_dataset_json_saved_by_notepad_is_read(tmp_path: Path) -> None:
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps({"labels": {"liver": 1}}), encoding="utf-8-sig")

    assert organs_of_dataset_json(path)[0].name == "liver"


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        ({"background": 0, "whole tumour": [1, 2]}, "region 'whole tumour'"),
        ({"background": 0, "liver": 1, "ignore": 2}, r"ignore label \(2\)"),
        ({"background": 0}, "no organ"),
        ({"liver": 1, "spleen": 1}, "label 1 is there 2 times"),
        ({"liver": 1.5}, "'1.5'"),
        ({"liver": True}, "'True'"),
        ({"liver": None}, "'None'"),
        ({}, "no labels"),
        (["liver"], "no labels"),
    ],
)
def test_a_dataset_json_that_cannot_be_trained_is_named(tmp_path: Path, labels: object, complaint: str) -> None:
    path = write_dataset_json(tmp_path, labels)

    with pytest.raises(ConfigError, match=complaint) as caught:
        organs_of_dataset_json(path)

    assert "dataset.json" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe\x00", b'{"name": "no labels"}'])
def test_a_damaged_dataset_json_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "dataset.json"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=r"dataset\.json"):
        organs_of_dataset_json(path)


def test_a_missing_dataset_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.json cannot be read"):
        organs_of_dataset_json(tmp_path / "dataset.json")


def test_slicer_can_read_organs_without_numpy() -> None:
    code = "import sys, cisfa.imaging.organs as o; o.parse_organs('1=liver'); print('numpy' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)

    assert done.stdout.strip() == "False"
