"""Writes down what a run measures and shows: metrics.csv, TensorBoard, events.jsonl and preview pictures."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cisfa.events import Event, Metric, Progress, Report, to_json_line
from cisfa.imaging.organs import Organ
from cisfa.imaging.volume_files import write_whole
from cisfa.training.method import Preview
from cisfa.training.run_folder import RunFolder

_SHOWN_SLICES = 4
_GREY_RANGE = (-2.0, 4.0)  # z-scores shown as black and white


class Recorder:
    """Open while a run trains; on resuming, lines after the checkpoint are dropped, so nothing stands twice."""

    def __init__(self, folder: RunFolder, *, from_step: int, organs: tuple[Organ, ...], report: Report) -> None:
        """Args: the run; the step it goes on from; the organs, for their colours; who else hears events."""
        from tensorboardX import SummaryWriter

        self._folder, self._report = folder, report
        self._colours = np.array([(0, 0, 0), *(organ.colour for organ in organs)], dtype=np.float32)
        _keep_metrics_until(folder.metrics, from_step)
        _keep_events_until(folder.events, from_step)
        self._events = folder.events.open("a", encoding="utf-8", newline="\n")
        self._tensorboard = SummaryWriter(str(folder.tensorboard), purge_step=from_step + 1)

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all files."""
        self._events.close()
        self._tensorboard.close()

    def progress(self, event: Progress) -> None:
        """Pass on how far the run is."""
        self._write_event(event)
        self._report(event)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Record losses and rates of a step."""
        new = not self._folder.metrics.exists()
        with self._folder.metrics.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["step", *values])
            writer.writerow([step, *(f"{value:.9g}" for value in values.values())])
        for name, value in values.items():
            self._tensorboard.add_scalar(name, value, step)
        event = Metric(step, dict(values))
        self._write_event(event)
        self._report(event)

    def preview(self, step: int, preview: Preview) -> None:
        """Write a picture: one row a slice, the method's columns side by side, predictions in the organs' colours."""
        picture = draw_preview(preview, self._colours)
        write_whole(self._folder.previews / f"step-{step:08d}.png", lambda path: _save_png(path, picture))
        self._tensorboard.add_image("preview", picture, step, dataformats="HWC")

    def _write_event(self, event: Event) -> None:
        self._events.write(to_json_line(event) + "\n")
        self._events.flush()


def draw_preview(preview: Preview, colours: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The preview as an RGB picture, (rows, columns, 3)."""
    columns = []
    for title, slices in preview.columns.items():
        low, high = _GREY_RANGE
        grey = ((slices[:_SHOWN_SLICES].float().cpu().numpy() - low) / (high - low)).clip(0, 1) * 255
        picture = np.repeat(grey[..., None], 3, axis=-1)
        if title in preview.predictions:
            classes = preview.predictions[title][:_SHOWN_SLICES].cpu().numpy()
            edge = _edges(classes)
            picture[edge] = colours[classes[edge]]
        columns.append(np.concatenate([np.pad(one, ((1, 1), (1, 1), (0, 0))) for one in picture]))
    return np.concatenate(columns, axis=1).astype(np.uint8)


def _edges(classes: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Organ pixels with a neighbour of another class: outlines, so that the slice below stays visible."""
    edge = np.zeros(classes.shape, dtype=bool)
    for axis in (1, 2):
        for shift in (1, -1):
            edge |= classes != np.roll(classes, shift, axis=axis)
    return edge & (classes > 0)


def _save_png(path: Path, picture: NDArray[np.uint8]) -> None:
    from matplotlib.image import imsave

    imsave(path, picture, format="png")


def _keep_metrics_until(path: Path, step: int) -> None:
    if not path.exists():
        return
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    # a kill can cut the last row short
    kept = [row for row in rows if len(row) == len(header) and int(row[0]) <= step]
    if not kept:
        path.unlink()
        return

    def write(unfinished: Path) -> None:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *kept])

    write_whole(path, write)


def _keep_events_until(path: Path, step: int) -> None:
    """Drop metric events after a step; progress that was made and lost stays, as what happened."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if values.get("event") != "metric" or values["step"] <= step:
            kept.append(line)
    text = "".join(line + "\n" for line in kept)
    write_whole(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8") and None)
