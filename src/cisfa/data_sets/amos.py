"""AMOS 2022: abdominal CT and MR with fifteen organs, listed in the ``dataset.json`` that comes with it.

Its ``training`` and ``validation`` have label maps (``imagesTr`` with ``labelsTr``, ``imagesVa`` with ``labelsVa``),
its ``test`` has none. Numbers up to 500 are CT, higher ones MR; a volume whose intensities say otherwise is left out.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from cisfa.data_sets.case_reading import Meaning, read_case
from cisfa.data_sets.choices import BOTH, Choices, Modality
from cisfa.data_sets.found_set import CaseContent, DataSet, FoundCase, FoundSet, LeftOutError, Observation
from cisfa.data_sets.modality_choice import settled_modality
from cisfa.data_sets.places import files_named
from cisfa.data_sets.wanted_organs import ABDOMEN, labels_of
from cisfa.errors import CaseError
from cisfa.imaging.intensity import guess_modality
from cisfa.imaging.organs import organs_of_dataset_json
from cisfa.imaging.volume_names import stem_of

_KEY = "amos"
_LAST_CT = 500
_STEM = re.compile(r"amos_(\d+)", re.IGNORECASE)
_FILE = re.compile(r"amos_\d{4}\.nii(\.gz)?", re.IGNORECASE)
_LIST = re.compile(r"dataset\.json")
_PARTS = ("training", "validation", "test")


@dataclass(frozen=True)
class _Listed:
    name: str
    modality: Modality
    volume: Path
    label_map: Path


def _find(raw: Path, choices: Choices) -> FoundSet:
    description = _description(raw)
    if description is None:
        return FoundSet(choices.modality or "ct", {}, ())
    listed = list(_listed(description))
    modality = settled_modality(choices.modality, {one.modality for one in listed if one.volume.is_file()}, raw)
    meaning = Meaning({organ.label: organ.name for organ in organs_of_dataset_json(description)})
    organs = labels_of(choices.organs, ABDOMEN, meaning.names.values(), _KEY)
    cases, left_out = [], {}
    for one in sorted(listed, key=lambda one: one.name):
        if one.modality != modality:
            left_out[one.name] = Observation(f"it is {one.modality.upper()}", f"{modality.upper()} was chosen.")
        elif not one.volume.is_file():
            left_out[one.name] = Observation("the volume is missing", f"dataset.json lists {one.volume.name}.")
        else:
            label_map = one.label_map if one.label_map.is_file() else None
            files = (one.volume,) if label_map is None else (one.volume, label_map)
            read = partial(_read, one, label_map, meaning, organs)
            cases.append(FoundCase(one.name, files, label_map is not None, read))
    return FoundSet(modality, organs, tuple(cases), left_out)


def _read(one: _Listed, label_map: Path | None, meaning: Meaning, organs: Mapping[str, int]) -> CaseContent:
    """Read a case.

    Raises:
        LeftOutError: It cannot be used, or does not look like the modality that its number says.
    """
    content = read_case(one.volume, label_map, meaning, organs)
    looks_like = guess_modality(content.volume.voxels)
    if looks_like != one.modality.upper():
        share = "many voxels" if looks_like == "CT" else "hardly any voxel"
        raise LeftOutError(
            f"it looks like {looks_like}",
            f"{one.volume.name} has intensities below -50, as air and fat have in CT, in {share}, and by its number it"
            f" would be {one.modality.upper()}. Look at it in 3D Slicer.",
        )
    return content


def _description(raw: Path) -> Path | None:
    """The set's list of its cases; None where there is no volume of the set.

    Raises:
        CaseError: It is missing, or there are several.
    """
    found = [path for path in files_named(raw, _LIST) if any(_listed(path))]
    if len(found) > 1:
        raise CaseError(f"{raw} holds AMOS twice: {found[0].parent} and {found[1].parent}. Name one of the folders.")
    if not found and _holds(raw):
        raise CaseError(
            f"{raw} holds volumes of AMOS, but not the dataset.json that lists them and says what their labels mean."
            " Put it back beside imagesTr, from the archive that you unpacked, and name that folder."
        )
    return found[0] if found else None


def _listed(description: Path) -> Iterator[_Listed]:
    """The cases of a list; none where it is another set's."""
    for entry in _entries(description):
        image, label = entry.get("image"), entry.get("label")
        if not isinstance(image, str):
            continue
        match = _STEM.fullmatch(stem_of(Path(image)).removesuffix("_0000"))
        inside = PurePosixPath(image)
        if match is None or inside.is_absolute() or ".." in inside.parts:
            continue
        number = int(match[1])
        volume = description.parent / inside
        # the first release lists the validation cases without the label maps that a later one brought
        usual = volume.parent.with_name(volume.parent.name.replace("images", "labels")) / volume.name
        label_map = description.parent / label if isinstance(label, str) and ".." not in label else usual
        modality: Modality = "ct" if number <= _LAST_CT else "mr"
        yield _Listed(f"{_KEY}_{match[1]}", modality, volume, label_map if label_map.is_file() else usual)


def _entries(description: Path) -> Iterator[dict[str, Any]]:
    try:
        values = json.loads(description.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return
    for part in _PARTS if isinstance(values, dict) else ():
        listed = values.get(part)
        for entry in listed if isinstance(listed, list) else ():
            yield entry if isinstance(entry, dict) else {"image": entry}


def _holds(raw: Path) -> bool:
    return any(True for _ in files_named(raw, _FILE))


AMOS = DataSet(
    key=_KEY,
    licences=dict.fromkeys(BOTH, "CC BY 4.0 (https://zenodo.org/records/7262581)"),
    options=frozenset({"modality", "organs"}),
    find=_find,
    holds=_holds,
)
