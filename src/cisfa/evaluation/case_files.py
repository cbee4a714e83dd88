"""Find the files of the same case in folders of labels, predictions and images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cisfa.errors import CaseError
from cisfa.imaging.dicom_places import holds_dicom
from cisfa.imaging.organs import Organ, organs_of_dataset_json
from cisfa.imaging.volume_names import SUFFIXES, stem_of, suffix_of

_FIRST_CHANNEL = "_0000"
_DATASET = "dataset.json"


@dataclass(frozen=True)
class Matched:
    """The files of a folder, by the cases of another.

    Attributes:
        files: Case to its file, in the order of the cases.
        missing: Cases without a file.
        surplus: Names of files that belong to no case.
    """

    files: Mapping[str, Path]
    missing: tuple[str, ...]
    surplus: tuple[str, ...]


def volumes_in(folder: Path) -> dict[str, Path]:
    """The volumes of a folder by the name without suffix, in the order of their names; hidden files are passed over.

    A folder with a DICOM series is a volume under its whole name.

    Raises:
        CaseError: The folder is missing or holds no volume, or two files differ by their suffix alone.
    """
    if not folder.is_dir():
        raise CaseError(f"{folder} is no folder. Give the folder that holds one file per case.")
    volumes: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        is_series = path.is_dir() and holds_dicom(path)
        if path.name.startswith(".") or (not is_series and (suffix_of(path) is None or path.is_dir())):
            continue
        twin = volumes.setdefault(path.name if is_series else stem_of(path), path)
        if twin != path:
            raise CaseError(f"{folder} holds {twin.name} and {path.name}: one case, two files. Remove one of them.")
    if not volumes:
        raise CaseError(f"{folder} holds no volume (a file ending in {', '.join(SUFFIXES)}).")
    return volumes


def match_cases(labels: Mapping[str, Path], volumes: Mapping[str, Path]) -> Matched:
    """Find each labelled case's file; nnU-Net's ``_0000`` after a case's name is tolerated.

    Args:
        labels: Case to its label map, as :func:`volumes_in` gives it.
        volumes: Predictions or images, likewise.
    """
    names = {case: next((name for name in (case, case + _FIRST_CHANNEL) if name in volumes), None) for case in labels}
    files = {case: volumes[name] for case, name in names.items() if name is not None}
    return Matched(
        files=files,
        missing=tuple(case for case, name in names.items() if name is None),
        surplus=tuple(path.name for path in volumes.values() if path not in files.values()),
    )


def organs_of_dataset(labels: Path) -> tuple[Organ, ...] | None:
    """The organs that a ``dataset.json`` in the labels' folder or its parent names; None when there is no such file.

    Raises:
        ConfigError: It cannot be read, or names no organs.
    """
    for folder in (labels, labels.resolve().parent):
        if (folder / _DATASET).is_file():
            return organs_of_dataset_json(folder / _DATASET)
    return None
