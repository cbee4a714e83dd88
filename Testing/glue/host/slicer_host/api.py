"""What Slicer offers, by name: the list that the host may not go beyond."""

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

LIST_FILE = Path(__file__).with_name("slicer_api.json")


@dataclass(frozen=True)
class ClassApi:
    """The names of one class as PythonQt shows them.

    Attributes:
        name: With its namespace, "qt.QPushButton".
        writable: Properties, each with whether it can be written.
        constants: Values of enumerations, each with the enumeration's name.
        callables: Methods, and the names of enumerations.
        signals: Signatures.
        unsorted: Where Slicer could only be asked for names: constants, enumerations and static methods together.
    """

    name: str
    writable: dict[str, bool] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    callables: frozenset[str] = frozenset()
    signals: frozenset[str] = frozenset()
    unsorted: frozenset[str] = frozenset()


@cache
def the_list() -> dict:
    return json.loads(LIST_FILE.read_text(encoding="utf-8"))


def names_of(namespace: str) -> frozenset[str]:
    """The names in the namespace qt, ctk or slicer."""
    return frozenset(the_list()["namespaces"][namespace])


def class_names() -> frozenset[str]:
    return frozenset(the_list()["classes"])


@cache
def class_api(name: str) -> ClassApi:
    """Of a class such as "qt.QPushButton"; without any member when the list knows no more than its name."""
    own = the_list()["classes"].get(name)
    if own is None:
        return ClassApi(name)
    base = class_api(own["like"]) if "like" in own else ClassApi(name)
    writable = {key: is_writable for key, (_, is_writable) in own.get("properties", {}).items()}
    return ClassApi(
        name,
        base.writable | writable,
        base.constants | own.get("constants", {}),
        base.callables | set(own.get("callables", ())),
        base.signals | set(own.get("signals", ())),
        frozenset(own.get("names", ())),
    )
