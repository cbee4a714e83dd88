"""Candidates for the bundle: kept while a run trains, the same after a kill, and in the bundle what was chosen."""

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from cisfa.bundle.bundle_folder import open_bundle
from cisfa.bundle.model_card import model_card
from cisfa.cli.main import main
from cisfa.config import SelectionConfig, TrainingConfig
from cisfa.errors import Cancelled, RunError, VolumeFileError
from cisfa.inference.network import load_segmenter
from cisfa.runs.selection import best_by_rank, candidate_path, candidate_steps, choose_weights, read_scores
from cisfa.training import candidates as candidates_module
from cisfa.training.candidates import Candidates
from cisfa.training.export import bundle_of, make_bundle
from cisfa.training.run_folder import RunFolder
from run_ends import last_state
from tiny_runs import cancel_after, train

Tiny = Callable[..., TrainingConfig]
OFTEN = ("validation.every=1", "optimiser.learning_rate=0.003", "selection.keep=3", "networks.generator_blocks=1")


@pytest.fixture(scope="module")
def finished(tiny: Tiny, larger_domains: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 8 steps, each validated; not to be changed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run = tmp_path_factory.mktemp("finished") / "run"
    train(RunFolder(run), larger_domains, tiny(*OFTEN))
    torch.set_num_threads(threads)
    return run


def contents(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run / "candidates").iterdir()}


def weights_of(run: Path, step: int) -> dict[str, Tensor]:
    return safetensors.torch.load_file(candidate_path(run, step))


def is_same(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())


def bundled(output: Path) -> Mapping[str, Tensor]:
    return load_segmenter(open_bundle(output)).state_dict()


def test_a_run_keeps_as_many_candidates_as_asked_and_none_of_its_first_quarter(finished: Path) -> None:
    steps = candidate_steps(finished)
    assert len(steps) == 3
    assert steps[-1] == 8
    assert steps[0] > 2
    assert len(contents(finished)) == 3
    # of the three, the best is one that was the best of four before; it is there still
    assert choose_weights(finished, "rank").step in steps


def test_the_candidate_of_the_last_step_holds_the_weights_of_the_last_checkpoint(finished: Path) -> None:
    assert is_same(weights_of(finished, 8), last_state(finished).networks["segmenter"])
    others = [weights_of(finished, step) for step in candidate_steps(finished)[:-1]]
    assert not any(is_same(weights_of(finished, 8), other) for other in others)


@pytest.mark.parametrize(("stop", "end"), [(3, Cancelled), (5, KeyboardInterrupt), (7, KeyboardInterrupt)])
def test_a_resumed_run_has_the_candidates_of_one_that_never_stopped(
    tiny: Tiny, larger_domains: Any, tmp_path: Path, finished: Path, stop: int, end: type[BaseException]
) -> None:
    folder = RunFolder(tmp_path / "run")

    def stop_there(event: Any) -> None:
        try:
            cancel_after(stop)(event)
        except Cancelled:
            raise end from None

    with pytest.raises(end):
        train(folder, larger_domains, tiny(*OFTEN, "schedule.metrics_every=1"), stop_there)
    assert candidate_steps(folder.path)[-1] == stop
    train(folder, larger_domains, None)
    assert contents(folder.path) == contents(finished)


def test_candidates_after_the_step_that_a_run_goes_on_from_are_dropped_at_once(tmp_path: Path) -> None:
    for step in (2, 4, 6):
        candidate_path(tmp_path, step).parent.mkdir(exist_ok=True)
        candidate_path(tmp_path, step).touch()
    (tmp_path / "candidates" / "notes.txt").touch()
    Candidates(tmp_path, SelectionConfig(), from_step=4)
    assert candidate_steps(tmp_path) == [2, 4]
    assert (tmp_path / "candidates" / "notes.txt").exists()


def test_ranks_of_a_validation_that_is_not_yet_written_down_are_those_read_later(tmp_path: Path) -> None:
    """Two scores that are the same in the table are the same, so that a resumed run lets go of the same candidate."""
    segmenter, config = nn.Linear(2, 1), SelectionConfig(keep=2, skip=0.0)
    (tmp_path / "validation.csv").write_bytes(b"step,dice\r\n1,0.123456789\r\n2,0.1\r\n")
    for step in (1, 2):
        candidate_path(tmp_path, step).parent.mkdir(exist_ok=True)
        candidate_path(tmp_path, step).touch()
    # worse than the first by less than the table tells: of two equal ones the later is the best, and the first may go
    Candidates(tmp_path, config, from_step=2).add(segmenter, {"dice": 0.12345678899}, step=3, steps=8)
    assert candidate_steps(tmp_path) == [2, 3]


def test_a_run_that_is_lengthened_lets_go_of_what_is_now_too_early(tmp_path: Path) -> None:
    segmenter, config = nn.Linear(2, 1), SelectionConfig(keep=6, skip=0.5)
    lines = ["step,dice"]
    for step, steps in ((1, 4), (2, 4), (3, 4), (4, 4), (5, 8), (6, 8)):
        Candidates(tmp_path, config, from_step=step - 1).add(segmenter, {"dice": 0.5}, step=step, steps=steps)
        lines.append(f"{step},0.5")
        (tmp_path / "validation.csv").write_text("\r\n".join([*lines, ""]), encoding="utf-8", newline="")
        assert candidate_steps(tmp_path) == [at for at in range(1, step + 1) if at > steps / 2]


def test_where_no_candidates_are_wanted_nothing_is_written(tmp_path: Path) -> None:
    Candidates(tmp_path, SelectionConfig(keep=0), from_step=0).add(nn.Linear(2, 1), {"dice": 0.5}, step=8, steps=8)
    assert not (tmp_path / "candidates").exists()


def test_a_candidate_that_cannot_be_written_leaves_no_part_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, segmenter: nn.Module) -> None:
        path.write_bytes(b"the beginning")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(candidates_module, "_write", fail)
    with pytest.raises(VolumeFileError, match=r"step-00000004\.safetensors cannot be written: No space left"):
        Candidates(tmp_path, SelectionConfig(), from_step=0).add(nn.Linear(2, 1), {"dice": 0.5}, step=4, steps=8)
    assert list((tmp_path / "candidates").iterdir()) == []


def test_the_bundle_of_the_best_rank_holds_the_weights_of_that_step_and_says_so(finished: Path, tmp_path: Path) -> None:
    scores = read_scores(finished)
    best = best_by_rank({step: scores[step] for step in candidate_steps(finished)})
    words = ["bundle", "make", str(finished), "--checkpoint", "rank", "--output", str(tmp_path / "model.zip")]
    assert main([*words, "--description", "Two organs."]) == 0
    assert is_same(bundled(tmp_path / "model.zip"), weights_of(finished, best))
    manifest = open_bundle(tmp_path / "model.zip").manifest
    assert manifest.training.steps == best
    said = f"The weights are those of step {best}, which had the best mean rank of 3 candidates in dice, agreement"
    assert manifest.description.startswith(f"Two organs.\n{said}")
    assert said in model_card(manifest)


def test_the_bundle_of_a_method_without_a_target_does_not_claim_to_be_chosen_without_its_labels(
    finished: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    config = (run / "config.json").read_text(encoding="utf-8")
    texts: dict[str, Any] = {"name": None, "description": None, "licence": None, "overwrite": True}
    said = []
    for method in ("source-only", "supervised"):
        values = {**json.loads(config), "method": method}
        values["selection"]["by"] = "rank"
        (run / "config.json").write_text(json.dumps(values), encoding="utf-8")
        said.append(open_bundle(make_bundle(run, tmp_path / "model.zip", **texts)).manifest.description)
    assert said[0].endswith(", without any label of the target.")
    assert "best mean rank" in said[1]
    assert "label of the target" not in said[1]


def test_the_bundle_of_any_step_holds_its_weights_and_its_losses(finished: Path, tmp_path: Path) -> None:
    step = candidate_steps(finished)[0]
    words = ["bundle", "make", str(finished), "--checkpoint", str(step), "--output", str(tmp_path / "model")]
    assert main(words) == 0
    assert is_same(bundled(tmp_path / "model"), weights_of(finished, step))
    manifest = open_bundle(tmp_path / "model").manifest
    with (finished / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
    assert manifest.training.losses["dice"] == float(rows[-1]["dice"])
    assert manifest.description.endswith(f"The weights are those of step {step}, as was asked for.")


def test_without_a_word_the_last_checkpoint_is_taken(finished: Path, tmp_path: Path) -> None:
    texts: dict[str, Any] = {"name": None, "description": None, "licence": None, "overwrite": False}
    make_bundle(finished, tmp_path / "model.zip", **texts)
    assert is_same(bundled(tmp_path / "model.zip"), last_state(finished).networks["segmenter"])
    manifest = open_bundle(tmp_path / "model.zip").manifest
    assert manifest.description.endswith("The weights are those of step 8, the last.")


def test_a_step_that_is_not_kept_is_refused_with_those_that_are(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bundle", "make", str(finished), "--checkpoint", "1", "--output", str(tmp_path / "model")]
    assert main(words) == 2
    there = ", ".join(map(str, candidate_steps(finished)))
    assert f"no candidate of step 1. Choose last, rank or one of its steps: {there}." in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_weights_that_are_gone_since_they_were_chosen_are_said(finished: Path, tmp_path: Path) -> None:
    chosen = choose_weights(finished, "rank")
    gone = type(chosen)(chosen.run, 7777, "step")
    with pytest.raises(RunError, match=r"step-00007777\.safetensors cannot be read"):
        bundle_of(gone, tmp_path / "model")
