"""What CISFA Segmentation costs the user who waits, with real Qt and real MRML in place of the whole of Slicer.

    python Testing/benchmarks/slicer_panel.py

The goals: loading the module and building its panel in at most 0.2 s without torch; from the click to the
segmentation of a 256x256x36 volume with the demo model on two CPU cores in at most 10 s; no event handler that holds
the window for more than 50 ms meanwhile. --large adds a 512x512x300 volume, for which there is no goal.
"""

import sys
import time
from typing import Any

import numpy as np

from measuring import ROOT, parser, show

for folder in (ROOT / "src", ROOT / "CISFASegmentation", ROOT / "Testing" / "glue", ROOT / "Testing" / "glue" / "host"):
    sys.path.insert(0, str(folder))

from slicer_host.installation import install  # noqa: E402 - found through the paths above

MODULE = ROOT / "CISFASegmentation" / "CISFASegmentation.py"


class HandlerClock:
    """How long the window's thread was held: the time between two turns of the event loop, at most."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    def spin(self, host: Any, is_over: Any) -> None:
        """Turn the event loop until it is over, one event at a time."""
        import qt

        while not is_over():
            began = time.perf_counter()
            qt.QApplication.processEvents()
            self.longest_s = max(self.longest_s, time.perf_counter() - began)
            time.sleep(0.001)


def main() -> None:
    """Measure."""
    made = parser(__doc__)
    made.add_argument("--large", action="store_true", help="also a 512x512x300 volume")
    arguments = made.parse_args()
    host = install()
    host.start()
    began = time.perf_counter()
    widget = host.load_module(MODULE)
    host.enter(widget)
    rows = [{"what": "load the module and build the panel", "seconds": round(time.perf_counter() - began, 3)}]
    sizes = [(36, 256, 256), *([(300, 512, 512)] if arguments.large else [])]
    rows += [segment(host, widget, shape) for shape in sizes]
    print(f"torch was imported into this process: {'torch' in sys.modules}")
    show("CISFA Segmentation's panel", rows, arguments)


def segment(host: Any, widget: Any, shape: tuple[int, int, int]) -> dict[str, object]:
    """Click Segment and wait."""
    from scenes import add_volume

    ui, clock = widget.ui, HandlerClock()
    size = "x".join(str(count) for count in reversed(shape))
    ui.inputSelector.setCurrentNode(add_volume(size, voxels=body(shape)))
    ui.deviceSelector.currentText = "cpu"
    began = time.perf_counter()
    ui.segmentButton.click()
    clicked = time.perf_counter() - began
    clock.spin(host, lambda: ui.segmentButton.text == "Segment")
    return {
        "what": f"segment {size}",
        "seconds": round(time.perf_counter() - began, 2),
        "click holds ms": round(1000 * clicked),
        "longest handler ms": round(1000 * clock.longest_s),
        "said": ui.messageLabel.text[:60],
    }


def body(shape: tuple[int, int, int]) -> np.ndarray:
    """A body-sized block of noise in air, as MR."""
    voxels = np.zeros(shape, np.int16)
    margin = shape[1] // 8
    voxels[:, margin:-margin, margin:-margin] = np.random.default_rng(0).integers(
        100, 1000, size=(shape[0], shape[1] - 2 * margin, shape[2] - 2 * margin), dtype=np.int16
    )
    return voxels


if __name__ == "__main__":
    main()
