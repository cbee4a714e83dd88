"""An organ's quality without a label: a limit of its Dice, whether to look twice, and why (docs/quality.md).

Every sign allows a Dice of so much at most; the lowest of these limits is the score. So a score can be explained by the
one sign that it comes from, and no good sign outweighs a bad one. Free of torch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from cisfa.inference.evidence import Evidence

Level = Literal["green", "amber", "red"]
Line = Sequence[tuple[float, float]]

# a score below the first is red: the Dice is probably below 0.7; below the second amber
RED_BELOW, AMBER_BELOW = 0.7, 0.8

# a sign's value to the Dice that it allows, by rising values and level beyond the ends: what good and bad results of
# abdominal CT, MR and phantoms had. How they were found, and how they do on other data: docs/quality.md
_AGREEMENT: Line = ((0.3, 0.0), (0.7, 0.5), (0.82, 0.76), (0.9, 0.88), (0.96, 1.0))
_CONFIDENCE: Line = ((0.3, 0.0), (0.55, 0.4), (0.7, 0.7), (0.85, 0.9), (0.95, 1.0))
_CONTINUITY: Line = ((0.2, 0.3), (0.45, 0.7), (0.58, 1.0))
_PART_OF_SOLIDITY: Line = ((0.3, 0.3), (0.7, 0.7), (0.8, 0.79), (0.95, 0.95), (1.0, 1.0))
_INTENSITY_DISTANCE: Line = ((2.0, 1.0), (4.0, 0.74), (8.0, 0.5))
_ON_WRONG_SIDE = 0.2


@dataclass(frozen=True)
class OrganQuality:
    """How far an organ of a result can be trusted.

    Attributes:
        level: red: the Dice is probably below 0.7, or nothing was found; amber: doubtful; green: no sign against it,
            which is no proof.
        score: What the Dice is probably not above, from 0 to 1: the lowest limit of any sign. It may well be below.
        reasons: Sentences for people, the weightiest first; what was not measured comes last.
    """

    level: Level
    score: float
    reasons: tuple[str, ...] = ()


def judge(evidence: Evidence) -> OrganQuality:
    """Judge one organ."""
    if evidence.shape is None:
        return OrganQuality("red", 0.0, (_nothing_found(evidence),))
    limits: list[tuple[float, str]] = []
    for limit_of, reason_of in _SIGNS:
        limit = limit_of(evidence)
        if limit is not None:
            limits.append((limit, reason_of(evidence)))
    limits.sort(key=lambda one: one[0])
    score = round(limits[0][0], 3)
    level: Level = "red" if score < RED_BELOW else "amber" if score < AMBER_BELOW else "green"
    reasons = [reason for limit, reason in limits if limit < AMBER_BELOW]
    return OrganQuality(level, score, (*reasons, *_not_measured(evidence)))


def judge_all(evidence: Sequence[Evidence]) -> tuple[OrganQuality, ...]:
    """Judge every organ, in their order."""
    return tuple(map(judge, evidence))


def _on_line(value: float, line: Line) -> float:
    """The height of a broken line at a value; level beyond its ends."""
    for (left, lower), (right, higher) in pairwise(line):
        if value < right:
            return lower + (higher - lower) * max(0.0, value - left) / (right - left)
    return line[-1][1]


def _by_agreement(evidence: Evidence) -> float:
    return _on_line(evidence.signs.agreement, _AGREEMENT)


def _by_confidence(evidence: Evidence) -> float | None:
    confidence = evidence.signs.confidence
    return None if confidence is None else _on_line(confidence, _CONFIDENCE)


def _by_parts(evidence: Evidence) -> float | None:
    """The Dice of an organ whose largest piece is all of the truth: 2 f / (1 + f), where f is that piece's share."""
    share = evidence.parts.largest_component_fraction
    return None if share is None else 2 * share / (1 + share)


def _by_volume(evidence: Evidence) -> float | None:
    """The Dice of an organ k times as large as a truth of usual size inside it, or as much smaller: 2 / (1 + k)."""
    times = evidence.times_outside
    return None if times is None else 2 / (1 + times)


def _by_solidity(evidence: Evidence) -> float | None:
    part = evidence.part_of_solidity
    return None if part is None else _on_line(part, _PART_OF_SOLIDITY)


def _by_continuity(evidence: Evidence) -> float | None:
    continuity = None if evidence.shape is None else evidence.shape.continuity
    return None if continuity is None else _on_line(continuity, _CONTINUITY)


def _by_side(evidence: Evidence) -> float | None:
    return _ON_WRONG_SIDE if evidence.shape is not None and evidence.shape.swapped_with is not None else None


def _by_intensities(evidence: Evidence) -> float | None:
    distance = evidence.intensity_distance
    return None if distance is None else _on_line(distance, _INTENSITY_DISTANCE)


def _nothing_found(evidence: Evidence) -> str:
    name = evidence.measured.organ.name
    return f"Nothing was found: the {name} was missed, lies outside of the volume, or is not there."


def _of_agreement(evidence: Evidence) -> str:
    return f"Small changes of the image change this organ: agreement {_percent(evidence.signs.agreement)}."


def _of_confidence(evidence: Evidence) -> str:
    return f"The model is unsure of this organ: confidence {_percent(evidence.signs.confidence or 0.0)}."


def _of_parts(evidence: Evidence) -> str:
    parts = evidence.parts
    share = _percent(parts.largest_component_fraction or 0.0)
    if evidence.uncut:
        return f"In {parts.components:,} pieces, of which only the largest, with {share}, was kept."
    return f"In {parts.components:,} pieces; the largest holds {share}."


def _of_volume(evidence: Evidence) -> str:
    measured, usual = evidence.measured, evidence.usual_volumes
    found = f"The {measured.organ.name} is {_millilitres(measured.volume_ml)} mL"
    if usual is None:
        return f"{found}."
    return f"{found}; most in training had {_millilitres(usual.low_ml)} to {_millilitres(usual.high_ml)} mL."


def _of_solidity(evidence: Evidence) -> str:
    solidity = 0.0 if evidence.shape is None else evidence.shape.solidity or 0.0
    said = f"The {evidence.measured.organ.name} is ragged or branched: it fills {_percent(solidity)} of its hull"
    usual = evidence.usual_solidity
    return f"{said}." if usual is None else f"{said}; most in training filled {_percents(usual.low, usual.high)}."


def _of_continuity(evidence: Evidence) -> str:
    continuity = 0.0 if evidence.shape is None else evidence.shape.continuity or 0.0
    return f"It jumps from slice to slice: neighbours share {_percent(continuity)}."


def _of_side(evidence: Evidence) -> str:
    other = "" if evidence.shape is None else evidence.shape.swapped_with
    return f"It lies on the wrong side of the {other}."


def _of_intensities(evidence: Evidence) -> str:
    times = evidence.intensity_distance or 0.0
    return f"The volume's intensities are unlike those of training: {times:.1f} times their spread away."


def _not_measured(evidence: Evidence) -> tuple[str, ...]:
    if evidence.in_roi:
        return (
            "Not measured against training: in a region of interest, sizes, shapes and intensities cannot be compared.",
        )
    missing = [] if evidence.volumes else ["sizes"]
    missing += [] if evidence.solidity else ["shapes"]
    missing += [] if evidence.intensity_distance is not None else ["intensities"]
    said = [f"Not measured against training: its {_listed(missing)} are not in the bundle."] if missing else []
    if evidence.volumes and not evidence.usual_volumes:
        said.append("Not measured against training: the bundle's sizes of this organ are those of too few cases.")
    return tuple(said)


def _listed(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _percent(part: float) -> str:
    return f"{100 * part:.0f} %"


def _percents(low: float, high: float) -> str:
    return f"{100 * low:.0f} to {_percent(high)}"


def _millilitres(volume_ml: float) -> str:
    return f"{volume_ml:,.0f}" if volume_ml >= 10 else f"{volume_ml:.1f}"


_SIGNS: tuple[tuple[Callable[[Evidence], float | None], Callable[[Evidence], str]], ...] = (
    (_by_agreement, _of_agreement),
    (_by_confidence, _of_confidence),
    (_by_parts, _of_parts),
    (_by_volume, _of_volume),
    (_by_solidity, _of_solidity),
    (_by_continuity, _of_continuity),
    (_by_side, _of_side),
    (_by_intensities, _of_intensities),
)
