"""What a CISFA training step costs: GFLOP, milliseconds and memory, in float32 and bfloat16.

    python Testing/benchmarks/training_step.py [--size 192] [--width 64] [--steps 3] [--device cpu]

The goal: at most 3400 GFLOP at full width (batch 4, 192x192, 5 classes).
"""

import json
import subprocess
import sys
import time
from typing import Any

import psutil
import torch
from torch.utils.flop_counter import FlopCounterMode

from cisfa.config_files import compose
from cisfa.inference.device import choose_device
from cisfa.training.cisfa_method import CisfaMethod
from cisfa.training.method import Batch
from measuring import parser, show

CLASSES, BATCH = 5, 4


def main() -> None:
    """Measure each precision in a process of its own, so that peak memory is its own too."""
    made = parser(__doc__)
    made.add_argument("--size", type=int, default=192)
    made.add_argument("--width", type=int, default=64)
    made.add_argument("--blocks", type=int, default=9)
    made.add_argument("--steps", type=int, default=3)
    made.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    made.add_argument("--precision", choices=["float32", "bfloat16"], help="measure this one in this process")
    arguments = made.parse_args()
    if arguments.precision:
        print(json.dumps(one(arguments, arguments.precision)))
        return
    rows = []
    for precision in ("float32", "bfloat16"):
        child = subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], "--precision", precision],
            check=True, stdout=subprocess.PIPE, encoding="utf-8",
        )  # fmt: skip
        rows.append(json.loads(child.stdout.splitlines()[-1]))
    show(f"CISFA step, batch {BATCH}, {arguments.size}x{arguments.size}, width {arguments.width}", rows, arguments)


def one(arguments: Any, precision: str) -> dict[str, Any]:
    """Count the operations of a step, then time some."""
    device = choose_device(arguments.device, lambda event: print(event, file=sys.stderr))
    widths = [f"networks.{name}_width={arguments.width}" for name in ("generator", "segmenter", "discriminator")]
    blocks = f"networks.generator_blocks={arguments.blocks}"
    config = compose(assignments=[*widths, blocks, f"optimiser.precision={precision}"])
    torch.manual_seed(0)
    method = CisfaMethod(config, classes=CLASSES, target_range=(-1.0, 4.0), device=device)
    shape = (BATCH, arguments.size, arguments.size)
    batch = Batch(
        torch.randn(shape)[:, None].to(device),
        torch.randint(0, CLASSES, shape).to(device),
        torch.randn(shape)[:, None].to(device),
    )
    rng = torch.Generator().manual_seed(0)
    with FlopCounterMode(display=False) as counter:
        method.step(batch, rng)
    started = time.perf_counter()
    for _ in range(arguments.steps):
        losses = method.step(batch, rng)
    float(losses["dice"])  # waits for a GPU
    milliseconds = (time.perf_counter() - started) / arguments.steps * 1000
    gpu = device.type == "cuda"
    peak = torch.cuda.max_memory_allocated() if gpu else _peak_memory()
    return {
        "precision": precision,
        "device": device.type,
        "threads": torch.get_num_threads(),
        "GFLOP": round(counter.get_total_flops() / 1e9),
        "ms per step": round(milliseconds),
        "peak GiB": round(peak / 2**30, 2),
    }


def _peak_memory() -> int:
    info = psutil.Process().memory_info()
    if hasattr(info, "peak_wset"):  # Windows
        return int(info.peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main()
