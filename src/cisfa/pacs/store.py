"""Send DICOM files to a PACS, over DICOMweb or to a DICOM node.

Repeating is safe: a file keeps its SOP Instance UID, and a PACS keeps one file for each.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cisfa.errors import PacsError
from cisfa.events import Report
from cisfa.pacs.address import DicomWebService, DimseNode
from cisfa.pacs.damage import UNREADABLE, is_cut_off
from cisfa.pacs.libraries import require_library
from cisfa.pacs.patience import Patience
from cisfa.whole_files import reason_of

if TYPE_CHECKING:
    from pydicom import Dataset

_PATIENCE = Patience()
_DIRECTORY = "1.2.840.10008.1.3.10"
_TAGS = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID"]


@dataclass(frozen=True)
class DicomFile:
    """A file that can be sent.

    Attributes:
        path: Where it is.
        sop_class: UID of its kind.
        instance_uid: SOP Instance UID.
        study_uid: Study Instance UID.
        transfer_syntax: UID of its encoding.
    """

    path: Path
    sop_class: str
    instance_uid: str
    study_uid: str
    transfer_syntax: str


def store_instances(
    files: Sequence[Path], target: DicomWebService | DimseNode, report: Report, *, patience: Patience = _PATIENCE
) -> None:
    """Store files in a PACS, one after the other; what is there already is not sent again over DICOMweb.

    Args:
        files: DICOM files.
        target: The PACS.
        report: Hears progress, and notices of what is there already or was changed; what it raises stops the work
            between two files.
        patience: How long an answer may take.

    Raises:
        PacsError: A file is no DICOM file, or one was not stored, or perhaps not; the message says which. Those before
            it are stored.
    """
    dicom_files = [read_header(path) for path in files]
    if isinstance(target, DimseNode):
        require_library("pynetdicom", "Sending to a DICOM node")
        from cisfa.pacs.dimse import store_in_node

        store_in_node(dicom_files, target, report, patience)
        return
    require_library("dicomweb_client", "Sending to a PACS over DICOMweb")
    from cisfa.pacs.stow import store_over_web

    store_over_web(dicom_files, target, report, patience)


def read_header(path: Path) -> DicomFile:
    """Look what a file is.

    Raises:
        PacsError: It cannot be read, is no DICOM file, or none that a PACS keeps.
    """
    require_library("pydicom", "Sending to a PACS")
    dataset = _read(path, is_whole=False)
    sop_class, instance_uid, study_uid = (str(dataset.get(name) or "") for name in _TAGS)
    syntax = str(dataset.file_meta.get("TransferSyntaxUID") or "")
    if sop_class == _DIRECTORY or not (sop_class and instance_uid and study_uid and syntax):
        raise PacsError(
            f"{path} is a DICOM file that belongs to no study, or does not say what it is. Send files with a SOP Class,"
            " SOP Instance, Study Instance and Transfer Syntax UID."
        )
    return DicomFile(path, sop_class, instance_uid, study_uid, syntax)


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
