"""Show events to a person: a bar that overwrites itself on a terminal, now and then a line in a log file."""

import shutil
import time
from collections.abc import Callable, Mapping
from typing import TextIO

from cisfa.events import Event, Failed, Finished, Metric, Notice, Progress

_BAR_WIDTH = 24
# a terminal is redrawn often enough to look alive, a log grows by two lines a minute
_REDRAW_EVERY_S = 0.1
_LOG_EVERY_S = 30.0
# an estimate from the first moments jumps about
_ESTIMATE_AFTER_S = 2.0


class TerminalView:
    """Writes events to a stream, usually standard error. Call it with each event, and close it at the end."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._is_terminal = stream.isatty()
        self._stage: str | None = None
        self._stage_began_s = 0.0
        self._last_shown_s = 0.0
        self._is_complete = False
        self._drawn_width = 0
        self._metrics: Mapping[str, float] = {}

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Progress():
                self._show_progress(event)
            case Metric(values=values):
                self._metrics = values
            case Notice(message=message) | Failed(message=message):
                self._write_line(message)
            case Finished(outputs=outputs):
                for output in outputs:
                    self._write_line(f"Wrote {output}")

    def close(self) -> None:
        """Leave the last bar standing and the cursor on a new line."""
        if self._drawn_width:
            self._stream.write("\n")
            self._stream.flush()
            self._drawn_width = 0

    def _show_progress(self, event: Progress) -> None:
        now = self._clock()
        is_new = event.stage != self._stage
        if is_new:
            self.close()
            self._stage, self._stage_began_s, self._metrics = event.stage, now, {}
        is_due = now - self._last_shown_s >= (_REDRAW_EVERY_S if self._is_terminal else _LOG_EVERY_S)
        completes = event.fraction >= 1 and (is_new or not self._is_complete)
        self._is_complete = event.fraction >= 1
        if not (is_new or is_due or completes):
            return
        self._last_shown_s = now
        remaining_s = event.remaining_s if event.remaining_s is not None else self._estimate(event.fraction, now)
        if self._is_terminal:
            self._draw(_bar(event, remaining_s) + _metrics_text(self._metrics))
        else:
            self._write_line(_sentence(event, remaining_s) + _metrics_text(self._metrics))

    def _estimate(self, fraction: float, now: float) -> float | None:
        elapsed_s = now - self._stage_began_s
        if fraction <= 0 or elapsed_s < _ESTIMATE_AFTER_S:
            return None
        return elapsed_s * (1 - fraction) / fraction

    def _draw(self, text: str) -> None:
        # the last column stays free: a full line would wrap, and \r could not go back over it
        text = text[: shutil.get_terminal_size().columns - 1]
        self._stream.write("\r" + text.ljust(self._drawn_width))
        self._stream.flush()
        self._drawn_width = len(text)

    def _write_line(self, text: str) -> None:
        if self._drawn_width:
            self._stream.write("\r" + " " * self._drawn_width + "\r")
            self._drawn_width = 0
        self._stream.write(text + "\n")
        self._stream.flush()


def duration_text(seconds: float) -> str:
    """A duration for a person: ``0:07``, ``12:30`` or ``3:05:00``."""
    minutes, seconds_left = divmod(max(0, round(seconds)), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours}:{minutes_left:02}:{seconds_left:02}" if hours else f"{minutes_left}:{seconds_left:02}"


def _bar(event: Progress, remaining_s: float | None) -> str:
    fraction = min(1.0, max(0.0, event.fraction))
    filled = round(fraction * _BAR_WIDTH)
    bar = "#" * filled + "." * (_BAR_WIDTH - filled)
    left = "" if remaining_s is None or fraction >= 1 else f"  {duration_text(remaining_s)} left"
    return f"{event.stage} [{bar}] {fraction:4.0%}{left}"


def _sentence(event: Progress, remaining_s: float | None) -> str:
    left = "" if remaining_s is None or event.fraction >= 1 else f", {duration_text(remaining_s)} left"
    return f"{event.stage}: {event.fraction:.0%}{left}"


def _metrics_text(values: Mapping[str, float]) -> str:
    return "".join(f"  {name} {value:.3g}" for name, value in values.items())
