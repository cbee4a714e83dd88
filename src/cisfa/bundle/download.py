"""Download a model bundle: what was received is kept, so that an interrupted download goes on where it stopped.

The address is trusted with nothing. Size and SHA-256 come from whoever recommends the bundle; what does not have them
is deleted, and what has them is verified like any other bundle before it gets its name. Free of torch and numpy.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from cisfa.bundle.bundle_folder import ARCHIVE_SUFFIX, Bundle, open_bundle, require_free
from cisfa.bundle.remote_file import ConnectionLostError, RemoteFile, answer_of
from cisfa.bundle.stored_files import reason_of
from cisfa.errors import BundleError, DownloadError
from cisfa.events import Notice, Progress, Report

PART_SUFFIX = ".part"
# before each further try; after a try that brought something, all of them again
_WAITS_S = (1.0, 2.0, 4.0, 8.0)
_WORTH_A_TRY_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 20
# progress is where a cancellation takes effect
_REPORT_EVERY_S = 0.2


def download_bundle(remote: RemoteFile, destination: Path, report: Report, *, overwrite: bool = False) -> Bundle:
    """Download a bundle's zip file, or the rest of it.

    Until it is whole and verified it is called ``destination`` with ``.part`` behind it. What ``report`` raises stops
    the download; the part stays for the next time.

    Args:
        remote: Where it is, and what it must be.
        destination: A name ending in ``.zip``.
        report: Hears progress, and notices of lost connections.
        overwrite: Whether a bundle that is there already may be replaced.

    Returns:
        The bundle in its place.

    Raises:
        DownloadError: It cannot be had or stored, or is not what was expected.
        BundleError: Something is there already.
    """
    if destination.suffix.lower() != ARCHIVE_SUFFIX:
        raise DownloadError(f"{destination} is no name for a downloaded bundle. Name a file that ends in .zip.")
    require_free(destination, overwrite=overwrite)
    part = destination.with_name(destination.name + PART_SUFFIX)
    with _alone(destination):
        _Download(remote, part, report).fetch()
        _require_digest(part, remote, report)
        bundle = _verified(part, remote)
        try:
            os.replace(part, destination)
        except OSError as error:
            raise DownloadError(_cannot_write(destination, error)) from error
    return replace(bundle, path=destination)


class _Download:
    """One download into a part, in as many tries as it takes."""

    def __init__(self, remote: RemoteFile, part: Path, report: Report) -> None:
        self._remote, self._part = remote, part
        self._pace = _Pace("downloading", remote.size_bytes, report)

    def fetch(self) -> None:
        """Fill the part up to the expected size."""
        if self._have() > self._remote.size_bytes:
            self._part.unlink()
        self._require_space()
        waits_s = list(_WAITS_S)
        self._pace.begin(self._have())
        while (before := self._have()) < self._remote.size_bytes:
            try:
                self._receive(before)
                reason = "the server closed it early"
            except ConnectionLostError as error:
                reason = str(error)
            after = self._have()
            if after == self._remote.size_bytes:
                break
            if after - before >= _WORTH_A_TRY_BYTES:
                waits_s = list(_WAITS_S)
            if not waits_s:
                raise DownloadError(self._cannot_connect(reason))
            self._wait(waits_s.pop(0), reason)
        self._pace.end()

    def _receive(self, have: int) -> None:
        """Write what the server sends behind what is there already, or over it, up to the expected size."""
        with answer_of(self._remote, have) as answer:
            done = answer.first_byte
            with self._opened("ab" if done else "wb") as file:
                for piece in answer.pieces:
                    wanted = piece[: self._remote.size_bytes - done]
                    self._write(file, wanted)
                    done += len(wanted)
                    self._pace.report(done)
                    if done == self._remote.size_bytes:
                        return

    def _opened(self, mode: Literal["ab", "wb"]) -> FileIO:
        try:
            return self._part.open(mode, buffering=0)  # what was received counts even when this process is killed
        except OSError as error:
            raise DownloadError(_cannot_write(self._part, error)) from error

    def _write(self, file: FileIO, content: bytes) -> None:
        try:
            while content:
                content = content[file.write(content) :]
        except OSError as error:
            raise DownloadError(_cannot_write(self._part, error)) from error

    def _have(self) -> int:
        """Bytes that were downloaded already."""
        return self._part.stat().st_size if self._part.is_file() else 0

    def _require_space(self) -> None:
        needed = self._remote.size_bytes - self._have()
        free = shutil.disk_usage(self._part.parent).free
        if needed > free:
            raise DownloadError(
                f"{self._part.parent} has {_in_words(free)} free, and the download needs {_in_words(needed)}. Free some"
                " space, or choose another folder."
            )

    def _wait(self, seconds: float, reason: str) -> None:
        self._pace.notice(f"The connection to {self._remote.place} failed ({reason}). Trying again in {seconds:g} s.")
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            self._pace.report(self._have())
            time.sleep(min(left, _REPORT_EVERY_S))

    def _cannot_connect(self, reason: str) -> str:
        place = self._remote.place
        return (
            f"{self._remote.shown} cannot be downloaded: the connection to {place} failed again and again ({reason})."
            f" Check that this computer is online, and that its proxy (HTTPS_PROXY) and firewall let it reach {place}."
            " What was received is kept: try again to go on."
        )


class _Pace:
    """Says how far a stage is, some times a second: a progress for every piece would be a flood."""

    def __init__(self, stage: str, total: int, report: Report) -> None:
        self._stage, self._total, self._report = stage, total, report
        self._first, self._began_s, self._reported_s = 0, 0.0, 0.0

    def begin(self, done: int) -> None:
        self._first, self._began_s = done, time.monotonic()
        self._say(done, None)

    def report(self, done: int) -> None:
        now = time.monotonic()
        if now - self._reported_s < _REPORT_EVERY_S:
            return
        received = done - self._first  # less than nothing where a server made us start again
        remaining_s = (now - self._began_s) / received * (self._total - done) if received > 0 else None
        self._say(done, remaining_s)

    def end(self) -> None:
        self._say(self._total, 0.0)

    def notice(self, message: str) -> None:
        self._report(Notice(message))

    def _say(self, done: int, remaining_s: float | None) -> None:
        self._reported_s = time.monotonic()
        self._report(Progress(self._stage, done / self._total, remaining_s))


@contextmanager
def _alone(destination: Path) -> Iterator[None]:
    """Keep another process from writing into the same part."""
    lock = FileLock(destination.with_name(f".{destination.name}.lock"))
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise DownloadError(f"Another process is downloading {destination} already. Wait for it.") from None
    except OSError as error:
        raise DownloadError(_cannot_write(destination, error)) from error
    try:
        yield
    finally:
        with suppress(OSError):  # Windows deletes no open file; there, releasing does
            Path(lock.lock_file).unlink()
        lock.release(force=True)


def _require_digest(part: Path, remote: RemoteFile, report: Report) -> None:
    """Delete what is not what was expected."""
    digest, done, pace = hashlib.sha256(), 0, _Pace("checking", remote.size_bytes, report)
    pace.begin(0)
    try:
        with part.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                done += len(chunk)
                pace.report(done)
    except OSError as error:
        raise DownloadError(f"{part} cannot be read again: {reason_of(error)}. Try again.") from error
    if digest.hexdigest() != remote.sha256.lower():
        part.unlink()
        raise DownloadError(
            f"What was downloaded from {remote.shown} is not what was expected (its SHA-256 is {digest.hexdigest()},"
            f" not {remote.sha256.lower()}), and was deleted. Try again; if that does not help, the file there is"
            " another one by now: ask whoever offers it."
        )
    pace.end()


def _verified(part: Path, remote: RemoteFile) -> Bundle:
    try:
        return open_bundle(part)
    except BundleError as error:
        part.unlink()  # it is what was expected, so what is kept would never become a bundle
        raise DownloadError(
            f"What was downloaded from {remote.shown} is what was expected, but it is no bundle that can be used here,"
            f" and was deleted. {error}"
        ) from error


def _cannot_write(path: Path, error: OSError) -> str:
    return (
        f"{path} cannot be written: {reason_of(error)}. Choose a folder that you may write to, with enough free space."
    )


def _in_words(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"
