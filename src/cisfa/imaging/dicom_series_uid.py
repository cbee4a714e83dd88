"""The Series Instance UID of a DICOM file, found by walking its elements. Light: Slicer's process has no pydicom."""

import io
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_PREAMBLE, _MARK = 128, b"DICM"
_META_GROUP, _TRANSFER_SYNTAX, _SERIES_UID = 0x0002, 0x00020010, 0x0020000E
_DEFLATED, _EXPLICIT_BIG = b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.2"
_ITEM, _END_OF_ITEM, _END_OF_SEQUENCE = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DELIMITERS = 0xFFFE
_UNDEFINED = 0xFFFFFFFF
# kinds whose length takes four bytes, two unused ones before them (PS3.5 7.1.2)
_LONG_KINDS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_LONGEST_UID = 64
# a header has thousands at most; what has more is no header, and must not keep a window waiting
_MOST_ELEMENTS = 50_000
_DEEPEST = 32
_MOST_INFLATED_BYTES = 4 << 20


@dataclass(frozen=True)
class _Element:
    tag: int
    kind: bytes
    length: int


class _Elements:
    """The elements of a file, one after the other."""

    def __init__(self, file: BinaryIO, *, is_big: bool, is_explicit: bool) -> None:
        self._file = file
        self._order = ">" if is_big else "<"
        self._is_explicit = is_explicit
        self._left = _MOST_ELEMENTS

    def next(self, *, is_explicit: bool | None = None) -> _Element:
        """The head of the next one, whose value comes next in the file."""
        self._left -= 1
        if self._left < 0:
            raise ValueError("too many elements")
        head = self._file.read(8)
        group, number, length = struct.unpack(f"{self._order}HHI", head)
        tag = group << 16 | number
        if group == _DELIMITERS or not (self._is_explicit if is_explicit is None else is_explicit):
            return _Element(tag, b"", length)
        kind = head[4:6]
        if kind in _LONG_KINDS:
            return _Element(tag, kind, struct.unpack(f"{self._order}I", self._file.read(4))[0])
        return _Element(tag, kind, struct.unpack(f"{self._order}H", head[6:])[0])

    def value(self, element: _Element) -> bytes:
        """The value of a UID."""
        if element.length > _LONGEST_UID:
            raise ValueError("no UID")
        found = self._file.read(element.length)
        if len(found) < element.length:
            raise ValueError("cut off")
        return found.strip(b" \0")

    def skip(self, element: _Element, *, is_explicit: bool | None = None, depth: int = 0) -> None:
        """Go past a value, item by item where it does not say how long it is."""
        if element.length != _UNDEFINED:
            self._file.seek(element.length, os.SEEK_CUR)
            return
        if depth > _DEEPEST:
            raise ValueError("too deep")
        # of unknown kind and length: written as if kinds were not stated (PS3.5 6.2.2)
        inner = False if element.kind == b"UN" else is_explicit
        while (item := self.next(is_explicit=inner)).tag != _END_OF_SEQUENCE:
            if item.tag != _ITEM:
                raise ValueError("no item")
            if item.length != _UNDEFINED:
                self.skip(item)
                continue
            while (part := self.next(is_explicit=inner)).tag != _END_OF_ITEM:
                self.skip(part, is_explicit=inner, depth=depth + 1)


def series_mark(path: Path) -> bytes | None:
    """Series Instance UID of a DICOM file; empty where it has none, None where its header cannot be followed so far."""
    try:
        with path.open("rb") as file:
            return _series_uid(file)
    except (OSError, ValueError, struct.error, zlib.error):
        return None


def _series_uid(file: BinaryIO) -> bytes | None:
    begin = file.read(_PREAMBLE + len(_MARK))
    if begin[_PREAMBLE:] != _MARK:
        file.seek(0)
    syntax = _skip_meta(file)
    if syntax == _DEFLATED:
        file = io.BytesIO(zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(), _MOST_INFLATED_BYTES))
    begin = _peek(file)
    # without meta header the group tells: it is 0008 in most files, and small in all
    is_big = syntax == _EXPLICIT_BIG or (not syntax and begin[:1] == b"\0" and begin[1:2] != b"\0")
    elements = _Elements(file, is_big=is_big, is_explicit=_states_kinds(begin))
    while (element := elements.next()).tag < _SERIES_UID:
        elements.skip(element)
    return elements.value(element) if element.tag == _SERIES_UID else b""


def _skip_meta(file: BinaryIO) -> bytes:
    """Go past the meta header, where there is one; the transfer syntax that it says, else empty."""
    syntax = b""
    elements = _Elements(file, is_big=False, is_explicit=_states_kinds(_peek(file)))
    while int.from_bytes(_peek(file)[:2], "little") == _META_GROUP:
        element = elements.next()
        if element.tag == _TRANSFER_SYNTAX:
            syntax = elements.value(element)
        else:
            elements.skip(element)
    return syntax


def _peek(file: BinaryIO) -> bytes:
    begin = file.read(8)
    file.seek(-len(begin), os.SEEK_CUR)
    return begin


def _states_kinds(begin: bytes) -> bool:
    kind = begin[4:6]
    return len(kind) == 2 and kind.isalpha() and kind.isupper()
