"""The rows of a study's table: each a name, a method and settings laid over the command's own.

A file of rows is JSON::

    {"rows": [{"name": "CISFA", "method": "cisfa"},
              {"name": "CISFA, no organ weight", "method": "cisfa", "set": ["patch_contrast.organ_weight=1"]}],
     "reference": "CISFA", "chosen": ["CISFA"], "about": "what the table is for"}

``reference`` is the row that all others are tested against, the first one unless it is named. ``chosen`` are rows that
the report marks, for instance those whose settings a package ships; they are trained like the others.
"""

import codecs
import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cisfa.bundle.strict_json import parse
from cisfa.config import TrainingConfig
from cisfa.config_files import compose, flat_values, from_json_values, to_json_values
from cisfa.errors import ConfigError
from cisfa.training.methods import method_named

_LONGEST_SLUG = 60
_WINDOWS_DEVICES = re.compile(r"con|prn|aux|nul|com\d|lpt\d")
# settings that are one for the whole table, with what sets them
_ONE_FOR_ALL = {"seed": "--seeds", "method": 'the row\'s "method"', "organs": "--set of the command"}


@dataclass(frozen=True)
class StudyRow:
    """One row of the table.

    Attributes:
        name: What people read.
        config: All settings of its runs, but for the seed.
        is_chosen: True when the report marks it.
    """

    name: str
    config: TrainingConfig
    is_chosen: bool = False

    @property
    def slug(self) -> str:
        """The name as a folder's, the same on every system: "CISFA, no weight" is cisfa-no-weight."""
        return slug_of(self.name)


@dataclass(frozen=True)
class StudyTable:
    """The rows, and the one that the others are tested against.

    Attributes:
        rows: In the order of the table.
        reference: A row's name; None for a single row.
    """

    rows: tuple[StudyRow, ...]
    reference: str | None


@dataclass(frozen=True)
class _RowEntry:
    name: str
    method: str
    set: tuple[str, ...] = ()


@dataclass(frozen=True)
class _TableFile:
    rows: tuple[_RowEntry, ...]
    reference: str | None = None
    chosen: tuple[str, ...] = ()
    about: str = ""


def slug_of(name: str) -> str:
    """A folder's name for a row's: Latin letters, digits and hyphens; what cannot be written so leaves a digest."""
    plain = unicodedata.normalize("NFKD", name.replace("+", " plus "))
    written = plain.encode("ascii", "ignore").decode("ascii")
    lost = any(character.isalnum() for character in plain if not character.isascii())
    slug = re.sub(r"[^a-z0-9]+", "-", written.lower()).strip("-")[:_LONGEST_SLUG].strip("-")
    if lost or not slug:
        slug = f"{slug or 'row'}-{hashlib.sha256(name.encode('utf-8')).hexdigest()[:8]}"
    return f"row-{slug}" if _WINDOWS_DEVICES.fullmatch(slug) else slug


def table_of_methods(methods: Sequence[str], base: TrainingConfig) -> StudyTable:
    """A row for each method, named after it; the first is the reference.

    Raises:
        ConfigError: A method is unknown or named twice, or there is none.
    """
    if not methods or len(set(methods)) < len(methods):
        raise ConfigError(f"--methods is {','.join(methods)!r}; name one or more methods, each once.")
    for method in methods:
        method_named(method)
    rows = tuple(StudyRow(method, replace(base, method=method)) for method in methods)
    return StudyTable(rows, rows[0].name if len(rows) > 1 else None)


def read_table(path: Path, base: TrainingConfig) -> StudyTable:
    """Read a file of rows.

    Args:
        path: The file.
        base: The command's own settings, over which each row's are laid.

    Raises:
        ConfigError: The file cannot be read, holds what is unknown, or two rows are one.
    """
    try:
        values: Any = parse(path.read_bytes().removeprefix(codecs.BOM_UTF8))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Name a file of rows.") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON ({error}). Mend it; docs/crossval.md shows such a file.") from error
    if not isinstance(values, dict):
        raise ConfigError(f'{path} holds no object. Write {{"rows": [...]}}; docs/crossval.md shows such a file.')
    try:
        return _table(from_json_values(_TableFile, values), base)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def changed_settings(config: TrainingConfig, base: TrainingConfig) -> dict[str, Any]:
    """The settings that differ, dotted name to the config's value; the method and the seed stand elsewhere."""
    ours, theirs = flat_values(to_json_values(config)), flat_values(to_json_values(base))
    names = dict.fromkeys((*ours, *theirs))
    return {
        name: ours.get(name) for name in names if ours.get(name) != theirs.get(name) and name not in ("method", "seed")
    }


def row_named(table: StudyTable, name: str, *, option: str) -> StudyRow:
    """Look a row up by its name, or its folder's.

    Raises:
        ConfigError: There is none of that name.
    """
    found = [row for row in table.rows if slug_of(name) == row.slug]
    if not found:
        names = "; ".join(row.name for row in table.rows)
        raise ConfigError(f"{option}: there is no row {name!r}. The rows are: {names}.")
    return found[0]


def rows_named(table: StudyTable, texts: Sequence[str]) -> tuple[StudyRow, ...]:
    """The rows that ``--only`` names, in the table's order.

    A row's name may hold commas itself, so as much of a text as is a name counts as one.

    Raises:
        ConfigError: A name is no row's.
    """
    named = set()
    for text in texts:
        words = [word.strip() for word in text.split(",") if word.strip()]
        while words:
            ends = range(len(words), 0, -1)
            slugs = {row.slug for row in table.rows}
            end = next((end for end in ends if slug_of(", ".join(words[:end])) in slugs), 1)
            named.add(row_named(table, ", ".join(words[:end]), option="--only").name)
            words = words[end:]
    if not named:
        raise ConfigError("--only names no row; name one or more, or leave it out.")
    return tuple(row for row in table.rows if row.name in named)


def _table(file: _TableFile, base: TrainingConfig) -> StudyTable:
    if not file.rows:
        raise ConfigError("There is no row; name at least one.")
    rows = tuple(_row(entry, base, is_chosen=entry.name in file.chosen) for entry in file.rows)
    _require_distinct(rows)
    names = [row.name for row in rows]
    for name in (*file.chosen, *([file.reference] if file.reference is not None else [])):
        if name not in names:
            raise ConfigError(f"reference or chosen names {name!r}, which is no row. The rows are: {'; '.join(names)}.")
    return StudyTable(rows, (file.reference or names[0]) if len(rows) > 1 else None)


def _row(entry: _RowEntry, base: TrainingConfig, *, is_chosen: bool) -> StudyRow:
    if entry.name != entry.name.strip() or not entry.name.isprintable() or not entry.name:
        raise ConfigError(f"A row's name is {entry.name!r}; it must be a line of text without blanks around it.")
    for assignment in entry.set:
        key = re.split(r"[.=]", assignment, maxsplit=1)[0].strip()
        if key in _ONE_FOR_ALL:
            raise ConfigError(f"The row {entry.name!r} sets {assignment}; {key} is set by {_ONE_FOR_ALL[key]}.")
    try:
        method_named(entry.method)
        return StudyRow(entry.name, compose(base=base, assignments=entry.set, method=entry.method), is_chosen)
    except ConfigError as error:
        raise ConfigError(f"The row {entry.name!r}: {error}") from error


def _require_distinct(rows: Sequence[StudyRow]) -> None:
    for number, row in enumerate(rows):
        for other in rows[:number]:
            if row.name == other.name:
                raise ConfigError(f"Two rows are named {row.name!r}. Give each a name of its own.")
            if row.slug == other.slug:
                raise ConfigError(
                    f"The rows {other.name!r} and {row.name!r} would share the folder {row.slug}. Give them names that"
                    " differ in letters or digits."
                )
            if row.config == other.config:
                raise ConfigError(
                    f"The rows {other.name!r} and {row.name!r} are the same: method and all settings agree. Leave one"
                    " out, or set what shall differ."
                )
