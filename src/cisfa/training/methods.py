"""The training methods by name."""

from collections.abc import Callable
from dataclasses import dataclass

from cisfa.config import TrainingConfig
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
        coordinates: Whether its segmenter is told where in a slice each pixel lies, with these settings.
    """

    build: Callable[..., Method]
    has_target: bool
    coordinates: Callable[[TrainingConfig], bool] = lambda config: False


def _as_supervised(config: TrainingConfig) -> bool:
    return config.supervision.coordinates


METHODS: dict[str, MethodEntry] = {
    "cisfa": MethodEntry(CisfaMethod, has_target=True),
    "cisfa-plus": MethodEntry(CisfaPlusMethod, has_target=True, coordinates=_as_supervised),
    "source-only": MethodEntry(SupervisedMethod, has_target=True),
    "supervised": MethodEntry(SupervisedMethod, has_target=False),
    "supervised-plus": MethodEntry(supervised_plus, has_target=False, coordinates=_as_supervised),
}


def method_named(name: str) -> MethodEntry:
    """Look a method up.

    Raises:
        ConfigError: There is none of that name.
    """
    if name not in METHODS:
        raise ConfigError(f"There is no method {name!r}; there are {', '.join(METHODS)}.")
    return METHODS[name]
