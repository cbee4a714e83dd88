"""Settings from presets, JSON files and ``--set`` on the command line, checked against the dataclasses' fields."""

import dataclasses
import difflib
import json
import math
import types
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from cisfa.config import TrainingConfig
from cisfa.errors import ConfigError

Config = TypeVar("Config")

DEFAULT_PRESET = "full"
# what presets and run folders have beside their settings
_NO_SETTINGS = ("about", "schema", "title")


@dataclasses.dataclass(frozen=True)
class Preset:
    """A preset as a list shows it.

    Attributes:
        name: As after ``--preset``.
        title: For people; empty for one that is for developers.
        about: What it is for, in a sentence.
    """

    name: str
    title: str
    about: str


def presets() -> tuple[Preset, ...]:
    """The presets that come with the package, in alphabetical order."""
    return tuple(_preset(name) for name in preset_names())


def preset_names() -> tuple[str, ...]:
    """The presets that come with the package, in alphabetical order."""
    files = resources.files("cisfa").joinpath("presets").iterdir()
    return tuple(sorted(file.name.removesuffix(".json") for file in files if file.name.endswith(".json")))


def read_preset(name: str) -> dict[str, Any]:
    """The settings of a preset that differ from the defaults.

    Raises:
        ConfigError: There is no such preset.
    """
    if name not in preset_names():
        raise ConfigError(f"There is no preset {name!r}; there are {', '.join(preset_names())}.")
    return {key: value for key, value in _stored_preset(name).items() if key not in _NO_SETTINGS}


def compose(
    *,
    preset: str = DEFAULT_PRESET,
    file: Path | None = None,
    assignments: Sequence[str] = (),
    method: str | None = None,
    base: TrainingConfig | None = None,
) -> TrainingConfig:
    """Put a run's settings together: preset, then a JSON file, then ``key=value`` assignments, then the method.

    Args:
        preset: Its name.
        file: Laid over the preset; the ``config.json`` of another run will do.
        assignments: As after ``--set``; ``organs.5=stomach`` adds an organ, ``organs={...}`` replaces all.
        method: Instead of the settings' own.
        base: Settings to begin with instead of a preset, for instance those of a run to resume.

    Raises:
        ConfigError: A name is unknown, or a value has the wrong type or range.
    """
    values = to_json_values(base or TrainingConfig())
    if base is None:
        _merge(values, read_preset(preset))
    if file is not None:
        _merge(values, _read_json(file))
    for assignment in assignments:
        _assign(values, assignment)
    if method is not None:
        values["method"] = method
    return from_json_values(TrainingConfig, values)


def _stored_preset(name: str) -> dict[str, Any]:
    text = resources.files("cisfa").joinpath("presets", f"{name}.json").read_text(encoding="utf-8")
    values: dict[str, Any] = json.loads(text)
    return values


def _preset(name: str) -> Preset:
    values = _stored_preset(name)
    return Preset(name, values.get("title", ""), values.get("about", ""))


def to_json_values(config: Any) -> dict[str, Any]:
    """A config dataclass as what JSON can hold (tuples become lists)."""
    values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return values


def flat_values(values: Mapping[str, Any], *, at: str = "") -> dict[str, Any]:
    """JSON values by dotted name, "optimiser.batch_size".

    Args:
        values: As of :func:`to_json_values`.
        at: What stands before each name.
    """
    leaves: dict[str, Any] = {}
    for name, value in values.items():
        leaves |= flat_values(value, at=f"{at}{name}.") if isinstance(value, dict) else {f"{at}{name}": value}
    return leaves


def from_json_values(kind: type[Config], values: Mapping[str, Any], *, at: str = "") -> Config:
    """Build a config dataclass from JSON values; missing fields take their defaults.

    Args:
        kind: The dataclass.
        values: Field name to value; nested dataclasses are nested mappings.
        at: Dotted path of the values, for messages.

    Raises:
        ConfigError: A name is unknown or missing, or a value has the wrong type or range.
    """
    hints = get_type_hints(kind)
    for name in values:
        if name not in hints:
            raise ConfigError(_unknown(name, list(hints), at=at))
    for name in _fields_without_default(kind):
        if name not in values:
            raise ConfigError(f"The setting {at}{name} is missing.")
    return kind(**{name: _checked(hints[name], value, f"{at}{name}") for name, value in values.items()})


def _checked(hint: Any, value: Any, name: str) -> Any:
    """The value in the type that the hint asks for."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise ConfigError(_wrong(name, value, "a group of settings"))
        return from_json_values(hint, value, at=f"{name}.")
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(_wrong(name, value, "one of " + ", ".join(map(str, arguments))))
        return value
    if origin in (Union, types.UnionType):
        return None if value is None else _checked(next(one for one in arguments if one is not type(None)), value, name)
    if origin is tuple:
        return _checked_tuple(arguments, value, name)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise ConfigError(_wrong(name, value, "an object"))
        return {str(key): _checked(arguments[1], entry, f"{name}.{key}") for key, entry in value.items()}
    return _plain(hint, value, name)


def _checked_tuple(arguments: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(_wrong(name, value, "a list"))
    if arguments[-1] is Ellipsis:
        return tuple(_checked(arguments[0], entry, f"{name}[{index}]") for index, entry in enumerate(value))
    if len(value) != len(arguments):
        raise ConfigError(_wrong(name, value, f"a list of {len(arguments)} numbers"))
    return tuple(_checked(one, entry, name) for one, entry in zip(arguments, value, strict=True))


def _fields_without_default(kind: Any) -> list[str]:
    missing = dataclasses.MISSING
    return [one.name for one in dataclasses.fields(kind) if one.default is missing and one.default_factory is missing]


def _plain(hint: type, value: Any, name: str) -> Any:
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value):
        return float(value)
    if hint is not float and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    raise ConfigError(_wrong(name, value, words[hint]))


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond any float
        return False


def _assign(values: dict[str, Any], assignment: str) -> None:
    """Carry out one ``group.name=value``; the value is JSON, or a text without its quotes."""
    key, equals, text = assignment.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {assignment}: write it as key=value, for instance optimiser.batch_size=8.")
    *groups, name = key.strip().split(".")
    for group in groups:
        inner = values.setdefault(group, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {assignment}: {group} is a setting of its own and holds no others.")
        values = inner
    try:
        value = json.loads(text)
    except ValueError:
        value = text.strip()
    _merge(values, {name: value})


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Lay values over others, group by group; the organs are one value, replaced as a whole."""
    for name, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(name), dict) and name != "organs":
            _merge(into[name], value)
        else:
            into[name] = dict(value) if isinstance(value, Mapping) else value


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON ({error}).") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds {type(values).__name__}, not an object of settings.")
    # so that a copy of a preset or of a run's settings will do
    return {name: value for name, value in values.items() if name not in _NO_SETTINGS}


def _unknown(name: str, known: list[str], *, at: str) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {at}{close[0]}?" if close else f" Known here: {', '.join(at + one for one in known)}."
    return f"There is no setting {at}{name}.{hint}"


def _wrong(name: str, value: Any, expected: str) -> str:
    return f"The setting {name} is {value!r}; it must be {expected}."
