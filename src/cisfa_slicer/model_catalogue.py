"""A catalogue of models that can be downloaded: a JSON file, the extension's own or a hospital's.

.. code-block:: json

    {"schema_version": 1, "models": [{"name": "Abdomen, CT to MR", "description": "One line.",
     "file_name": "abdomen.zip", "url": "https://example.org/abdomen.zip", "size_bytes": 4386816, "sha256": "…"}]}
"""

import json
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from cisfa.errors import CisfaError

SCHEMA_VERSION = 1
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}\.zip")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class CatalogueError(CisfaError):
    """The catalogue cannot be read."""


@dataclass(frozen=True)
class CatalogueModel:
    """A model that can be downloaded.

    Attributes:
        name: For people.
        description: For people, one line.
        file_name: What it is called in the model folder; ends in ``.zip``.
        url: Where it is.
        size_bytes: Of the file.
        sha256: Of the file, 64 hexadecimal digits.
    """

    name: str
    description: str
    file_name: str
    url: str
    size_bytes: int
    sha256: str


def read_catalogue(path: Path) -> tuple[CatalogueModel, ...]:
    """The models that a catalogue lists, in its order.

    Raises:
        CatalogueError: It cannot be read, was written for a newer version, or an entry is wrong.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise CatalogueError(f"The catalogue {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise CatalogueError(f"The catalogue {path} is not JSON ({error}).") from error
    version = values.get("schema_version") if isinstance(values, dict) else None
    if version != SCHEMA_VERSION:
        raise CatalogueError(f"The catalogue {path} has schema_version {version!r}; this CISFA reads {SCHEMA_VERSION}.")
    entries = values.get("models")
    if not isinstance(entries, list):
        raise CatalogueError(f"The catalogue {path} has no list of models.")
    models = tuple(_model(entry, f"Entry {place} of the catalogue {path}") for place, entry in enumerate(entries, 1))
    names = [model.file_name.casefold() for model in models]
    if len(set(names)) < len(names):
        raise CatalogueError(f"The catalogue {path} has two models with one file_name.")
    return models


def _model(entry: Any, where: str) -> CatalogueModel:
    expected = {field.name: field.type for field in fields(CatalogueModel)}
    if not isinstance(entry, dict) or set(entry) != set(expected):
        raise CatalogueError(f"{where} must have {', '.join(expected)}, and nothing else.")
    for name, value in entry.items():
        if type(value) is not expected[name]:
            raise CatalogueError(f"{where}: {name} is {value!r}.")
    model = CatalogueModel(**entry)
    if not _FILE_NAME.fullmatch(model.file_name):
        raise CatalogueError(f"{where}: file_name is {model.file_name!r}; it must be a plain name that ends in .zip.")
    if not _SHA256.fullmatch(model.sha256) or model.size_bytes <= 0:
        raise CatalogueError(f"{where}: sha256 must be 64 hexadecimal digits, and size_bytes the file's size.")
    return model
