"""What a running job says, one JSON object a line, so that another process can follow it.

Library code takes ``report: Report`` and calls it with an event; only ``cisfa.cli`` prints. Events hold no patient's
name, identifier or path unless the user gave it on the command line and must see it again to act (``Failed``,
``Notice`` and ``Finished`` on standard output; run folders never record those three's text).
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Progress:
    """How far a stage is.

    Attributes:
        stage: What is being done, in words a user reads ("segmenting").
        fraction: Part of the stage that is done, from 0 to 1.
        remaining_s: Estimated seconds until the stage ends; None while unknown.
    """

    stage: str
    fraction: float
    remaining_s: float | None = None


@dataclass(frozen=True)
class Metric:
    """Values measured at one training step.

    Attributes:
        step: Number of optimiser updates done so far.
        values: Name of the loss or rate to its value.
    """

    step: int
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Notice:
    """Something that happened which the user should know, though the work goes on."""

    message: str


@dataclass(frozen=True)
class Failed:
    """The job ended without a result; the message says why and what to do."""

    message: str


@dataclass(frozen=True)
class Finished:
    """The job ended well.

    Attributes:
        outputs: Files and folders that it wrote.
    """

    outputs: tuple[str, ...] = ()


Event = Progress | Metric | Notice | Failed | Finished
Report = Callable[[Event], None]

_KINDS: dict[str, type[Event]] = {
    "progress": Progress,
    "metric": Metric,
    "notice": Notice,
    "failed": Failed,
    "finished": Finished,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def ignore(event: Event) -> None:
    """Report to nobody."""


def to_json_line(event: Event) -> str:
    """Write an event as one line of ASCII JSON, without the newline.

    Example: ``{"event": "progress", "stage": "segmenting", "fraction": 0.5, "remaining_s": 3.0}``.
    """
    return json.dumps({"event": _NAMES[type(event)], **asdict(event)})


def from_json_line(line: str) -> Event | None:
    """Read one line written by :func:`to_json_line`; None when the line is no event (a library's own output)."""
    try:
        values = json.loads(line)
    except ValueError:
        return None
    if not isinstance(values, dict):
        return None
    kind = _KINDS.get(str(values.pop("event", "")))
    if kind is None:
        return None
    try:
        if kind is Finished:
            values["outputs"] = tuple(values.get("outputs", ()))
        event: Event = kind(**values)
    except TypeError:
        return None
    return event if _is_well_formed(event) else None


def _is_well_formed(event: Event) -> bool:
    """True when every value is what its type says, so that whoever shows an event need not wonder."""
    match event:
        case Progress(stage, fraction, remaining_s):
            return _is_text(stage) and _is_finite(fraction) and (remaining_s is None or _is_finite(remaining_s))
        case Metric(step, values):
            return _is_finite(step) and _are_numbers(values)
        case Notice(message) | Failed(message):
            return _is_text(message)
        case Finished(outputs):
            return all(map(_is_text, outputs))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_numbers(values: object) -> bool:
    """A loss that diverged, not finite, is a value too."""
    return isinstance(values, dict) and all(isinstance(value, int | float) for value in values.values())
