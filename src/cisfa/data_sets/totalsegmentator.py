"""TotalSegmentator's data: CT (or MR) of all parts of the body, each case a folder with one mask file an organ.

Read at any depth: ``s0001/ct.nii.gz`` with ``s0001/segmentations/liver.nii.gz``; ``mri.nii.gz`` in the set of MR.
``meta.csv`` beside the cases says what kind of study each is.
"""

import csv
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cisfa.data_sets.case_reading import Meaning, read_labels_of, read_volume_of, require_on_grid, with_wanted_organs
from cisfa.data_sets.choices import Choices, Modality
from cisfa.data_sets.found_set import CaseContent, DataSet, FoundCase, FoundSet, LeftOutError, Observation
from cisfa.data_sets.modality_choice import settled_modality
from cisfa.data_sets.organ_positions import JUDGED
from cisfa.data_sets.places import by_key, files_of, folders_in, volumes_of
from cisfa.data_sets.wanted_organs import ABDOMEN, labels_of, organ_name
from cisfa.errors import CaseError, ConfigError
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_names import stem_of

_KEY = "totalsegmentator"
_MASKS, _TABLE, _ID = "segmentations", "meta.csv", "image_id"
_MODALITIES: Mapping[str, Modality] = {"ct": "ct", "mri": "mr", "mr": "mr"}
# masks hold 0 and 1; other programs write 255
_INSIDE = (1, 255)


@dataclass(frozen=True)
class _CaseFolder:
    path: Path
    modality: Modality
    volume: Path

    @property
    def masks(self) -> Path:
        return self.path / _MASKS


def _find(raw: Path, choices: Choices) -> FoundSet:
    folders = list(_case_folders(raw))
    modality = settled_modality(choices.modality, {folder.modality for folder in folders}, raw)
    chosen = [folder for folder in folders if folder.modality == modality]
    there = [folder for folder in chosen if folder.masks.is_dir()]
    if not chosen:
        return FoundSet(modality, {}, ())
    # what one case lacks, a file that was lost, another has
    available = {organ_name(stem_of(path)) for folder in there for path in volumes_of(folder.masks)}
    organs = labels_of(choices.organs, ABDOMEN, available | set(ABDOMEN), _KEY)
    paths = by_key((_name(folder), folder.path) for folder in chosen)
    by_path = {folder.path: folder for folder in chosen}
    unwanted = _unwanted(chosen, choices.only)
    cases = []
    for name, path in sorted(paths.items()):
        folder = by_path[path]
        if name not in unwanted:
            has_labels = folder.masks.is_dir()
            files = (folder.volume, folder.masks) if has_labels else (folder.volume,)
            cases.append(FoundCase(name, files, has_labels, partial(_read, folder, organs, has_labels=has_labels)))
    return FoundSet(modality, organs, tuple(cases), unwanted)


def _case_folders(raw: Path) -> Iterator[_CaseFolder]:
    for path in folders_in(raw):
        if path.name == _MASKS:
            continue
        for volume in volumes_of(path):
            modality = _MODALITIES.get(stem_of(volume).casefold())
            if modality is not None:
                yield _CaseFolder(path, modality, volume)


def _name(folder: _CaseFolder) -> str:
    """The sets of CT and of MR number different patients alike."""
    return f"{_KEY}_{'mr_' if folder.modality == 'mr' else ''}{folder.path.name}"


def _read(folder: _CaseFolder, organs: Mapping[str, int], *, has_labels: bool) -> CaseContent:
    volume = read_volume_of(folder.volume)
    if not has_labels:
        return CaseContent(volume, None)
    files = {organ_name(stem_of(path)): path for path in volumes_of(folder.masks)}
    # labelled after the wanted ones, and dropped again: they help to tell left from right
    telling = {name: label for label, name in enumerate(_telling(files, organs), start=len(organs) + 1)}
    names = {label: name for name, label in {**organs, **telling}.items()}
    voxels = np.zeros(volume.geometry.shape, np.uint8 if len(names) <= np.iinfo(np.uint8).max else np.uint16)
    remarks = []
    for name, label in organs.items():
        if name not in files:
            raise LeftOutError("a mask file is missing", f"{folder.path.name}/{_MASKS} has no file of the {name}.")
        inside = _mask(files[name], volume)
        shared = np.count_nonzero(inside & (voxels > 0))
        if shared:
            remarks.append(
                Observation(
                    "masks overlap",
                    f"{shared} voxels of the {name} are another organ's too, and were left to the one named first.",
                )
            )
        voxels[inside & (voxels == 0)] = label
    for name, label in telling.items():
        # nobody asked for it, so a damaged one is no reason to leave the case out
        with suppress(LeftOutError):
            voxels[_mask(files[name], volume) & (voxels == 0)] = label
    labels = LabelMap(voxels, volume.geometry, _MASKS)
    content = with_wanted_organs(volume, labels, Meaning(names), organs)
    return CaseContent(content.volume, content.label_map, (*remarks, *content.remarks))


def _telling(there: Collection[str], organs: Collection[str]) -> Sequence[str]:
    """The organs that nobody asked for, but that help to judge how a case lies in the patient."""
    return sorted(JUDGED & set(there) - set(organs))


def _mask(path: Path, volume: Volume) -> NDArray[np.bool_]:
    """True in the organ, on the volume's grid.

    Raises:
        LeftOutError: The file cannot be read, lies on another grid, or holds other values than a mask.
    """
    mask = read_labels_of(path)
    require_on_grid(mask, volume)
    strange = np.setdiff1d(mask.voxels, (0, *_INSIDE))
    if len(strange):
        raise LeftOutError(
            "the label map holds unknown values",
            f"{path.name} holds the value {strange[0]}, and a mask holds 0 and 1. Download it again.",
        )
    inside: NDArray[np.bool_] = mask.voxels > 0
    return inside


def _unwanted(folders: Sequence[_CaseFolder], only: Sequence[tuple[str, str]]) -> dict[str, Observation]:
    """The cases that the table keeps out.

    Raises:
        ConfigError: The table has no such column.
        CaseError: There is no table, or it cannot be read.
    """
    if not only:
        return {}
    rows: dict[Path, Mapping[str, Mapping[str, str]]] = {}
    found = {}
    for folder in folders:
        home = folder.path.parent
        if home not in rows:
            rows[home] = _rows(home / _TABLE, [column for column, _ in only])
        row = rows[home].get(folder.path.name, {})
        for column, wanted in only:
            value = row.get(column) or ""
            if wanted.casefold() not in value.casefold():
                found[_name(folder)] = Observation(
                    f"{column} is not {wanted}", f"{_TABLE} says {value or 'nothing'} for {folder.path.name}."
                )
                break
    return found


def _rows(table: Path, columns: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    if table not in files_of(table.parent):
        raise CaseError(f"{table} is missing, and --only looks into it. Put it back, or drop --only.")
    try:
        # it begins with a byte order mark
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter=";")
            names = list(reader.fieldnames or ())
            lacking = [column for column in (_ID, *columns) if column not in names]
            if lacking:
                raise ConfigError(f"{table} has no column {lacking[0]}. It has {', '.join(names)}.")
            return {row[_ID]: row for row in reader}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CaseError(f"{table} cannot be read ({error}). Copy it again, or drop --only.") from error


def _holds(raw: Path) -> bool:
    return any(folder.masks.is_dir() for folder in _case_folders(raw))


TOTALSEGMENTATOR = DataSet(
    key=_KEY,
    licences={
        "ct": "CC BY 4.0 (https://zenodo.org/records/10047292)",
        "mr": "that of the version's own record, which differs (CC BY-NC-SA 2.0 at https://zenodo.org/records/11367005)",
    },
    options=frozenset({"modality", "organs", "only"}),
    find=_find,
    holds=_holds,
)
