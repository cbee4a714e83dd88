"""Kills training runs at random moments, resumes them, and compares how they end with a run that nobody killed.

    python Testing/benchmarks/kill_and_resume.py [--kills 200] [--seed 0]

The goal: every run ends with the same weights, tables and pictures, bit for bit, whatever it was doing when killed.
Exits with 1 when one does not.
"""

import random
import sys
import tempfile
import time
from pathlib import Path

from measuring import ROOT, parser, show

# what the tests of this have, too
sys.path.append(str(ROOT / "Testing" / "core" / "training"))

from killing import Killer
from nursery import Nursery

SETTINGS = (
    "preprocessing.size=32",
    'networks={"generator_width": 2, "generator_blocks": 1, "segmenter_width": 2, "discriminator_width": 2}',
    "patch_contrast.patches=16",
    "optimiser.batch_size=2",
    'schedule={"steps": 40, "checkpoint_every": 2, "metrics_every": 2, "preview_every": 6}',
    "validation.every=4",
)


def main() -> None:
    """Make cases, train once in peace, then kill."""
    made = parser(__doc__)
    made.add_argument("--kills", type=int, default=200)
    made.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = made.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Nursery() as nursery:
        place = Path(folder)
        phantoms = ["phantom", str(place / "cases"), "--domain", "both", "--cases", "4", "--size", "small"]
        making = nursery.start(phantoms, place / "phantoms.log")
        if making.wait() != 0:
            raise SystemExit(making.said())
        words = ["--source", str(place / "cases" / "ct"), "--target", str(place / "cases" / "mr")]
        words += [word for setting in SETTINGS for word in ("--set", setting)]
        killer = Killer(nursery, words, place, random.Random(arguments.seed))
        killer.make_reference()
        killer.kill(arguments.kills)
    rows = [{"killed while": what, "times": count} for what, count in killer.killed_in.most_common()]
    rows += [
        {"killed while": "in all", "times": killer.killed_in.total()},
        {"killed while": "(attempts that resumed)", "times": killer.resumed},
        {"killed while": "(ended otherwise)", "times": len(killer.differences)},
        {"killed while": "(seconds in all)", "times": round(time.monotonic() - began)},
    ]
    show(f"Kills at random moments, one run is {killer.seconds:.1f} s", rows, arguments)
    if killer.differences:
        raise SystemExit("\n".join(killer.differences))


if __name__ == "__main__":
    main()
