"""Files and folders of a downloaded data set, whatever archivers and systems have left among them."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from cisfa.errors import CaseError
from cisfa.imaging.dicom_places import folders_below
from cisfa.imaging.volume_names import NIFTI_SUFFIXES, suffix_of

# what macOS puts into archives, beside the hidden files "._name"
_RESOURCE_FORKS = "__MACOSX"


def folders_in(raw: Path) -> list[Path]:
    """The folder itself and all below it, hidden ones and those of resource forks left out; sorted.

    Raises:
        VolumeFileError: One cannot be opened.
    """
    return sorted(folder for folder in [raw, *folders_below(raw)] if _RESOURCE_FORKS not in folder.parts)


def files_of(folder: Path) -> list[Path]:
    """The visible files directly in a folder, sorted."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file())


def volumes_of(folder: Path) -> list[Path]:
    """The NIfTI files directly in a folder, sorted."""
    return [path for path in files_of(folder) if suffix_of(path) in NIFTI_SUFFIXES]


def files_named(raw: Path, pattern: re.Pattern[str]) -> Iterator[Path]:
    """The visible files at any depth whose whole name matches."""
    return (path for folder in folders_in(raw) for path in files_of(folder) if pattern.fullmatch(path.name))


def by_key(found: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    """Key to path.

    Raises:
        CaseError: A key is there twice, as where a download lies beside a copy of it.
    """
    paths: dict[str, Path] = {}
    for key, path in found:
        if key in paths:
            raise CaseError(
                f"{key} is there twice: {paths[key]} and {path}. Name the folder that holds one of them, not both."
            )
        paths[key] = path
    return paths
