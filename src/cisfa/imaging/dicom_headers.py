"""Headers of DICOM files, read so that no slice is lost without a word: what cannot be opened or was cut is refused."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cisfa.errors import VolumeFileError
from cisfa.imaging.dicom_places import BEGIN_BYTES, begins_as_dicom, is_passed_over
from cisfa.whole_files import reason_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_TEXT = re.compile(rb"[\t\r\n\x20-\x7e\x80-\xff]+")
_USUAL_SUFFIXES = (".dcm", ".ima", ".dicom")


def read_header(path: Path) -> "Dataset | None":
    """What a file says without its pixels; None for one that is not DICOM.

    Raises:
        VolumeFileError: It cannot be opened, or it begins as DICOM does but cannot be read.
    """
    begin = _begin_of(path)
    return _header(path) if begin is not None and begins_as_dicom(begin) else None


def headers_in(folder: Path) -> "Iterator[tuple[Path, Dataset | VolumeFileError]]":
    """The DICOM files among a folder's own, with what each says, or with what is wrong with it where it is damaged.

    Raises:
        VolumeFileError: A file cannot be opened, or was cut before it says that it is DICOM but is called like those.
    """
    begins = {path: begin for path in visible_files(folder) if (begin := _begin_of(path)) is not None}
    found = {path for path, begin in begins.items() if begins_as_dicom(begin)}
    suffixes = {_suffix(path) for path in found}
    for path, begin in begins.items():
        if path not in found and _suffix(path) in suffixes and _is_cut(begin):
            raise VolumeFileError(_cut(path, begin))
    for path in begins:
        if path in found:
            try:
                yield path, _header(path)
            except VolumeFileError as error:
                yield path, error


def may_be_lost(path: Path) -> VolumeFileError | None:
    """What is wrong with a file that has no header but may have been a slice: of a usual name, but cut or closed."""
    try:
        begin = _begin_of(path)
    except VolumeFileError as error:
        return error if _suffix(path) in ("", *_USUAL_SUFFIXES) else None
    is_lost = begin is not None and _suffix(path) in _USUAL_SUFFIXES and _is_cut(begin)
    return VolumeFileError(_cut(path, begin or b"")) if is_lost else None


def visible_files(folder: Path) -> list[Path]:
    """What lies in a folder, sorted, without hidden files.

    Raises:
        VolumeFileError: It cannot be opened.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(folder / entry.name for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise VolumeFileError(f"{folder} cannot be opened: {reason_of(error)}.") from error


def _header(path: Path) -> "Dataset":
    import pydicom

    try:
        return pydicom.dcmread(path, stop_before_pixels=True, force=True)
    except Exception as error:  # pydicom raises what the damage happens to cause
        raise VolumeFileError(
            f"{path} cannot be read: it is damaged or truncated ({reason_of(error)}). Copy or export it again."
        ) from error


def _begin_of(path: Path) -> bytes | None:
    """The first bytes; None for what is no file, a device or pipe, which would wait for ever, or of no DICOM name."""
    if is_passed_over(path):
        return None
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        with path.open("rb") as file:
            return file.read(BEGIN_BYTES)
    except OSError as error:
        raise VolumeFileError(
            f"{path} cannot be opened: {reason_of(error)}. Copy it again or make it readable, since it may be a slice."
        ) from error


def _suffix(path: Path) -> str:
    """In lower case; UIDs, as files of series are called, and numbered files have none."""
    return "" if path.suffix[1:].isdigit() else path.suffix.lower()


def _is_cut(begin: bytes) -> bool:
    # some copies that fail leave the whole size, and nothing in it; a short text is none of a scanner's files
    is_short = len(begin) < BEGIN_BYTES and not _TEXT.fullmatch(begin)
    return is_short or not begin.strip(b"\0")


def _cut(path: Path, begin: bytes) -> str:
    found = f"truncated ({len(begin)} bytes)" if len(begin) < BEGIN_BYTES else "damaged (it begins with zeros alone)"
    return f"{path} is {found}; copy the series again, or take the file away if it is none of its slices."
