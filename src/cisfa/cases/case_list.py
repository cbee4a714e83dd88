"""A list of cases with what their labels mean, as one JSON file: what a table in 3D Slicer saves and ``cisfa`` reads.

The file names volumes and so may tell who a patient is: it stays on the computer that the volumes are on, beside a
run's folder and never in it. Light, since Slicer's own process reads and writes it.

``schema`` 1 · ``organs`` what is to be learned (name, label, colour, codes) · ``mapping`` what each segment's name
means: an organ's name, or null for what is not to be learned · ``source`` annotated cases · ``target`` cases to adapt
to. A case has ``name``, ``volume``, and where there are any ``labels``, ``few_labels``, ``segments`` and
``patient_keys``. Paths that lie below the file's folder are relative to it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePath
from typing import Any

from cisfa.config_files import from_json_values
from cisfa.errors import CaseError, ConfigError
from cisfa.imaging.organs import HIGHEST_LABEL, Organ
from cisfa.imaging.segments import Segment
from cisfa.whole_files import write_text

SCHEMA = 1


@dataclass(frozen=True)
class ListedCase:
    """One case of a list.

    Attributes:
        name: What people call it; one of a kind in its domain.
        volume: Its volume: a file, or a folder with a DICOM series.
        labels: Its label map; None for a case of the target.
        few_labels: A label map of a target case on some of whose slices every organ was drawn; what lies on the other
            slices is not known. Only for training with few labels; never for scoring.
        segments: What the values of its label maps mean; empty when nobody has said so.
        patient_keys: Digests of what identifies the patient (never that itself); cases that share one are one
            patient's.
    """

    name: str
    volume: Path
    labels: Path | None = None
    few_labels: Path | None = None
    segments: tuple[Segment, ...] = ()
    patient_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class CaseList:
    """Both domains, and what is to be learned.

    Attributes:
        source: Annotated cases.
        target: Cases of the other kind.
        organs: What is to be learned.
        mapping: Key of a segment (:attr:`Segment.key`) to an organ's name; to None for what is not to be learned.
    """

    source: tuple[ListedCase, ...] = ()
    target: tuple[ListedCase, ...] = ()
    organs: tuple[Organ, ...] = ()
    mapping: Mapping[str, str | None] = field(default_factory=dict)

    def values_of(self, case: ListedCase) -> dict[int, int]:
        """What to make of the values of a case's label maps: value to an organ's label, or to 0.

        Raises:
            CaseError: A segment is not in the mapping, or its organ not among the organs.
        """
        labels = {organ.name: organ.label for organ in self.organs}
        values = {}
        for segment in case.segments:
            if segment.key not in self.mapping:
                raise CaseError(
                    f"{case.name} has the segment {segment.name}, and nobody has said which organ it is. Choose one, or"
                    " that it is not to be learned."
                )
            organ = self.mapping[segment.key]
            if organ is not None and organ not in labels:
                raise CaseError(
                    f"{segment.name} of {case.name} is to be learned as {organ}, which is none of the organs"
                    f" ({', '.join(labels) or 'there are none'}). Choose one of these."
                )
            values[segment.value] = 0 if organ is None else labels[organ]
        return values


def read_case_list(path: Path) -> CaseList:
    """Read a list of cases.

    Raises:
        CaseError: It cannot be read, is no such list, is of a newer version, or names two cases alike.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise CaseError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise CaseError(f"{path} is not JSON ({error}). Choose a list of cases.") from error
    if not isinstance(values, dict) or type(values.get("schema")) is not int:
        raise CaseError(f"{path} is no list of cases (it has no schema). Choose a list that CISFA Training saved.")
    if values["schema"] > SCHEMA:
        raise CaseError(f"{path} was written by a newer version of CISFA (schema {values['schema']}). Update this one.")
    try:
        found = from_json_values(_Stored, {name: value for name, value in values.items() if name != "schema"})
    except ConfigError as error:
        raise CaseError(f"{path}: {error}") from error
    _require_distinct(path, found.organs, found.source, found.target)
    _require_labels(path, found)
    folder = path.absolute().parent
    return CaseList(
        source=tuple(_listed(case, folder) for case in found.source),
        target=tuple(_listed(case, folder) for case in found.target),
        organs=found.organs,
        mapping={entry.segment: entry.organ for entry in found.mapping},
    )


def write_case_list(cases: CaseList, path: Path) -> None:
    """Save a list of cases.

    Raises:
        VolumeFileError: The file cannot be written.
    """
    folder = path.absolute().parent
    values = {
        "schema": SCHEMA,
        "organs": [asdict(organ) for organ in cases.organs],
        "mapping": [{"segment": key, "organ": organ} for key, organ in cases.mapping.items()],
        "source": [_as_json(case, folder) for case in cases.source],
        "target": [_as_json(case, folder) for case in cases.target],
    }
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


@dataclass(frozen=True)
class _StoredCase:
    name: str
    volume: str
    labels: str | None = None
    few_labels: str | None = None
    segments: tuple[Segment, ...] = ()
    patient_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class _StoredMeaning:
    segment: str
    organ: str | None = None


@dataclass(frozen=True)
class _Stored:
    organs: tuple[Organ, ...] = ()
    mapping: tuple[_StoredMeaning, ...] = ()
    source: tuple[_StoredCase, ...] = ()
    target: tuple[_StoredCase, ...] = ()


def _listed(case: _StoredCase, folder: Path) -> ListedCase:
    def place(text: str | None) -> Path | None:
        return None if text is None else folder / text

    return ListedCase(
        case.name, folder / case.volume, place(case.labels), place(case.few_labels), case.segments, case.patient_keys
    )


def _as_json(case: ListedCase, folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = {"name": case.name, "volume": _stored_path(case.volume, folder)}
    for key, path in (("labels", case.labels), ("few_labels", case.few_labels)):
        if path is not None:
            values[key] = _stored_path(path, folder)
    if case.segments:
        values["segments"] = [asdict(segment) for segment in case.segments]
    if case.patient_keys:
        values["patient_keys"] = list(case.patient_keys)
    return values


def _stored_path(path: Path, folder: Path) -> str:
    """Relative and with slashes where that will be understood on another computer too."""
    whole = path.absolute()
    inside: PurePath = whole.relative_to(folder) if whole.is_relative_to(folder) else whole
    return inside.as_posix() if not inside.is_absolute() else str(inside)


def _require_labels(path: Path, found: _Stored) -> None:
    values = [organ.label for organ in found.organs]
    values += [segment.value for case in (*found.source, *found.target) for segment in case.segments]
    wrong = next((value for value in values if not 1 <= value <= HIGHEST_LABEL), None)
    if wrong is not None:
        raise CaseError(f"{path} has the label {wrong}; labels are from 1 to {HIGHEST_LABEL}.")


def _require_distinct(
    path: Path, organs: Sequence[Organ], source: Sequence[_StoredCase], target: Sequence[_StoredCase]
) -> None:
    for what, names in (
        ("organ", [organ.name for organ in organs]),
        ("label", [str(organ.label) for organ in organs]),
        ("source case", [case.name for case in source]),
        ("target case", [case.name for case in target]),
        *(
            (f"value of {case.name}'s label map", [str(segment.value) for segment in case.segments])
            for case in (*source, *target)
        ),
    ):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise CaseError(f"{path} has the {what} {twice} twice. Name each of them once.")
