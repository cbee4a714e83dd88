"""Read and write NIfTI (nibabel), NRRD and MetaImage (SimpleITK) without losing a voxel's place.

Whatever is wrong with a file becomes a :class:`~cisfa.errors.VolumeFileError` that names it; nothing half-written is
left behind, since files are written beside their target and moved into place.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cisfa.errors import GeometryError, VolumeFileError
from cisfa.imaging import nifti
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_names import NIFTI_SUFFIXES, SUFFIXES, WRITABLE_SUFFIXES, suffix_of
from cisfa.whole_files import reason_of, write_whole

_NOT_A_VOLUME = f"not a volume: expected one of {', '.join(SUFFIXES)}."


def read_volume(path: Path) -> Volume:
    """Read one scalar volume.

    Returns:
        Voxels in the file's own scalar type (float32 when the header rescales them), axes (slice, row, column).

    Raises:
        VolumeFileError: The file is missing, unreadable, truncated, 4-D, RGB, empty, or holds NaN or infinity.
    """
    voxels, geometry = _read(path)
    if np.issubdtype(voxels.dtype, np.floating) and not np.isfinite(voxels).all():
        wrong = int(voxels.size - np.isfinite(voxels).sum())
        raise VolumeFileError(
            f"{path} holds {wrong} voxels that are NaN or infinite. Replace them (for instance by the background's"
            " value) and save it again."
        )
    return Volume(voxels, geometry, path.name)


def read_label_map(path: Path) -> LabelMap:
    """Read one label map; values stored as floating point are accepted when they are whole.

    Raises:
        VolumeFileError: As :func:`read_volume`, or a value is negative, fractional, or above 65535.
    """
    voxels, geometry = _read(path)
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
    return LabelMap(voxels.astype(dtype), geometry, path.name)


def write_label_map(label_map: LabelMap, path: Path, *, like: Path | None = None) -> None:
    """Write a label map, compressed, in the format that the path's suffix names.

    Args:
        label_map: What to write.
        path: Where to write it; folders that are missing are made.
        like: The volume's file that it belongs to. A NIfTI file can state two places, and programs disagree on which
            one counts: a NIfTI label map states the same two, so that it covers the volume in all of them.

    Raises:
        VolumeFileError: The suffix is unknown, or the file cannot be written.
    """
    _write(label_map.voxels, label_map.geometry, path, intent="label", like=like)


def write_volume(volume: Volume, path: Path) -> None:
    """Write a volume, compressed, in the format that the path's suffix names.

    Raises:
        VolumeFileError: The suffix is unknown, or the file cannot be written.
    """
    _write(volume.voxels, volume.geometry, path, intent="none")


def _read(path: Path) -> tuple[NDArray[Any], Geometry]:
    _require_readable(path)
    suffix = suffix_of(path)
    reader = _read_nifti if suffix in NIFTI_SUFFIXES else _read_itk
    voxels, matrix = reader(path)
    if np.iscomplexobj(voxels):
        raise VolumeFileError(_not_scalar(path, "complex numbers"))
    if voxels.size == 0:
        raise VolumeFileError(f"{path} holds no voxels (shape {voxels.shape}).")
    try:
        return voxels, Geometry(voxels.shape, matrix)
    except GeometryError as error:
        raise VolumeFileError(f"{path}: {error}") from error


def _require_readable(path: Path) -> None:
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


def _read_nifti(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    try:
        with nifti.opened(path) as file:
            shape = file.shape
            _require_three_axes(path, shape)
            if file.is_rgb:
                raise VolumeFileError(_not_scalar(path, "RGB colours"))
            return file.voxels(), file.index_to_lps()
    except VolumeFileError:
        raise
    except MemoryError as error:
        raise VolumeFileError(
            f"{path} says that it holds {'x'.join(map(str, shape))} voxels, more than fit into this computer's memory."
            " Check that it is the right file, and close other programs."
        ) from error
    except Exception as error:  # nibabel raises what the damage happens to cause: OSError, zlib.error, struct.error
        raise VolumeFileError(_cannot_read(path, error)) from error


def _read_itk(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    import SimpleITK  # half a second that NIfTI users need not pay

    is_nrrd = suffix_of(path) in (".nrrd", ".nhdr")
    try:
        # named, since by itself ITK does not find the reader of a name in capitals
        image = SimpleITK.ReadImage(str(path), imageIO="NrrdImageIO" if is_nrrd else "MetaImageIO")
    except RuntimeError as error:
        raise VolumeFileError(_cannot_read(path, error)) from error
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise VolumeFileError(_not_scalar(path, f"{image.GetNumberOfComponentsPerPixel()} components per voxel"))
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
    return SimpleITK.GetArrayFromImage(image), matrix


def _write(voxels: NDArray[Any], geometry: Geometry, path: Path, *, intent: str, like: Path | None = None) -> None:
    suffix = suffix_of(path)
    if suffix not in WRITABLE_SUFFIXES:
        raise VolumeFileError(f"{path}: cannot write this kind of file; use one of {', '.join(WRITABLE_SUFFIXES)}.")
    if suffix in NIFTI_SUFFIXES:
        header = nifti.header_of(voxels, geometry, intent=intent)
        if like is not None and suffix_of(like) in NIFTI_SUFFIXES:
            nifti.take_over_forms(header, geometry, like)
        write_whole(path, lambda unfinished: nifti.save(voxels, header, unfinished))
    else:
        write_whole(path, lambda unfinished: _save_itk(voxels, geometry, unfinished))


def _save_itk(voxels: NDArray[Any], geometry: Geometry, path: Path) -> None:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(voxels)
    image.SetSpacing(geometry.spacing_mm[::-1])
    image.SetOrigin(geometry.origin_lps_mm.tolist())
    image.SetDirection(geometry.axes_lps[::-1].T.ravel().tolist())
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
