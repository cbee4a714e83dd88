"""The training methods by name."""

from collections.abc import Callable
from dataclasses import dataclass

from cisfa.errors import ConfigError
from cisfa.training.cisfa_method import CisfaMethod
from cisfa.training.cisfa_plus_method import CisfaPlusMethod, supervised_plus
from cisfa.training.method import Method
from cisfa.training.supervised_method import SupervisedMethod


@dataclass(frozen=True)
class MethodEntry:
    """How to build a method, and what it needs.

    Attributes:
        build: Called with the config and, by keyword, classes, target_range and device.
        has_target: False when it knows no second domain: what it learns from is what it is for.
        is_plus: True for CISFA+ and its ceiling, whose bundles have what ``supervision`` says.
    """

    build: Callable[..., Method]
    has_target: bool
    is_plus: bool = False


METHODS: dict[str, MethodEntry] = {
    "cisfa": MethodEntry(CisfaMethod, has_target=True),
    "cisfa-plus": MethodEntry(CisfaPlusMethod, has_target=True, is_plus=True),
    "source-only": MethodEntry(SupervisedMethod, has_target=True),
    "supervised": MethodEntry(SupervisedMethod, has_target=False),
    "supervised-plus": MethodEntry(supervised_plus, has_target=False, is_plus=True),
}


def method_named(name: str) -> MethodEntry:
    """Look a method up.

    Raises:
        ConfigError: There is none of that name.
    """
    if name not in METHODS:
        raise ConfigError(f"There is no method {name!r}; there are {', '.join(METHODS)}.")
    return METHODS[name]
