"""Errors in slots and observers: Qt and VTK print them and go on; here they wait for whoever looks."""

import sys
import traceback
from types import TracebackType

_errors: list[BaseException] = []


def collect(error: BaseException) -> None:
    _errors.append(error)


def take() -> list[BaseException]:
    """All errors so far; they are forgotten."""
    errors = list(_errors)
    _errors.clear()
    return errors


def raise_collected() -> None:
    """Raise what was collected, if anything."""
    errors = take()
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise BaseExceptionGroup("errors in slots", errors)


def watch_observers() -> None:
    """VTK prints an observer's error through sys.excepthook, where nothing else of a test's errors passes."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        collect(error if error.__traceback__ else error.with_traceback(where))
        before(kind, error, where)

    sys.excepthook = hook


def as_text(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
