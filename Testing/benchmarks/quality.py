"""Does the quality of an organ, judged without labels, tell the good results from the bad ones? On labelled cases.

    python Testing/benchmarks/quality.py --on BUNDLE FOLDER [--on BUNDLE FOLDER ...] [--rows FILE] [--json FILE]

Each bundle segments the cases of its folder (images/ and labels/ under the same names), judges every organ, and only
then are labels read, by this script alone. It prints the rank correlation of score and true Dice, how many of the
organs with a Dice below 0.7 are flagged (amber or red), and how many of the others are. The goals: 95 % of the bad
ones, and no more than 20 % of the good ones. --rows writes what every organ was judged by, one JSON object a line.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from cisfa.bundle.bundle_folder import Bundle, open_bundle
from cisfa.evaluation.organ_measurements import measure_organs
from cisfa.evaluation.overlap import dice
from cisfa.events import ignore
from cisfa.imaging.volume_files import read_label_map, read_volume
from cisfa.inference.device import choose_device
from cisfa.inference.evidence import Evidence, gather_evidence
from cisfa.inference.organ_shape import shapes_of_organs
from cisfa.inference.predictor import PredictionOptions, Predictor
from cisfa.inference.quality import OrganQuality, judge
from measuring import parser, show

GOOD_DICE = 0.7


def main() -> None:
    """Judge, then compare with the truth."""
    made = parser(__doc__)
    made.add_argument("--on", nargs=2, type=Path, action="append", required=True, metavar=("BUNDLE", "FOLDER"))
    made.add_argument("--rows", type=Path, help="file for one JSON object a case and organ")
    made.add_argument("--device", default="cpu", choices=["auto", "cpu", "cuda", "mps"])
    made.add_argument("--threads", type=int, help="of torch on the CPU")
    made.add_argument("--cases", type=int, help="only the first so many cases of each folder")
    arguments = made.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    found: list[dict[str, Any]] = []
    for path, folder in arguments.on:
        bundle = open_bundle(path)
        predictor = Predictor(
            bundle, choose_device(arguments.device, ignore), PredictionOptions(trust_modality=True), ignore
        )
        for image in sorted((folder / "images").iterdir())[: arguments.cases]:
            for row in rows_of(bundle, predictor, image, folder / "labels" / image.name):
                found.append({"model": path.stem, "case": image.name, **row})
                if arguments.rows:
                    with arguments.rows.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(found[-1]) + "\n")
    models = list(dict.fromkeys(row["model"] for row in found))
    rows = [summary(model, [row for row in found if row["model"] == model]) for model in models]
    show("quality without labels", [*rows, summary("all", found)], arguments)


def rows_of(bundle: Bundle, predictor: Predictor, image: Path, labels: Path) -> Iterator[dict[str, Any]]:
    """What every organ of a case was judged by, and its true Dice; without organs that are neither there nor found."""
    volume = read_volume(image)
    label_map, witness = predictor.segment_watched(volume)
    signs = predictor.question(witness)
    organs = bundle.manifest.organs
    measured = measure_organs(label_map, volume, organs)
    uncut = measure_organs(witness.uncut, volume, organs) if witness.uncut else ()
    shapes = shapes_of_organs(label_map, organs)
    evidence = gather_evidence(measured, signs, shapes, bundle.manifest.reference, uncut=uncut)
    truth = read_label_map(labels).voxels
    for organ, of_organ in zip(organs, evidence, strict=True):
        true_dice = dice(label_map.voxels == organ.label, truth == organ.label)
        if true_dice is not None:
            yield {"organ": organ.name, "dice": true_dice, **values_of(of_organ, judge(of_organ))}


def values_of(evidence: Evidence, quality: OrganQuality) -> dict[str, Any]:
    """Everything in numbers."""
    shape = evidence.shape
    return {
        "score": quality.score,
        "level": quality.level,
        "reasons": quality.reasons,
        "agreement": evidence.signs.agreement,
        "confidence": evidence.signs.confidence,
        "volume_ml": evidence.measured.volume_ml,
        "times_outside": evidence.times_outside,
        "part_of_solidity": evidence.part_of_solidity,
        "parts": evidence.parts.components,
        "largest": evidence.parts.largest_component_fraction,
        "continuity": shape and shape.continuity,
        "swapped": bool(shape and shape.swapped_with),
        "intensity_distance": evidence.intensity_distance,
    }


def summary(model: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How well scores and levels tell good from bad."""
    bad = [row for row in rows if row["dice"] < GOOD_DICE]
    good = [row for row in rows if row["dice"] >= GOOD_DICE]
    told = {row["dice"] for row in rows} and len({row["score"] for row in rows}) > 1
    rho = spearmanr([row["score"] for row in rows], [row["dice"] for row in rows]).statistic if told else None
    return {
        "model": model,
        "organs": len(rows),
        "mean Dice": round(float(np.mean([row["dice"] for row in rows])), 3),
        "rank correlation": "" if rho is None else round(float(rho), 3),
        "bad": len(bad),
        "bad flagged": share_flagged(bad),
        "bad red": share_flagged(bad, ("red",)),
        "good": len(good),
        "good flagged": share_flagged(good),
        "good red": share_flagged(good, ("red",)),
    }


def share_flagged(rows: Sequence[dict[str, Any]], levels: tuple[str, ...] = ("amber", "red")) -> str:
    """In percent; empty where there are none."""
    return f"{np.mean([row['level'] in levels for row in rows]):.0%}" if rows else ""


if __name__ == "__main__":
    main()
