"""Which files and folders are DICOM, by their first bytes alone. Light, since Slicer's process lists folders."""

import os
from pathlib import Path

from cisfa.errors import VolumeFileError
from cisfa.imaging.dicom_series_uid import series_mark
from cisfa.whole_files import reason_of

_MARK_AT, _MARK = 128, b"DICM"
BEGIN_BYTES = _MARK_AT + len(_MARK)
# how a file without preamble begins: with one of a few elements of its meta header or of group 0008, in little endian,
# and a short value
_FIRST_ELEMENTS = {
    b"\x02\x00": (0x00, 0x01, 0x02, 0x03, 0x10),
    b"\x08\x00": (0x00, 0x01, 0x05, 0x08, 0x12, 0x13, 0x14, 0x16, 0x18),
}
_FIRST_KINDS = {b"UL", b"OB", b"CS", b"DA", b"TM", b"UI"}
_HEAD_BYTES, _LONGEST_FIRST_VALUE = 8, 256
_INDEX = "DICOMDIR"


def is_dicom_file(path: Path) -> bool:
    """True for a file that begins as DICOM does; False for hidden files, a DICOMDIR, and what cannot be read."""
    if is_passed_over(path):
        return False
    try:
        # no device or pipe, which would wait for ever
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return begins_as_dicom(file.read(BEGIN_BYTES))
    except (OSError, ValueError):
        return False


def is_passed_over(path: Path) -> bool:
    """True for what is no image whatever it holds, by its name: hidden files (macOS writes ._names), a DICOMDIR."""
    return path.name.startswith(".") or path.name.upper() == _INDEX


def begins_as_dicom(begin: bytes) -> bool:
    """True for a file's first :data:`BEGIN_BYTES` when it is DICOM."""
    return begin[_MARK_AT:BEGIN_BYTES] == _MARK or _begins_without_preamble(begin)


def holds_dicom(folder: Path) -> bool:
    """True for a folder at least one of whose own files is DICOM; False for what is no folder or cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return any(is_dicom_file(folder / entry.name) for entry in entries)
    except (OSError, ValueError):
        return False


def require_possible(path: Path) -> None:
    """Raise for a path that can name nothing; whether it does is for others to say.

    Raises:
        VolumeFileError: It is too long, holds a NUL, or leads through a folder that may not be entered.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        # what is to be made below folders that are yet to be made
        longest = max(path.parts, key=len, default="")
        if longest != str(path):
            require_possible(Path(longest))
    except (OSError, ValueError) as error:
        shown = str(path).replace("\0", "\\0")
        raise VolumeFileError(f"{shown} cannot be opened: {reason_of(error)}. Choose another path.") from error


def dicom_folders_below(folder: Path) -> list[Path]:
    """The folders of :func:`folders_below` that hold DICOM files directly; sorted.

    Raises:
        VolumeFileError: As there.
    """
    return sorted(place for place in folders_below(folder) if holds_dicom(place))


def folders_below(folder: Path) -> list[Path]:
    """The folders at any depth below one, itself not among them.

    Hidden folders are passed over. Links to folders are followed, but no folder is found twice, so that circles end.

    Raises:
        VolumeFileError: One cannot be opened.
    """
    found: list[Path] = []
    known = {os.path.realpath(folder)}
    for place, names, _ in os.walk(folder, onerror=_refuse, followlinks=True):
        new = []
        for name in sorted(names):
            real = os.path.realpath(Path(place) / name)
            if not name.startswith(".") and real not in known:
                known.add(real)
                new.append(name)
        names[:] = new
        found += [Path(place) / name for name in new]
    return found


def files_behind(volume: Path) -> list[Path]:
    """The files that a volume is read from: a folder's, those of a DICOM file's series, or else the file itself.

    Files that do not say their series are behind every file of their folder: never too few.
    """
    if volume.is_dir():
        return sorted(path for path in volume.iterdir() if not path.name.startswith(".") and path.is_file())
    if not is_dicom_file(volume):
        return [volume]
    mark = series_mark(volume)
    files = sorted(path for path in volume.parent.iterdir() if is_dicom_file(path))
    return [path for path in files if not mark or series_mark(path) in (mark, b"", None)]


def _refuse(error: OSError) -> None:
    """What is gone, or no folder, holds nothing; what cannot be looked into may hold a patient."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise VolumeFileError(
            f"{error.filename} cannot be opened: {reason_of(error)}. Make it readable, or name the folders without it."
        ) from error


def _begins_without_preamble(begin: bytes) -> bool:
    if len(begin) < _HEAD_BYTES or int.from_bytes(begin[2:4], "little") not in _FIRST_ELEMENTS.get(begin[:2], ()):
        return False
    return begin[4:6] in _FIRST_KINDS or int.from_bytes(begin[4:8], "little") <= _LONGEST_FIRST_VALUE
