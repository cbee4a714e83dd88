"""A DICOM file that was written, taken to where it goes: whole, and never over another one."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from slicer.i18n import tr as _

from cisfa.whole_files import write_whole
from CISFASegmentationLib.dicom_export import ExportRefusedError, dicom_database

_INSTANCE, _DESCRIPTION = "SOPInstanceUID", "SeriesDescription"


@dataclass(frozen=True)
class Delivered:
    """What was written, and where it is.

    Attributes:
        place: Path of the file, or the address that it was sent to.
        size: In bytes.
        description: Series Description; empty when nobody knows it.
        is_file: False for what was sent.
        is_in_database: True when the file is the database's own.
    """

    place: str
    size: int
    description: str
    is_file: bool = True
    is_in_database: bool = False

    @property
    def in_words(self) -> str:
        """For the user."""
        what = f"“{self.description}”" if self.description else _("the segmentation")
        size = f"{self.size / 1e6:.1f} MB" if self.size >= 1e5 else f"{self.size / 1e3:.1f} kB"
        if self.is_in_database:
            sentence = _("Done: {what} is in Slicer's DICOM database, as {place} ({size}).")
        elif self.is_file:
            sentence = _("Done: {what} was written to {place} ({size}).")
        else:
            sentence = _("Done: {what} was sent to {place} ({size}).")
        return sentence.format(what=what, place=self.place, size=size)


def put_into_folder(file: Path, folder: Path) -> Delivered:
    """Copy a file into a folder under a name that is free there.

    Raises:
        VolumeFileError: The folder cannot be written or the disk is full.
    """
    place, number = folder / file.name, 2
    while place.exists():
        place, number = folder / f"{file.stem}-{number}{file.suffix}", number + 1
    description = series_description(file)
    write_whole(place, lambda unfinished: _copy(file, unfinished))
    return Delivered(str(place), place.stat().st_size, description)


def _copy(file: Path, unfinished: Path) -> None:
    shutil.copyfile(file, unfinished)


def put_into_database(file: Path) -> Delivered:
    """Copy a file into Slicer's DICOM database, and make sure that it is there.

    Args:
        file: Alone in its folder.

    Raises:
        ExportRefusedError: The database is closed, or did not take it.
    """
    from DICOMLib import DICOMUtils

    database = dicom_database()
    description, instance = series_description(file), _value(file, _INSTANCE)
    DICOMUtils.importDicom(str(file.parent), database, copyFiles=True)
    kept = str(database.fileForInstance(instance) or "") if instance else ""
    if not kept or not Path(kept).is_file() or Path(kept) == file:
        raise ExportRefusedError(
            "Slicer's DICOM database did not take the segmentation. Look whether its disk is full and its folder can be"
            " written (module DICOM, Database settings), then export again; or export into a folder."
        )
    return Delivered(kept, Path(kept).stat().st_size, description, is_in_database=True)


def series_description(file: Path) -> str:
    """Series Description of a DICOM file; empty when nobody can say."""
    return _value(file, _DESCRIPTION)


def _value(file: Path, keyword: str) -> str:
    """Slicer's database tells nothing of a file that it does not hold; pydicom is among Slicer's own packages."""
    try:
        from pydicom import dcmread

        return str(dcmread(file, stop_before_pixels=True, specific_tags=[keyword]).get(keyword) or "")
    except Exception:  # whatever pydicom, of whatever version, has against a file
        return ""
