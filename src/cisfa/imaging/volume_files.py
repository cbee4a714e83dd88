"""Read and write NIfTI (nibabel), NRRD and MetaImage (SimpleITK) without losing a voxel's place; read DICOM series.

Whatever is wrong with a file becomes a :class:`~cisfa.errors.VolumeFileError` that names it; nothing half-written is
left behind, since files are written beside their target and moved into place.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cisfa.errors import GeometryError, VolumeFileError
from cisfa.imaging import nifti
from cisfa.imaging.dicom_places import holds_dicom, is_dicom_file, require_possible
from cisfa.imaging.dicom_series import read_series
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_names import NIFTI_SUFFIXES, SUFFIXES, WRITABLE_SUFFIXES, suffix_of
from cisfa.whole_files import reason_of, write_whole

_NOT_A_VOLUME = f"not a volume: expected one of {', '.join(SUFFIXES)}."
# what a label map's frame of reference is called in the headers of NRRD and MetaImage files
_FRAME_OF_REFERENCE = "CISFA_FrameOfReferenceUID"


def read_volume(path: Path) -> Volume:
    """Read one scalar volume.

    Args:
        path: A file; a folder that holds a DICOM series, or one of its files.

    Returns:
        Voxels in the file's own scalar type (float32 when the header rescales them), axes (slice, row, column).

    Raises:
        VolumeFileError: The file is missing, unreadable, truncated, 4-D, RGB, empty, or holds NaN or infinity; or the
            slices of a DICOM series make no volume.
    """
    if is_dicom(path):
        return read_series(path)
    voxels, geometry, _ = _read(path)
    if np.issubdtype(voxels.dtype, np.floating) and not np.isfinite(voxels).all():
        wrong = int(voxels.size - np.isfinite(voxels).sum())
        raise VolumeFileError(
            f"{path} holds {wrong} voxels that are NaN or infinite. Replace them (for instance by the background's"
            " value) and save it again."
        )
    return Volume(voxels, geometry, path.name)


def is_dicom(path: Path) -> bool:
    """True for a folder that holds DICOM files, and for such a file unless it is named as another kind of volume."""
    return holds_dicom(path) or (suffix_of(path) is None and is_dicom_file(path))


def read_label_map(path: Path) -> LabelMap:
    """Read one label map; values stored as floating point are accepted when they are whole.

    Raises:
        VolumeFileError: As :func:`read_volume`, or a value is negative, fractional, or above 65535, or it is DICOM.
    """
    if is_dicom(path):
        raise VolumeFileError(
            f"{path} is DICOM, and label maps are read from {', '.join(SUFFIXES)} alone. Load it in 3D Slicer and save"
            " its segmentation as a label map."
        )
    voxels, geometry, frame_of_reference_uid = _read(path)
    if np.issubdtype(voxels.dtype, np.floating):
        fractional = voxels != np.rint(voxels)  # NaN too, being unlike itself
        if fractional.any():
            raise VolumeFileError(
                f"{path} is no label map: it holds the value {voxels[fractional][0]}, and labels are whole numbers. A"
                " label map that was resampled must be resampled with nearest neighbour."
            )
    low, high = float(voxels.min()), float(voxels.max())
    if not (low >= 0 and high <= np.iinfo(np.uint16).max):
        raise VolumeFileError(
            f"{path} is no label map: its values run from {low:g} to {high:g}, and labels run from 0 to 65535."
        )
    dtype = np.uint8 if high <= np.iinfo(np.uint8).max else np.uint16
    return LabelMap(voxels.astype(dtype), geometry, path.name, frame_of_reference_uid)


def write_label_map(label_map: LabelMap, path: Path, *, like: Path | None = None) -> None:
    """Write a label map, compressed, in the format that the path's suffix names; its frame of reference is kept.

    Args:
        label_map: What to write.
        path: Where to write it; folders that are missing are made.
        like: The volume's file that it belongs to. A NIfTI file can state two places, and programs disagree on which
            one counts: a NIfTI label map states the same two, so that it covers the volume in all of them.

    Raises:
        VolumeFileError: The suffix is unknown, or the file cannot be written.
    """
    _require_writable(path)
    if suffix_of(path) not in NIFTI_SUFFIXES:
        said = {_FRAME_OF_REFERENCE: label_map.frame_of_reference_uid} if label_map.frame_of_reference_uid else {}
        write_whole(path, lambda unfinished: _save_itk(label_map.voxels, label_map.geometry, unfinished, said))
        return
    header = nifti.header_of(label_map.voxels, label_map.geometry, intent="label")
    nifti.note_frame_of_reference(header, label_map.frame_of_reference_uid)
    if like is not None and suffix_of(like) in NIFTI_SUFFIXES:
        nifti.take_over_forms(header, label_map.geometry, like)
    write_whole(path, lambda unfinished: nifti.save(label_map.voxels, header, unfinished))


def write_volume(volume: Volume, path: Path) -> None:
    """Write a volume, compressed, in the format that the path's suffix names.

    Raises:
        VolumeFileError: The suffix is unknown, or the file cannot be written.
    """
    _require_writable(path)
    if suffix_of(path) in NIFTI_SUFFIXES:
        header = nifti.header_of(volume.voxels, volume.geometry, intent="none")
        write_whole(path, lambda unfinished: nifti.save(volume.voxels, header, unfinished))
    else:
        write_whole(path, lambda unfinished: _save_itk(volume.voxels, volume.geometry, unfinished, {}))


def _read(path: Path) -> tuple[NDArray[Any], Geometry, str]:
    """Voxels, where they lie, and the frame of reference that a label map's file names."""
    _require_readable(path)
    suffix = suffix_of(path)
    reader = _read_nifti if suffix in NIFTI_SUFFIXES else _read_itk
    voxels, matrix, frame_of_reference_uid = reader(path)
    if np.iscomplexobj(voxels):
        raise VolumeFileError(_not_scalar(path, "complex numbers"))
    if voxels.size == 0:
        raise VolumeFileError(f"{path} holds no voxels (shape {voxels.shape}).")
    try:
        return voxels, Geometry(voxels.shape, matrix), frame_of_reference_uid
    except GeometryError as error:
        raise VolumeFileError(f"{path}: {error}") from error


def _require_readable(path: Path) -> None:
    require_possible(path)
    try:
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise VolumeFileError(f"{path} does not exist.") from error
    except OSError as error:
        if os.path.isdir(path):  # noqa: PTH112 - unlike Path.is_dir, it never raises
            raise VolumeFileError(f"{path} is a folder, {_NOT_A_VOLUME}") from error
        raise VolumeFileError(f"{path} cannot be opened: {reason_of(error)}.") from error
    if suffix_of(path) is None:
        raise VolumeFileError(f"{path} is a {path.suffix or 'suffixless'} file, {_NOT_A_VOLUME}")
    if is_empty:
        raise VolumeFileError(f"{path} is empty (0 bytes). Copy or export it again.")


def _read_nifti(path: Path) -> tuple[NDArray[Any], NDArray[np.float64], str]:
    try:
        with nifti.opened(path) as file:
            shape = file.shape
            _require_three_axes(path, shape)
            if file.is_rgb:
                raise VolumeFileError(_not_scalar(path, "RGB colours"))
            return file.voxels(), file.index_to_lps(), file.frame_of_reference_uid
    except VolumeFileError:
        raise
    except MemoryError as error:
        raise VolumeFileError(
            f"{path} says that it holds {'x'.join(map(str, shape))} voxels, more than fit into this computer's memory."
            " Check that it is the right file, and close other programs."
        ) from error
    except Exception as error:  # nibabel raises what the damage happens to cause: OSError, zlib.error, struct.error
        raise VolumeFileError(_cannot_read(path, error)) from error


def _read_itk(path: Path) -> tuple[NDArray[Any], NDArray[np.float64], str]:
    import SimpleITK  # half a second that NIfTI users need not pay

    is_nrrd = suffix_of(path) in (".nrrd", ".nhdr")
    try:
        # named, since by itself ITK does not find the reader of a name in capitals
        image = SimpleITK.ReadImage(str(path), imageIO="NrrdImageIO" if is_nrrd else "MetaImageIO")
    except RuntimeError as error:
        raise VolumeFileError(_cannot_read(path, error)) from error
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise VolumeFileError(_not_scalar(path, f"{image.GetNumberOfComponentsPerPixel()} components per voxel"))
    has_frame_of_reference = image.HasMetaDataKey(_FRAME_OF_REFERENCE)
    frame_of_reference_uid = image.GetMetaData(_FRAME_OF_REFERENCE).strip() if has_frame_of_reference else ""
    dimension = image.GetDimension()
    if dimension == 2:
        image = SimpleITK.JoinSeries(image)
    elif dimension == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    _require_three_axes(path, image.GetSize())
    columns_of_axes = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    matrix = np.eye(4)
    matrix[:3, :3] = columns_of_axes[:, ::-1]
    matrix[:3, 3] = image.GetOrigin()
    return SimpleITK.GetArrayFromImage(image), matrix, frame_of_reference_uid


def _require_writable(path: Path) -> None:
    require_possible(path)
    if suffix_of(path) not in WRITABLE_SUFFIXES:
        raise VolumeFileError(f"{path}: cannot write this kind of file; use one of {', '.join(WRITABLE_SUFFIXES)}.")


def _save_itk(voxels: NDArray[Any], geometry: Geometry, path: Path, said: Mapping[str, str]) -> None:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(voxels)
    image.SetSpacing(geometry.spacing_mm[::-1])
    image.SetOrigin(geometry.origin_lps_mm.tolist())
    image.SetDirection(geometry.axes_lps[::-1].T.ravel().tolist())
    for key, value in said.items():
        image.SetMetaData(key, value)
    SimpleITK.WriteImage(image, str(path), useCompression=True)


def _require_three_axes(path: Path, shape: tuple[int, ...]) -> None:
    if len(shape) > 3:
        raise VolumeFileError(
            f"{path} has {len(shape)} dimensions ({'x'.join(map(str, shape))}); one volume has three. Split the series"
            " into its volumes first."
        )


def _not_scalar(path: Path, found: str) -> str:
    return f"{path} holds {found}, not one intensity per voxel. Export it as a greyscale volume."


def _cannot_read(path: Path, error: Exception) -> str:
    return (
        f"{path} cannot be read: it is damaged, truncated, or not what its name says ({reason_of(error)}). Copy it"
        " again."
    )
