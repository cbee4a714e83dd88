"""The files of one DICOM series: found in a folder, beside a file or among files, told apart by their headers."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cisfa.errors import VolumeFileError
from cisfa.imaging.dicom_headers import headers_in, may_be_lost, read_header, visible_files
from cisfa.imaging.dicom_places import is_dicom_file, require_possible
from cisfa.imaging.dicom_series_uid import series_mark
from cisfa.imaging.dicom_values import patient_reading, text, texts
from cisfa.imaging.volume_names import suffix_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_STORAGE = "1.2.840.10008.5.1.4.1.1."
# that hold no image of a patient, though some have pixels: presentation states, segmentations and registrations,
# spectra, waveforms, reports, documents, radiotherapy, mappings of values, a DICOMDIR
_NO_IMAGES = (
    *(f"{_STORAGE}{kind}" for kind in ("11", "66", "4.2", "9", "88", "104", "481", "67", "68", "90", "91", "200")),
    "1.2.840.10008.1.3.10",
)
# of these, one without rows has lost its end
_SURELY_IMAGES = tuple(f"{_STORAGE}{kind}" for kind in ("2", "4", "4.1", "2.1", "2.2", "4.4", "128"))
_SCREENSHOTS = (f"{_STORAGE}7",)
_MOST_LISTED = 5


@dataclass(frozen=True, eq=False)
class ImageFile:
    """A file with one image or more.

    Attributes:
        path: Of the file.
        header: What it says, without its pixels.
    """

    path: Path
    header: "Dataset"

    @property
    def series_uid(self) -> str:
        """Series Instance UID; empty where it has none, as anonymisers leave it."""
        return text(self.header, "SeriesInstanceUID")


@dataclass(frozen=True, eq=False)
class SeriesFiles:
    """The files of one series.

    Attributes:
        images: One or more.
        where: The folder or file that the user named, for messages.
        name: What to call the series: a name, never a path.
    """

    images: tuple[ImageFile, ...]
    where: str
    name: str


def find_series(place: Path | Iterable[Path], *, is_one: bool = False) -> SeriesFiles:
    """Find the files of one series.

    Args:
        place: A folder with one image series; a file, which stands for its series in its folder; or the series' files.
        is_one: The files that are given are known to be one series, whatever UIDs an anonymiser gave each of them.

    Raises:
        VolumeFileError: There is no DICOM image, there are several series, or a file cannot be read.
    """
    if isinstance(place, str | os.PathLike):
        path = Path(place)
        _require_there(path)
        if path.is_dir():
            return _only_series(_images_in(path), str(path), _name_of(path))
        return _series_of(path)
    paths = [Path(each) for each in place]
    if not paths:
        raise VolumeFileError("No DICOM files were given. Name a folder, or the files of a series.")
    for path in paths:
        _require_there(path)
    images = [image for path in paths if (image := _image(path, _required_header(path))) is not None]
    where = f"{paths[0].parent} ({len(paths)} files)"
    return _only_series(images, where, _name_of(paths[0].parent), is_one=is_one)


def holds_image_series(folder: Path) -> bool:
    """True for a folder at least one of whose own files is a DICOM image: not a segmentation or a report alone.

    Headers are read until there is one. Files called like volumes of other formats are passed over.

    Raises:
        VolumeFileError: There is none, but a file that may have been one: damaged, truncated, or not to be opened.
    """
    lost = None
    for path in visible_files(folder):
        if suffix_of(path) is not None:
            continue
        problem = may_be_lost(path)
        try:
            if is_dicom_file(path) and _is_read_as_image(path):
                return True
        except VolumeFileError as error:
            problem = error
        lost = lost or problem
    if lost is not None:
        raise lost
    return False


def sop_class(header: "Dataset") -> str:
    """SOP Class UID, of the data set or else of the file's meta header; empty where neither says."""
    found = text(header, "SOPClassUID")
    meta = getattr(header, "file_meta", None)
    return found or ("" if meta is None else text(meta, "MediaStorageSOPClassUID"))


def _series_of(path: Path) -> SeriesFiles:
    named = _image(path, header := _required_header(path))
    if named is None:
        raise VolumeFileError(
            f"{path} is DICOM, but no image ({_kind_of(header)}). Name a file of a CT or MR series, or its folder."
        )
    images = [named, *_images_in(path.parent, beside=named)]
    return _only_series([image for image in images if image.series_uid == named.series_uid], str(path), path.name)


def _is_read_as_image(path: Path) -> bool:
    with patient_reading():
        header = read_header(path)
        return header is not None and _is_image(path, header)


def _required_header(path: Path) -> "Dataset":
    header = read_header(path)
    if header is None:
        raise VolumeFileError(f"{path} is no DICOM file. Name one of a CT or MR series, or the folder of the series.")
    return header


def _images_in(folder: Path, *, beside: ImageFile | None = None) -> list[ImageFile]:
    """The images among a folder's own files; beside one of them, what is damaged may be of another series."""
    found = []
    for path, header in headers_in(folder):
        if beside is not None and path.name == beside.path.name:
            continue
        try:
            if isinstance(header, VolumeFileError):
                raise header
            image = _image(path, header)
        except VolumeFileError:
            # an empty one is no proof either: damage looks like that
            mark = series_mark(path)
            if beside is None or not mark or mark.decode("latin-1") == beside.series_uid:
                raise
            continue
        if image is not None:
            found.append(image)
    return found


def _image(path: Path, header: "Dataset") -> ImageFile | None:
    return ImageFile(path, header) if _is_image(path, header) else None


def _is_image(path: Path, header: "Dataset") -> bool:
    kind = sop_class(header)
    if _is_one_of(kind, _NO_IMAGES):
        return False
    if "Rows" in header:
        return True
    is_cut = not kind and bool(getattr(header, "preamble", None))
    if is_cut or kind in _SURELY_IMAGES:
        raise VolumeFileError(f"{path} is truncated: its header ends before it says Rows. Copy or export it again.")
    return False


def _is_one_of(kind: str, classes: Iterable[str]) -> bool:
    return any(kind == one or kind.startswith(f"{one}.") for one in classes)


def _only_series(images: Sequence[ImageFile], where: str, name: str, *, is_one: bool = False) -> SeriesFiles:
    if not images:
        raise VolumeFileError(
            f"{where} holds no DICOM image. Name a folder whose own files are one CT or MR series, or one of its files."
        )
    kept = _without_scouts(images)
    series = Counter(image.series_uid for image in kept)
    if len(series) > 1 and not is_one:
        raise VolumeFileError(
            f"{where} holds {len(series)} series: {_listed(kept, series)}. Name one file of the series that is meant."
        )
    _require_one_patient(kept, where)
    return SeriesFiles(tuple(kept), where, name)


def _require_one_patient(images: Sequence[ImageFile], where: str) -> None:
    """Raise for images that carry one series' UID, or none, and cannot be of one series."""
    patients, modalities = (_stated(images, keyword) for keyword in ("PatientID", "Modality"))
    if len(patients) > 1:
        # without the IDs: messages get into logs
        counts = " and ".join(str(count) for _, count in patients.most_common(_MOST_LISTED))
        raise VolumeFileError(
            f"{where} mixes {len(patients)} patients in one series: its images differ in Patient ID ({counts} images)."
            " Name the files of one patient."
        )
    if len(modalities) > 1:
        said = ", ".join(f"{value} ({count} images)" for value, count in modalities.most_common(_MOST_LISTED))
        raise VolumeFileError(
            f"{where} mixes {len(modalities)} modalities in one series: {said}. Name the files of one of them."
        )


def _stated(images: Sequence[ImageFile], keyword: str) -> "Counter[str]":
    found = Counter(text(image.header, keyword).upper() for image in images)
    found.pop("", None)
    return found


def _without_scouts(images: Sequence[ImageFile]) -> list[ImageFile]:
    """Without localizers, then without screenshots that lie nowhere in the patient, as long as anything remains."""
    kept = [image for image in images if "LOCALIZER" not in texts(image.header, "ImageType")] or list(images)
    return [image for image in kept if not _is_screenshot(image)] or kept


def _is_screenshot(image: ImageFile) -> bool:
    lies_somewhere = any(name in image.header for name in ("ImagePositionPatient", "PerFrameFunctionalGroupsSequence"))
    return _is_one_of(sop_class(image.header), _SCREENSHOTS) and not lies_somewhere


def _listed(images: Sequence[ImageFile], series: "Counter[str]") -> str:
    first = {image.series_uid: image for image in reversed(images)}
    named = [f"{_description(first[uid].header)} ({count} images)" for uid, count in series.most_common(_MOST_LISTED)]
    rest = len(series) - len(named)
    return ", ".join(named) + (f" and {rest} more" if rest else "")


def _description(header: "Dataset") -> str:
    said = text(header, "SeriesDescription") or text(header, "ProtocolName")
    number = text(header, "SeriesNumber")
    return " ".join(part for part in (number, repr(said) if said else "without description") if part)


def _kind_of(header: "Dataset") -> str:
    from pydicom.uid import UID

    return UID(sop_class(header)).name or "it does not say what it is"


def _require_there(path: Path) -> None:
    require_possible(path)
    if not path.exists():
        raise VolumeFileError(f"{path} does not exist.")


def _name_of(folder: Path) -> str:
    return folder.name or folder.absolute().name or "series"
