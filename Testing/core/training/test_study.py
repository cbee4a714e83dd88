"""A study in its folder: what is done, what is shared among processes, what is reported.

Predictions are laid where a training would have left them, so that nothing has to be trained.
"""

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

from cisfa.cli.main import main
from cisfa.errors import ConfigError, RunError, TrainingDivergedError
from cisfa.events import Event, Notice
from cisfa.training import crossval
from cisfa.training.crossval import cross_validate
from cisfa.training.study import Choice, Part
from laid_studies import lay, lay_all, study_of, summary_in, words, write_domains

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_domains(tmp_path_factory.mktemp("données"))


def test_the_report_is_made_of_the_rows_that_are_complete(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, _ = study_of(data, tmp_path)
    lay_all(study, tmp_path / "study", Choice(frozenset(["CISFA", "floor"])))
    lay_all(study, tmp_path / "study", Choice(frozenset(["CISFA, no weight"]), folds=(0,)))
    assert main(words(data, tmp_path, "--report-only")) == 0
    summary = summary_in(tmp_path / "study" / "report")
    assert [row["row"] for row in summary["rows"]] == ["CISFA", "floor"]
    assert summary["rows"][0]["dice"]["liver"]["mean"] == 1.0
    assert summary["rows"][1]["against_reference"]["dice"]["liver"]["n"] == 3
    assert (summary["rows"][0]["minutes"]["mean"], summary["rows"][0]["hardware"]) == (2.0, ["a card"])
    said = capsys.readouterr()
    assert "CISFA, no weight is not complete and not in the report: 1 of 2 trainings" in said.out + said.err


def test_another_row_can_be_the_one_that_the_others_are_tested_against(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, _ = study_of(data, tmp_path)
    lay_all(study, tmp_path / "study")
    assert main(words(data, tmp_path, "--report-only", "--reference", "floor")) == 0
    summary = summary_in(tmp_path / "study" / "report")
    assert summary["reference"] == "floor"
    tested = {row["row"] for row in summary["rows"] if row["against_reference"]}
    assert tested == {row["row"] for row in summary["rows"]} - {"floor"}
    assert main(words(data, tmp_path, "--report-only", "--reference", "ceiling")) != 0
    assert "--reference: there is no row 'ceiling'" in capsys.readouterr().err


def test_the_summary_holds_no_path(data: Path, tmp_path: Path) -> None:
    study, _ = study_of(data, tmp_path)
    lay_all(study, tmp_path / "study")
    assert main(words(data, tmp_path, "--report-only")) == 0
    text = (tmp_path / "study" / "report" / "summary.json").read_text(encoding="utf-8")
    assert not {str(tmp_path), str(data), tmp_path.name, data.name, "nii"} & set(text.replace('"', " ").split())
    assert str(tmp_path) not in text
    assert "mr_0" not in text


def test_a_study_that_is_done_trains_nothing_and_draws_the_row_that_is_asked_for(data: Path, tmp_path: Path) -> None:
    study, _ = study_of(data, tmp_path)
    lay_all(study, tmp_path / "study")
    assert main(words(data, tmp_path, "--resume", "--figure-row", "cisfa-no-weight")) == 0
    assert not list((tmp_path / "study").rglob("bundle.zip"))
    report = (tmp_path / "study" / "report" / "report.md").read_text(encoding="utf-8")
    assert "## Contours of CISFA, no weight" in report
    assert "patch_contrast.organ_weight=1.0" in report


def test_every_seed_has_a_folder_of_its_own_on_the_same_folds(data: Path, tmp_path: Path) -> None:
    study, _ = study_of(data, tmp_path, seeds=(0, 2))
    lay_all(study, tmp_path / "study")
    of_seed = {
        seed: sorted(path.relative_to(tmp_path) for path in (tmp_path / "study").rglob(f"seed-{seed}/predictions/*"))
        for seed in (0, 2)
    }
    assert [str(path).replace("seed-2", "seed-0") for path in of_seed[2]] == [str(path) for path in of_seed[0]]
    assert main(words(data, tmp_path, "--report-only", "--seeds", "0,2")) == 0
    row = summary_in(tmp_path / "study" / "report")["rows"][0]
    first, second = (one["dice"] for one in row["seed_means"])
    assert first == 1.0 > second
    assert row["dice"]["mean over organs"]["mean"] == pytest.approx((first + second) / 2, rel=1e-4)
    with (tmp_path / "study" / "report" / "scores.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 3 * 3 * 4  # rows, cases, the settings' organs: seeds are averaged


def test_a_seed_is_added_without_moving_a_case_to_another_fold(data: Path, tmp_path: Path) -> None:
    study, _ = study_of(data, tmp_path)
    more, _ = study_of(data, tmp_path, seeds=(0, 1, 2))
    moved, _ = study_of(data, tmp_path, seeds=(2, 0))
    kept, _ = study_of(data, tmp_path, seeds=(2, 0), fold_seed=0)
    assert more.target_folds == kept.target_folds == study.target_folds
    assert moved.seed_of_folds == 2


def test_part_of_the_folds_get_a_report_that_does_not_pass_for_the_whole(data: Path, tmp_path: Path) -> None:
    study, _ = study_of(data, tmp_path)
    lay_all(study, tmp_path / "study", Choice(folds=(1,)))
    assert main(words(data, tmp_path, "--report-only", "--fold", "2")) == 0
    assert summary_in(tmp_path / "study" / "report-fold-2")["folds_reported"] == [2]
    assert not (tmp_path / "study" / "report").exists()
    assert main(words(data, tmp_path, "--report-only")) == 2


def test_without_the_reference_nothing_is_tested_against_it(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, _ = study_of(data, tmp_path)
    lay_all(study, tmp_path / "study", Choice(frozenset(["CISFA, no weight", "floor"])))
    assert main(words(data, tmp_path, "--report-only")) == 0
    summary = summary_in(tmp_path / "study" / "report")
    assert summary["reference"] is None
    assert all(row["against_reference"] == {} for row in summary["rows"])
    said = capsys.readouterr()
    assert "The reference CISFA is not complete yet" in said.out + said.err


def test_changed_folds_are_refused(data: Path, tmp_path: Path) -> None:
    study, _ = study_of(data, tmp_path)
    lay_all(study, tmp_path / "study")
    cross_validate(study, tmp_path / "study", CPU, lambda event: None, resume=True)
    other = next(
        one
        for seed in range(1, 20)
        if (one := study_of(data, tmp_path, fold_seed=seed)[0]).target_folds != study.target_folds
    )
    with pytest.raises(RunError, match="begun with other folds"):
        cross_validate(other, tmp_path / "study", CPU, lambda event: None, resume=True)


def test_a_finished_run_with_other_settings_is_neither_redone_nor_mixed_in(data: Path, tmp_path: Path) -> None:
    study, _ = study_of(data, tmp_path)
    lay_all(study, tmp_path / "study")
    assert main(words(data, tmp_path, "--report-only", "--set", "schedule.metrics_every=7")) == 0
    assert main(words(data, tmp_path, "--report-only", "--set", "patch_contrast.temperature=0.07")) == 2
    assert main(words(data, tmp_path, "--resume", "--set", "schedule.steps=6")) == 2


def test_predictions_of_unknown_settings_are_refused_rather_than_scored(data: Path, tmp_path: Path) -> None:
    study, _ = study_of(data, tmp_path)
    lay_all(study, tmp_path / "study")
    part = next(study.parts(tmp_path / "study", Choice()))
    shutil.move(part.run, tmp_path / "run")
    with pytest.raises(RunError, match=r"predictions of the row 'CISFA' with neither their run nor a result\.json"):
        cross_validate(study, tmp_path / "study", CPU, lambda event: None, resume=True)
    assert main(words(data, tmp_path, "--report-only")) == 2
    assert not list((tmp_path / "study").rglob("result.json"))
    shutil.move(tmp_path / "run", part.run)
    assert main(words(data, tmp_path, "--report-only")) == 0
    shutil.rmtree(part.run)  # now its result says which settings it had
    assert main(words(data, tmp_path, "--report-only")) == 0


def test_what_is_left_of_an_earlier_runs_predictions_does_not_pass_for_those_of_a_new_one(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, _ = study_of(data, tmp_path)
    lay_all(study, tmp_path / "study")
    part = next(part for part in study.parts(tmp_path / "study", Choice()) if len(part.held_out) == 2)
    shutil.rmtree(part.run)
    part.prediction(part.held_out[0]).unlink()
    left: list[bool] = []

    def train(*_: Any) -> None:
        left.append(part.prediction(part.held_out[1]).exists())
        raise TrainingDivergedError("The loss dice is nan at step 3. Lower the rate.")

    monkeypatch.setattr(crossval, "run_training", train)
    assert len(cross_validate(study, tmp_path / "study", CPU, lambda event: None, resume=True)) == 1
    assert left == [False]


def test_what_another_process_is_working_on_is_passed_over(data: Path, tmp_path: Path) -> None:
    study, _ = study_of(data, tmp_path)
    lay_all(study, tmp_path / "study", Choice(frozenset(["CISFA", "floor"])))
    heard: list[Event] = []
    parts = list(study.parts(tmp_path / "study", Choice(frozenset(["CISFA, no weight"]))))
    locks = [FileLock(part.folder / ".lock") for part in parts]
    for part, lock in zip(parts, locks, strict=True):
        part.folder.mkdir(parents=True)
        lock.acquire()
    try:
        assert cross_validate(study, tmp_path / "study", CPU, heard.append, resume=True) == ()
    finally:
        for lock in locks:
            lock.release()
    said = [event.message for event in heard if isinstance(event, Notice) and "another process" in event.message]
    assert sorted(set(said)) == [
        f"fold {fold} of 2, CISFA, no weight: another process is working on it" for fold in (1, 2)
    ]
    assert not any(part.run.exists() for part in parts)


def test_what_a_killed_process_was_working_on_is_taken_up_by_another(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, _ = study_of(data, tmp_path)
    lay_all(study, tmp_path / "study", Choice(frozenset(["CISFA", "floor"])))
    first, second = study.parts(tmp_path / "study", Choice(frozenset(["CISFA, no weight"])))
    trained: list[str] = []
    lock = FileLock(first.folder / ".lock")
    first.folder.mkdir(parents=True)
    lock.acquire()

    def train(part: Part, *_: Any) -> None:
        lock.release()  # while this process trains another part, the one that held the first dies
        trained.append(part.in_words(study))
        lay(part)

    monkeypatch.setattr(crossval, "_train_and_segment", train)
    cross_validate(study, tmp_path / "study", CPU, lambda event: None, resume=True)
    assert trained == ["fold 2 of 2, CISFA, no weight", "fold 1 of 2, CISFA, no weight"]
    assert first.is_done
    assert second.is_done


def test_a_training_that_diverges_costs_its_own_row_alone(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study, _ = study_of(data, tmp_path)
    lay_all(study, tmp_path / "study", Choice(frozenset(["CISFA", "floor"])))

    def diverge(*_: Any) -> None:
        raise TrainingDivergedError("The loss dice is nan at step 3. Lower the rate.")

    monkeypatch.setattr(crossval, "run_training", diverge)
    assert main(words(data, tmp_path, "--resume")) == 2
    said = capsys.readouterr().err
    assert "fold 1 of 2, CISFA, no weight: The loss dice is nan" in said
    assert "fold 2 of 2, CISFA, no weight: The loss dice is nan" in said
    assert [row["row"] for row in summary_in(tmp_path / "study" / "report")["rows"]] == ["CISFA", "floor"]


def test_rows_and_folds_are_trained_as_they_are_chosen(data: Path, tmp_path: Path) -> None:
    study, _ = study_of(data, tmp_path, seeds=(0, 1))
    chosen = list(study.parts(tmp_path, Choice(frozenset(["floor", "CISFA"]), folds=(1,))))
    assert [(part.seed, part.fold, part.row.name) for part in chosen] == [
        (0, 1, "CISFA"),
        (0, 1, "floor"),
        (1, 1, "CISFA"),
        (1, 1, "floor"),
    ]
    assert [part.config.seed for part in chosen] == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("more", "choice", "message"),
    [
        ({"seeds": (1, 1)}, Choice(), r"--seeds is '1,1'"),
        ({}, Choice(folds=(2,)), "--fold is 3; with 2 folds it must be from 1 to 2"),
        ({}, Choice(folds=(-1,)), "--fold is 0"),
    ],
)
def test_seeds_and_folds_that_cannot_be_are_refused(
    data: Path, tmp_path: Path, more: dict[str, Any], choice: Choice, message: str
) -> None:
    study, _ = study_of(data, tmp_path, **more)
    with pytest.raises(ConfigError, match=message):
        cross_validate(study, tmp_path / "study", CPU, lambda event: None, resume=False, choice=choice)
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--seeds=a"], "'a' is no list of whole numbers"),
        (["--seeds=1,"], "'1,' is no list of whole numbers"),
        (["--seeds=-1"], "'-1' is no list of whole numbers"),
        (["--fold=0.5"], "'0.5' is no list of whole numbers"),
        (["--methods", "cisfa"], "not allowed with argument --rows"),
    ],
)
def test_what_does_not_fit_together_is_bad_usage(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    study_of(data, tmp_path)
    assert main(words(data, tmp_path, *more)) == 2
    assert said in capsys.readouterr().err
