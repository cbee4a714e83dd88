"""Signals between objects that are no QObjects."""

from collections.abc import Callable
from typing import Generic, ParamSpec

P = ParamSpec("P")


class Signal(Generic[P]):
    """Calls everything that is connected to it, in the order of connecting.

    Example: ``progress: Signal[[Progress]] = Signal()``, ``progress.connect(show)``, ``progress(event)``.
    """

    def __init__(self) -> None:
        self._slots: list[Callable[P, object]] = []

    def connect(self, slot: Callable[P, object]) -> None:
        """Call ``slot`` from now on."""
        self._slots.append(slot)

    def disconnect(self, slot: Callable[P, object]) -> None:
        """No longer call ``slot``; nothing happens when it was not connected."""
        if slot in self._slots:
            self._slots.remove(slot)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call every slot, also those that disconnect themselves meanwhile."""
        for slot in tuple(self._slots):
            slot(*args, **kwargs)
