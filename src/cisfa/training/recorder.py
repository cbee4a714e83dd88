"""Writes down what a run measures and shows: two tables, TensorBoard, events.jsonl and preview pictures."""

import csv
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cisfa.events import Event, Metric, Progress, Report, from_json_line, to_json_line
from cisfa.imaging.organs import Organ
from cisfa.runs.run_files import VALIDATION
from cisfa.training.curves import CurveFile
from cisfa.training.method import Preview
from cisfa.training.run_folder import RunFolder
from cisfa.whole_files import write_text, write_whole

_SHOWN_SLICES = 4
_GREY_RANGE = (-2.0, 4.0)  # z-scores shown as black and white


class Recorder:
    """Open while a run trains; on resuming, lines after the checkpoint are dropped, so nothing stands twice."""

    def __init__(self, folder: RunFolder, *, from_step: int, organs: tuple[Organ, ...], report: Report) -> None:
        """Args: the run; the step it goes on from; the organs, for their colours; who else hears events."""
        self._folder, self._report = folder, report
        self._colours = np.array([(0, 0, 0), *(organ.colour for organ in organs)], dtype=np.float32)
        self._losses = _Table(folder.metrics, from_step=from_step)
        self._scores = _Table(folder.path / VALIDATION, from_step=from_step)
        _keep_events_until(folder.events, from_step)
        self._curves = CurveFile(folder.tensorboard, from_step=from_step)
        self._events = folder.events.open("a", encoding="utf-8", newline="\n")

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all files."""
        self._events.close()
        self._curves.close()

    def progress(self, event: Progress) -> None:
        """Pass on how far the run is."""
        self._write_event(event)
        self._report(event)

    def metrics(self, step: int, losses: Mapping[str, float], scores: Mapping[str, float] | None = None) -> None:
        """Record what was measured at a step; nothing where nothing was.

        Whoever hears of it may end the run, so all of it is written before.

        Args:
            step: Steps done.
            losses: And rates of the step; goes to metrics.csv.
            scores: Of the validation; goes to validation.csv, and elsewhere as "validation NAME".
        """
        scores = scores or {}
        values = {**losses, **{f"validation {name}": value for name, value in scores.items()}}
        if not values:
            return
        for table, measured in ((self._losses, losses), (self._scores, scores)):
            if measured:
                table.add(step, measured)
        for name, value in values.items():
            self._curves.scalar(name, value, step=step)
        self._curves.flush()
        event = Metric(step, values)
        self._write_event(event)
        self._report(event)

    def preview(self, step: int, preview: Preview) -> None:
        """Write a picture: one row a slice, the method's columns side by side, predictions in the organs' colours."""
        picture = draw_preview(preview, self._colours)
        write_whole(self._folder.previews / f"step-{step:08d}.png", lambda path: _save_png(path, picture))
        self._curves.picture("preview", picture, step=step)

    def _write_event(self, event: Event) -> None:
        self._events.write(to_json_line(event) + "\n")
        self._events.flush()


class _Table:
    """A CSV file with a row for each step that something was measured at."""

    def __init__(self, path: Path, *, from_step: int) -> None:
        """Args: the file, existing or not; the step after which its rows are dropped."""
        self._path = path
        self._columns = _keep_rows_until(path, from_step)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        with self._path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            if not self._columns:
                self._columns = ["step", *values]
                writer.writerow(self._columns)
            # a run begun by an older version keeps its columns
            row = {"step": str(step), **{name: f"{value:.9g}" for name, value in values.items()}}
            writer.writerow([row.get(name, "") for name in self._columns])


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
    around = np.pad(classes, ((0, 0), (1, 1), (1, 1)), mode="edge")
    neighbours = (around[:, :-2, 1:-1], around[:, 2:, 1:-1], around[:, 1:-1, :-2], around[:, 1:-1, 2:])
    edge: NDArray[np.bool_] = np.logical_or.reduce([classes != neighbour for neighbour in neighbours])
    return edge & (classes > 0)


def _save_png(path: Path, picture: NDArray[np.uint8]) -> None:
    from matplotlib.image import imsave

    imsave(path, picture, format="png")


def _keep_rows_until(path: Path, step: int) -> list[str]:
    """Drop rows after a step, and what a kill or a power cut left of others; returns the names of the columns."""
    lines = _whole_lines(path)
    header = next(csv.reader(lines[:1]), [])
    kept = [line for line in lines[1:] if _step_of(line, columns=len(header)) <= step]
    if not kept:
        path.unlink(missing_ok=True)
        return []
    write_text(path, "\r\n".join([lines[0], *kept, ""]))
    return header


def _step_of(line: str, *, columns: int) -> float:
    """The step of a row of a table; infinite for what is none."""
    row = line.split(",")
    return int(row[0]) if len(row) == columns and row[0].isdecimal() else float("inf")


def _keep_events_until(path: Path, step: int) -> None:
    """Drop metric events after a step; progress that was made and lost stays, as what happened."""
    events = [(line, from_json_line(line)) for line in _whole_lines(path)]
    kept = [line for line, event in events if event and not (isinstance(event, Metric) and event.step > step)]
    write_text(path, "".join(line + "\n" for line in kept))


def _whole_lines(path: Path) -> list[str]:
    """The lines of a file, less a last one without its end."""
    if not path.exists():
        return []
    return path.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n").split("\n")[:-1]
