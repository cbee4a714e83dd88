import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cisfa.errors import CaseError, VolumeFileError
from cisfa.evaluation.score_case import CaseScores, OrganScore
from cisfa.evaluation.score_file import (
    LeftOut,
    OrganOfCase,
    ScoredModel,
    ScoreFile,
    Spread,
    read_scores,
    write_scores,
)
from cisfa.evaluation.score_summary import score_file
from cisfa.imaging.organs import parse_organs

LIVER, KIDNEY = parse_organs("1=liver,5=right kidney")
MODEL = ScoredModel(
    name="Abdomen, CT to MR (cisfa)", version="1.0", method="cisfa", steps=40, weights_sha256="ab" * 32, checksum=None
)


def organ_score(organ: object, dice: float | None, mm: float | None, remark: str = "") -> OrganScore:
    distances = {"assd_mm": mm, "hd95_mm": None if mm is None else 3 * mm}
    return OrganScore(
        organ=organ, dice=dice, dice_organ_slices=dice, predicted_ml=1.0, true_ml=1.0, remark=remark, **distances
    )


@pytest.fixture
def scores() -> ScoreFile:
    """Three cases; the kidney is found in one, missed in another, and nowhere in the third."""
    cases = [
        CaseScores("Zoë 1", (organ_score(LIVER, 0.9, 1.0), organ_score(KIDNEY, 0.8, 2.0))),
        CaseScores("mr_02", (organ_score(LIVER, 0.6, 4.0), organ_score(KIDNEY, 0.0, None, "prediction empty"))),
        CaseScores("mr_03", (organ_score(LIVER, 0.8, 1.5), organ_score(KIDNEY, None, None, "both empty"))),
    ]
    left_out = [LeftOut("mr_04", "images/mr_04.nii.gz is empty (0 bytes). Copy or export it again.")]
    return score_file(cases, MODEL, left_out=left_out, remarks=["Not scored: stomach."])


def changed(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def test_what_is_written_is_read_back(scores: ScoreFile, tmp_path: Path) -> None:
    write_scores(scores, tmp_path / "new" / "scores.json")
    assert read_scores(tmp_path / "new" / "scores.json") == scores
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["scores.json"]


def test_every_organ_of_every_case_is_there_with_what_explains_an_empty_mask(scores: ScoreFile) -> None:
    assert [(entry.case, entry.organ, entry.label) for entry in scores.cases[:2]] == [
        ("Zoë 1", "liver", 1),
        ("Zoë 1", "right kidney", 5),
    ]
    assert scores.cases[3] == OrganOfCase(
        case="mr_02",
        organ="right kidney",
        label=5,
        dice=0.0,
        dice_organ_slices=0.0,
        assd_mm=None,
        hd95_mm=None,
        remark="prediction empty",
    )


def test_an_organs_mean_deviation_and_median_are_over_the_cases_that_have_a_value(scores: ScoreFile) -> None:
    liver, kidney = scores.organs
    assert (liver.organ, liver.dice.n) == ("liver", 3)
    assert liver.dice.mean == pytest.approx(2.3 / 3)
    assert liver.dice.sd == pytest.approx(0.1527525)
    assert liver.dice.median == pytest.approx(0.8)
    assert liver.hd95_mm.median == pytest.approx(4.5)
    assert (kidney.dice.n, kidney.dice.median) == (2, pytest.approx(0.4))
    assert kidney.assd_mm == Spread(n=1, mean=2.0, sd=None, median=2.0)
    assert (kidney.predictions_empty, kidney.truths_empty, kidney.both_empty) == (1, 0, 1)


def test_over_organs_each_case_is_averaged_first(scores: ScoreFile) -> None:
    assert scores.over_organs.organ == "mean over organs"
    assert scores.over_organs.dice.mean == pytest.approx((0.85 + 0.3 + 0.8) / 3)
    assert scores.over_organs.dice.median == pytest.approx(0.8)


def test_an_organ_that_no_case_holds_has_no_mean(tmp_path: Path) -> None:
    nothing = score_file(
        [CaseScores("a", (organ_score(LIVER, None, None, "both empty"),))], MODEL, left_out=[], remarks=[]
    )
    assert nothing.organs[0].dice == Spread(n=0, mean=None, sd=None, median=None)
    write_scores(nothing, tmp_path / "scores.json")
    assert read_scores(tmp_path / "scores.json") == nothing


def test_the_file_has_the_keys_that_its_module_documents(scores: ScoreFile, tmp_path: Path) -> None:
    write_scores(scores, tmp_path / "scores.json")
    values = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    keys = ["schema", "cisfa_version", "model", "cases", "organs", "over_organs", "left_out", "remarks"]
    assert list(values) == keys
    assert list(values["model"]) == ["name", "version", "method", "steps", "weights_sha256", "checksum"]
    measures = ["dice", "dice_organ_slices", "assd_mm", "hd95_mm"]
    assert list(values["cases"][0]) == ["case", "organ", "label", *measures, "remark"]
    counts = ["predictions_empty", "truths_empty", "both_empty"]
    assert list(values["organs"][0]) == list(values["over_organs"]) == ["organ", *measures, *counts]
    assert list(values["organs"][0]["dice"]) == ["n", "mean", "sd", "median"]
    assert list(values["left_out"][0]) == ["case", "reason"]
    documentation = sys.modules[ScoreFile.__module__].__doc__ or ""
    for key in {*keys, *values["model"], *values["cases"][0], *counts, "n", "mean", "sd", "median", "reason"}:
        assert f"``{key}``" in documentation


def test_a_file_of_a_newer_version_is_told_from_a_damaged_one(scores: ScoreFile, tmp_path: Path) -> None:
    write_scores(scores, tmp_path / "scores.json")
    newer = changed(tmp_path / "scores.json", lambda values: values.update(schema=2, more="than is known here"))
    with pytest.raises(CaseError, match=r"written by a newer version of CISFA \(schema 2; this one knows 1\). Update"):
        read_scores(newer)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda values: values.pop("schema"), "holds no scores: it has no schema"),
        (lambda values: values.update(schema=True), "holds no scores"),
        (lambda values: values.update(schema=0), "schema is none that there ever was"),
        (lambda values: values.pop("cases"), "cases is missing"),
        (lambda values: values.update(patient="Anna"), "There is no setting patient"),
        (lambda values: values["cases"][0].pop("assd_mm"), r"cases\[0\].assd_mm is missing"),
        (lambda values: values["cases"][0].update(dice="high"), r"cases\[0\].dice is 'high'; it must be a number"),
        (lambda values: values["cases"][0].update(dice=1.5), "dice is 1.5; it must be from 0 to 1"),
        (lambda values: values["cases"][0].update(hd95_mm=-1), "hd95_mm is -1.0; it must be at least 0"),
        (lambda values: values["cases"][0].update(remark="lost"), "it must be one of , prediction empty"),
        (lambda values: values["cases"].append(values["cases"][0]), "liver of Zoë 1 is there 2 times"),
        (lambda values: values["organs"][0]["dice"].update(n=-1), "n is -1"),
        (lambda values: values["organs"][0]["dice"].update(mean=None), "has the mean None"),
        (lambda values: values["organs"][0].update(dice=0.9), "it must be a group of settings"),
        (lambda values: values["model"].update(steps=1.5), "it must be a whole number"),
        (lambda values: values.update(remarks="none"), "it must be a list"),
    ],
)
def test_a_damaged_file_is_refused_with_what_is_wrong(
    scores: ScoreFile, tmp_path: Path, change: Callable[[dict[str, Any]], object], sentence: str
) -> None:
    write_scores(scores, tmp_path / "scores.json")
    with pytest.raises(CaseError, match=sentence) as refusal:
        read_scores(changed(tmp_path / "scores.json", change))
    assert str(refusal.value).startswith(str(tmp_path / "scores.json"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "it is not JSON"),
        (b'{"schema": 1, "model"', "it is not JSON"),
        (b'{"schema": NaN}', "NaN is no number"),
        (b'"\xff"', "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[1]", "holds no scores"),
    ],
)
def test_what_is_no_json_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "scores.json").write_bytes(content)
    with pytest.raises(CaseError, match=sentence):
        read_scores(tmp_path / "scores.json")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match=r"scores\.json cannot be read: No such file"):
        read_scores(tmp_path / "scores.json")


def test_a_file_that_cannot_be_written_is_named_and_the_older_one_stays(scores: ScoreFile, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(VolumeFileError, match=r"scores\.json cannot be written"):
        write_scores(scores, tmp_path / "file" / "scores.json")
    write_scores(scores, tmp_path / "scores.json")
    not_a_number = replace(scores, organs=(replace(scores.organs[0], dice=Spread(n=1, mean=0, sd=None, median=0)),))
    object.__setattr__(not_a_number.organs[0].dice, "sd", float("nan"))
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_scores(not_a_number, tmp_path / "scores.json")
    assert read_scores(tmp_path / "scores.json") == scores


def test_slicers_process_can_read_scores_without_anything_heavy() -> None:
    code = "import sys, cisfa.evaluation.score_file\nprint(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=60, check=True)
    loaded = set(ended.stdout.split())
    assert not loaded & {"torch", "monai", "numpy", "scipy", "SimpleITK", "nibabel", "matplotlib", "safetensors"}
