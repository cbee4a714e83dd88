"""The settings one by one, with their explanations, for a form: what stands in :mod:`cisfa.config` is what it shows."""

import ast
import dataclasses
import inspect
import json
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from cisfa import config
from cisfa.config import TrainingConfig


@dataclass(frozen=True)
class ConfigField:
    """One setting.

    Attributes:
        path: As after ``--set``: "optimiser.batch_size".
        explanation: The lines below the field in the source, joined; empty where there are none.
        group: What its group is about, from the class's docstring; empty for the settings that are in no group.
        choices: The values that it may have, where these are few; empty otherwise.
    """

    path: str
    explanation: str
    group: str
    choices: tuple[str, ...]


def config_fields() -> tuple[ConfigField, ...]:
    """Every setting of a training, in the order of the source."""
    return tuple(_fields(TrainingConfig, "", ""))


def value_text(values: TrainingConfig, path: str) -> str:
    """A setting's value as it is written after ``--set``."""
    value: Any = values
    for name in path.split("."):
        value = getattr(value, name)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _fields(kind: type, at: str, group: str) -> Iterator[ConfigField]:
    hints = get_type_hints(kind)
    for each in dataclasses.fields(kind):
        hint = hints[each.name]
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            yield from _fields(hint, f"{at}{each.name}.", (hint.__doc__ or "").partition("\n")[0])
        else:
            explanation = _explanations().get((kind.__name__, each.name), "")
            yield ConfigField(f"{at}{each.name}", explanation, group, _choices(hint))


def _choices(hint: Any) -> tuple[str, ...]:
    if hint is bool:
        return ("true", "false")
    if get_origin(hint) is Literal:
        return tuple(str(choice) for choice in get_args(hint))
    if get_origin(hint) in (Union, types.UnionType):
        found = [_choices(one) for one in get_args(hint) if one is not type(None)]
        return found[0] if len(found) == 1 else ()
    return ()


@cache
def _explanations() -> dict[tuple[str, str], str]:
    """Class and field to the comment below it."""
    source = inspect.getsource(config)
    lines = source.splitlines()
    found = {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                comment = _comment_below(lines, statement.end_lineno or statement.lineno)
                found[node.name, statement.target.id] = comment
    return found


def _comment_below(lines: list[str], number: int) -> str:
    """The comment lines that follow a line, whose number counts from 1."""
    comment = []
    for line in lines[number:]:
        text = line.strip()
        if not text.startswith("#"):
            break
        comment.append(text.lstrip("# "))
    return " ".join(comment)
