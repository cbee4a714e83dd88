"""Send files to a DICOM node by C-STORE, over one association."""

import socket
import time
import warnings
from collections.abc import Sequence

from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context

from cisfa.errors import PacsError
from cisfa.events import Notice, Progress, Report
from cisfa.pacs.address import DimseNode
from cisfa.pacs.patience import Patience
from cisfa.pacs.reasons import DUPLICATE, is_warning, reason_in_words
from cisfa.pacs.store import DicomFile, read_instance
from cisfa.whole_files import reason_of

_STAGE = "sending to the PACS"
_VERIFICATION = "1.2.840.10008.1.1"
# one of 128 contexts of an association is for the C-ECHO
_MOST_CONTEXTS = 127
_PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
# of (source, reason) in a rejection, PS3.8 table 9-21
_REJECTIONS = {
    (1, 2): "it speaks another DICOM protocol",
    (
        1,
        3,
    ): "it does not know the calling AE title {calling}. Have the PACS told of it, or give another with ?calling=AET",
    (1, 7): "it does not go by the called AE title {called}. Correct the end of the address",
    (3, 1): "it is overloaded. Try again later",
    (3, 2): "it has too many connections. Try again later",
}
_REJECTED = "it gives no reason that is known. Check the AE titles {called} and {calling} with whoever runs the PACS"


def store_in_node(files: Sequence[DicomFile], node: DimseNode, report: Report, patience: Patience) -> None:
    """Store files, after a C-ECHO.

    Raises:
        PacsError: The node cannot be reached, rejects us, or does not store a file; the message says which.
    """
    contexts = _contexts_for(files)
    report(Progress(_STAGE, 0.0))
    _require_reachable(node, patience)
    association = _associate(node, contexts, patience)
    try:
        _require_echo(association, node)
        for done, file in enumerate(files):
            report(Progress(_STAGE, done / len(files)))
            _store(association, file, node, report)
        report(Progress(_STAGE, 1.0, 0.0))
    finally:
        if association.is_established:
            association.release()


def _contexts_for(files: Sequence[DicomFile]) -> list[PresentationContext]:
    """One for each kind and encoding, so that the node says of every one whether it takes it."""
    wanted: dict[tuple[str, str], None] = {}
    for file in files:
        wanted[file.sop_class, file.transfer_syntax] = None
        if file.transfer_syntax in _PLAIN:  # these are turned into each other where the node takes but one
            wanted.update({(file.sop_class, syntax): None for syntax in _PLAIN})
    if len(wanted) > _MOST_CONTEXTS:
        raise PacsError(
            f"The files have {len(wanted)} combinations of kind and encoding, and one connection may have"
            f" {_MOST_CONTEXTS}. Send them in several runs."
        )
    return [build_context(_VERIFICATION), *(build_context(UID(kind), UID(syntax)) for kind, syntax in wanted)]


def _require_reachable(node: DimseNode, patience: Patience) -> None:
    """Raise PacsError with the operating system's reason, which pynetdicom keeps to itself."""
    try:
        socket.create_connection((node.host, node.port), timeout=patience.connect_s).close()
    except TimeoutError as error:
        raise PacsError(_unreachable(node, f"no connection within {patience.connect_s:g} s")) from error
    except (OSError, UnicodeError) as error:
        raise PacsError(_unreachable(node, reason_of(error))) from error


def _unreachable(node: DimseNode, reason: str) -> str:
    return (
        f"{node.place} cannot be reached ({reason}). Check host and port, that the PACS is running, and that the"
        " firewall lets this computer reach it."
    )


def _associate(node: DimseNode, contexts: list[PresentationContext], patience: Patience) -> Association:
    """Raise PacsError where there is no association to be had."""
    entity = AE(ae_title=node.calling)
    entity.connection_timeout = patience.connect_s
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = patience.read_s
    started = time.monotonic()
    association = entity.associate(node.host, node.port, contexts, ae_title=node.called)
    is_unclear = not (association.is_established or association.is_rejected)
    if is_unclear and time.monotonic() - started < patience.read_s / 2:
        # on a busy computer pynetdicom can see the end of a connection before the rejection that came before it
        association = entity.associate(node.host, node.port, contexts, ae_title=node.called)
    if association.is_established:
        return association
    if association.is_rejected:
        said = association.acceptor.primitive
        key = (getattr(said, "result_source", 0) or 0, getattr(said, "diagnostic", 0) or 0)
        reason = _REJECTIONS.get(key, _REJECTED).format(called=node.called, calling=node.calling)
        raise PacsError(f"{node.place} rejects the connection: {reason}.")
    raise PacsError(
        f"{node.place} takes the connection, and then ends it or says nothing for {patience.read_s:g} s: is its port a"
        " DICOM listener, perhaps with TLS, which is not supported here? Check the port, or use dicomweb://."
    )


def _require_echo(association: Association, node: DimseNode) -> None:
    try:
        status = association.send_c_echo().get("Status")
    except (ValueError, RuntimeError):  # it does not offer C-ECHO, which does not keep it from storing
        return
    if status is None:
        raise PacsError(f"{node.place} does not answer a C-ECHO. Check that the PACS is running; nothing was sent.")


def _store(association: Association, file: DicomFile, node: DimseNode, report: Report) -> None:
    instance = read_instance(file)
    began_s = time.monotonic()
    try:
        with warnings.catch_warnings():  # of odd values, which may be a patient's name
            warnings.simplefilter("ignore")
            status = association.send_c_store(instance).get("Status")
    except RuntimeError:  # the association ended after the last answer
        status = None
    except (ValueError, AttributeError) as error:
        raise PacsError(_not_taken(file, node)) from error
    if status is None:
        raise PacsError(
            f"{node.place} ended the connection, or was silent, after {time.monotonic() - began_s:.0f} s, while"
            f" {file.path} was sent: it may be stored. Repeat it: no second copy arises. Where it never takes a"
            f" file, it may not know the calling AE title {node.calling}."
        )
    if status == DUPLICATE:
        report(Notice(f"{file.path} is in {node.place} already, and was not stored a second time."))
    elif is_warning(status):
        report(Notice(f"{node.place} stored {file.path}, but {reason_in_words(status)}."))
    elif status != 0:
        raise PacsError(
            f"{node.place} did not store {file.path}: {reason_in_words(status)}. Ask whoever runs the PACS; its log"
            " says more."
        )


def _not_taken(file: DicomFile, node: DimseNode) -> str:
    return (
        f"{node.place} does not take files like {file.path} ({UID(file.sop_class).name}, encoded as"
        f" {UID(file.transfer_syntax).name}). Have the PACS told to, or store it over dicomweb://."
    )
