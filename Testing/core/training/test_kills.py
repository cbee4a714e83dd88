"""A run that is killed whatever it is doing, again and again, ends as one that nobody killed."""

import os
import random
from pathlib import Path
from typing import Any

import pytest

from killing import Killer
from nursery import Nursery
from run_ends import differing_ends

# where a process cannot be forked, each takes the seconds that torch's import does
KILLS = 24 if hasattr(os, "fork") else 4
SETTINGS = (
    'schedule={"steps": 16, "checkpoint_every": 2, "metrics_every": 2, "preview_every": 6}',
    "validation.every=2",
    "selection.keep=3",
    "networks.generator_blocks=1",
)


@pytest.fixture(scope="module")
def killer(
    nursery: Nursery, larger_domains: Any, tiny_words: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Killer:
    """A command that has been killed many times."""
    domains = ["--source", str(larger_domains.source), "--target", str(larger_domains.target)]
    words = [*domains, *tiny_words, *(word for setting in SETTINGS for word in ("--set", setting))]
    made = Killer(nursery, words, tmp_path_factory.mktemp("Läufe 1"), random.Random(20))
    made.make_reference()
    made.kill(KILLS)
    return made


def test_runs_that_are_killed_at_random_moments_end_bit_for_bit_as_one_that_is_not(killer: Killer) -> None:
    assert killer.killed_in.total() == KILLS
    assert killer.differences == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are too few kills on this system to hit everything")
def test_the_kills_hit_reading_training_saving_and_resuming(killer: Killer) -> None:
    assert {"reading", "reading to resume", "training", "saving a checkpoint"} <= set(killer.killed_in)
    assert killer.resumed >= KILLS // 2


def test_a_run_that_ended_otherwise_would_be_found(killer: Killer) -> None:
    reference: Path = killer.reference
    table = reference / "metrics.csv"
    content = table.read_bytes()
    run = killer.folder / "run 1"
    try:
        table.write_bytes(content.replace(b"16,", b"17,"))
        (run / "checkpoints" / ".writing-x").touch()
        (run / "checkpoints" / "step-00000016.pt").unlink()
        found = differing_ends(run, reference)
    finally:
        table.write_bytes(content)
    assert {"/step", "metrics.csv", ".writing-x"} <= set(found)
    assert any(name.startswith("/networks/") for name in found)
