"""Weights that a bundle may be made of: the segmenter's after some validations, written whole, thinned as they grow."""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import safetensors.torch
from torch import nn

from cisfa.config import SelectionConfig
from cisfa.runs.selection import SCORES, candidate_path, candidate_steps, kept_steps, read_scores
from cisfa.whole_files import write_whole


class Candidates:
    """Keeps candidates while a run trains; those after the step that it goes on from are dropped, as its scores are."""

    def __init__(self, run: Path, config: SelectionConfig, *, from_step: int) -> None:
        """Args: the run's folder; how many to keep, from when on; the step that the run goes on from."""
        self._run, self._config = run, config
        self._remove(step for step in candidate_steps(run) if step > from_step)

    def add(self, segmenter: nn.Module, scores: Mapping[str, float], *, step: int, steps: int) -> None:
        """Keep the weights of a validated step, and let go of one that is missed least.

        Called before the step's scores are written down, so that whoever ends the run on hearing of them finds all of
        it done.

        Args:
            segmenter: What would go into the bundle.
            scores: Of the validation.
            step: Steps done.
            steps: Of the whole run.

        Raises:
            VolumeFileError: The folder cannot be written or the disk is full.
        """
        known = {at: row for at, row in read_scores(self._run).items() if at < step}
        # as they will be read from the table, or a resumed run could rank otherwise in the last digit
        known[step] = {name: float(f"{scores[name]:.9g}") for name in SCORES if name in scores}
        kept = kept_steps(known, keep=self._config.keep, begin=self._config.skip * steps)
        if step in kept:
            write_whole(candidate_path(self._run, step), lambda path: _write(path, segmenter))
        self._remove(at for at in candidate_steps(self._run) if at not in kept)

    def _remove(self, steps: Iterable[int]) -> None:
        for step in steps:
            with suppress(OSError):  # a virus scanner or a backup may be reading it; one file too many does no harm
                candidate_path(self._run, step).unlink(missing_ok=True)


def _write(path: Path, segmenter: nn.Module) -> None:
    # float32, as they are: a bundle of the last candidate is that of the last checkpoint
    weights = {name: value.detach().cpu().contiguous() for name, value in segmenter.state_dict().items()}
    with path.open("wb") as file:
        file.write(safetensors.torch.save(weights))
        file.flush()
        os.fsync(file.fileno())  # or a power cut could leave an empty file under the final name
