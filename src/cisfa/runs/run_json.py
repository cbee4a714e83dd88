"""Reading the JSON files of a run's folder, with a sentence for whatever is wrong with them."""

import json
from pathlib import Path
from typing import Any

from cisfa.config import TrainingConfig
from cisfa.config_files import from_json_values
from cisfa.errors import ConfigError, RunError
from cisfa.runs.run_files import CONFIG, SCHEMA


def read_json(path: Path) -> dict[str, Any]:
    """The object that a file holds.

    Raises:
        RunError: It cannot be read, or holds no object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}); the run folder is damaged.") from error
    if not isinstance(values, dict):
        raise RunError(f"{path} holds no JSON object; the run folder is damaged.")
    return values


def read_run_config(folder: Path) -> TrainingConfig:
    """The settings that a run was started with.

    Raises:
        RunError: There is no run, it is a newer version's, or its settings are damaged.
    """
    if not (folder / CONFIG).is_file():
        raise RunError(f"{folder} holds no run (no {CONFIG}).")
    values = read_json(folder / CONFIG)
    schema = values.pop("schema", None)
    if not isinstance(schema, int) or schema > SCHEMA:
        raise RunError(f"{folder} was written by a newer version of CISFA (schema {schema}). Update this one.")
    # a run of before there was a validation learns from all of its source cases, and goes on doing so when resumed
    values.setdefault("validation", {"held_out": 0.0})
    try:
        return from_json_values(TrainingConfig, values)
    except ConfigError as error:
        raise RunError(f"{folder / CONFIG}: {error}") from error
