"""Send DICOM files to a PACS, over DICOMweb or to a DICOM node.

Repeating is safe: a file keeps its SOP Instance UID, and a PACS keeps one file for each.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cisfa.errors import PacsError
from cisfa.events import Notice, Report, ignore
from cisfa.pacs.address import DicomWebService, DimseNode
from cisfa.pacs.damage import UNREADABLE, is_cut_off
from cisfa.pacs.libraries import require_library
from cisfa.pacs.patience import Patience
from cisfa.pacs.plain_words import plain
from cisfa.whole_files import reason_of

if TYPE_CHECKING:
    from pydicom import Dataset

_PATIENCE = Patience()
_DIRECTORY = "1.2.840.10008.1.3.10"
_TAGS = ["SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"]
# binary or fractional, of heights, and label maps
_SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7", "1.2.840.10008.5.1.4.1.1.66.8")


@dataclass(frozen=True)
class DicomFile:
    """A file that can be sent.

    Attributes:
        path: Where it is.
        sop_class: UID of its kind.
        instance_uid: SOP Instance UID.
        series_uid: Series Instance UID.
        study_uid: Study Instance UID.
        transfer_syntax: UID of its encoding.
    """

    path: Path
    sop_class: str
    instance_uid: str
    series_uid: str
    study_uid: str
    transfer_syntax: str

    @property
    def name(self) -> str:
        """What it is called in a PACS, where nobody knows of its path."""
        return f"{'segmentation' if self.sop_class in _SEGMENTATIONS else 'instance'} {plain(self.instance_uid)}"


def store_instances(
    files: Sequence[Path], target: DicomWebService | DimseNode, report: Report, *, patience: Patience = _PATIENCE
) -> None:
    """Store files in a PACS, one after the other; what is there already is not sent again over DICOMweb.

    Args:
        files: DICOM files.
        target: The PACS.
        report: Hears progress, and notices of what was stored, is there already or was changed; what it raises stops
            the work, also while the PACS is silent.
        patience: How long an answer may take.

    Raises:
        PacsError: A file is no DICOM file, or one was not stored, or perhaps not; the message says which. Those before
            it are stored.
    """
    dicom_files = [read_header(path) for path in files]
    _require_library_for(target)
    if isinstance(target, DimseNode):
        from cisfa.pacs.dimse import store_in_node

        stored = store_in_node(dicom_files, target, report, patience)
    else:
        from cisfa.pacs.stow import store_over_web

        stored = store_over_web(dicom_files, target, report, patience)
    for series_uid, study_uid in dict.fromkeys((file.series_uid, file.study_uid) for file in stored):
        report(Notice(f"Stored series {plain(series_uid)} in the study {plain(study_uid)} of {target.place}."))


def require_storable(
    target: DicomWebService | DimseNode, report: Report = ignore, *, patience: Patience = _PATIENCE
) -> None:
    """Make sure, before the work, that its result can be stored: all that can be known without storing something.

    Args:
        target: The PACS.
        report: Hears progress, so that it can be cancelled while the PACS is silent.
        patience: How long an answer may take.

    Raises:
        PacsError: A library is missing, credentials, certificates or a proxy that this computer was told of cannot be
            used, or the PACS is down or does not let us in.
    """
    _require_library_for(target)
    if isinstance(target, DimseNode):
        from cisfa.pacs.dimse import require_node

        require_node(target, report, patience)
        return
    from cisfa.pacs.dicomweb import DicomWeb

    with DicomWeb(target, report, patience) as pacs:
        pacs.require_answer()


def _require_library_for(target: DicomWebService | DimseNode) -> None:
    if isinstance(target, DimseNode):
        require_library("pynetdicom", "Sending to a DICOM node")
    else:
        require_library("dicomweb_client", "Sending to a PACS over DICOMweb")


def read_header(path: Path) -> DicomFile:
    """Look what a file is.

    Raises:
        PacsError: It cannot be read, is no DICOM file, or none that a PACS keeps.
    """
    require_library("pydicom", "Sending to a PACS")
    dataset = _read(path, is_whole=False)
    sop_class, instance_uid, series_uid, study_uid = (str(dataset.get(name) or "") for name in _TAGS)
    syntax = str(dataset.file_meta.get("TransferSyntaxUID") or "")
    if sop_class == _DIRECTORY or not (sop_class and instance_uid and series_uid and study_uid and syntax):
        raise PacsError(
            f"{path} is a DICOM file that belongs to no study or series, or does not say what it is. Send files with a"
            " SOP Class, SOP Instance, Series Instance, Study Instance and Transfer Syntax UID."
        )
    return DicomFile(path, sop_class, instance_uid, series_uid, study_uid, syntax)


def read_instance(file: DicomFile) -> "Dataset":
    """Read all of a file.

    Raises:
        PacsError: It is damaged, or cannot be read any more.
    """
    instance = _read(file.path, is_whole=True)
    if is_cut_off(instance):
        raise PacsError(_is_damaged(file.path, "cut off"))
    return instance


def _read(path: Path, *, is_whole: bool) -> "Dataset":
    import pydicom
    import pydicom.errors

    try:
        with warnings.catch_warnings():  # of odd values, which may be a patient's name
            warnings.simplefilter("ignore")
            if is_whole:
                return pydicom.dcmread(path)
            return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
    except pydicom.errors.InvalidDicomError as error:
        raise PacsError(
            f"{path} is no DICOM file. Give files that a scanner, a PACS or CISFA wrote as DICOM."
        ) from error
    except OSError as error:
        raise PacsError(
            f"{path} cannot be read: {reason_of(error)}. Give a file that is there and that you may read."
        ) from error
    except UNREADABLE as error:
        raise PacsError(_is_damaged(path, type(error).__name__)) from error


def _is_damaged(path: Path, how: str) -> str:
    return f"{path} is a damaged DICOM file ({how}). Write or export it again."
