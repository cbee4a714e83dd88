"""Store files over STOW-RS, and find out what became of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cisfa.errors import PacsError
from cisfa.events import Notice, Progress, Report
from cisfa.pacs.address import DicomWebService
from cisfa.pacs.damage import UNREADABLE
from cisfa.pacs.dicomweb import DicomWeb
from cisfa.pacs.patience import Patience
from cisfa.pacs.reasons import DUPLICATE, reason_in_words
from cisfa.pacs.store import DicomFile, read_instance
from cisfa.pacs.web_session import ConnectionLostError

if TYPE_CHECKING:
    from pydicom import Dataset

_STAGE = "sending to the PACS"
# a PACS may be busy with what it received when it no longer answers; seconds before it is asked again what arrived
_WAITS_FOR_ARRIVAL_S = (0.2, 1.0)


def store_over_web(
    files: Sequence[DicomFile], service: DicomWebService, report: Report, patience: Patience
) -> list[DicomFile]:
    """Store files that are not there yet.

    Returns:
        Those that were stored.

    Raises:
        PacsError: One is not stored, or perhaps not; the message says which.
    """
    stored = []
    with DicomWeb(service, report, patience) as pacs:
        for done, file in enumerate(files):
            pacs.say(Progress(_STAGE, done / len(files)))
            if _is_there(file, pacs) or not _store(file, pacs, report):
                report(Notice(f"The {file.name} is in {service.place} already, and was not stored a second time."))
            else:
                stored.append(file)
        pacs.say(Progress(_STAGE, 1.0, 0.0))
    return stored


def _store(file: DicomFile, pacs: DicomWeb, report: Report) -> bool:
    """Store a file; False where the service says that it is there already."""
    instance = read_instance(file)
    try:
        answer = pacs.store(instance)
    except ConnectionLostError as error:
        _find_out(file, pacs, error)
        report(Notice(f"The connection to {pacs.service.place} failed ({error}), but the {file.name} is stored there."))
        return True
    try:
        return _judge(answer, file, pacs, report)
    except UNREADABLE as error:
        raise PacsError(_says_nothing(file, pacs)) from error


def _is_there(file: DicomFile, pacs: DicomWeb) -> bool:
    """Whether a file is stored; a service that refuses to be searched is taken to have nothing."""
    refusals: list[PacsError] = []

    def ask() -> bool:
        try:
            return pacs.has_instance(file.study_uid, file.instance_uid)
        except PacsError as error:
            refusals.append(error)
            return False

    return pacs.patiently(ask)


def _find_out(file: DicomFile, pacs: DicomWeb, error: ConnectionLostError) -> None:
    """Ask whether a file arrived whose answer got lost.

    Raises:
        PacsError: It did not, or nobody knows.
    """
    place = pacs.service.place
    try:
        for wait_s in _WAITS_FOR_ARRIVAL_S:
            pacs.wait(wait_s)
            if pacs.has_instance(file.study_uid, file.instance_uid):
                return
    except (ConnectionLostError, PacsError):
        raise PacsError(
            f"The connection to {place} failed while {file.path} was sent ({error}), and whether it is stored there"
            " cannot be asked: it may be. Repeat it when the PACS answers again: no second copy arises."
        ) from error
    raise PacsError(
        f"The connection to {place} failed while {file.path} was sent ({error}). The PACS does not list it, so it is"
        " most likely not stored. Repeat it: no second copy arises."
    ) from error


def _judge(answer: "Dataset", file: DicomFile, pacs: DicomWeb, report: Report) -> bool:
    """Read what a service says about a file that it was sent; False where it has it already."""
    refused = _code_for(file, answer, "FailedSOPSequence", "FailureReason")
    if refused == DUPLICATE:
        return False
    if refused is not None:
        raise PacsError(
            f"{pacs.service.place} did not store {file.path}: {reason_in_words(refused)}. Ask whoever runs the PACS;"
            " its log says more."
        )
    if (warned := _code_for(file, answer, "ReferencedSOPSequence", "WarningReason")) is None:
        if not _is_listed(file, answer) and not _is_there(file, pacs):
            raise PacsError(_says_nothing(file, pacs))
    elif warned:
        report(Notice(f"{pacs.service.place} stored the {file.name}, but {reason_in_words(warned)}."))
    return True


def _code_for(file: DicomFile, answer: "Dataset", sequence: str, keyword: str) -> int | None:
    """A code for a file in one of an answer's lists; None where it is not in there, or has none."""
    for item in answer.get(sequence) or ():
        if item.get("ReferencedSOPInstanceUID", file.instance_uid) == file.instance_uid:
            code = item.get(keyword)
            if sequence == "FailedSOPSequence":
                return int(code or 0)
            return None if code is None else int(code)
    return None


def _is_listed(file: DicomFile, answer: "Dataset") -> bool:
    stored = answer.get("ReferencedSOPSequence") or ()
    return any(item.get("ReferencedSOPInstanceUID") == file.instance_uid for item in stored)


def _says_nothing(file: DicomFile, pacs: DicomWeb) -> str:
    return (
        f"{pacs.service.place} took {file.path} without saying that it is stored, and does not list it. Ask whoever"
        " runs the PACS; repeating it does no harm."
    )
