"""Which of a run's weights to make a bundle of, told from ``validation.csv`` alone.

Where a method adapts to a target, none of these scores has read a label of it.

Candidates are the segmenter's weights of some validated steps (``candidates/``). No score without target labels tells
the best of them reliably (Musgrave et al. 2022, "Benchmarking validation methods for unsupervised domain adaptation"),
so several that fail in different ways are asked, and only about order: each score ranks the candidates, and the best
mean rank wins, as in the aggregation by Borda's count.
"""

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cisfa.errors import RunError
from cisfa.runs.run_curves import CurveReader
from cisfa.runs.run_files import CANDIDATES, VALIDATION
from cisfa.runs.run_json import read_run_config

SCORES = ("dice", "agreement", "teacher agreement", "balance", "plausibility")
"""The columns of ``validation.csv`` that rank candidates, each from 0 to 1, 1 best; a run need not have all."""

_LAST: Literal["last"] = "last"
_RANK: Literal["rank"] = "rank"

_NAME = re.compile(r"step-(\d{8})\.safetensors")

Scores = Mapping[int, Mapping[str, float]]
"""Step to the name of each score to its value."""


@dataclass(frozen=True)
class ChosenWeights:
    """The weights that a bundle is to be made of.

    Attributes:
        run: The run's folder.
        step: Optimiser updates that they took; None for those of the newest checkpoint, which knows itself.
        how: "last", "rank", or "step" where the user named it.
        scores: The scores that ranked; empty where none was asked.
        among: How many candidates there were to choose from.
    """

    run: Path
    step: int | None
    how: Literal["last", "rank", "step"]
    scores: tuple[str, ...] = ()
    among: int = 0

    @property
    def path(self) -> Path | None:
        """The file of the weights; None for those of the newest checkpoint."""
        return None if self.step is None else candidate_path(self.run, self.step)

    def in_words(self, step: int, *, has_target: bool) -> str:
        """A sentence for people.

        Args:
            step: That the weights are of, also where the newest checkpoint has told it.
            has_target: Whether the method adapts to a target; without one, scores are of labelled cases of the domain
                that the weights are for.
        """
        if self.how == _RANK:
            without = ", without any label of the target" if has_target else ""
            return (
                f"The weights are those of step {step}, which had the best mean rank of {self.among} candidates in"
                f" {_listed(self.scores)}{without}."
            )
        return f"The weights are those of step {step}, {'the last' if self.how == _LAST else 'as was asked for'}."


def candidate_path(run: Path, step: int) -> Path:
    """Where the candidate of a step lies, whether or not it is there."""
    return run / CANDIDATES / f"step-{step:08d}.safetensors"


def candidate_steps(run: Path) -> list[int]:
    """The steps of the candidates that are there, in order."""
    matches = (_NAME.fullmatch(path.name) for path in (run / CANDIDATES).glob("step-*.safetensors"))
    return sorted(int(match[1]) for match in matches if match)


def read_scores(run: Path) -> dict[int, dict[str, float]]:
    """The scores of each validated step, in the steps' order; without values that were not measured."""
    reader = CurveReader(run / VALIDATION)
    reader.read()
    found: dict[int, dict[str, float]] = {}
    for place, step in enumerate(reader.steps):
        row = {name: reader.values[name][place] for name in SCORES if name in reader.values}
        found[int(step)] = {name: value for name, value in row.items() if not math.isnan(value)}
    return found


def shared_scores(scores: Scores) -> tuple[str, ...]:
    """The scores that can rank: those that every step has."""
    return tuple(name for name in SCORES if scores and all(name in row for row in scores.values()))


def mean_ranks(scores: Scores) -> dict[int, float]:
    """Step to its mean rank over the scores, 1 for a step that is best in all; equal values share the mean rank.

    Scores that a step lacks rank nothing; where none is left, all steps rank alike.
    """
    names = shared_scores(scores)
    if not names:
        return dict.fromkeys(scores, 1.0)
    return {step: sum(_rank(step, name, scores) for name in names) / len(names) for step in scores}


def _rank(step: int, name: str, scores: Scores) -> float:
    own = scores[step][name]
    better = sum(row[name] > own for row in scores.values())
    equal = sum(row[name] == own for row in scores.values())
    return better + (equal + 1) / 2


def best_by_rank(scores: Scores) -> int:
    """The step with the best mean rank; of equal ones the latest, which has learned the longest."""
    ranks = mean_ranks(scores)
    return min(ranks, key=lambda step: (ranks[step], -step))


def kept_steps(scores: Scores, *, keep: int, begin: float) -> list[int]:
    """The steps whose weights are kept as candidates after the last of the validations.

    A function of all validations so far, not of which files there happen to be: so a run that was killed and resumed
    comes to the same candidates as one that was not. As validations come one by one, whenever there are more than
    ``keep`` candidates, the one goes whose neighbours are nearest to each other, but never the best by rank or the
    newest.

    Args:
        scores: Of every validation up to now.
        keep: The most that are kept, at least 2; 0 keeps none.
        begin: Steps up to this one are no candidates.
    """
    kept: list[int] = []
    for step in sorted(scores):
        if step > begin and keep:
            kept.append(step)
            if len(kept) > keep:
                best = best_by_rank({one: scores[one] for one in kept})
                kept.remove(_least_missed(kept, best, begin))
    return kept


def _least_missed(kept: Sequence[int], best: int, begin: float) -> int:
    """The step whose removal leaves the smallest gap; the earliest of equal ones."""
    before = dict(zip(kept, [begin, *kept], strict=False))
    after = dict(itertools.pairwise(kept))
    return min((step for step in after if step != best), key=lambda step: after[step] - before[step])


def choose_weights(run: Path, checkpoint: str | None = None) -> ChosenWeights:
    """Choose what a bundle is made of.

    Args:
        run: The run's folder.
        checkpoint: "last", "rank" or the number of a step; None takes what the run's settings say (selection.by), and
            the last where there is no candidate to be ranked.

    Raises:
        RunError: There is no run, it has no such candidate, or none that was scored.
    """
    config = read_run_config(run)
    asked = checkpoint or config.selection.by
    if asked == _LAST:
        return ChosenWeights(run, None, _LAST)
    steps = candidate_steps(run)
    if asked != _RANK:
        return ChosenWeights(run, _asked_step(run, asked, steps), "step")
    scored = {step: row for step, row in read_scores(run).items() if step in steps}
    names = shared_scores(scored)
    if names:
        return ChosenWeights(run, best_by_rank(scored), _RANK, names, len(scored))
    if checkpoint is None:
        return ChosenWeights(run, None, _LAST)
    raise RunError(
        f"{run} has {len(steps)} candidates, none of which was scored, so there is nothing to be ranked. Take the last"
        " checkpoint, or train with selection.keep above 0."
    )


def _asked_step(run: Path, asked: str, steps: Iterable[int]) -> int:
    there = ", ".join(map(str, steps)) or "none"
    if not (asked.isascii() and asked.isdigit()):
        raise RunError(f"The checkpoint is {asked!r}; it must be last, rank or a step. Steps with weights: {there}.")
    if int(asked) not in steps:
        raise RunError(f"{run} has no candidate of step {asked}. Choose last, rank or one of its steps: {there}.")
    return int(asked)


def _listed(names: Sequence[str]) -> str:
    """In words: "dice, agreement and balance"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
