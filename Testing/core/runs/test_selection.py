"""Choosing weights by what validation measured: ranks, thinning, and words that say which were chosen."""

import json
import random
from pathlib import Path

import pytest

from cisfa.config import SelectionConfig, TrainingConfig
from cisfa.config_files import to_json_values
from cisfa.errors import ConfigError, RunError
from cisfa.runs.selection import (
    best_by_rank,
    candidate_path,
    candidate_steps,
    choose_weights,
    kept_steps,
    mean_ranks,
    read_scores,
)
from cisfa.whole_files import write_text


def table(**columns: list[float]) -> dict[int, dict[str, float]]:
    """Scores of the steps 1, 2, ... by name, in which ``_`` stands for a blank."""
    count = len(next(iter(columns.values())))
    return {
        step: {name.replace("_", " "): values[step - 1] for name, values in columns.items()}
        for step in range(1, count + 1)
    }


def make_run(folder: Path, rows: str, candidates: tuple[int, ...], *, by: str = "rank") -> Path:
    config = TrainingConfig(selection=SelectionConfig(by=by))  # type: ignore[arg-type]
    write_text(folder / "config.json", json.dumps({"schema": 1, **to_json_values(config)}))
    write_text(folder / "validation.csv", rows)
    for step in candidates:
        candidate_path(folder, step).parent.mkdir(exist_ok=True)
        candidate_path(folder, step).touch()
    return folder


def test_the_step_with_the_best_mean_rank_wins_though_another_is_best_in_one_score() -> None:
    scores = table(dice=[0.9, 0.8, 0.1], agreement=[0.2, 0.7, 0.8], balance=[0.3, 0.9, 0.5])
    assert mean_ranks(scores) == pytest.approx({1: (1 + 3 + 3) / 3, 2: (2 + 2 + 1) / 3, 3: (3 + 1 + 2) / 3})
    assert best_by_rank(scores) == 2


def test_how_far_apart_values_are_does_not_matter_and_equal_ones_share_their_rank() -> None:
    near = table(dice=[0.5, 0.5, 0.4999], agreement=[0.1, 0.2, 0.3])
    far = table(dice=[0.9, 0.9, 0.0], agreement=[0.1, 0.2, 0.9])
    assert mean_ranks(near) == mean_ranks(far) == {1: (1.5 + 3) / 2, 2: (1.5 + 2) / 2, 3: (3 + 1) / 2}


def test_of_equally_good_steps_the_later_one_wins() -> None:
    assert best_by_rank(table(dice=[0.9, 0.1, 0.5], agreement=[0.1, 0.9, 0.5])) == 3
    assert best_by_rank(table(dice=[0.1, 0.9, 0.1], agreement=[0.1, 0.9, 0.1])) == 2
    assert best_by_rank({4: {}, 8: {}, 6: {}}) == 8


def test_a_score_that_a_step_lacks_ranks_nothing_and_the_dice_of_one_organ_never_does() -> None:
    scores = table(agreement=[0.3, 0.2], dice=[0.1, 0.9], dice_liver=[0.1, 0.9])
    del scores[1]["dice"]
    assert best_by_rank(scores) == 1


def test_candidates_are_never_more_than_asked_and_keep_the_newest_and_the_best() -> None:
    chance = random.Random(3)
    scores: dict[int, dict[str, float]] = {}
    for step in range(10, 1001, 10):
        scores[step] = {"dice": chance.random(), "agreement": chance.random()}
        before = kept_steps({at: row for at, row in scores.items() if at < step}, keep=5, begin=95)
        kept = kept_steps(scores, keep=5, begin=95)
        assert len(kept) == max(0, min(5, step // 10 - 9))
        assert set(kept) <= {*before, step}
        if kept:
            assert kept[-1] == step
            assert best_by_rank({at: scores[at] for at in {*before, step}}) in kept


def test_candidates_stay_spread_over_the_schedule() -> None:
    for count in (7, 20, 33, 100):
        # the best is the newest, so that nothing but the spread decides
        kept = kept_steps({step: {"dice": step / 100} for step in range(1, count + 1)}, keep=6, begin=0)
        gaps = [after - before for before, after in zip([0, *kept], kept, strict=False)]
        assert max(gaps) <= 2.5 * count / 6


def test_none_are_kept_where_none_are_wanted_or_before_their_part_of_the_schedule() -> None:
    scores = table(dice=[0.1, 0.2, 0.3, 0.4])
    assert kept_steps(scores, keep=0, begin=0) == []
    assert kept_steps(scores, keep=4, begin=2) == [3, 4]
    assert kept_steps(scores, keep=4, begin=1.5) == [2, 3, 4]


@pytest.mark.parametrize(("keep", "skip"), [(1, 0.2), (-1, 0.2), (3, 1.0), (3, -0.1)])
def test_settings_that_make_no_sense_are_refused(keep: int, skip: float) -> None:
    with pytest.raises(ConfigError, match=r"selection\.(keep|skip) is"):
        SelectionConfig(keep=keep, skip=skip)


ROWS = "step,dice,agreement,dice liver\r\n2,0.9,0.9,0.1\r\n4,0.5,0.8,0.1\r\n6,0.6,0.7,0.9\r\n8,0.1,,0.9\r\n"


def test_ranks_are_those_among_the_candidates_that_are_there(tmp_path: Path) -> None:
    run = make_run(tmp_path / "Lauf ä", ROWS, (4, 6))
    assert candidate_steps(run) == [4, 6]
    assert read_scores(run)[8] == {"dice": 0.1}
    chosen = choose_weights(run)
    # step 2, the best of all, was let go
    assert (chosen.step, chosen.how, chosen.scores, chosen.among) == (6, "rank", ("dice", "agreement"), 2)
    assert chosen.path == candidate_path(run, 6)
    said = "The weights are those of step 6, which had the best mean rank of 2 candidates in dice and agreement"
    assert chosen.in_words(6, has_target=True) == f"{said}, without any label of the target."
    # what is held out of such a method has labels of the very domain that it is for
    assert chosen.in_words(6, has_target=False) == f"{said}."


def test_who_asks_for_a_step_or_the_last_gets_it_whatever_the_settings_say(tmp_path: Path) -> None:
    run = make_run(tmp_path, ROWS, (4, 6))
    assert (choose_weights(run, "4").step, choose_weights(run, "4").how) == (4, "step")
    last = choose_weights(run, "last")
    assert (last.step, last.path, last.how) == (None, None, "last")
    assert last.in_words(8, has_target=True) == "The weights are those of step 8, the last."
    by_default = make_run(tmp_path / "other", ROWS, (4, 6), by="last")
    assert choose_weights(by_default).how == "last"
    assert choose_weights(by_default, "rank").step == 6


def test_a_run_without_candidates_is_made_of_its_last_checkpoint_unless_ranks_were_asked_for(tmp_path: Path) -> None:
    run = make_run(tmp_path, ROWS, ())
    assert choose_weights(run).how == "last"
    with pytest.raises(RunError, match=r"has 0 candidates, none of which was scored.*Take the last"):
        choose_weights(run, "rank")


@pytest.mark.parametrize(
    ("asked", "says"), [("5", r"no candidate of step 5\. .*4, 6"), ("best", r"is 'best'; it must be last, rank or")]
)
def test_what_is_not_there_is_refused_with_what_is(tmp_path: Path, asked: str, says: str) -> None:
    with pytest.raises(RunError, match=says):
        choose_weights(make_run(tmp_path, ROWS, (4, 6)), asked)
