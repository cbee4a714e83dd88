"""The stored values of DICOM pixel data, native or compressed; rescaling them is not done here."""

import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cisfa.errors import VolumeFileError
from cisfa.imaging.dicom_values import text, whole_number
from cisfa.whole_files import reason_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_PIXEL_DATA = 0x7FE00010
_EXPLICIT_LITTLE, _EXPLICIT_BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
_NATIVE = ("1.2.840.10008.1.2", _EXPLICIT_LITTLE, _EXPLICIT_BIG, "1.2.840.10008.1.2.1.99")
_RLE = "1.2.840.10008.1.2.5"
_SECONDARY_CAPTURE, _MULTI_FRAME_CAPTURE = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.3"
_CAPTURE_OF_BYTES = "1.2.840.10008.5.1.4.1.1.7.2"
_GREY = ("MONOCHROME1", "MONOCHROME2", "")


@dataclass(frozen=True)
class PixelLayout:
    """How a file's pixels are stored.

    Attributes:
        frames: Number of frames.
        rows: Of each.
        columns: Of each.
        allocated: Bits of a pixel in the file: 8, 16 or 32.
        stored: Bits of these that count.
        high_bit: The highest of these, from 0.
        is_signed: True for two's complement.
    """

    frames: int
    rows: int
    columns: int
    allocated: int
    stored: int
    high_bit: int
    is_signed: bool

    @property
    def size_bytes(self) -> int:
        """Of all frames, not compressed."""
        return self.frames * self.rows * self.columns * self.allocated // 8

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of stored values."""
        return np.dtype(f"{'i' if self.is_signed else 'u'}{self.allocated // 8}")


def layout_of(header: "Dataset", where: str) -> PixelLayout:
    """How a file's pixels are stored.

    Raises:
        VolumeFileError: They are colours, single bits, floating point, or of impossible sizes.
    """

    def of(keyword: str, default: int) -> int:
        return whole_number(header, keyword, where, default)

    samples, meaning = of("SamplesPerPixel", 1), text(header, "PhotometricInterpretation").upper()
    if samples != 1 or meaning not in _GREY:
        raise VolumeFileError(
            f"{where} holds colours ({meaning or 'unknown'}, {samples} samples per pixel), not one intensity per voxel."
            " Name a greyscale series."
        )
    allocated = of("BitsAllocated", 16)
    if allocated not in (8, 16, 32):
        raise VolumeFileError(
            f"{where} stores {allocated} {'bit' if allocated == 1 else 'bits'} per pixel; 8, 16 and 32 can be read."
            " Export the series again."
        )
    stored = of("BitsStored", allocated)
    high_bit = of("HighBit", stored - 1)
    if not (1 <= stored <= allocated and stored - 1 <= high_bit < allocated):
        raise VolumeFileError(
            f"{where} is damaged: {stored} bits of a pixel are used up to bit {high_bit}, but there are {allocated}."
            " Export the series again."
        )
    return PixelLayout(
        frames=of("NumberOfFrames", 1), rows=of("Rows", 0), columns=of("Columns", 0), allocated=allocated,
        stored=stored, high_bit=high_bit, is_signed=of("PixelRepresentation", 0) == 1,
    )  # fmt: skip


def read_stored(path: Path) -> NDArray[Any]:
    """The stored values of a file.

    Returns:
        (frames, rows, columns), integers of the file's own size.

    Raises:
        VolumeFileError: The file is damaged or truncated, or its pixels are of no kind that is known.
    """
    import pydicom

    try:
        dataset = pydicom.dcmread(path, force=True)
        value = dataset.get_item(_PIXEL_DATA).value if _PIXEL_DATA in dataset else None
    except Exception as error:  # pydicom raises what the damage happens to cause
        raise VolumeFileError(_damaged(path, reason_of(error))) from error
    layout = layout_of(dataset, str(path))
    if not value:
        if any(name in dataset for name in ("FloatPixelData", "DoubleFloatPixelData")):
            raise VolumeFileError(
                f"{path} holds floating point pixels, which are not supported. Export it as integers."
            )
        raise VolumeFileError(f"{path} is truncated: it ends before its pixels. Copy or export it again.")
    syntax = _transfer_syntax(dataset)
    if syntax in _NATIVE:
        values = _native(value, layout, path, is_big=syntax == _EXPLICIT_BIG)
    elif syntax == _RLE:
        values = _run_lengths(dataset, layout, path)
    else:
        values = _by_gdcm(value, layout, syntax, path)
    return _meant(values, layout)


def _transfer_syntax(dataset: "Dataset") -> str:
    found = text(dataset.file_meta, "TransferSyntaxUID") if hasattr(dataset, "file_meta") else ""
    if found:
        return found
    # pydicom 2 and 3 call differently what they found out
    _, is_little = getattr(dataset, "original_encoding", (None, getattr(dataset, "read_little_endian", True)))
    return _EXPLICIT_BIG if is_little is False else _EXPLICIT_LITTLE


def _native(value: bytes, layout: PixelLayout, path: Path, *, is_big: bool) -> NDArray[Any]:
    if len(value) < layout.size_bytes:
        raise VolumeFileError(
            f"{path} is truncated: it holds {len(value)} of {layout.size_bytes} bytes of pixels. Copy or export it"
            " again."
        )
    dtype = layout.dtype.newbyteorder(">" if is_big else "<")
    pixels = np.frombuffer(value, dtype, count=layout.frames * layout.rows * layout.columns)
    return pixels.reshape(layout.frames, layout.rows, layout.columns)


def _run_lengths(dataset: "Dataset", layout: PixelLayout, path: Path) -> NDArray[Any]:
    try:
        values: NDArray[Any] = dataset.pixel_array
        return values.reshape(layout.frames, layout.rows, layout.columns)
    except Exception as error:  # as above
        raise VolumeFileError(_damaged(path, reason_of(error))) from error


def _by_gdcm(value: bytes, layout: PixelLayout, syntax: str, path: Path) -> NDArray[Any]:
    """Decode by SimpleITK, which brings GDCM along wherever this package runs.

    From a copy that says nothing but how the pixels are stored: of the original, GDCM would rescale the values by its
    own lights, all frames alike.
    """
    import SimpleITK

    with tempfile.TemporaryDirectory(prefix="cisfa-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / "pixels.dcm"
        copy.write_bytes(_bare_file(value, layout, syntax))
        try:
            image = SimpleITK.ReadImage(str(copy), imageIO="GDCMImageIO")
        except RuntimeError as error:
            raise VolumeFileError(
                f"{path} cannot be decompressed: its pixels are damaged or truncated, or its compression"
                f" ({_name_of(syntax)}) is not supported. Copy or export it again, uncompressed if possible."
            ) from error
    values = SimpleITK.GetArrayFromImage(image)
    if values.size != layout.frames * layout.rows * layout.columns:
        raise VolumeFileError(_damaged(path, f"its pixels unpack to {'x'.join(map(str, values.shape))}"))
    return values.reshape(layout.frames, layout.rows, layout.columns)


def _bare_file(value: bytes, layout: PixelLayout, syntax: str) -> bytes:
    """A DICOM file (explicit VR, little endian) around compressed pixels."""
    several = _CAPTURE_OF_BYTES if layout.allocated == 8 else _MULTI_FRAME_CAPTURE
    kind = _SECONDARY_CAPTURE if layout.frames == 1 else several
    instance = "2.25.1"
    meta = _element(0x0002, 0x0001, "OB", b"\0\1") + b"".join(
        _element(0x0002, number, "UI", uid.encode("ascii", errors="replace"))
        for number, uid in ((0x0002, kind), (0x0003, instance), (0x0010, syntax), (0x0012, instance))
    )
    numbers = (
        (0x0002, 1), (0x0010, layout.rows), (0x0011, layout.columns), (0x0100, layout.allocated),
        (0x0101, layout.stored), (0x0102, layout.high_bit), (0x0103, int(layout.is_signed)),
    )  # fmt: skip
    elements = {number: _element(0x0028, number, "US", struct.pack("<H", found)) for number, found in numbers}
    elements[0x0004] = _element(0x0028, 0x0004, "CS", b"MONOCHROME2")
    if layout.frames > 1:
        elements[0x0008] = _element(0x0028, 0x0008, "IS", str(layout.frames).encode("ascii"))
    return b"".join((
        bytes(128), b"DICM", _element(0x0002, 0x0000, "UL", struct.pack("<I", len(meta))), meta,
        _element(0x0008, 0x0016, "UI", kind.encode("ascii")), _element(0x0008, 0x0018, "UI", instance.encode("ascii")),
        *(elements[number] for number in sorted(elements)),
        struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF), value, struct.pack("<HHI", 0xFFFE, 0xE0DD, 0),
    ))  # fmt: skip


def _element(group: int, number: int, kind: str, value: bytes) -> bytes:
    padded = value if len(value) % 2 == 0 else value + (b"\0" if kind in ("UI", "OB") else b" ")
    head = struct.pack("<HH2s", group, number, kind.encode("ascii"))
    return head + (struct.pack("<HI", 0, len(padded)) if kind == "OB" else struct.pack("<H", len(padded))) + padded


def _meant(values: NDArray[Any], layout: PixelLayout) -> NDArray[Any]:
    """The values without the bits that do not count (overlays of old scanners), the sign where it belongs."""
    if layout.stored == layout.allocated:
        return values.astype(layout.dtype, copy=False)
    above, below = layout.allocated - 1 - layout.high_bit, layout.high_bit + 1 - layout.stored
    # shifted as signed, the highest bit that counts fills what is above it
    shifted = values.astype(layout.dtype) << above if above else values.astype(layout.dtype)
    return shifted >> (above + below)


def _name_of(syntax: str) -> str:
    from pydicom.uid import UID

    return UID(syntax).name


def _damaged(path: Path, reason: str) -> str:
    return f"{path} cannot be read: its pixels are damaged or truncated ({reason}). Copy or export it again."
