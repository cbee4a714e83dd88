"""What a NIfTI file says about itself: where its voxels lie, how they are scaled, whether it arrived whole.

``volume_files`` is the door; this is the part of it that is NIfTI's alone.
"""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import nibabel
import numpy as np
from numpy.typing import NDArray

from cisfa.errors import VolumeFileError
from cisfa.imaging.geometry import Geometry

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_NIFTI_2_HEADER_BYTES = 540
# xyzt_units: metre and micrometre; anything else is taken for mm, as every program does
_MM_OF_UNIT = {1: 1000.0, 3: 0.001}
# where a header states a place: as a rotation (qform) and as a matrix (sform)
_FORM_FIELDS = (
    *("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("sform_code", "srow_x", "srow_y", "srow_z"),
)
_SCANNER = 1
# a header extension that programs show and otherwise leave alone
_COMMENT_CODE, _FRAME_OF_REFERENCE = 6, "FrameOfReferenceUID="


@dataclass(frozen=True)
class NiftiFile:
    """An open NIfTI-1 or NIfTI-2 file.

    Attributes:
        path: For messages.
        image: nibabel's, its voxels not yet read.
        stream: What it is read from.
    """

    path: Path
    image: Any
    stream: gzip.GzipFile | BinaryIO

    @property
    def shape(self) -> tuple[int, ...]:
        """(columns, rows, slices, ...) without trailing ones: three, unless it is more than one volume."""
        shape = tuple(int(count) for count in self.image.shape)
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        return (*shape, 1, 1, 1)[: max(3, len(shape))]

    @property
    def is_rgb(self) -> bool:
        """True when each voxel is a colour."""
        return self.image.get_data_dtype().fields is not None

    @property
    def frame_of_reference_uid(self) -> str:
        """What a comment in the header says of the DICOM frame of reference; empty where none does."""
        comments = [one.get_content() for one in self.image.header.extensions if one.get_code() == _COMMENT_CODE]
        texts = [one.decode("ascii", errors="replace") if isinstance(one, bytes) else str(one) for one in comments]
        found = (text.removeprefix(_FRAME_OF_REFERENCE) for text in texts if text.startswith(_FRAME_OF_REFERENCE))
        return next(found, "").strip(" \0")

    def voxels(self) -> NDArray[Any]:
        """(slices, rows, columns), in the file's scalar type, or float32 when the header rescales them."""
        stored = self.image.dataobj.get_unscaled().reshape(self.shape).transpose(2, 1, 0)
        while self.stream.read(1 << 20):
            pass  # gzip compares its checksum at the very end, which nothing else would read
        slope, offset = self.image.dataobj.slope, self.image.dataobj.inter
        if (slope, offset) == (1, 0):
            return np.ascontiguousarray(stored, dtype=stored.dtype.newbyteorder("="))
        scaled = np.empty(stored.shape, np.float32)
        for one_scaled, one_slice in zip(scaled, stored, strict=True):  # never all of it in double precision
            one_scaled[:] = one_slice * float(slope) + float(offset)
        return scaled

    def index_to_lps(self) -> NDArray[np.float64]:
        """4x4, takes (slice, row, column, 1) to LPS mm; from the sform where it is set, else from the qform.

        Raises:
            VolumeFileError: Neither is set.
        """
        header = self.image.header
        if header["qform_code"] <= 0 and header["sform_code"] <= 0:
            # programs guess, and differently: nibabel, ITK and the standard's method 1 each mirror another axis
            raise VolumeFileError(
                f"{self.path} does not say how it lies in the patient (its qform_code and sform_code are 0), so that"
                " left and right are unknown. Convert it from its DICOM series again; or open it in 3D Slicer, check"
                " left and right, and save it as NRRD."
            )
        matrix: NDArray[np.float64] = (_RAS_TO_LPS @ header.get_best_affine())[:, [2, 1, 0, 3]]
        matrix[:3] *= _MM_OF_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)
        return matrix


@contextmanager
def opened(path: Path) -> Iterator[NiftiFile]:
    """Open a file; what nibabel raises when it is damaged passes through."""
    is_packed = path.name.lower().endswith(".gz")
    with gzip.open(path, "rb") if is_packed else path.open("rb") as stream:
        first = stream.read(4)
        stream.seek(0)
        sizes = int.from_bytes(first, "little"), int.from_bytes(first, "big")
        kind = nibabel.Nifti2Image if _NIFTI_2_HEADER_BYTES in sizes else nibabel.Nifti1Image
        # not mapped: a mapped file cannot be replaced on Windows, and kills the process when it shrinks
        yield NiftiFile(path, kind.from_file_map(kind.make_file_map({"image": stream}), mmap=False), stream)


def header_of(voxels: NDArray[Any], geometry: Geometry, *, intent: str) -> Any:
    """A NIfTI-1 header that states the place both ways; a sheared grid has no rotation, so only the matrix."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(voxels.dtype)
    header.set_data_shape(voxels.shape[::-1])
    to_ras = _RAS_TO_LPS @ geometry.index_to_lps[:, [2, 1, 0, 3]]
    axes = geometry.axes_lps
    is_orthogonal = np.allclose(axes @ axes.T, np.eye(3), atol=1e-4)
    header.set_qform(to_ras, _SCANNER if is_orthogonal else 0)
    header.set_sform(to_ras, _SCANNER)
    header.set_xyzt_units("mm", "sec")
    header.set_intent(intent)
    return header


def note_frame_of_reference(header: Any, uid: str) -> None:
    """Say in a header which DICOM frame of reference the voxels lie in; nothing for an empty UID."""
    if uid:
        text = f"{_FRAME_OF_REFERENCE}{uid}".encode("ascii", errors="ignore")
        header.extensions.append(nibabel.nifti1.Nifti1Extension(_COMMENT_CODE, text))


def take_over_forms(header: Any, geometry: Geometry, like: Path) -> None:
    """Let a header state the very places that another file states, provided that it has this geometry."""
    with suppress(OSError), opened(like) as file:
        is_same = file.shape == geometry.shape[::-1] and geometry.is_same_grid(
            Geometry(geometry.shape, file.index_to_lps())
        )
        if is_same:
            theirs = file.image.header
            for field in _FORM_FIELDS:
                header[field] = theirs[field]
            header["pixdim"][:4] = theirs["pixdim"][:4]
            header["xyzt_units"] = theirs["xyzt_units"]


def save(voxels: NDArray[Any], header: Any, path: Path) -> None:
    """Write (slices, rows, columns), compressed when the name ends in .gz; the same content gives the same bytes."""
    image = nibabel.Nifti1Image(voxels.transpose(2, 1, 0), None, header)
    with path.open("wb") as file:
        if path.name.lower().endswith(".gz"):
            with gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=file, mtime=0) as packed:
                image.to_stream(packed)
        else:
            image.to_stream(file)
