"""How hard the phantoms are: a model of CT on MR without adaptation or augmentation, and one trained on labelled MR.

    python Testing/benchmarks/phantom_difficulty.py WORK [--cases 12] [--steps 4000] [--severity 0.5]

The goals, on MR patients that no model has seen: below 30 % Dice without adaptation, above 90 % supervised. WORK keeps
the cases and runs; a benchmark that was stopped goes on there.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from measuring import parser, show

NO_AUGMENTATION = ("rotation_degrees", "scaling", "shift", "gamma")
TEST_SEED = 1000


def main() -> None:
    """Make cases, train both methods, segment fresh patients and score."""
    made = parser(__doc__)
    made.add_argument("work", type=Path)
    made.add_argument("--cases", type=int, default=12, help="training cases of each domain")
    made.add_argument("--test-cases", type=int, default=4)
    made.add_argument("--steps", type=int, default=4000)
    made.add_argument("--severity", type=float, default=0.5)
    made.add_argument("--size", default="standard", choices=["small", "standard"])
    made.add_argument("--seed", type=int, default=0)
    arguments = made.parse_args()
    work = arguments.work
    look = ("--severity", str(arguments.severity), "--size", arguments.size)
    if not (work / "train").exists():
        cisfa(
            "phantom", work / "train", "--domain", "both", "--cases", arguments.cases, "--seed", arguments.seed, *look
        )
    if not (work / "test").exists():
        seed = TEST_SEED + arguments.seed
        cisfa("phantom", work / "test", "--domain", "mr", "--cases", arguments.test_cases, "--seed", seed, *look)
    ct, mr = work / "train" / "ct", work / "train" / "mr"
    rows = [row_of("source-only", ct, mr, arguments), row_of("supervised", mr, None, arguments)]
    show(f"phantoms, severity {arguments.severity}, {arguments.steps} steps", rows, arguments)


def row_of(method: str, source: Path, target: Path | None, arguments: Any) -> dict[str, Any]:
    """Train one method and score it: Dice in % over fresh MR patients."""
    work, run = arguments.work, arguments.work / method
    settings = [f"augmentation.{name}=0" for name in NO_AUGMENTATION]
    settings += [f"schedule.steps={arguments.steps}", f"seed={arguments.seed}"]
    if (run / "config.json").exists():
        words: list[Any] = ["--resume", "--set", f"schedule.steps={arguments.steps}"]
    else:
        words = ["--preset", "demo", "--method", method, *(word for one in settings for word in ("--set", one))]
    to = [] if target is None else ["--target", target]
    cisfa("train", "--source", source, *to, "--run", run, "--device", "cpu", *words)
    bundle, predictions, report = (work / f"{method}{end}" for end in (".zip", "-predictions", "-report"))
    cisfa("bundle", "make", run, "--output", bundle, "--overwrite")
    volumes, labels = work / "test" / "images", work / "test" / "labels"
    cisfa("segment", volumes, "--bundle", bundle, "--output", predictions, "--overwrite", "--modality", "MR")
    evaluated = ("--predictions", predictions, "--labels", labels, "--bundle", bundle, "--output", report)
    cisfa("evaluate", *evaluated, "--overwrite")
    summary = json.loads((report / "summary.json").read_text(encoding="utf-8"))
    return {"method": method, **dice_of(summary)}


def dice_of(summary: dict[str, Any]) -> dict[str, float]:
    """Mean Dice in % of each organ and over the organs, from an evaluation's summary.json."""
    (method,) = summary["methods"]
    return {row["organ"]: round(100 * row["measures"]["dice"]["mean"], 1) for row in method["summary"]}


def cisfa(*words: Any) -> None:
    """Run a cisfa command and show what it says.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    subprocess.run([sys.executable, "-m", "cisfa", *map(str, words)], check=True)


if __name__ == "__main__":
    main()
