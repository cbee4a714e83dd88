"""Which files and folders are DICOM, by their first bytes alone. Light, since Slicer's process lists folders."""

import os
import re
from pathlib import Path

_MARK_AT, _MARK = 128, b"DICM"
# how a file without preamble begins: with one of a few elements of its meta header or of group 0008, in little endian,
# and a short value
_FIRST_ELEMENTS = {
    b"\x02\x00": (0x00, 0x01, 0x02, 0x03, 0x10),
    b"\x08\x00": (0x00, 0x01, 0x05, 0x08, 0x12, 0x13, 0x14, 0x16, 0x18),
}
_FIRST_KINDS = {b"UL", b"OB", b"CS", b"DA", b"TM", b"UI"}
_HEAD_BYTES, _LONGEST_FIRST_VALUE = 8, 256
_INDEX = "DICOMDIR"
# Series Instance UID in little endian, its kind stated or not; by far the most headers have it in these first bytes
_HEADER_BYTES = 1 << 16
_SERIES = re.compile(rb"\x20\x00\x0e\x00(?:UI[\x00-\x40]\x00|[\x00-\x40]\x00\x00\x00)([0-9.]{1,64})", re.DOTALL)


def is_dicom_file(path: Path) -> bool:
    """True for a file that begins as DICOM does; False for hidden files, a DICOMDIR, and what cannot be read."""
    if path.name.startswith(".") or path.name.upper() == _INDEX:
        return False
    try:
        # no device or pipe, which would wait for ever
        if not path.is_file():
            return False
        with path.open("rb") as file:
            begin = file.read(_MARK_AT + len(_MARK))
    except OSError:
        return False
    return begin[_MARK_AT:] == _MARK or _begins_without_preamble(begin)


def holds_dicom(folder: Path) -> bool:
    """True for a folder at least one of whose own files is DICOM; False for what is no folder or cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return any(is_dicom_file(folder / entry.name) for entry in entries)
    except OSError:
        return False


def dicom_folders_below(folder: Path) -> list[Path]:
    """The folders at any depth below one, itself not among them, that hold DICOM files directly; sorted.

    Hidden folders are passed over, links to folders are not followed.
    """
    found = []
    for place, folders, _ in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place) / name for name in folders if holds_dicom(Path(place) / name)]
    return sorted(found)


def files_behind(volume: Path) -> list[Path]:
    """The files that a volume is read from: a folder's, those of a DICOM file's series, or else the file itself."""
    if volume.is_dir():
        return sorted(path for path in volume.iterdir() if not path.name.startswith(".") and path.is_file())
    if not is_dicom_file(volume):
        return [volume]
    mark = series_mark(volume)
    return sorted(path for path in volume.parent.iterdir() if is_dicom_file(path) and series_mark(path) == mark)


def series_mark(path: Path) -> bytes:
    """Series Instance UID of a DICOM file as it stands in its first bytes; empty where it stands nowhere there.

    Good enough to tell the files of one series from others in a folder, in a process that must stay light.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(_HEADER_BYTES)
    except OSError:
        return b""
    # series that the image refers to stand before its own
    found = _SERIES.findall(begin)
    return bytes(found[-1]) if found else b""


def _begins_without_preamble(begin: bytes) -> bool:
    if len(begin) < _HEAD_BYTES or int.from_bytes(begin[2:4], "little") not in _FIRST_ELEMENTS.get(begin[:2], ()):
        return False
    return begin[4:6] in _FIRST_KINDS or int.from_bytes(begin[4:8], "little") <= _LONGEST_FIRST_VALUE
