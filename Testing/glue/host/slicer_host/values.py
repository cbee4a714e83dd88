"""Values on their way between Python as PythonQt shows it, and PySide."""

import enum
import types
import typing
from collections.abc import Callable
from functools import cache
from typing import Any

from PySide6 import QtCore
from shibokensupport.signature import get_signature

PYTHON_CALLABLES = (types.FunctionType, types.MethodType)


class HostError(AttributeError):
    """Something that Slicer does not have, or that this host does not."""


def unwrapped(value: Any) -> Any:
    """What PySide understands."""
    native = getattr(value, "_native", None) if hasattr(type(value), "_is_wrapped") else None
    if native is not None:
        return native
    match value:
        case list() | tuple():
            return [unwrapped(item) for item in value]
        case dict():
            return {key: unwrapped(item) for key, item in value.items()}
    return value


def call(function: Callable[..., Any], name: str, given: tuple[Any, ...]) -> Any:
    """Call a method of PySide's with arguments as PythonQt takes them; the result still has to be wrapped."""
    for value in given:
        if isinstance(value, PYTHON_CALLABLES):
            raise TypeError(f"{name}() was given a Python function; PythonQt only takes those in connect().")
    arguments = [unwrapped(value) for value in given]
    if any(isinstance(value, int) and not isinstance(value, bool) for value in arguments):
        arguments = _with_enumerations(function, arguments)
    return function(*arguments)


def _with_enumerations(function: Callable[..., Any], arguments: list[Any]) -> list[Any]:
    """Integers turned to the enumerations that Qt 6 wants, by the first signature that takes the arguments."""
    for wanted in _signatures(function):
        most, fewest = len(wanted), sum(not is_optional for _, is_optional in wanted)
        if not fewest <= len(arguments) <= most:
            continue
        converted = [_converted(value, kind) for value, (kind, _) in zip(arguments, wanted, strict=False)]
        if not any(value is _UNFIT for value in converted):
            return converted
    return arguments


_UNFIT = object()


def _converted(value: Any, wanted: Any) -> Any:
    kinds = typing.get_args(wanted) if typing.get_origin(wanted) in (typing.Union, types.UnionType) else (wanted,)
    number = isinstance(value, int) and not isinstance(value, bool)
    for kind in kinds:
        if kind is typing.Any or not isinstance(kind, type) or kind is object or typing.get_origin(kind) is not None:
            return value  # a kind that says nothing
        if number and issubclass(kind, enum.Enum):
            return kind(int(value))
        if isinstance(value, kind) or (kind is float and isinstance(value, int)) or (kind is int and number):
            return value
    if value is None or isinstance(value, list | tuple | str | bytes | QtCore.QByteArray):
        return value  # PySide converts more than its signatures say
    return _UNFIT


def _signatures(function: Callable[..., Any]) -> list[list[tuple[Any, bool]]]:
    found = get_signature(function)
    found = [] if found is None else found if isinstance(found, list) else [found]
    return [_parameters(signature) for signature in found]


def _parameters(signature: Any) -> list[tuple[Any, bool]]:
    return [
        (parameter.annotation, parameter.default is not parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name not in ("self", "cls")
    ]


def as_int(value: enum.Enum) -> int:
    return int(value.value)


@cache
def enumeration(owner: str, name: str) -> type:
    """The class of an enumeration's values: integers, as in PythonQt."""
    return type(name, (int,), {"__module__": owner, "__doc__": f"Values of {owner}.{name}."})
