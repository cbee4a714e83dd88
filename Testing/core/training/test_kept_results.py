"""Results of a study's parts, which outlive the runs and predictions that they were made of."""

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cisfa.cli.main import main
from cisfa.errors import RunError, TrainingDivergedError
from cisfa.evaluation.contours import ContourCase
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap
from cisfa.imaging.volume_files import read_label_map, write_label_map
from cisfa.training import crossval, study_scores
from cisfa.training.crossval import cross_validate
from cisfa.training.part_result import digests_of_labels, read_result, write_result
from cisfa.training.study import Choice, Part
from laid_studies import lay, lay_all, study_of, summary_in, words, write_domains

CPU = torch.device("cpu")
TABLES = ("scores.csv", "trainings.csv", "summary.json")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_domains(tmp_path_factory.mktemp("données"))


@pytest.fixture(scope="module")
def once_done(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose rows are all done and reported, which is never changed."""
    folder = tmp_path_factory.mktemp("fertig")
    study, _ = study_of(drawn, folder)
    lay_all(study, folder / "study")
    assert main(words(drawn, folder, "--report-only")) == 0
    return folder / "study"


@pytest.fixture(autouse=True)
def titles_instead_of_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take longer than all the rest, and what stands in them is drawn in other tests."""

    def write_titles(cases: Sequence[tuple[str, ContourCase]], _: Any, path: Path) -> None:
        path.write_text("\n".join(title for title, _ in cases), encoding="utf-8")

    monkeypatch.setattr("cisfa.evaluation.report.draw_contours", write_titles)


@pytest.fixture
def data(drawn: Path, tmp_path: Path) -> Path:
    """The cases, for tests that change them."""
    return Path(shutil.copytree(drawn, tmp_path / "cas"))


@pytest.fixture
def done(once_done: Path, data: Path, tmp_path: Path) -> Path:
    """A study whose rows are all done and reported, for tests that change it."""
    study_of(data, tmp_path)
    return Path(shutil.copytree(once_done, tmp_path / "study"))


def clear_away_what_is_heavy(folder: Path) -> None:
    for name in ("run", "predictions"):
        for path in folder.glob(f"fold-*/*/seed-*/{name}"):
            shutil.rmtree(path)


def results_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("result.json"))}


def redraw(labels: Path) -> None:
    """Take a slice of an organ away."""
    label_map = read_label_map(labels)
    label_map.voxels[1] = 0
    write_label_map(label_map, labels)


def refuse_to_train(*_: Any) -> None:
    raise AssertionError("this would train")


def test_the_report_is_the_same_when_runs_and_predictions_are_gone(
    data: Path, tmp_path: Path, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = {name: (done / "report" / name).read_bytes() for name in TABLES}
    assert (done / "report" / "contours.png").is_file()
    clear_away_what_is_heavy(done)
    shutil.rmtree(done / "report")
    monkeypatch.setattr(crossval, "_train_and_segment", refuse_to_train)
    assert main(words(data, tmp_path, "--resume")) == 0
    assert {name: (done / "report" / name).read_bytes() for name in TABLES} == tables
    assert [row["minutes"]["mean"] for row in summary_in(done / "report")["rows"]] == [2.0, 2.0, 2.0]


def test_a_part_is_scored_once(data: Path, tmp_path: Path, done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("this would score again")

    monkeypatch.setattr(study_scores, "score_case", refuse)
    assert main(words(data, tmp_path, "--report-only")) == 0


def test_a_result_is_the_same_text_for_the_same_scores_and_names_no_path(
    data: Path, tmp_path: Path, done: Path
) -> None:
    results = results_in(done)
    assert len(results) == 3 * 2
    for path in done.rglob("result.json"):
        path.unlink()
    assert main(words(data, tmp_path, "--report-only")) == 0
    assert results_in(done) == results
    text = b"".join(results.values()).decode("utf-8")
    assert not [word for word in (str(tmp_path), str(data), tmp_path.name, "nii") if word in text]


def test_a_result_holds_all_settings_and_every_measure(done: Path) -> None:
    values = json.loads((done / "fold-1" / "cisfa-no-weight" / "seed-0" / "result.json").read_text(encoding="utf-8"))
    assert (values["format"], values["row"], values["method"]) == (1, "CISFA, no weight", "cisfa")
    assert (values["fold"], values["seed"], values["minutes"], values["hardware"]) == (1, 0, 2.0, "a card")
    assert values["config"]["patch_contrast"]["organ_weight"] == 1.0
    assert values["config"]["schedule"]["steps"] == 5
    empty = next(entry for entry in values["scores"] if entry["remark"] == "both empty")
    assert (empty["dice"], empty["assd_mm"], empty["true_ml"]) == (None, None, 0.0)
    liver = next(entry for entry in values["scores"] if entry["organ"] == "liver")
    assert 0 < liver["dice"] < 1
    assert liver["hd95_mm"] > 0
    assert liver["true_ml"] == pytest.approx(2 * 6 * 7 * 0.018)  # voxels times mL


def test_a_part_gets_its_result_when_it_is_segmented_and_not_at_the_end_of_the_study(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, _ = study_of(data, tmp_path)
    there: list[int] = []

    def train(part: Part, *_: Any) -> None:
        there.append(len(results_in(tmp_path / "study")))
        lay(part)

    monkeypatch.setattr(crossval, "_train_and_segment", train)
    cross_validate(study, tmp_path / "study", CPU, lambda event: None, resume=False)
    assert there == list(range(6))


def test_the_parts_of_a_row_that_is_not_complete_get_results_too(data: Path, tmp_path: Path) -> None:
    study, _ = study_of(data, tmp_path)
    lay_all(study, tmp_path / "study", Choice(frozenset(["CISFA"])))
    lay_all(study, tmp_path / "study", Choice(frozenset(["floor"]), folds=(1,)))
    assert main(words(data, tmp_path, "--report-only", "--results", str(tmp_path / "résultats"))) == 0
    results = results_in(tmp_path / "résultats")
    assert [Path(name).parts[:2] for name in results] == [("fold-1", "cisfa"), ("fold-2", "cisfa"), ("fold-2", "floor")]
    assert results == results_in(tmp_path / "study")


@pytest.mark.parametrize(
    ("setting", "told"),
    [("patch_contrast.temperature=0.08", "patch_contrast.temperature is 0.08"), ("schedule.steps=6", "steps is 6")],
)
def test_a_result_of_other_settings_is_refused_though_its_run_is_gone(
    data: Path, tmp_path: Path, done: Path, capsys: pytest.CaptureFixture[str], setting: str, told: str
) -> None:
    clear_away_what_is_heavy(done)
    assert main(words(data, tmp_path, "--report-only", "--set", "schedule.metrics_every=7")) == 0
    assert main(words(data, tmp_path, "--resume", "--set", setting)) == 2
    said = capsys.readouterr().err
    assert "with other settings" in said
    assert told in said


def test_a_row_that_keeps_its_name_and_changes_its_method_is_refused(data: Path, tmp_path: Path, done: Path) -> None:
    rows = tmp_path / "rows.json"
    text = rows.read_text(encoding="utf-8").replace("source-only", "supervised")
    rows.write_text(text, encoding="utf-8")
    assert main(words(data, tmp_path, "--report-only")) == 2
    clear_away_what_is_heavy(done)
    assert main(words(data, tmp_path, "--report-only")) == 2


def test_changed_labels_are_scored_anew_from_the_predictions(data: Path, tmp_path: Path, done: Path) -> None:
    before = summary_in(done / "report")["rows"][0]
    for run in done.glob("fold-*/*/seed-*/run"):
        shutil.rmtree(run)
    redraw(data / "mr" / "labels" / "mr_1.nii.gz")
    assert main(words(data, tmp_path, "--report-only")) == 0
    after = summary_in(done / "report")["rows"][0]
    assert before["dice"]["liver"]["mean"] == 1.0 > after["dice"]["liver"]["mean"]
    assert (after["minutes"], after["hardware"]) == (before["minutes"], before["hardware"])


def test_another_grid_of_the_same_voxels_is_scored_anew(data: Path, tmp_path: Path, done: Path) -> None:
    before = summary_in(done / "report")["rows"][2]["assd_mm"]["liver"]["mean"]
    spread = Geometry.from_axes((4, 20, 26), spacing_mm=(6.0, 4.0, 1.5))
    for path in (*(data / "mr" / "labels").iterdir(), *done.rglob("predictions/*.nii.gz")):
        write_label_map(LabelMap(read_label_map(path).voxels, spread), path)
    assert main(words(data, tmp_path, "--report-only")) == 0
    assert summary_in(done / "report")["rows"][2]["assd_mm"]["liver"]["mean"] > 1.2 * before


def test_results_of_before_the_grid_counted_still_count(data: Path, tmp_path: Path, done: Path) -> None:
    tables = {name: (done / "report" / name).read_bytes() for name in TABLES}
    for path in done.rglob("result.json"):
        text = path.read_text(encoding="utf-8")
        for labels in (data / "mr" / "labels").iterdir():
            with_grid, without = digests_of_labels(read_label_map(labels))
            text = text.replace(with_grid, without)
        assert text != path.read_text(encoding="utf-8")
        path.write_text(text, encoding="utf-8")
    clear_away_what_is_heavy(done)
    results = results_in(done)
    assert main(words(data, tmp_path, "--report-only")) == 0
    assert {name: (done / "report" / name).read_bytes() for name in TABLES} == tables
    assert results_in(done) == results
    redraw(data / "mr" / "labels" / "mr_1.nii.gz")
    assert main(words(data, tmp_path, "--report-only")) == 2


def test_which_weights_were_scored_stays_known_and_stands_in_the_table(data: Path, tmp_path: Path, done: Path) -> None:
    path = done / "fold-1" / "cisfa" / "seed-0" / "result.json"
    text = path.read_text(encoding="utf-8")
    assert "chosen_step" not in text  # of weights of which nothing is known nothing is said
    path.write_text(text.replace('"steps": null', '"steps": 5,\n"chosen_step": 4'), encoding="utf-8")
    assert read_result(path).chosen_step == 4
    for labels in (data / "mr" / "labels").iterdir():
        redraw(labels)
    assert main(words(data, tmp_path, "--report-only")) == 0
    assert (read_result(path).steps, read_result(path).chosen_step) == (5, 4)
    with (done / "report" / "trainings.csv").open(encoding="utf-8", newline="") as file:
        steps = {(line["row"], line["fold"], line["chosen_step"]) for line in csv.DictReader(file)}
    assert {("CISFA", "1", "4"), ("CISFA", "2", ""), ("floor", "1", "")} <= steps


def test_changed_labels_without_predictions_are_refused_before_anything_is_trained(
    data: Path, tmp_path: Path, done: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clear_away_what_is_heavy(done)
    shutil.rmtree(done / "fold-1" / "cisfa")
    results = results_in(done)
    redraw(data / "mr" / "labels" / "mr_1.nii.gz")
    monkeypatch.setattr(crossval, "_train_and_segment", refuse_to_train)
    assert main(words(data, tmp_path, "--resume")) == 2
    assert "was scored on other label maps" in capsys.readouterr().err
    assert results_in(done) == results


def test_what_two_computers_have_done_is_joined_in_a_folder_of_results(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, here, there = tmp_path / "table", tmp_path / "study", tmp_path / "dort"
    study, _ = study_of(data, tmp_path)
    lay_all(study, there, Choice(frozenset(["CISFA", "floor"])))
    lay_all(study, here, Choice(frozenset(["CISFA, no weight"])))
    monkeypatch.setattr(crossval, "_train_and_segment", refuse_to_train)
    with_results = ("--results", str(shared))
    elsewhere = [str(there) if word == str(here) else word for word in words(data, tmp_path, *with_results)]
    assert main([*elsewhere, "--report-only"]) == 0
    assert [row["row"] for row in summary_in(there / "report")["rows"]] == ["CISFA", "floor"]
    shutil.rmtree(there)
    assert main(words(data, tmp_path, *with_results, "--resume")) == 0
    assert [row["row"] for row in summary_in(here / "report")["rows"]] == ["CISFA", "CISFA, no weight", "floor"]
    assert {path.name for path in shared.rglob("*") if path.is_file()} == {"folds.json", "result.json"}
    assert results_in(shared) == results_in(here)
    assert len(results_in(shared)) == 3 * 2


def test_a_folder_of_results_alone_gives_the_report(data: Path, tmp_path: Path, done: Path) -> None:
    assert main(words(data, tmp_path, "--report-only", "--results", str(tmp_path / "table"))) == 0
    table = (done / "report" / "trainings.csv").read_bytes()
    shutil.rmtree(done)
    assert main(words(data, tmp_path, "--report-only", "--results", str(tmp_path / "table"))) == 0
    assert (done / "report" / "trainings.csv").read_bytes() == table


def test_where_both_hold_a_result_that_of_the_folder_of_results_counts(data: Path, tmp_path: Path, done: Path) -> None:
    shared = tmp_path / "table"
    assert main(words(data, tmp_path, "--report-only", "--results", str(shared))) == 0
    place = Path("fold-1", "cisfa", "seed-0", "result.json")
    text = (shared / place).read_text(encoding="utf-8")
    (shared / place).write_text(text.replace('"hardware": "a card"', '"hardware": "theirs"'), encoding="utf-8")
    kept = (shared / place).read_bytes()
    assert main(words(data, tmp_path, "--report-only", "--results", str(shared))) == 0
    assert "theirs" in summary_in(done / "report")["rows"][0]["hardware"]
    assert (shared / place).read_bytes() == kept


def test_a_folder_of_results_on_other_folds_is_refused(data: Path, tmp_path: Path, done: Path) -> None:
    shared = tmp_path / "table"
    study, _ = study_of(data, tmp_path, results=shared)
    cross_validate(study, done, CPU, lambda event: None, resume=True)
    seeds = range(1, 20)
    others = (study_of(data, tmp_path, fold_seed=seed, results=shared)[0] for seed in seeds)
    other = next(one for one in others if one.target_folds != study.target_folds)
    with pytest.raises(RunError, match=r"table was begun with other folds"):
        cross_validate(other, tmp_path / "new", CPU, lambda event: None, resume=False)


def test_results_without_their_folds_are_refused(data: Path, tmp_path: Path, done: Path) -> None:
    (done / "folds.json").unlink()
    study, _ = study_of(data, tmp_path, results=done)
    with pytest.raises(RunError, match=r"holds results without their folds\.json"):
        cross_validate(study, tmp_path / "new", CPU, lambda event: None, resume=False)


def test_folds_that_were_written_without_their_seed_are_gone_on_with(data: Path, tmp_path: Path, done: Path) -> None:
    folds = json.loads((done / "folds.json").read_text(encoding="utf-8"))
    assert folds.pop("fold_seed") == 0
    (done / "folds.json").write_text(json.dumps(folds), encoding="utf-8")
    assert main(words(data, tmp_path, "--resume")) == 0


def test_a_result_in_the_place_of_another_is_refused(data: Path, tmp_path: Path, done: Path) -> None:
    theirs, ours = (done / "fold-1" / row / "seed-0" / "result.json" for row in ("floor", "cisfa"))
    shutil.copyfile(theirs, ours)
    study, _ = study_of(data, tmp_path)
    with pytest.raises(RunError, match="holds the result of the row 'floor' in fold 1 with seed 0"):
        cross_validate(study, done, CPU, lambda event: None, resume=True)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda text: text[: len(text) // 2], "it is not JSON"),
        (lambda text: text.replace('"format": 1', '"format": 2'), "written by a newer version"),
        (lambda text: text.replace('"format": 1', '"format": 0'), "none that there ever was"),
        (lambda text: text.replace('"format": 1,', ""), "it has no format"),
        (lambda text: text.replace('"minutes": 2.0', '"minutes": NaN'), "it is not JSON"),
        (lambda text: text.replace('"hardware": "a card",', ""), "hardware is missing"),
    ],
)
def test_a_result_that_cannot_be_read_is_refused(
    once_done: Path, tmp_path: Path, damage: Callable[[str], str], told: str
) -> None:
    text = next(once_done.rglob("result.json")).read_text(encoding="utf-8")
    path = tmp_path / "gelesen" / "result.json"
    path.parent.mkdir()
    path.write_text(damage(text), encoding="utf-8")
    with pytest.raises(RunError, match=told):
        read_result(path)


def test_a_result_is_read_as_it_was_written(done: Path, tmp_path: Path) -> None:
    path = next(done.rglob("result.json"))
    write_result(read_result(path), tmp_path / "copy.json")
    assert (tmp_path / "copy.json").read_bytes() == path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))  # as an editor may leave it
    assert read_result(path) == read_result(tmp_path / "copy.json")


def test_a_case_whose_prediction_is_gone_is_left_out_of_the_figure(
    data: Path, tmp_path: Path, done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = done / "report" / "contours.png"
    assert figure.is_file()
    next(done.glob("fold-*/cisfa/seed-0/predictions/mr_0.nii.gz")).unlink()
    capsys.readouterr()
    assert main(words(data, tmp_path, "--report-only")) == 0
    said = capsys.readouterr()
    assert "mr_0 is left out of the figure" in said.out + said.err
    titles = figure.read_text(encoding="utf-8")
    assert "mr_1" in titles
    assert "mr_2" in titles
    assert "mr_0" not in titles
    clear_away_what_is_heavy(done)
    assert main(words(data, tmp_path, "--report-only")) == 0
    assert not figure.exists()
    assert "Contours" not in (done / "report" / "report.md").read_text(encoding="utf-8")


def test_a_training_that_diverges_leaves_no_result(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, _ = study_of(data, tmp_path)
    lay_all(study, tmp_path / "study", Choice(frozenset(["CISFA", "floor"])))

    def diverge(*_: Any) -> None:
        raise TrainingDivergedError("The loss dice is nan at step 3. Lower the rate.")

    monkeypatch.setattr(crossval, "run_training", diverge)
    assert main(words(data, tmp_path, "--resume")) == 2
    assert {Path(name).parts[1] for name in results_in(tmp_path / "study")} == {"cisfa", "floor"}


def test_the_digest_of_labels_sees_voxels_shape_and_spacing_and_not_how_they_are_stored() -> None:
    def digest_of(voxels: Any, dtype: Any = np.uint8, spacing_mm: tuple[float, ...] = (5.0, 0.9375, 1.2)) -> str:
        array = np.asarray(voxels, dtype=dtype)
        return digests_of_labels(LabelMap(array, Geometry.from_axes(array.shape, spacing_mm=spacing_mm)))[0]

    voxels = np.arange(24).reshape(2, 3, 4)
    digest = digest_of(voxels)
    assert digest_of(voxels, np.uint16) == digest
    assert digest_of(np.asfortranarray(voxels)) == digest
    # as files of single precision and directions that are rounded give it back
    assert digest_of(voxels, spacing_mm=(5.0 - 1e-6, 0.9375 - 1e-6, 1.2 + 1e-6)) == digest
    assert digest_of(voxels, spacing_mm=(5.0 + 1e-6, 0.9375 + 1e-6, 1.2 - 1e-6)) == digest
    assert digest_of(voxels, spacing_mm=(5.0, 0.9475, 1.2)) != digest
    assert digest_of(voxels.reshape(2, 4, 3)) != digest
    assert digest_of(np.where(voxels == 7, 0, voxels)) != digest
