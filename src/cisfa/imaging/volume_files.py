"""Read and write NIfTI (nibabel), NRRD and MetaImage (SimpleITK) without losing a voxel's place.

Whatever is wrong with a file becomes a :class:`~cisfa.errors.VolumeFileError` that names it; nothing half-written is
left behind, since files are written beside their target and moved into place.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from cisfa.errors import VolumeFileError
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap, Volume

NIFTI_SUFFIXES = (".nii.gz", ".nii")
ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")
SUFFIXES = NIFTI_SUFFIXES + ITK_SUFFIXES
# .nhdr and .mhd keep their voxels in a second file, which cannot be moved into place in one step
WRITABLE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def suffix_of(path: Path) -> str | None:
    """The file's volume suffix in lower case, ``.nii.gz`` as one; None when it is no format known here."""
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)


def stem_of(path: Path) -> str:
    """The file's name without its volume suffix."""
    return path.name[: -len(suffix_of(path) or path.suffix) or None]


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
    whole = np.rint(voxels)
    if not np.array_equal(whole, voxels):
        wrong = voxels[voxels != whole].flat[0]
        raise VolumeFileError(
            f"{path} is no label map: it holds the value {wrong}, and labels are whole numbers. A label map that was"
            " resampled must be resampled with nearest neighbour."
        )
    low, high = float(whole.min()), float(whole.max())
    if not (low >= 0 and high <= np.iinfo(np.uint16).max):
        raise VolumeFileError(
            f"{path} is no label map: its values run from {low:g} to {high:g}, and labels run from 0 to 65535."
        )
    dtype = np.uint8 if high <= np.iinfo(np.uint8).max else np.uint16
    return LabelMap(whole.astype(dtype), geometry, path.name)


def write_label_map(label_map: LabelMap, path: Path) -> None:
    """Write a label map, compressed, in the format that the path's suffix names.

    Raises:
        VolumeFileError: The suffix is unknown, or the file cannot be written.
    """
    _write(label_map.voxels, label_map.geometry, path, intent="label")


def write_volume(volume: Volume, path: Path) -> None:
    """Write a volume, compressed, in the format that the path's suffix names.

    Raises:
        VolumeFileError: The suffix is unknown, or the file cannot be written.
    """
    _write(volume.voxels, volume.geometry, path, intent="none")


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a new file beside ``path``, then move it into place; a failure leaves nothing behind.

    Raises:
        VolumeFileError: The folder cannot be written or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".writing-", suffix=path.name[-12:], dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise VolumeFileError(_cannot_write(path, error)) from error
    unfinished = Path(name)
    try:
        write(unfinished)
        _grant_usual_permissions(unfinished)
        os.replace(unfinished, path)
    except (OSError, RuntimeError) as error:
        raise VolumeFileError(_cannot_write(path, error)) from error
    finally:
        unfinished.unlink(missing_ok=True)


def _cannot_write(path: Path, error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).strip().splitlines()[-1]
    return f"{path} cannot be written: {reason}. Choose a folder that you may write to, with enough free space."


def _grant_usual_permissions(path: Path) -> None:
    """Undo mkstemp's owner-only mode, so that colleagues can read a result as they can any other file."""
    if os.name == "posix":
        mask = os.umask(0)
        os.umask(mask)
        path.chmod(0o666 & ~mask)


def _read(path: Path) -> tuple[NDArray[Any], Geometry]:
    suffix = suffix_of(path)
    if not path.exists():
        raise VolumeFileError(f"{path} does not exist.")
    if suffix is None or path.is_dir():
        kind = "a folder" if path.is_dir() else f"a {path.suffix or 'suffixless'} file"
        raise VolumeFileError(f"{path} is {kind}, not a volume: expected one of {', '.join(SUFFIXES)}.")
    if path.stat().st_size == 0:
        raise VolumeFileError(f"{path} is empty (0 bytes). Copy or export it again.")
    reader = _read_nifti if suffix in NIFTI_SUFFIXES else _read_itk
    voxels, geometry = reader(path)
    if voxels.size == 0:
        raise VolumeFileError(f"{path} holds no voxels (shape {voxels.shape}).")
    return voxels, geometry


def _read_nifti(path: Path) -> tuple[NDArray[Any], Geometry]:
    try:
        image = nibabel.nifti1.Nifti1Image.from_filename(path)
        shape = image.shape
    except Exception as error:  # nibabel raises what the damage happens to cause: OSError, zlib.error, struct.error
        raise VolumeFileError(_cannot_read(path, error)) from error
    _require_three_axes(path, _without_trailing_ones(shape))
    try:
        voxels = np.asanyarray(image.dataobj)
    except Exception as error:
        raise VolumeFileError(_cannot_read(path, error)) from error
    _require_scalar(path, voxels)
    if voxels.dtype == np.float64 and image.header.get_data_dtype() != np.float64:
        voxels = voxels.astype(np.float32)  # float64 is only nibabel's way of applying the header's slope
    voxels = voxels.reshape((*_without_trailing_ones(shape), 1, 1, 1)[:3])
    to_ras = image.affine if image.affine is not None else np.eye(4)
    matrix = (_RAS_TO_LPS @ to_ras)[:, [2, 1, 0, 3]]
    voxels = np.ascontiguousarray(voxels.transpose(2, 1, 0))
    return _native_order(voxels), _geometry(path, voxels.shape, matrix)


def _read_itk(path: Path) -> tuple[NDArray[Any], Geometry]:
    import SimpleITK as sitk  # half a second that NIfTI users need not pay

    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise VolumeFileError(_cannot_read(path, error)) from error
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise VolumeFileError(_not_scalar(path, f"{image.GetNumberOfComponentsPerPixel()} components per voxel"))
    dimension = image.GetDimension()
    if dimension == 2:
        image = sitk.JoinSeries(image)
    elif dimension == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    _require_three_axes(path, image.GetSize())
    columns_of_axes = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    matrix = np.eye(4)
    matrix[:3, :3] = columns_of_axes[:, ::-1]
    matrix[:3, 3] = image.GetOrigin()
    voxels = sitk.GetArrayFromImage(image)
    return voxels, _geometry(path, voxels.shape, matrix)


def _write(voxels: NDArray[Any], geometry: Geometry, path: Path, *, intent: str) -> None:
    suffix = suffix_of(path)
    if suffix not in WRITABLE_SUFFIXES:
        raise VolumeFileError(f"{path}: cannot write this kind of file; use one of {', '.join(WRITABLE_SUFFIXES)}.")
    if suffix in NIFTI_SUFFIXES:
        write_whole(path, lambda unfinished: _save_nifti(voxels, geometry, unfinished, intent))
    else:
        write_whole(path, lambda unfinished: _save_itk(voxels, geometry, unfinished))


def _save_nifti(voxels: NDArray[Any], geometry: Geometry, path: Path, intent: str) -> None:
    to_ras = _RAS_TO_LPS @ geometry.index_to_lps[:, [2, 1, 0, 3]]
    image = nibabel.nifti1.Nifti1Image(voxels.transpose(2, 1, 0), to_ras)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_intent(intent)
    nibabel.save(image, path)


def _save_itk(voxels: NDArray[Any], geometry: Geometry, path: Path) -> None:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(geometry.spacing_mm[::-1])
    image.SetOrigin(geometry.origin_lps_mm.tolist())
    image.SetDirection(geometry.axes_lps[::-1].T.ravel().tolist())
    sitk.WriteImage(image, str(path), useCompression=True)


def _geometry(path: Path, shape: tuple[int, ...], matrix: NDArray[np.float64]) -> Geometry:
    from cisfa.errors import GeometryError

    try:
        return Geometry((shape[0], shape[1], shape[2]), matrix)
    except GeometryError as error:
        raise VolumeFileError(f"{path}: {error}") from error


def _require_three_axes(path: Path, shape: tuple[int, ...]) -> None:
    if len(shape) > 3:
        raise VolumeFileError(
            f"{path} has {len(shape)} dimensions ({'x'.join(map(str, shape))}); one volume has three. Split the series"
            " into its volumes first."
        )


def _without_trailing_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _require_scalar(path: Path, voxels: NDArray[Any]) -> None:
    if voxels.dtype.fields is not None:
        raise VolumeFileError(_not_scalar(path, "RGB colours"))
    if np.iscomplexobj(voxels):
        raise VolumeFileError(_not_scalar(path, "complex numbers"))


def _not_scalar(path: Path, found: str) -> str:
    return f"{path} holds {found}, not one intensity per voxel. Export it as a greyscale volume."


def _native_order(voxels: NDArray[Any]) -> NDArray[Any]:
    return voxels.astype(voxels.dtype.newbyteorder("="), copy=False)


def _cannot_read(path: Path, error: Exception) -> str:
    last_words = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return f"{path} cannot be read: it is damaged, truncated, or not what its name says ({last_words}). Copy it again."
