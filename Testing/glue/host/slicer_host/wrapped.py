"""Qt's objects as PythonQt shows them: properties as attributes, methods, signals by signature, nothing else.

As in PythonQt, the classes do not derive from each other: ``isinstance(button, qt.QWidget)`` is False, and what a class
inherits in C++ are only its members. One class is made from one entry of the list of names; what cannot be had that way
stands in ``special_members``.
"""

import enum
import weakref
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import shiboken6
from PySide6 import QtCore, QtGui, QtNetwork, QtUiTools, QtWidgets

from slicer_host import signals
from slicer_host.api import ClassApi, class_api, class_names, names_of
from slicer_host.values import HostError, as_int, call, enumeration, unwrapped

# methods that differ from PySide's: (class, name) -> function of the wrapper and the arguments
SPECIAL_METHODS: dict[tuple[str, str], Callable[..., Any]] = {}
SPECIAL_STATICS: dict[tuple[str, str], Callable[..., Any]] = {}

_QT = (QtWidgets, QtGui, QtCore, QtNetwork, QtUiTools)
# PySide classes of this host, for what Slicer has and PySide has not
_own_natives: dict[tuple[str, str], type] = {}
_wrappers: weakref.WeakValueDictionary[int, "Wrapped"] = weakref.WeakValueDictionary()


def offer(namespace: str, native: type) -> type:
    """Class decorator's core: show a PySide class of this host under its name in qt, ctk or slicer."""
    _own_natives[namespace, native.__name__] = native
    return native


def native_class(namespace: str, name: str) -> type | None:
    if namespace == "qt":
        return next((getattr(module, name) for module in _QT if hasattr(module, name)), None)
    return _own_natives.get((namespace, name))


class WrappedClass(type):
    """The class of the classes: static methods and values of enumerations are their attributes."""

    def __new__(meta, name: str, bases: tuple[type, ...], members: dict[str, Any]) -> type:
        made = super().__new__(meta, name, bases, members)
        made._is_derived = "_api" not in members
        overridden = made._api.callables.intersection(members) - {"eventFilter"} if made._is_derived else ()
        if overridden:
            raise NotImplementedError(f"This host's Qt would not call {name}.{', '.join(overridden)}.")
        return made

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return static_member(cls, name)


class Wrapped(metaclass=WrappedClass):
    """An object of Qt's."""

    _is_wrapped = True
    _api = ClassApi("")
    _native_class: type | None = None

    def __init__(self, *given: Any) -> None:
        if self._native_class is None:
            raise HostError(f"{self._api.name} cannot be made from Python.")
        native_class = self._native_class
        if self._is_derived and hasattr(type(self), "eventFilter"):
            native_class = filtering(native_class)
        take_native(self, call(native_class, self._api.name, given))
        if native_class is not self._native_class:
            self._native.owner = weakref.ref(self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return member(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_native" or not set_member(self, name, value):
            object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Wrapped):
            return NotImplemented
        if isinstance(self._native, QtCore.QObject):
            return self._native is other._native
        return bool(self._native == other._native)

    def __hash__(self) -> int:
        return hash(id(self._native) if isinstance(self._native, QtCore.QObject) else type(self))

    def __repr__(self) -> str:
        return f"{self._api.name.split('.')[-1]} ({type(self._native).__name__} at: {id(self._native):#x})"


@cache
def filtering(native: type) -> type:
    """The class with Python's eventFilter in place of Qt's: PythonQt lets Qt call that of a derived class."""

    class Filtering(native):
        owner: Callable[[], Any] = staticmethod(lambda: None)

        def eventFilter(self, watched: Any, event: Any) -> bool:
            owner = self.owner()
            return owner is not None and bool(owner.eventFilter(wrapped(watched), wrapped(event)))

    return Filtering


def take_native(wrapper: Wrapped, native: Any) -> Wrapped:
    """Let the wrapper show this object, now and whenever Qt hands it out again."""
    wrapper._native = native
    if isinstance(native, QtCore.QObject):
        _wrappers[shiboken6.getCppPointer(native)[0]] = wrapper
    return wrapper


def wrapped(value: Any) -> Any:
    """What Python gets to see of a value of PySide's."""
    match value:
        case None | bool() | int() | float() | str() | bytes():
            return as_int(value) if isinstance(value, enum.Enum) else value
        case enum.Enum():
            return as_int(value)
        case list() | tuple():
            return tuple(wrapped(item) for item in value)
        case dict():
            return {key: wrapped(item) for key, item in value.items()}
        case QtCore.QObject():
            there = _wrappers.get(shiboken6.getCppPointer(value)[0])
            if there is not None and there._native is value:
                return there
    if not isinstance(value, shiboken6.Object):
        return value
    cls = class_for(type(value))
    return take_native(cls.__new__(cls), value)


@cache
def class_for(native: type) -> type:
    """The class that shows objects of a PySide class: of the same name, or of the nearest base that has one."""
    for base in native.__mro__:
        for namespace in ("qt", "ctk", "slicer"):
            if base.__name__ in names_of(namespace):
                return offered_class(namespace, base.__name__)
    raise HostError(f"PythonQt shows no class like {native.__name__}.")


@cache
def offered_class(namespace: str, name: str) -> type:
    """The class qt.name, ctk.name or slicer.name.

    Raises:
        HostError: Slicer does not have it, or this host does not.
    """
    full_name = f"{namespace}.{name}"
    if name not in names_of(namespace):
        raise HostError(f"Slicer has no {full_name}.")
    native = native_class(namespace, name)
    if native is None:
        raise HostError(f"Slicer has {full_name}, this host does not.")
    return make_class(full_name, native)


def make_class(full_name: str, native: type) -> type:
    """A class with the members of an entry in the list, or with those of its nearest base that is in it."""
    listed = [full_name, *(f"{space}.{base.__name__}" for base in native.__mro__ for space in ("qt", "ctk", "slicer"))]
    nearest = next((name for name in listed if name in class_names()), full_name)
    members = {
        "_api": with_seen(sorted_by_kind(class_api(nearest), native), native),
        "_native_class": native,
        "__module__": full_name.split(".")[0],
    }
    return WrappedClass(full_name.split(".")[-1], (Wrapped,), members)


# members that the list, made from classes and not from objects, lacks; seen in Slicer 5.8.1 by hand
_OF_EVENTS = {"type", "accept", "ignore", "isAccepted"}
_OF_DROPS = {*_OF_EVENTS, "mimeData", "acceptProposedAction"}
_SEEN = {
    "QEvent": _OF_EVENTS,
    "QDragEnterEvent": _OF_DROPS,
    "QDragMoveEvent": _OF_DROPS,
    "QDropEvent": _OF_DROPS,
    "QMimeData": {"hasUrls", "urls", "setUrls"},
}


def with_seen(api: ClassApi, native: type) -> ClassApi:
    """The entry of a class with what was seen of it, or of the nearest class that it derives from."""
    seen = next((_SEEN[base.__name__] for base in native.__mro__ if base.__name__ in _SEEN), None)
    return replace(api, callables=api.callables | seen) if seen else api


def sorted_by_kind(api: ClassApi, native: type) -> ClassApi:
    """Where the list has only names of a QObject's class, the host's own says what is a property and what a signal."""
    if not api.unsorted or not hasattr(native, "staticMetaObject"):
        return api
    meta = native.staticMetaObject
    properties = [meta.property(index) for index in range(meta.propertyCount())]
    methods = [meta.method(index) for index in range(meta.methodCount())]
    sent = [each for each in methods if each.methodType() == QtCore.QMetaMethod.Signal]
    signatures = {bytes(each.methodSignature().data()).decode() for each in sent}
    signatures |= {"mrmlSceneChanged(vtkMRMLScene*)"} if "mrmlSceneChanged(PyObject)" in signatures else set()
    writable = {each.name(): each.isWritable() for each in properties if each.name() in api.unsorted}
    listed = frozenset(each for each in signatures if each.split("(")[0] in api.unsorted)
    callables = api.unsorted - writable.keys() - {each.split("(")[0] for each in listed}
    return ClassApi(api.name, writable, {}, callables, listed)


def special(table: dict[tuple[str, str], Callable[..., Any]], native: type, name: str) -> Callable[..., Any] | None:
    return next((table[base.__name__, name] for base in native.__mro__ if (base.__name__, name) in table), None)


def static_member(cls: type, name: str) -> Any:
    api, native = cls._api, cls._native_class
    if api.name in ("qt.Qt", ""):
        return constant(cls, name, "")
    if name in api.constants:
        return constant(cls, name, api.constants[name])
    if name not in api.callables | api.unsorted:
        raise HostError(f"{api.name} has no {name} in Slicer.")
    own = special(SPECIAL_STATICS, native, name)
    if own is not None:
        return own
    found = getattr(native, name.removesuffix("Flags").removesuffix("Options"), None)
    if isinstance(found, enum.Enum):
        return constant(cls, name, "")
    if isinstance(found, type) and issubclass(found, enum.Enum):
        return enumeration(api.name, name)
    if found is None or not callable(found):
        raise HostError(f"Slicer has {api.name}.{name}, this host's Qt does not.")
    if type(found).__name__ == "method_descriptor":
        return lambda wrapper, *given: getattr(wrapper, name)(*given)
    return lambda *given: wrapped(call(found, f"{api.name}.{name}", given))


def constant(cls: type, name: str, enumeration_name: str) -> int:
    """A value of an enumeration."""
    found = getattr(cls._native_class, name, None)
    if not isinstance(found, enum.Enum):
        kinds = [kind for kind in vars(cls._native_class).values() if isinstance(kind, type)]
        members = [kind.__members__ for kind in kinds if issubclass(kind, enum.Enum)]
        found = next((each[name] for each in members if name in each), None)
    if found is None:
        raise HostError(f"{cls._api.name}.{name} is not there: not in Slicer, or not in this host's Qt.")
    return enumeration(cls._api.name, enumeration_name or type(found).__name__)(as_int(found))


def member(wrapper: Wrapped, name: str) -> Any:
    """An attribute, in PythonQt's order: property, method, signal, enumeration, dynamic property, child."""
    api, native = wrapper._api, wrapper._native
    is_object = isinstance(native, QtCore.QObject)
    if is_object and not shiboken6.isValid(native):
        raise ValueError(f"Trying to use {name} of a destroyed {api.name} object.")
    if name == "name" and is_object:
        name = "objectName"
    if name in api.writable:
        return wrapped(read_property(wrapper, name))
    # keywords of Python's cannot be looked up, so that exec_ finds exec
    plain = name if name in api.callables else name.removesuffix("_")
    if plain in api.callables:
        return method(wrapper, plain)
    if signatures := [each for each in api.signals if each.split("(")[0] == name]:
        return signals.Signal(wrapper, native, signatures)
    if name in api.constants:
        return constant(type(wrapper), name, api.constants[name])
    if is_object:
        if name in [bytes(each.data()).decode() for each in native.dynamicPropertyNames()]:
            return wrapped(native.property(name))
        for child in native.children():
            if child.objectName() == name:
                return wrapped(child)
    raise HostError(f"{api.name} has no attribute {name!r} in Slicer.")


def method(wrapper: Wrapped, name: str) -> Callable[..., Any]:
    api, native = wrapper._api, wrapper._native
    own = special(SPECIAL_METHODS, type(native), name)
    if own is not None:
        return lambda *given: own(wrapper, *given)
    own = special(SPECIAL_STATICS, type(native), name)
    if own is not None:
        return own
    # raise and print are words of Python's, which PySide spells with a line
    function = getattr(native, name, None) or getattr(native, f"{name}_", None)
    if isinstance(function, type) and issubclass(function, enum.Enum):
        return enumeration(api.name, name)
    if function is None:
        raise HostError(f"Slicer has {api.name}.{name}(), this host's Qt does not.")
    return lambda *given: wrapped(call(function, f"{api.name}.{name}", given))


def _meta_property(wrapper: Wrapped, name: str) -> QtCore.QMetaProperty:
    meta = wrapper._native.metaObject()
    index = meta.indexOfProperty(name)
    if index < 0:
        raise HostError(f"Slicer has {wrapper._api.name}.{name}, this host does not.")
    return meta.property(index)


def read_property(wrapper: Wrapped, name: str) -> Any:
    _meta_property(wrapper, name)
    getters = (name, f"is{name[0].upper()}{name[1:]}")
    try:
        return wrapper._native.property(name)
    except RuntimeError:  # flags, which PySide cannot read this way
        getter = next(getattr(wrapper._native, each) for each in getters if hasattr(wrapper._native, each))
        return getter()


def write_property(wrapper: Wrapped, name: str, value: Any) -> bool:
    found, native = _meta_property(wrapper, name), unwrapped(value)
    if found.isEnumType() and isinstance(value, int):
        kind = type(read_property(wrapper, name))
        native = kind(int(value)) if issubclass(kind, enum.Enum) else native
        setter = getattr(wrapper._native, f"set{name[0].upper()}{name[1:]}", None)
        if setter is not None:  # PySide takes some values so, and some only the other way
            setter(native)
            return True
    return found.write(wrapper._native, native)


def set_member(wrapper: Wrapped, name: str, value: Any) -> bool:
    """Set a property; False when it is for Python to keep, in a class that derives from Qt's."""
    api, native = wrapper._api, wrapper.__dict__.get("_native")
    is_object = isinstance(native, QtCore.QObject)
    name = "objectName" if name == "name" and is_object else name
    if name in api.writable and is_object:
        if not api.writable[name]:
            raise HostError(f"{api.name}.{name} cannot be set in Slicer.")
        if value is None or not write_property(wrapper, name, value):
            raise HostError(f"{api.name}.{name} does not take {value!r}.")
        return True
    if name in api.callables or any(each.split("(")[0] == name for each in api.signals):
        raise HostError(f"{api.name}.{name} is a method or signal, which PythonQt lets nobody overwrite.")
    if is_object and name in [bytes(each.data()).decode() for each in native.dynamicPropertyNames()]:
        native.setProperty(name, unwrapped(value))
        return True
    if type(wrapper)._is_derived:
        return False
    raise HostError(f"{api.name} has no attribute {name!r} in Slicer, so that PythonQt lets nobody set it.")
