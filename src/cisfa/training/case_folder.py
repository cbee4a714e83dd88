"""Finding the cases of a domain in a folder: ``images``/``labels``, or nnU-Net's ``imagesTr``/``labelsTr``."""

from dataclasses import dataclass
from pathlib import Path

from cisfa.errors import CaseError
from cisfa.imaging.organs import Organ, organs_of_dataset_json
from cisfa.imaging.volume_files import SUFFIXES, stem_of, suffix_of

_LAYOUTS = (("images", "labels"), ("imagesTr", "labelsTr"))
_CHANNEL = "_0000"  # nnU-Net's name of a case's first and, here, only channel


@dataclass(frozen=True)
class CaseFiles:
    """One case on disk.

    Attributes:
        name: File name without suffix and channel; what volume and label map share.
        volume: Its volume.
        labels: Its label map; None where none is used.
    """

    name: str
    volume: Path
    labels: Path | None


def labelled_cases(folder: Path) -> list[CaseFiles]:
    """The cases of a folder with their label maps, by name.

    Raises:
        CaseError: The folder holds no such layout or no cases, or a label map is missing.
    """
    volumes, labels_folder = _volumes(folder)
    labels = _by_name(labels_folder) if labels_folder.is_dir() else {}
    if not labels:
        raise CaseError(
            f"{folder} has no label maps in {labels_folder.name}{'' if labels_folder.is_dir() else ' (no such folder)'}."
            " Source cases need one for every volume, under the volume's name."
        )
    missing = sorted(set(volumes) - set(labels))
    if missing:
        raise CaseError(
            f"{labels_folder} lacks the label maps of {_some(missing)}. Add them, or take the volumes out of"
            f" {folder}."
        )
    return [CaseFiles(name, path, labels[name]) for name, path in sorted(volumes.items())]


def unlabelled_cases(folder: Path) -> list[CaseFiles]:
    """The cases of a folder by name; label maps, if any, are neither opened nor listed.

    Raises:
        CaseError: The folder holds no such layout or no cases.
    """
    volumes, _ = _volumes(folder)
    return [CaseFiles(name, path, None) for name, path in sorted(volumes.items())]


def organs_beside(folder: Path) -> tuple[Organ, ...] | None:
    """The organs that the folder's ``dataset.json`` names; None when there is none."""
    description = folder / "dataset.json"
    return organs_of_dataset_json(description) if description.is_file() else None


def require_different_patients(
    source: list[CaseFiles], target: list[CaseFiles], *, names_may_repeat: bool = False
) -> None:
    """Raise when a case of one domain bears the name of a case of the other.

    Raises:
        CaseError: As said; identical voxels are found later, when they have been read.
    """
    shared = sorted({case.name for case in source} & {case.name for case in target})
    if shared and not names_may_repeat:
        raise CaseError(
            f"Source and target both hold {_some(shared)}. One patient must not be in both domains, since the scores"
            " would flatter. Take them out of one, or pass --same-names-differ when they are different patients."
        )


def _volumes(folder: Path) -> tuple[dict[str, Path], Path]:
    if not folder.is_dir():
        raise CaseError(f"{folder} is no folder.")
    for images, labels in _LAYOUTS:
        if (folder / images).is_dir():
            volumes = _by_name(folder / images)
            if not volumes:
                raise CaseError(f"{folder / images} holds no volumes ({', '.join(SUFFIXES)}).")
            return volumes, folder / labels
    raise CaseError(f"{folder} holds neither images/ nor imagesTr/. Put the volumes into {folder / 'images'}.")


def _by_name(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if suffix_of(path) is None or path.name.startswith("."):
            continue
        stem = stem_of(path)
        if stem[-5:-4] == "_" and stem[-4:].isdigit() and stem[-5:] != _CHANNEL:
            raise CaseError(f"{path} is a second channel of a case; only single-channel volumes can be used.")
        name = stem.removesuffix(_CHANNEL)
        if name in found:
            raise CaseError(f"{folder} holds {name} twice: {found[name].name} and {path.name}. Remove one.")
        found[name] = path
    return found


def _some(names: list[str], limit: int = 5) -> str:
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
