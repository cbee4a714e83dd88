"""Read a series from a PACS into a folder, whole or not at all."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cisfa.errors import PacsError
from cisfa.events import Progress, Report, ignore
from cisfa.pacs.address import SeriesAddress
from cisfa.pacs.damage import UNREADABLE, is_cut_off
from cisfa.pacs.libraries import require_library
from cisfa.pacs.patience import Patience
from cisfa.whole_files import move_into_place, reason_of

if TYPE_CHECKING:
    from pydicom import Dataset

    from cisfa.pacs.dicomweb import DicomWeb

_PURPOSE, _STAGE = "Reading from a PACS", "receiving from the PACS"
_PATIENCE = Patience()


def fetch_series(
    address: SeriesAddress, folder: Path, report: Report, *, patience: Patience = _PATIENCE
) -> tuple[Path, ...]:
    """Retrieve every instance of a series over WADO-RS, encoded as it is stored.

    Args:
        address: Which series.
        folder: Where its files go, as 00001.dcm and so on; is made, or is empty.
        report: Hears progress, and notices of lost connections; what it raises stops the work.
        patience: How long an answer may take.

    Returns:
        The files, in the order in which they came.

    Raises:
        PacsError: The series is not there or cannot be had whole; nothing is left in the folder then.
    """
    require_library("dicomweb_client", _PURPOSE)
    from cisfa.pacs.dicomweb import DicomWeb

    with _receiving_into(folder) as unfinished, DicomWeb(address.service, report, patience) as pacs:
        pacs.say(Progress(_STAGE, 0.0))
        expected = pacs.patiently(lambda: pacs.count_of(address))
        if expected == 0:
            raise PacsError(
                f"{address.service.place} has no series {address.series_uid} in the study {address.study_uid}, or it is"
                " empty. Check the address, and that the study has arrived there."
            )
        received = pacs.patiently(lambda: _receive(pacs, address, unfinished, expected))
        files = _move(received, folder)
        pacs.say(Progress(_STAGE, 1.0, 0.0))
    return files


def require_fetchable(address: SeriesAddress) -> None:
    """Make sure of what reading a series needs on this computer, without asking the PACS.

    Raises:
        PacsError: A library is missing, or credentials, certificates or a proxy that this computer was told of cannot
            be used.
    """
    require_library("dicomweb_client", _PURPOSE)
    from cisfa.pacs.dicomweb import DicomWeb

    with DicomWeb(address.service, ignore, _PATIENCE):
        pass


@contextmanager
def _receiving_into(folder: Path) -> Iterator[Path]:
    """A folder inside for what is not whole yet; nothing stays when something is raised."""
    try:
        is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise PacsError(f"{folder} is not empty. Choose another folder for the series.")
        unfinished = tempfile.TemporaryDirectory(prefix=".receiving-", dir=folder, ignore_cleanup_errors=True)
    except OSError as error:
        raise PacsError(_cannot_write(folder, error)) from error
    try:
        with unfinished as name:
            yield Path(name)
    except BaseException:
        with suppress(OSError):
            for path in folder.glob("*.dcm"):
                path.unlink()
            if is_new:
                folder.rmdir()
        raise


def _receive(pacs: "DicomWeb", address: SeriesAddress, folder: Path, expected: int) -> list[Path]:
    """One try to receive them all."""
    from cisfa.pacs.web_session import ConnectionLostError

    received: dict[str, Path] = {}
    for instance in pacs.instances_of(address):
        uid = _uid_in(instance, address)
        if uid in received:
            continue
        path = folder / f"{len(received) + 1:05d}.dcm"
        if is_cut_off(instance):
            raise PacsError(_is_damaged(address, "cut off"))
        _write(instance, path, address)
        received[uid] = path
        pacs.say(Progress(_STAGE, min(len(received) / expected, 1.0)))
    if len(received) < expected:
        raise ConnectionLostError(f"it sent {len(received)} of {expected} files")
    return list(received.values())


def _uid_in(instance: "Dataset", address: SeriesAddress) -> str:
    """An instance's UID, after making sure that it is of the series that was asked for."""
    if instance.get("SeriesInstanceUID") != address.series_uid or not instance.get("SOPInstanceUID"):
        raise PacsError(
            f"{address.service.place} was asked for the series {address.series_uid}, and sends something of another"
            " one. Ask whoever runs the PACS."
        )
    return str(instance.SOPInstanceUID)


def _write(instance: "Dataset", path: Path, address: SeriesAddress) -> None:
    try:
        with warnings.catch_warnings():  # of odd values, which may be a patient's name
            warnings.simplefilter("ignore")
            instance.save_as(path, enforce_file_format=True)
    except OSError as error:
        raise PacsError(_cannot_write(path.parent.parent, error)) from error
    except UNREADABLE as error:
        raise PacsError(_is_damaged(address, type(error).__name__)) from error


def _is_damaged(address: SeriesAddress, how: str) -> str:
    return (
        f"{address.service.place} sends a file of the series {address.series_uid} that is damaged ({how}). Ask whoever"
        " runs the PACS to check it."
    )


def _move(received: list[Path], folder: Path) -> tuple[Path, ...]:
    files = []
    for path in received:
        try:
            move_into_place(path, folder / path.name)
        except OSError as error:
            raise PacsError(_cannot_write(folder, error)) from error
        files.append(folder / path.name)
    return tuple(files)


def _cannot_write(path: Path, error: OSError) -> str:
    return (
        f"{path} cannot be written: {reason_of(error)}. Choose a folder that you may write to, with enough free space."
    )
