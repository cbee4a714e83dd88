"""CHAOS: abdominal CT with the liver, and MR with liver, kidneys and spleen, as DICOM series with masks in PNG files.

Read at any depth: ``CT/<n>/{DICOM_anon,Ground}``, ``MR/<n>/T2SPIR/{DICOM_anon,Ground}`` and ``MR/<n>/T1DUAL`` with
``DICOM_anon/InPhase``, ``DICOM_anon/OutPhase`` and one ``Ground`` for both. ``Test_Sets`` has no ``Ground``. CT and MR
are of different patients who bear the same numbers.

Of a series only voxels and their place are taken over: nothing that its headers say of the patient.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cisfa.data_sets.case_reading import Meaning, with_wanted_organs
from cisfa.data_sets.chaos_masks import CT_VALUES, MR_VALUES, GreyValues, file_of_each_mask, read_mask
from cisfa.data_sets.choices import BOTH, Choices, Modality
from cisfa.data_sets.found_set import CaseContent, DataSet, FoundCase, FoundSet, LeftOutError, Observation
from cisfa.data_sets.modality_choice import settled_modality
from cisfa.data_sets.places import by_key, files_of, folders_in
from cisfa.data_sets.wanted_organs import ABDOMEN, labels_of
from cisfa.errors import ConfigError, GeometryError, VolumeFileError
from cisfa.imaging.dicom_places import is_dicom_file
from cisfa.imaging.dicom_series import DicomSeries, open_series, read_voxels
from cisfa.imaging.volume import LabelMap, Volume

_KEY = "chaos"
_SERIES, _MASKS = "DICOM_anon", "Ground"
_T1, _IN, _OUT = "T1DUAL", "InPhase", "OutPhase"
_FOLDERS_OF_SEQUENCES: Mapping[str, tuple[str, str]] = {
    "t1-in": (_T1, f"{_SERIES}/{_IN}"),
    "t1-out": (_T1, f"{_SERIES}/{_OUT}"),
    "t2spir": ("T2SPIR", _SERIES),
}
_USUAL_SEQUENCE = "t2spir"
_LABELS = Meaning({1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"})
# HU of a contrast-enhanced liver are about 100; masks that lie on other slices reach into lung and air
_LIVER_HU = (-50.0, 300.0)


@dataclass(frozen=True)
class _Study:
    """The folder of one patient's CT, or of one of a patient's MR sequences.

    Attributes:
        number: The patient's.
        folder: Holds the series and the masks.
        series: The folder of the series' files.
        values: What the masks' grey values mean.
    """

    number: str
    folder: Path
    series: Path
    values: GreyValues

    @property
    def masks(self) -> Path:
        return self.folder / _MASKS


def _find(raw: Path, choices: Choices) -> FoundSet:
    folders = _folders_of_series(raw)
    there = {_modality(folder) for folder in folders}
    # the MR is what the set is known for: its CT has the liver alone
    usual: Modality | None = "mr" if choices.sequence or "mr" in there else None
    modality = settled_modality(choices.modality or usual, there, raw)
    if modality == "ct" and choices.sequence:
        raise ConfigError("--sequence chooses among sequences of MR, and --modality ct was chosen. Drop one of them.")
    drawn = ("liver",) if modality == "ct" else ABDOMEN
    organs = labels_of(choices.organs, drawn, drawn, _KEY)
    sequence = choices.sequence or _USUAL_SEQUENCE
    studies = by_key(
        (f"{_KEY}_{modality}_{_number(folder)}", folder)
        for folder in folders
        if _modality(folder) == modality
        and (modality == "ct" or folder.parent.name == _FOLDERS_OF_SEQUENCES[sequence][0])
    )
    cases = []
    for name, folder in sorted(studies.items(), key=lambda item: _in_order(item[0])):
        inside = _SERIES if modality == "ct" else _FOLDERS_OF_SEQUENCES[sequence][1]
        values = CT_VALUES if modality == "ct" else MR_VALUES
        study = _Study(_number(folder), folder.parent, folder.parent / inside, values)
        has_labels = study.masks.is_dir()
        files = (study.series, study.masks) if has_labels else (study.series,)
        cases.append(FoundCase(name, files, has_labels, partial(_read, study, organs, has_labels=has_labels)))
    return FoundSet(modality, organs, tuple(cases))


def _modality(series: Path) -> Modality:
    return "mr" if series.parent.name in {folder for folder, _ in _FOLDERS_OF_SEQUENCES.values()} else "ct"


def _number(series: Path) -> str:
    return series.parent.parent.name if _modality(series) == "mr" else series.parent.name


def _in_order(name: str) -> tuple[int, str]:
    """Patient 2 before patient 10."""
    number = name.rpartition("_")[2]
    return (int(number) if number.isdecimal() else 0), name


def _read(study: _Study, organs: Mapping[str, int], *, has_labels: bool) -> CaseContent:
    series = _opened(study.series)
    try:
        voxels = np.asarray(read_voxels(series))
    except VolumeFileError as error:
        raise LeftOutError("the volume cannot be read", str(error)) from error
    volume = Volume(voxels, series.geometry, f"patient {study.number}")
    if not has_labels:
        return CaseContent(volume, None)
    masks, remarks = _mask_of_each_slice(study, series)
    labels = np.stack([read_mask(mask, study.values, series.geometry.shape[1:]) for mask in masks])
    content = with_wanted_organs(volume, LabelMap(labels, series.geometry, _MASKS), _LABELS, organs)
    remarks += content.remarks
    if study.values is CT_VALUES:
        remarks += _doubts_about_liver(volume, labels == 1)
    return CaseContent(content.volume, content.label_map, remarks)


def _opened(folder: Path) -> DicomSeries:
    if not folder.is_dir():
        raise LeftOutError("the volume is missing", f"There is no folder {folder.name} in {folder.parent.name}.")
    files = [path for path in files_of(folder) if is_dicom_file(path) or path.suffix.casefold() == ".dcm"]
    if not files:
        raise LeftOutError("the volume is missing", f"{folder.name} of {folder.parent.name} holds no DICOM file.")
    try:
        # a folder is one series here, whatever its files' UIDs are: they were made anew when they were anonymised
        return open_series(files, is_one=True)
    except VolumeFileError as error:
        raise LeftOutError("the volume cannot be read", str(error)) from error


def _mask_of_each_slice(study: _Study, series: DicomSeries) -> tuple[list[Path], tuple[Observation, ...]]:
    """The mask files by slice of the volume, and what to know of how they were found."""
    masks = [path for path in files_of(study.masks) if path.suffix.casefold() == ".png"]
    named_after = series
    if study.series.name == _OUT and {mask.stem for mask in masks} != {file.stem for file in series.files}:
        # drawn once for both phases, and named after the files of one: the other lies at the same places
        named_after = _opened(study.series.with_name(_IN))
        try:
            series.geometry.require_same_grid(named_after.geometry, ours=_OUT, theirs=_IN)
        except GeometryError as error:
            raise LeftOutError("the masks belong to another grid", str(error)) from error
    files = [named_after.files[frame.file] for frame in named_after.frames]
    found, remark = file_of_each_mask(files, masks)
    return found, (() if remark is None else (remark,))


def _doubts_about_liver(volume: Volume, in_liver: NDArray[np.bool_]) -> tuple[Observation, ...]:
    """Whether the masks lie on a liver; of organs that tell left from right, CHAOS's CT has none."""
    if not in_liver.any():
        return ()
    middle = float(np.median(volume.voxels[in_liver]))
    if _LIVER_HU[0] <= middle <= _LIVER_HU[1]:
        return ()
    return (
        Observation(
            "the masks may lie on other slices",
            f"The liver's values are {middle:.0f} HU in the middle, and a liver's are about 100. Look at the case.",
        ),
    )


def _folders_of_series(raw: Path) -> list[Path]:
    return [folder for folder in folders_in(raw) if folder.name == _SERIES]


def _holds(raw: Path) -> bool:
    return bool(_folders_of_series(raw))


CHAOS = DataSet(
    key=_KEY,
    licences=dict.fromkeys(BOTH, "CC BY-NC-SA 4.0, so not for commercial use (https://zenodo.org/records/3431873)"),
    options=frozenset({"modality", "sequence", "organs"}),
    find=_find,
    holds=_holds,
)
