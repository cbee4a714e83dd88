"""The two files that say what a run is to do: which cases, which settings."""

import json
from pathlib import Path

from cisfa.cases.case_list import CaseList, write_case_list
from cisfa.config import TrainingConfig
from cisfa.config_files import to_json_values
from cisfa.whole_files import write_text

CASES, CONFIG = "cases.json", "config.json"


def write_plan(cases: CaseList, config: TrainingConfig, folder: Path) -> tuple[Path, Path]:
    """Write both files into a folder.

    Returns:
        The list of cases, the settings.

    Raises:
        VolumeFileError: The folder cannot be written.
    """
    write_case_list(cases, folder / CASES)
    write_text(folder / CONFIG, json.dumps(to_json_values(config), indent=2, ensure_ascii=False) + "\n")
    return folder / CASES, folder / CONFIG
