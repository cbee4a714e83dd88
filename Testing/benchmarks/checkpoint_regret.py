"""What choosing a run's weights without target labels costs, against the best of them by target labels.

    python Testing/benchmarks/checkpoint_regret.py CROSSVAL_RUN --target DIR [--output FILE.json]

CROSSVAL_RUN is a folder of `cisfa crossval`, DIR the target cases with their label maps that it was given. Each
candidate of each run (RUN/candidates) segments the target cases that its fold held out (RUN/../predictions), and is
scored by the mean Dice over these cases and their organs. Then, for each run: the Dice of the last candidate, of the
choice by mean rank, of the choice by each single score, and of the best by target labels (the oracle); the regret is
the oracle's Dice less the choice's. "correlation" is Spearman's between a score and Dice over the candidates. This is
the only place where a checkpoint meets a target label, and what it tells must not go back into a run that is reported.
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from cisfa.bundle.bundle_folder import open_bundle
from cisfa.cases.case_folder import CaseFiles, labelled_cases
from cisfa.errors import CisfaError
from cisfa.evaluation.overlap import dice
from cisfa.events import ignore
from cisfa.imaging.organs import Organ
from cisfa.imaging.volume_files import read_label_map, read_volume
from cisfa.inference.device import choose_device
from cisfa.inference.predictor import PredictionOptions, Predictor
from cisfa.runs.run_data import read_run_data
from cisfa.runs.selection import (
    ChosenWeights,
    best_by_rank,
    candidate_steps,
    mean_ranks,
    read_scores,
    shared_scores,
)
from cisfa.training.export import bundle_of
from measuring import hardware

LAST, RANK, ORACLE = "last", "rank", "oracle"


@dataclass(frozen=True)
class Candidates:
    """The candidates of one run, by step.

    Attributes:
        dice: Mean Dice over held-out target cases and organs.
        scores: What validation measured, without target labels.
    """

    dice: Mapping[int, float]
    scores: Mapping[int, Mapping[str, float]]

    def choices(self) -> dict[str, int]:
        """How a step is chosen, to the step."""
        chosen = {LAST: max(self.dice), RANK: best_by_rank(self.scores)}
        for name in shared_scores(self.scores):
            chosen[name] = max(self.scores, key=lambda step: (self.scores[step][name], step))
        return {**chosen, ORACLE: max(self.dice, key=lambda step: (self.dice[step], step))}

    def correlations(self) -> dict[str, float | None]:
        """Spearman's between each score, or the mean rank, and Dice; None where one of them is constant."""
        steps = sorted(self.dice)
        ranks = mean_ranks(self.scores)
        columns = {RANK: [-ranks[step] for step in steps]}
        columns |= {name: [self.scores[step][name] for step in steps] for name in shared_scores(self.scores)}
        return {name: _spearman(values, [self.dice[step] for step in steps]) for name, values in columns.items()}

    def in_json(self) -> dict[str, Any]:
        """Choices with their Dice and regret, correlations, and all that was measured."""
        choices = self.choices()
        best = self.dice[choices[ORACLE]]
        return {
            "choices": {
                how: {"step": step, "dice": self.dice[step], "regret": best - self.dice[step]}
                for how, step in choices.items()
            },
            "correlations": self.correlations(),
            "candidates": [
                {"step": step, "dice": self.dice[step], "scores": dict(self.scores[step])} for step in sorted(self.dice)
            ],
        }


def main() -> None:
    """Measure all runs of a cross-validation."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("study", type=Path, metavar="CROSSVAL_RUN")
    made.add_argument("--target", type=Path, required=True, help="target cases with their label maps")
    made.add_argument("--output", type=Path, help="file to write the numbers to, as JSON")
    made.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    arguments = made.parse_args()
    try:
        runs = measure_runs(arguments)
    except CisfaError as error:
        sys.exit(f"{error}")
    if not runs:
        sys.exit(f"{arguments.study} holds no run with candidates and predictions; train with selection.keep above 0.")
    record = {"benchmark": "checkpoint regret", "hardware": hardware(), "runs": runs, "mean": mean_of(runs)}
    if arguments.output:
        arguments.output.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8", newline="\n")
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr] # a console of Windows has another encoding
    print("\n".join(markdown(runs)))


def measure_runs(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Every run of the study, in the order of their folders.

    Raises:
        CisfaError: A run, a case or a label map cannot be used.
    """
    cases = {case.name: case for case in labelled_cases(arguments.target)}
    device = choose_device(arguments.device, ignore)
    found = []
    for run in runs_of(arguments.study):
        name = run.parent.relative_to(arguments.study).as_posix()
        held_out = [cases[case] for case in _predicted(run) if case in cases]
        if not held_out:
            sys.exit(f"None of the cases of {name}/predictions is in {arguments.target}.")
        candidates = measure_run(run, held_out, device)
        found.append({"run": name, "cases": len(held_out), **candidates.in_json()})
        print(f"{name}: {len(candidates.dice)} candidates, {len(held_out)} cases", file=sys.stderr)
    return found


def runs_of(study: Path) -> Iterator[Path]:
    """The runs with candidates and with predictions beside them, however deep they lie."""
    for config in sorted(study.rglob("config.json")):
        if candidate_steps(config.parent) and _predicted(config.parent):
            yield config.parent


def _predicted(run: Path) -> list[str]:
    return sorted(path.name.removesuffix(".nii.gz") for path in (run.parent / "predictions").glob("*.nii.gz"))


def measure_run(run: Path, held_out: Sequence[CaseFiles], device: torch.device) -> Candidates:
    """Segment the held-out cases with every candidate that was scored.

    Raises:
        CisfaError: The run, a case or a label map cannot be used.
    """
    data = read_run_data(run)
    organs = data.organs if data else ()
    scores = {step: row for step, row in read_scores(run).items() if step in candidate_steps(run)}
    dice_of_steps = {}
    with tempfile.TemporaryDirectory(prefix="cisfa-regret-", ignore_cleanup_errors=True) as folder:
        for step in scores:
            bundle = bundle_of(ChosenWeights(run, step, "step"), Path(folder) / "model", overwrite=True)
            # the modality was settled when the cases were read for training
            options = PredictionOptions(trust_modality=True)
            predictor = Predictor(open_bundle(bundle), device, options, ignore)
            values = [value for case in held_out for value in _dice_of_organs(predictor, case, organs)]
            dice_of_steps[step] = float(np.mean(values)) if values else math.nan
    return Candidates(dice_of_steps, scores)


def _dice_of_organs(predictor: Predictor, case: CaseFiles, organs: Sequence[Organ]) -> list[float]:
    """Dice of each organ that the prediction or the truth shows."""
    truth = read_label_map(case.labels) if case.labels else None
    if truth is None:
        return []
    found = predictor.segment(read_volume(case.volume))
    values = [dice(found.voxels == organ.label, truth.voxels == organ.label) for organ in organs]
    return [value for value in values if value is not None]


def _spearman(one: Sequence[float], other: Sequence[float]) -> float | None:
    if len(set(one)) < 2 or len(set(other)) < 2:
        return None
    return float(spearmanr(one, other).statistic)


def mean_of(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """How a step is chosen, to the means of Dice, regret and correlation over the runs that can choose so."""
    means: dict[str, dict[str, float]] = {}
    for how in _ways(runs):
        chosen = [run["choices"][how] for run in runs if how in run["choices"]]
        values = {key: float(np.mean([choice[key] for choice in chosen])) for key in ("dice", "regret")}
        told = [run["correlations"][how] for run in runs if run["correlations"].get(how) is not None]
        means[how] = {**values, "runs": len(chosen), **({"correlation": float(np.mean(told))} if told else {})}
    return means


def _ways(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    ways = list(dict.fromkeys(how for run in runs for how in run["choices"] if how != ORACLE))
    return [*ways, ORACLE]


def markdown(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Two tables: Dice and step of each choice in each run, then the means."""
    ways = _ways(runs)
    yield f"| run | candidates | {' | '.join(ways)} |"
    yield f"| --- | ---: |{' ---: |' * len(ways)}"
    for run in runs:
        choices = (run["choices"].get(how) for how in ways)
        cells = [f"{choice['dice']:.3f} ({choice['step']})" if choice else "-" for choice in choices]
        yield f"| {run['run']} | {len(run['candidates'])} | {' | '.join(cells)} |"
    yield ""
    yield "Means over runs: Dice on held-out target cases, regret against the oracle, Spearman's correlation with Dice."
    yield ""
    yield "| chosen by | Dice | regret | correlation | runs |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for how, mean in mean_of(runs).items():
        correlation = f"{mean['correlation']:+.2f}" if "correlation" in mean else "-"
        yield f"| {how} | {mean['dice']:.3f} | {mean['regret']:.3f} | {correlation} | {mean['runs']} |"


if __name__ == "__main__":
    main()
