"""Write a volume as a DICOM series, classic or enhanced, as scanners do: file names say nothing of the order."""

import copy
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import Volume

SOP_CLASSES = {
    "CT": UID("1.2.840.10008.5.1.4.1.1.2"),
    "MR": UID("1.2.840.10008.5.1.4.1.1.4"),
    "enhanced CT": UID("1.2.840.10008.5.1.4.1.1.2.1"),
    "enhanced MR": UID("1.2.840.10008.5.1.4.1.1.4.1"),
}
# what a slice's stored values mean: HU = stored - 1024 for CT
INTERCEPTS = {"CT": -1024, "MR": 0}
Change = Callable[[Dataset, int], None]


def write_series(
    folder: Path, volume: Volume, *, modality: str = "CT", study: Dataset | None = None, change: Change | None = None
) -> list[Path]:
    """One file for each slice, in an order of names that is none.

    Args:
        folder: Is made.
        volume: Whole numbers that fit into 16 bits with the modality's intercept.
        modality: CT or MR.
        study: Of :func:`make_study`; a new one where none is given.
        change: Called with each slice's dataset and its index along axis 0, just before it is written.

    Returns:
        The files in the order of axis 0.
    """
    folder.mkdir(parents=True, exist_ok=True)
    study = study or make_study()
    series, names = generate_uid(), list(range(len(volume.voxels)))
    random.Random(7).shuffle(names)
    paths = []
    for index, plane in enumerate(volume.voxels):
        dataset = slice_dataset(volume.geometry, index, plane, modality)
        dataset.update(copy.deepcopy(study))
        dataset.SeriesInstanceUID = series
        if change is not None:
            change(dataset, index)
        path = folder / f"IM{names[index]:04d}.dcm"
        save(dataset, path)
        paths.append(path)
    return paths


def small_volume(
    axes_lps: ArrayLike | None = None, *, slices: int = 6, spacing_mm: tuple[float, float, float] = (2.5, 0.7, 0.9)
) -> Volume:
    """Values from -1000 on, no two alike; not cubic, and oblique unless axes are given (slice, row, column)."""
    shape = (slices, 7, 9)
    voxels = (np.arange(np.prod(shape)).reshape(shape) - 1000).astype(np.int16)
    geometry = Geometry.from_axes(
        shape,
        spacing_mm=spacing_mm,
        origin_lps_mm=(-31.25, 12.5, 107.75),
        axes_lps=oblique_axes() if axes_lps is None else axes_lps,
    )
    return Volume(voxels, geometry)


def oblique_axes() -> NDArray[np.float64]:
    """Turned about all three axes of the patient, with slices along row direction x column direction."""
    matrix = np.eye(3)
    for axis, degrees in enumerate((20.0, -15.0, 35.0)):
        cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        turn = np.eye(3)
        first, second = [each for each in range(3) if each != axis]
        turn[first, first] = turn[second, second] = cosine
        turn[first, second], turn[second, first] = -sine, sine
        matrix = turn @ matrix
    row, column = matrix[:, 0], matrix[:, 1]
    return np.stack([np.cross(row, column), column, row])


def make_study() -> Dataset:
    """Patient, study and frame of reference."""
    study = Dataset()
    study.PatientName, study.PatientID = "Phantom^Tülay", "PH-0042"
    study.PatientBirthDate, study.PatientSex = "19700101", "F"
    study.SpecificCharacterSet = "ISO_IR 100"
    study.StudyInstanceUID, study.FrameOfReferenceUID = generate_uid(), generate_uid()
    study.StudyDate, study.StudyTime, study.StudyID, study.AccessionNumber = "20260131", "120000", "1", "A17"
    study.ReferringPhysicianName = ""
    study.PositionReferenceIndicator = ""
    return study


def slice_dataset(geometry: Geometry, index: int, plane: NDArray[np.integer], modality: str) -> Dataset:
    """One slice of a classic series, without study and series."""
    dataset = _image(plane, modality)
    dataset.SOPClassUID, dataset.SOPInstanceUID = SOP_CLASSES[modality], generate_uid()
    dataset.Modality = modality
    dataset.SeriesNumber, dataset.InstanceNumber, dataset.AcquisitionNumber = "3", str(index + 1), "1"
    dataset.SeriesDescription = "portal venous" if modality == "CT" else "T2 fs"
    dataset.Manufacturer, dataset.PatientPosition = "Phantoms", "HFS"
    dataset.BodyPartExamined = "ABDOMEN"
    dataset.ImageOrientationPatient = orientation(geometry)
    dataset.ImagePositionPatient = position(geometry, index)
    dataset.PixelSpacing = [decimal(each) for each in geometry.spacing_mm[1:]]
    dataset.SliceThickness = decimal(geometry.spacing_mm[0])
    if modality == "CT":
        dataset.KVP = "120"
        dataset.RescaleType = "HU"
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    else:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M"]
        dataset.ScanningSequence, dataset.SequenceVariant = "SE", "NONE"
        dataset.ScanOptions, dataset.MRAcquisitionType = "", "2D"
        dataset.EchoTime, dataset.RepetitionTime, dataset.EchoTrainLength = "80", "2000", "1"
    dataset.RescaleSlope, dataset.RescaleIntercept = "1", str(INTERCEPTS[modality])
    return dataset


def write_enhanced(
    path: Path,
    volume: Volume,
    *,
    modality: str = "CT",
    order: list[int] | None = None,
    study: Dataset | None = None,
    change: Callable[[Dataset], None] | None = None,
) -> Path:
    """All slices as frames of one enhanced multi-frame object.

    Args:
        path: Of the file.
        volume: Whole numbers that fit into 16 bits with the modality's intercept.
        modality: CT or MR.
        order: The frames, as indices along axis 0; as they lie by default.
        study: Of :func:`make_study`; a new one where none is given.
        change: Called with the dataset just before it is written.
    """
    order = list(range(len(volume.voxels))) if order is None else order
    geometry = volume.geometry
    dataset = _image(volume.voxels[order], modality)
    dataset.update(copy.deepcopy(study) if study else make_study())
    dataset.SOPClassUID, dataset.SOPInstanceUID = SOP_CLASSES[f"enhanced {modality}"], generate_uid()
    dataset.SeriesInstanceUID, dataset.Modality = generate_uid(), modality
    dataset.SeriesNumber, dataset.InstanceNumber, dataset.NumberOfFrames = "4", "1", str(len(order))
    dataset.Manufacturer, dataset.PatientPosition = "Phantoms", "HFS"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.ContentDate, dataset.ContentTime = "20260131", "120100"
    dataset.SharedFunctionalGroupsSequence = Sequence([_shared_groups(geometry, modality)])
    dataset.PerFrameFunctionalGroupsSequence = Sequence([_frame_groups(geometry, index) for index in order])
    if change is not None:
        change(dataset)
    path.parent.mkdir(parents=True, exist_ok=True)
    save(dataset, path)
    return path


def orientation(geometry: Geometry) -> list[str]:
    """Image Orientation (Patient): along a row, then along a column."""
    return [decimal(part) for part in (*geometry.axes_lps[2], *geometry.axes_lps[1])]


def position(geometry: Geometry, index: int) -> list[str]:
    """Image Position (Patient) of a slice."""
    return [decimal(part) for part in geometry.to_lps([[index, 0, 0]])[0]]


def decimal(number: float) -> str:
    """A decimal string of 16 characters at most."""
    for digits in range(15, 0, -1):
        text = f"{number:.{digits}g}"
        if len(text) <= 16:
            return text
    raise ValueError(number)


def save(dataset: Dataset, path: Path) -> None:
    """Write a DICOM file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    dataset.save_as(path, enforce_file_format=True)


def _image(voxels: NDArray[np.integer], modality: str) -> Dataset:
    dataset = Dataset()
    dataset.Rows, dataset.Columns = voxels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    stored = voxels.astype(np.int32) - INTERCEPTS[modality]
    dataset.PixelData = np.clip(stored, 0, 65535).astype("<u2").tobytes()
    return dataset


def _shared_groups(geometry: Geometry, modality: str) -> Dataset:
    groups, measures, plane, values = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [decimal(each) for each in geometry.spacing_mm[1:]]
    measures.SliceThickness = decimal(geometry.spacing_mm[0])
    plane.ImageOrientationPatient = orientation(geometry)
    values.RescaleSlope, values.RescaleIntercept = "1", str(INTERCEPTS[modality])
    values.RescaleType = "HU" if modality == "CT" else "US"
    groups.PixelMeasuresSequence = Sequence([measures])
    groups.PlaneOrientationSequence = Sequence([plane])
    groups.PixelValueTransformationSequence = Sequence([values])
    return groups


def _frame_groups(geometry: Geometry, index: int) -> Dataset:
    groups, plane, content = Dataset(), Dataset(), Dataset()
    plane.ImagePositionPatient = position(geometry, index)
    content.StackID, content.InStackPositionNumber = "1", index + 1
    content.DimensionIndexValues = [index + 1]
    groups.PlanePositionSequence = Sequence([plane])
    groups.FrameContentSequence = Sequence([content])
    return groups
