"""Signals by signature, and slots that are Python functions."""

import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import shiboken6
from PySide6 import QtCore

from slicer_host import slot_errors
from slicer_host.api import ClassApi
from slicer_host.values import HostError

# those that Qt 6 calls otherwise
RENAMED = {
    "activated(QString)": "textActivated(QString)",
    "highlighted(QString)": "textHighlighted(QString)",
    "buttonClicked(int)": "idClicked(int)",
    "buttonPressed(int)": "idPressed(int)",
    "buttonReleased(int)": "idReleased(int)",
}


@dataclass
class Connection:
    signature: str
    slot: Any
    relay: Callable[..., None]


# by the address of the sender
_connections: dict[int, list[Connection]] = {}


def known_signature(api: ClassApi, signature: str) -> str:
    """The signature as Qt writes it.

    Raises:
        HostError: The class has no such signal.
    """
    written = bytes(QtCore.QMetaObject.normalizedSignature(signature).data()).decode()
    if written not in api.signals:
        same_name = sorted(each for each in api.signals if each.split("(")[0] == written.split("(")[0])
        raise HostError(
            f"{api.name} has no signal {signature!r} in Slicer. "
            + (f"There is {', '.join(same_name)}." if same_name else "None of its signals has that name.")
        )
    return written


def connect(sender: QtCore.QObject, api: ClassApi, signature: str, slot: Any, wrap: Callable[[Any], Any]) -> bool:
    """Call a Python function whenever a signal comes."""
    written = known_signature(api, signature)
    if not callable(slot):
        raise TypeError(f"{api.name} cannot connect {signature!r} to {slot!r}, which cannot be called.")

    def relay(*values: Any) -> None:
        try:
            slot(*[wrap(value) for value in values][: arguments_taken(slot)])
        except Exception as error:
            slot_errors.collect(error)

    QtCore.QObject.connect(sender, QtCore.SIGNAL(_native_signature(sender, api, written)), relay)
    address = shiboken6.getCppPointer(sender)[0]
    if address not in _connections:
        _connections[address] = []
        sender.destroyed.connect(lambda: _connections.pop(address, None))
    _connections[address].append(Connection(written, slot, relay))
    return True


def disconnect(sender: QtCore.QObject, api: ClassApi, signature: str, slot: Any = None) -> bool:
    """Undo it; False when it was not connected."""
    written = known_signature(api, signature)
    own = _connections.get(shiboken6.getCppPointer(sender)[0], [])
    ended = [each for each in own if each.signature == written and slot in (None, each.slot)]
    for each in ended:
        QtCore.QObject.disconnect(sender, QtCore.SIGNAL(_native_signature(sender, api, written)), each.relay)
        own.remove(each)
    return bool(ended)


def arguments_taken(slot: Any) -> int | None:
    """How many arguments PythonQt gives to a function: as many as it can take; None for all of them."""
    function = slot.__func__ if isinstance(slot, types.MethodType) else slot
    if not isinstance(function, types.FunctionType) or function.__code__.co_flags & inspect.CO_VARARGS:
        return None
    return function.__code__.co_argcount - isinstance(slot, types.MethodType)


def _native_signature(sender: QtCore.QObject, api: ClassApi, signature: str) -> str:
    """In this host's Qt, where pointers to MRML objects travel as Python objects."""
    name, _, types_ = signature.rstrip(")").partition("(")
    kinds = ["PyObject" if kind.startswith(("vtk", "qMRML", "qSlicer")) else kind for kind in types_.split(",")]
    for candidate in (signature, RENAMED.get(signature, signature), f"{name}({','.join(kinds)})"):
        if sender.metaObject().indexOfSignal(candidate) >= 0:
            return candidate
    raise HostError(f"{api.name} has the signal {signature} in Slicer, but this host cannot send it.")


class Signal:
    """A signal as an attribute: ``button.clicked.connect(f)``."""

    def __init__(self, sender: Any, native: QtCore.QObject, signatures: list[str]) -> None:
        self._sender, self._native = sender, native
        # of several with one name, the one that this Qt has and that tells most
        there = [each for each in signatures if native.metaObject().indexOfSignal(each) >= 0] or signatures
        self._signature = max(there, key=lambda each: (0 if "()" in each else each.count(",") + 1, each))

    def connect(self, slot: Any) -> bool:
        return self._sender.connect(self._signature, slot)

    def disconnect(self, slot: Any = None) -> bool:
        return self._sender.disconnect(self._signature, slot)

    def emit(self, *values: Any) -> None:
        getattr(self._native, self._signature.split("(")[0]).emit(*values)

    __call__ = emit
