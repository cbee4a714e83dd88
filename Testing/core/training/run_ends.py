"""Whether two runs ended alike, to the last bit."""

from pathlib import Path
from typing import Any

import torch

from cisfa.events import Metric, from_json_line
from cisfa.training.checkpoint import Checkpoint, latest_checkpoint

CPU = torch.device("cpu")


def last_state(run: Path) -> Checkpoint:
    """The newest checkpoint of a run."""
    found = latest_checkpoint(run / "checkpoints", device=CPU)
    assert found is not None
    return found


def differences(one: Any, other: Any, at: str = "") -> list[str]:
    """Where two nested states differ in any bit."""
    if isinstance(one, dict):
        if one.keys() != other.keys():
            return [at]
        return [line for key in one for line in differences(one[key], other[key], f"{at}/{key}")]
    if isinstance(one, list | tuple):
        pairs = enumerate(zip(one, other, strict=True))
        return [line for index, (a, b) in pairs for line in differences(a, b, f"{at}/{index}")]
    same = torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
    return [] if same else [at]


def differing_ends(run: Path, reference: Path) -> list[str]:
    """What a run ended with that the other did not: weights, candidates, tables, pictures, events, unfinished files."""
    ours, theirs = last_state(run), last_state(reference)
    found = differences(
        {"step": ours.step, "networks": dict(ours.networks), "optimisers": dict(ours.optimisers)},
        {"step": theirs.step, "networks": dict(theirs.networks), "optimisers": dict(theirs.optimisers)},
    )
    if _candidates(run) != _candidates(reference):
        found.append("candidates")
    pictures = sorted(path.relative_to(reference).as_posix() for path in (reference / "previews").iterdir())
    for name in ("metrics.csv", "validation.csv", *pictures):
        ours_bytes = (run / name).read_bytes() if (run / name).is_file() else b""
        found += [name] if ours_bytes != (reference / name).read_bytes() else []
    found += [path.name for path in run.rglob(".writing-*")]
    if _metrics(run) != _metrics(reference):
        found.append("events.jsonl")
    return found


def _candidates(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run / "candidates").iterdir()}


def _metrics(run: Path) -> list[Metric | None]:
    """The metric events of a run; None for each line that is no event."""
    events = map(from_json_line, (run / "events.jsonl").read_text(encoding="utf-8").splitlines())
    return [event for event in events if event is None or isinstance(event, Metric)]
