"""JSON as its standard has it: no NaN, no number that other readers round, no name twice in one object."""

import json
import math
from typing import Any

_LARGEST_INTEGER = 2**53
# beyond it, readers that hold numbers as doubles lose digits


def parse(content: bytes) -> Any:
    """Read UTF-8 JSON.

    Raises:
        ValueError: It is no JSON, or of a kind that two readers may understand differently.
    """
    try:
        return json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_object,
            parse_float=_number,
            parse_int=_integer,
            parse_constant=_number,
        )
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name is there twice in one object")
    return values


def _number(text: str) -> float:
    if not math.isfinite(float(text)):
        raise ValueError(f"{text[:20]} is no finite number")
    return float(text)


def _integer(text: str) -> int:
    if abs(float(text)) > _LARGEST_INTEGER:
        raise ValueError(f"the number {text[:20]}... is too large")
    return int(text)
