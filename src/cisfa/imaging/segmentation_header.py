"""The names, values and codes of segments in the header of a segmentation that 3D Slicer saved (``.seg.nrrd``).

Slicer writes ``Segment0_Name:=liver``, ``Segment0_LabelValue:=1``, ``Segment0_Layer:=0`` and, in ``Segment0_Tags`` or
a field of its own, a terminology entry: parts between ``~``, of a code scheme, value and meaning with ``^`` between
them. A NRRD header is text, so this needs nothing heavy.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from cisfa.errors import VolumeFileError
from cisfa.imaging.organs import HIGHEST_LABEL, Code
from cisfa.imaging.segments import Segment
from cisfa.imaging.volume_names import suffix_of

_NRRD_SUFFIXES = (".nrrd", ".nhdr")
_LONGEST_HEADER = 1 << 24
_FIELD = re.compile(r"Segment(\d+)_(\w+)")
_ENTRY_TAGS = ("TerminologyEntry", "Segmentation.TerminologyEntry")
# what Slicer gives every new segment, whatever it is: "Tissue"
_PLACEHOLDERS = ("85756007", "T-D0050")


def header_segments(path: Path) -> tuple[Segment, ...]:
    """What a label map's own header says of its values; nothing for files that say nothing.

    Args:
        path: A label map of any format.

    Returns:
        The segments by rising value.

    Raises:
        VolumeFileError: Its segments lie in several layers, since they overlap.
    """
    if suffix_of(path) not in _NRRD_SUFFIXES:
        return ()
    by_number: dict[int, dict[str, str]] = {}
    for key, text in _fields(path):
        match = _FIELD.fullmatch(key)
        if match:
            by_number.setdefault(int(match[1]), {})[match[2]] = text
    layers = {_whole_number(fields.get("Layer", "0"), 0) for fields in by_number.values()}
    if len(layers) > 1:
        raise VolumeFileError(
            f"{path} holds {len(by_number)} segments in {len(layers)} layers, since they overlap; a voxel can be of one"
            " organ only. Export them in 3D Slicer as a labelmap, or remove the overlap in its Segment Editor."
        )
    segments = {}
    for number, fields in sorted(by_number.items()):
        value = _whole_number(fields.get("LabelValue", ""), number + 1)
        name = " ".join(fields.get("Name", "").split())
        if name and 1 <= value <= HIGHEST_LABEL:
            segments[value] = Segment(value, name, *codes_of_terminology(_entry(fields)))
    return tuple(segments[value] for value in sorted(segments))


def codes_of_terminology(entry: str) -> tuple[Code | None, Code | None]:
    """Type and laterality of a terminology entry of Slicer's.

    Args:
        entry: Context, category, type, modifier of the type and more, with ``~`` between them.

    Returns:
        None for what it does not say; a type that Slicer gives every new segment counts as none.
    """
    _, kind, side = codes_with_category(entry)
    return kind, side


def codes_with_category(entry: str) -> tuple[Code | None, Code | None, Code | None]:
    """Category, type and laterality of a terminology entry, as :func:`codes_of_terminology` reads it."""
    parts = [part.split("^") for part in entry.split("~")]
    codes = [Code(*part) if len(part) == 3 and part[0] and part[1] else None for part in parts[1:4]]
    category, kind, side = (*codes, None, None, None)[:3]
    if kind is None or kind.value in _PLACEHOLDERS:
        return None, None, None
    return category, kind, side


def _entry(fields: Mapping[str, str]) -> str:
    """A segment's terminology entry, in a field of its own or among its tags (``name:value|name:value``)."""
    if "TerminologyEntry" in fields:
        return fields["TerminologyEntry"]
    for tag in fields.get("Tags", "").split("|"):
        name, _, value = tag.partition(":")
        if name in _ENTRY_TAGS:
            return value
    return ""


def _fields(path: Path) -> Iterator[tuple[str, str]]:
    """The custom fields of a NRRD header; none of a file that is no NRRD, which whoever reads its voxels finds out."""
    try:
        with path.open("rb") as file:
            if not file.readline(_LONGEST_HEADER).startswith(b"NRRD"):
                return
            for line in iter(lambda: file.readline(_LONGEST_HEADER).rstrip(b"\r\n"), b""):
                key, mark, text = line.decode("utf-8", errors="replace").partition(":=")
                if mark and not key.startswith("#"):
                    yield key, text.replace("\\n", "\n").replace("\\\\", "\\")
    except OSError:
        return


def _whole_number(text: str, otherwise: int) -> int:
    return int(text) if text.strip().isascii() and text.strip().isdigit() else otherwise
