"""Finding the cases of a domain in a folder: ``images``/``labels``, or nnU-Net's ``imagesTr``/``labelsTr``."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cisfa.errors import CaseError
from cisfa.imaging.dicom_places import holds_dicom
from cisfa.imaging.organs import Organ, organs_of_dataset_json
from cisfa.imaging.volume_names import SUFFIXES, stem_of, suffix_of

_LAYOUTS = (("images", "labels"), ("imagesTr", "labelsTr"))
CHANNEL = "_0000"  # nnU-Net's name of a case's first and, here, only channel
_FURTHER_CHANNEL = re.compile(r"(.+)_\d{4}")


@dataclass(frozen=True)
class CaseFiles:
    """One case on disk.

    Attributes:
        name: File name without suffix and channel; what volume and label map share.
        volume: Its volume: a file, or a folder with a DICOM series.
        labels: Its label map; None where none is used.
        few_labels: For a target case, a label map with some of its slices drawn; None where there is none.
        values: What to make of its label maps' values: value to an organ's label, or to 0; None takes them as they are.
        patient_keys: Digests of what identifies the patient, as far as a list of cases tells.
    """

    name: str
    volume: Path
    labels: Path | None
    few_labels: Path | None = None
    values: Mapping[int, int] | None = None
    patient_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """Where the parts of a data set lie.

    Attributes:
        images: Folder of the volumes.
        labels: Folder of the label maps, which need not be there.
    """

    images: Path
    labels: Path


def find_layout(folder: Path) -> Layout | None:
    """The layout that a folder has; None when it has none that is known."""
    for images, labels in _LAYOUTS:
        if (folder / images).is_dir():
            return Layout(folder / images, folder / labels)
    return None


def labelled_cases(folder: Path) -> list[CaseFiles]:
    """The cases of a folder with their label maps, by name.

    Raises:
        CaseError: The folder holds no such layout or no cases, or a label map is missing.
    """
    volumes, labels_folder = _volumes(folder)
    labels = volumes_by_stem(labels_folder) if labels_folder.is_dir() else {}
    if not labels:
        where = labels_folder.name if labels_folder.is_dir() else f"{labels_folder.name} (there is no such folder)"
        raise CaseError(
            f"{folder} has no label maps in {where}. Annotated cases need one for every volume, under the volume's"
            " name."
        )
    names = {stem: stem if stem in labels else name for stem, name in names_of_stems(list(volumes)).items()}
    missing = sorted(name for name in names.values() if name not in labels)
    if missing:
        raise CaseError(
            f"{labels_folder} lacks the label maps of {some_of(missing)}. Add them, or take the volumes out of"
            f" {folder}."
        )
    return [CaseFiles(names[stem], path, labels[names[stem]]) for stem, path in volumes.items()]


def unlabelled_cases(folder: Path) -> list[CaseFiles]:
    """The cases of a folder by name; label maps, if any, are neither opened nor listed.

    Raises:
        CaseError: The folder holds no such layout or no cases.
    """
    volumes, _ = _volumes(folder)
    names = names_of_stems(list(volumes))
    return [CaseFiles(names[stem], path, None) for stem, path in volumes.items()]


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
            f"Source and target both hold {some_of(shared)}. One patient must not be in both domains, since the scores"
            " would flatter. Take them out of one, or pass --same-names-differ when they are different patients."
        )


def _volumes(folder: Path) -> tuple[dict[str, Path], Path]:
    if not folder.is_dir():
        raise CaseError(f"{folder} is no folder.")
    layout = find_layout(folder)
    if layout is None:
        raise CaseError(f"{folder} holds neither images/ nor imagesTr/. Put the volumes into {folder / 'images'}.")
    volumes = volumes_by_stem(layout.images)
    if not volumes:
        raise CaseError(
            f"{layout.images} holds no volumes ({', '.join(SUFFIXES)}, or a folder of DICOM files for each)."
        )
    require_single_channel(layout.images, volumes)
    return volumes, layout.labels


def volumes_by_stem(folder: Path) -> dict[str, Path]:
    """The folder's volumes by file name without suffix, in its order; folders that hold a DICOM series by their names.

    Raises:
        CaseError: Two of them share one name.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        is_volume = holds_dicom(path) if path.is_dir() else suffix_of(path) is not None and path.is_file()
        if not is_volume or path.name.startswith("."):
            continue
        stem = stem_of(path)
        if stem in found:
            raise CaseError(f"{folder} holds {stem} twice: {found[stem].name} and {path.name}. Remove one.")
        found[stem] = path
    return dict(sorted(found.items()))


def names_of_stems(stems: list[str]) -> dict[str, str]:
    """Stem to case name: without the channel where every file has it, as in nnU-Net's layout.

    Where only some end so, it is a number: ``ct_0000``, ``ct_0001``.
    """
    have_channel = all(stem.endswith(CHANNEL) for stem in stems)
    return {stem: stem.removesuffix(CHANNEL) if have_channel else stem for stem in stems}


def require_single_channel(images: Path, volumes: dict[str, Path]) -> None:
    """Raise where a case has several channels: in nnU-Net's layout ``x_0001`` is another one of the case ``x_0000``.

    Raises:
        CaseError: As said.
    """
    if images.name != "imagesTr":
        return
    for stem, path in volumes.items():
        match = _FURTHER_CHANNEL.fullmatch(stem)
        if match and not stem.endswith(CHANNEL) and f"{match[1]}{CHANNEL}" in volumes:
            raise CaseError(
                f"{path} is a second channel of the case {match[1]}; only single-channel volumes can be used. If it is"
                " a case of its own, put the volumes into a folder named images."
            )


def some_of(names: Sequence[str], limit: int = 5) -> str:
    """The first few names, and how many more there are: "a, b and 3 more"."""
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
