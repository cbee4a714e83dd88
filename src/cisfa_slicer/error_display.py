"""What the user reads when something went wrong: a sentence that says what to do, and never a silent failure."""

import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal

import qt

from cisfa.errors import CisfaError

logger = logging.getLogger("cisfa")

_RED_ON_LIGHT, _RED_ON_DARK = "#b00020", "#ff6b6b"
_MIDDLE_LIGHTNESS = 128  # of 255


class ShownErrors:
    """A block whose errors become a sentence in the panel, so that no click ends in nothing but a traceback.

    Example: ``with ShownErrors(self.show_failure): …``

    A :class:`~cisfa.errors.CisfaError` is something the user can mend: its sentence is shown. Anything else is a bug of
    ours: the user is told so (:func:`sentence_of`).
    """

    def __init__(self, show: Callable[[str], object]) -> None:
        """Show messages by calling ``show``."""
        self._show = show

    def __enter__(self) -> None:
        """Start the block."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> Literal[True] | None:
        """Show the error that ended the block; only what stops the whole program passes on."""
        if not isinstance(error, Exception):
            return None
        self._show(sentence_of(error))
        return True


def sentence_of(error: Exception) -> str:
    """What to tell the user; the traceback of what is a bug of ours goes to Slicer's log."""
    if isinstance(error, CisfaError):
        return str(error)
    logger.error("internal error", exc_info=error)
    if isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{where}. Free some space, or choose a folder that you may write to, and try again."
    return f"Internal error ({type(error).__name__}: {error}). Please report it with Slicer's log."


def failure_style(widget: Any) -> str:
    """The style sheet of a label that tells of a failure: bold, in a red that can be read on the widget's palette."""
    return f"color: {failure_colour(widget)}; font-weight: bold;"


def failure_colour(widget: Any) -> str:
    """A red that can be read on a widget's palette."""
    return _RED_ON_DARK if is_dark(widget) else _RED_ON_LIGHT


def is_dark(widget: Any) -> bool:
    """True where a widget's background is dark."""
    return bool(widget.palette.color(qt.QPalette.Window).lightness() < _MIDDLE_LIGHTNESS)
