"""Send files to a DICOM node by C-STORE, over one association."""

import socket
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar

from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_P_ABORT
from pynetdicom.presentation import PresentationContext, build_context

from cisfa.errors import PacsError
from cisfa.events import Notice, Progress, Report
from cisfa.pacs.address import DimseNode
from cisfa.pacs.patience import Patience
from cisfa.pacs.reasons import DUPLICATE, is_warning, reason_in_words
from cisfa.pacs.store import DicomFile, read_instance
from cisfa.pacs.watch import Watch
from cisfa.whole_files import reason_of

_STAGE, _ASKING = "sending to the PACS", "asking the PACS"
_VERIFICATION = "1.2.840.10008.1.1"
# one of 128 contexts of an association is for the C-ECHO
_MOST_CONTEXTS = 127
# what is proposed beside the C-ECHO, which some nodes do not have, when nothing is to be sent yet
_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
# for a farewell to reach the node
_FAREWELL_S = 0.3
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
_Found = TypeVar("_Found")


class _Line:
    """A connection to a node, on which nothing blocks for long without our being asked whether it is still wanted.

    Args:
        node: Which.
        report: Hears progress; what it raises ends the connection.
        patience: How long an answer may take.
    """

    def __init__(self, node: DimseNode, report: Report, patience: Patience) -> None:
        self.node, self._patience = node, patience
        self.watch = Watch(report, Progress(_ASKING, 0.0))
        self._opened: list[Association] = []
        self._is_given_up = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for association in self._opened:
            if association.is_established and (error is None or isinstance(error, PacsError)):
                self.over(association.release)
        self._hang_up()

    def over(self, work: Callable[[], _Found]) -> _Found:
        """Do what may block."""
        return self.watch.over(work, self._hang_up)

    def associate(self, contexts: list[PresentationContext]) -> Association:
        """Connect, in a way that can be given up before there is an association."""
        entity = AE(ae_title=self.node.calling)
        entity.connection_timeout = self._patience.connect_s
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = self._patience.read_s
        return self.over(
            lambda: entity.associate(
                self.node.host,
                self.node.port,
                contexts,
                ae_title=self.node.called,
                evt_handlers=[(evt.EVT_CONN_OPEN, self._remember)],
            )
        )

    def _remember(self, event: evt.Event) -> None:
        self._opened.append(event.assoc)
        if self._is_given_up:  # too late: its thread would keep this process from ending
            event.assoc.dul.kill_dul()

    def _hang_up(self) -> None:
        """End what is still open; a node that says nothing does not confirm it, and pynetdicom would wait for that."""
        self._is_given_up = True
        for association in list(self._opened):
            if association.dul.is_alive():
                association.abort(block=False)
                association.dul.join(_FAREWELL_S)
                association.dul.kill_dul()
                connection = association.dul.socket.socket if association.dul.socket else None
                if connection is not None:
                    with suppress(OSError):  # it is closed already
                        connection.shutdown(socket.SHUT_RDWR)
                # whoever waits for an answer need not wait any more
                association.dul.to_user_queue.put(A_P_ABORT())
                association.dimse.msg_queue.put((None, None))
                association.dul.join(_FAREWELL_S)
                if connection is not None:  # pynetdicom closes none that was shut down
                    connection.close()


def require_node(node: DimseNode, report: Report, patience: Patience) -> None:
    """Make sure that a node is there and speaks to us, by a C-ECHO where it has one.

    Raises:
        PacsError: It cannot be reached, rejects us, or does not answer.
    """
    with _Line(node, report, patience) as line:
        line.watch.say(Progress(_ASKING, 0.0))
        line.over(lambda: _require_reachable(node, patience))
        contexts = [build_context(_VERIFICATION), build_context(_SEGMENTATION)]
        association = _associate(line, contexts, patience)
        if association.is_established:
            line.over(lambda: _require_echo(association, node))


def store_in_node(files: Sequence[DicomFile], node: DimseNode, report: Report, patience: Patience) -> list[DicomFile]:
    """Store files, after a C-ECHO.

    Returns:
        Those that were stored.

    Raises:
        PacsError: The node cannot be reached, rejects us, or does not store a file; the message says which.
    """
    contexts = _contexts_for(files)
    stored = []
    with _Line(node, report, patience) as line:
        line.watch.say(Progress(_STAGE, 0.0))
        line.over(lambda: _require_reachable(node, patience))
        association = _associate(line, contexts, patience)
        if not association.is_established:
            raise PacsError(_not_taken(files[0], node))
        line.over(lambda: _require_echo(association, node))
        for done, file in enumerate(files):
            line.watch.say(Progress(_STAGE, done / len(files)))
            status = _send(line, association, file)
            if _judge(status, file, node, report):
                stored.append(file)
        line.watch.say(Progress(_STAGE, 1.0, 0.0))
    return stored


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


def _associate(line: _Line, contexts: list[PresentationContext], patience: Patience) -> Association:
    """Connect; where the node speaks to us but takes nothing of what is proposed, the association has ended.

    Raises:
        PacsError: There is no association to be had.
    """
    node, started = line.node, time.monotonic()
    association = line.associate(contexts)
    is_unclear = not (association.is_established or association.is_rejected)
    if is_unclear and time.monotonic() - started < patience.read_s / 2:
        # on a busy computer pynetdicom can see the end of a connection before the rejection that came before it
        association = line.associate(contexts)
    if association.is_established or association.rejected_contexts:
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


def _send(line: _Line, association: Association, file: DicomFile) -> int:
    """Send a file; what the node says to it."""
    instance, node, began_s = read_instance(file), line.node, time.monotonic()
    try:
        with warnings.catch_warnings():  # of odd values, which may be a patient's name
            warnings.simplefilter("ignore")
            status: int | None = line.over(lambda: association.send_c_store(instance)).get("Status")
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
    return status


def _judge(status: int, file: DicomFile, node: DimseNode, report: Report) -> bool:
    """Read what a node says to a file that it was sent; False where it has it already."""
    if status == DUPLICATE:
        report(Notice(f"The {file.name} is in {node.place} already, and was not stored a second time."))
        return False
    if is_warning(status):
        report(Notice(f"{node.place} stored the {file.name}, but {reason_in_words(status)}."))
    elif status != 0:
        raise PacsError(
            f"{node.place} did not store {file.path}: {reason_in_words(status)}. Ask whoever runs the PACS; its log"
            " says more."
        )
    return True


def _not_taken(file: DicomFile, node: DimseNode) -> str:
    return (
        f"{node.place} does not take files like {file.path} ({UID(file.sop_class).name}, encoded as"
        f" {UID(file.transfer_syntax).name}). Have the PACS told to, or store it over dicomweb://."
    )
