"""Members of Qt's classes that PythonQt shows otherwise than PySide."""

from collections.abc import Callable
from typing import Any

import shiboken6
from PySide6 import QtCore, QtGui

from slicer_host import signals
from slicer_host.values import unwrapped
from slicer_host.wrapped import SPECIAL_METHODS, SPECIAL_STATICS, Wrapped, WrappedClass, wrapped


def method(cls: str, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        SPECIAL_METHODS[cls, name] = function
        return function

    return register


def static(cls: str, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        SPECIAL_STATICS[cls, name] = function
        return function

    return register


@method("QObject", "connect")
def connect(wrapper: Wrapped, signature: str, *target: Any) -> bool:
    if len(target) == 2:  # receiver and slot
        receiver, slot = target
        return signals.connect(wrapper._native, wrapper._api, signature, getattr(receiver, slot.split("(")[0]), wrapped)
    return signals.connect(wrapper._native, wrapper._api, signature, target[0], wrapped)


@method("QObject", "disconnect")
def disconnect(wrapper: Wrapped, signature: str, slot: Any = None) -> bool:
    return signals.disconnect(wrapper._native, wrapper._api, signature, slot)


@method("Object", "className")
def class_name(wrapper: Wrapped) -> str:
    return type(wrapper._native).__name__


@method("Object", "inherits")
def inherits(wrapper: Wrapped, name: str) -> bool:
    return name in [base.__name__ for base in type(wrapper._native).__mro__]


@method("Object", "delete")
def delete(wrapper: Wrapped) -> None:
    shiboken6.delete(wrapper._native)


@method("QObject", "findChildren")
def find_children(wrapper: Wrapped, kind: Any = "QObject", name: str = "") -> tuple[Any, ...]:
    wanted = kind.__name__ if isinstance(kind, WrappedClass) else kind
    found = wrapper._native.findChildren(QtCore.QObject)
    of_kind = [each for each in found if wanted in [base.__name__ for base in type(each).__mro__]]
    return tuple(wrapped(each) for each in of_kind if name in ("", each.objectName()))


@method("QObject", "findChild")
def find_child(wrapper: Wrapped, kind: Any = "QObject", name: str = "") -> Any:
    return next(iter(find_children(wrapper, kind, name)), None)


@method("QObject", "setProperty")
def set_property(wrapper: Wrapped, name: str, value: Any) -> bool:
    return bool(wrapper._native.setProperty(name, unwrapped(value)))


@static("QTimer", "singleShot")
def single_shot(delay_ms: int, slot: Callable[[], object]) -> None:
    """As in Slicer, which puts a function of its own in the place of Qt's."""
    timer = wrapped(QtCore.QTimer(QtCore.QCoreApplication.instance()))
    timer.setSingleShot(True)
    timer.connect("timeout()", slot)
    timer.connect("timeout()", timer.deleteLater)
    timer.start(delay_ms)


@method("QByteArray", "data")
def byte_array_data(wrapper: Wrapped) -> bytes:
    return bytes(wrapper._native.data())


@method("QColor", "name")
def colour_name(wrapper: Wrapped) -> str:
    return wrapper._native.name()


@method("QSettings", "value")
def setting(wrapper: Wrapped, name: str, default: Any = None) -> Any:
    """Without a wish for a type, as Qt reads the file: everything comes back as text."""
    value = wrapper._native.value(name, unwrapped(default))
    return value if isinstance(value, str) or value is None else wrapped(value)


opened_urls: list[str] = []


@static("QDesktopServices", "openUrl")
def open_url(url: Any) -> bool:
    """Opens nothing; tests look at what would have been opened."""
    opened_urls.append(QtCore.QUrl(unwrapped(url)).toString())
    return True


@static("QApplication", "clipboard")
def clipboard() -> Any:
    return wrapped(QtGui.QGuiApplication.clipboard())
