"""Annotations of parameters: what values are allowed, and how widgets show them."""

from dataclasses import dataclass
from typing import Any


class Rule:
    """Checks a value before it is kept."""

    def validate(self, value: Any) -> None:
        raise NotImplementedError


@dataclass
class WithinRange(Rule):
    minimum: float
    maximum: float

    def validate(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


@dataclass
class Minimum(Rule):
    minimum: float

    def validate(self, value: Any) -> None:
        if value < self.minimum:
            raise ValueError(f"Value must be at least {self.minimum}, is {value}")


@dataclass
class Maximum(Rule):
    maximum: float

    def validate(self, value: Any) -> None:
        if value > self.maximum:
            raise ValueError(f"Value must be at most {self.maximum}, is {value}")


@dataclass
class Choice(Rule):
    choices: Any

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"Value is {value}, but must be one of {self.choices}")


@dataclass
class Default:
    value: Any = None


@dataclass
class Decimals:
    value: int


@dataclass
class SingleStep:
    value: float
