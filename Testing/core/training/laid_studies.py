"""Studies in whose folders lies what trainings would have left, so that nothing has to be trained."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from cisfa.cases.case_folder import labelled_cases
from cisfa.config_files import compose
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_files import read_label_map, write_label_map, write_volume
from cisfa.training.run_folder import RunFolder
from cisfa.training.study import Choice, Part, Study
from cisfa.training.study_rows import StudyTable, read_table

ROWS = {
    "rows": [
        {"name": "CISFA", "method": "cisfa"},
        {"name": "CISFA, no weight", "method": "cisfa", "set": ["patch_contrast.organ_weight=1"]},
        {"name": "floor", "method": "source-only"},
    ]
}
SHIFTS = {"CISFA": 0, "CISFA, no weight": 1, "floor": 3}


def write_domains(folder: Path) -> Path:
    """Two source and three target cases with a liver and a spleen, on anisotropic grids."""
    geometry = Geometry.from_axes((4, 20, 26), spacing_mm=(6.0, 2.0, 1.5))
    for prefix, count in (("ct", 2), ("mr", 3)):
        for number in range(count):
            labels = np.zeros(geometry.shape, np.uint8)
            labels[1:3, 3 + number : 9 + number, 4:11] = 1
            labels[1:3, 12:16, 15:20] = 4
            name = f"{prefix}_{number}.nii.gz"
            write_volume(Volume((labels * 40).astype(np.int16), geometry), folder / prefix / "images" / name)
            write_label_map(LabelMap(labels, geometry), folder / prefix / "labels" / name)
    return folder


def study_of(data: Path, folder: Path, **more: Any) -> tuple[Study, StudyTable]:
    rows, base = folder / "rows.json", compose(assignments=["schedule.steps=5"])
    folder.mkdir(parents=True, exist_ok=True)
    rows.write_text(json.dumps(ROWS), encoding="utf-8")
    table = read_table(rows, base)
    domains = [labelled_cases(data / domain) for domain in ("ct", "mr")]
    return Study(*domains, None, table.rows, folds=2, config=base, **{"seeds": (0,), **more}), table


def lay(part: Part) -> None:
    """What a training would have left: a run with its records, and predictions, worse in some rows and seeds."""
    run = RunFolder(part.run)
    run.start(part.config)
    run.write_environment({"device": "a card"})
    run.add_trained_s(120.0)
    for case in part.held_out:
        assert case.labels is not None
        truth = read_label_map(case.labels)
        voxels = np.roll(truth.voxels, SHIFTS[part.row.name] + part.seed, axis=1)
        write_label_map(LabelMap(voxels, truth.geometry), part.prediction(case))


def lay_all(study: Study, folder: Path, choice: Choice = Choice()) -> None:  # noqa: B008 - it is frozen
    for part in study.parts(folder, choice):
        lay(part)


def words(data: Path, folder: Path, *more: str) -> list[str]:
    domains = ("--source", str(data / "ct"), "--target", str(data / "mr"))
    where = ("--run", str(folder / "study"), "--rows", str(folder / "rows.json"))
    return ["crossval", *domains, *where, "--folds", "2", "--set", "schedule.steps=5", "--device", "cpu", *more]


def summary_in(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return values
