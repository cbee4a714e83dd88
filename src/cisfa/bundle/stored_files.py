"""Read the files of a bundle, from a folder or out of a zip file, whoever made it.

Nothing is unpacked, run or followed: an archive's entries are read in place, a link or a nested folder is refused, and
so is whatever is too large to be true. Free of numpy, since 3D Slicer's own process reads manifests.
"""

import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from cisfa.errors import BundleError

LARGEST_BUNDLE_BYTES = 8 << 30
MOST_FILES = 64
# what file browsers drop into folders that they show; never read
LEFT_BY_SYSTEMS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_CHUNK_BYTES = 1 << 20
_LARGEST_RATIO = 200
# text packs 1:20 at best and weights hardly at all; deflate reaches 1:1000 on what was made to fill a disk
_HARMLESS_BYTES = 1 << 20
_ENCRYPTED = 0x1


@dataclass(frozen=True)
class StoredFile:
    """One file of a bundle.

    Attributes:
        name: Its name in the bundle.
        size_bytes: Its length, as the folder or the archive states it.
        where: The bundle, for messages.
        open: Opens it for reading.
    """

    name: str
    size_bytes: int
    where: Path
    open: Callable[[], IO[bytes]]

    def chunks(self) -> Iterator[bytes]:
        """Its content, a piece at a time.

        Raises:
            BundleError: It cannot be read, is damaged, or does not have the stated length.
        """
        left = self.size_bytes
        try:
            with self.open() as file:
                while chunk := file.read(min(_CHUNK_BYTES, left + 1)):
                    left -= len(chunk)
                    if left < 0:
                        break
                    yield chunk
        except _UNREADABLE as error:
            raise BundleError(f"{self.name} of {self.where} cannot be read: {reason_of(error)}. {_AGAIN}") from error
        if left != 0:
            raise BundleError(f"{self.name} of {self.where} does not have {self.size_bytes} bytes. {_AGAIN}")

    def read(self) -> bytes:
        """Its whole content.

        Raises:
            BundleError: It cannot be read, is damaged, or does not have the stated length.
        """
        return b"".join(self.chunks())


_UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)
# what zipfile raises on damaged archives; NotImplementedError is a RuntimeError
_AGAIN = "Copy or download the bundle again."


@contextmanager
def open_stored_files(bundle: Path) -> Iterator[Mapping[str, StoredFile]]:
    """The files of a bundle by name; they can be read while the context lasts.

    Args:
        bundle: A folder or a ``.zip`` file.

    Raises:
        BundleError: There is nothing, it is no readable archive, or it has entries that no bundle has.
    """
    if bundle.is_dir():
        yield _listed(_folder_files(bundle), bundle)
    elif bundle.is_file():
        with _open_archive(bundle) as archive:
            yield _listed(_archive_files(archive, bundle), bundle)
    else:
        raise BundleError(f"{bundle} does not exist. Give a model bundle: a folder or a .zip file.")


def is_plain_name(name: str) -> bool:
    """Whether a file in a bundle may have this name: no folder, no drive, nothing that a system reads otherwise."""
    return _PLAIN_NAME.fullmatch(name) is not None


def _listed(files: Iterator[StoredFile], bundle: Path) -> Mapping[str, StoredFile]:
    found: dict[str, StoredFile] = {}
    names: set[str] = set()
    for file in files:
        if file.name.casefold() in names:
            raise BundleError(f"{bundle} holds {file.name!r} twice; no bundle does. {_AGAIN}")
        names.add(file.name.casefold())
        found[file.name] = file
        if len(found) > MOST_FILES:
            raise BundleError(f"{bundle} holds more than {MOST_FILES} files; it is no model bundle.")
        if sum(one.size_bytes for one in found.values()) > LARGEST_BUNDLE_BYTES:
            raise BundleError(f"{bundle} claims to hold more than 8 GiB; it is no model bundle.")
    return found


def _folder_files(folder: Path) -> Iterator[StoredFile]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name in LEFT_BY_SYSTEMS:
                    continue
                if not entry.is_file(follow_symlinks=False):
                    kind = "a link" if entry.is_symlink() else "a folder or a device"
                    raise BundleError(f"{folder} holds {kind}, {entry.name!r}; a bundle holds plain files only.")
                size_bytes = entry.stat(follow_symlinks=False).st_size
                yield StoredFile(entry.name, size_bytes, folder, partial(_open_plain, Path(entry.path)))
    except OSError as error:
        raise BundleError(f"{folder} cannot be read: {reason_of(error)}.") from error


@contextmanager
def _open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except _UNREADABLE as error:
        raise BundleError(f"{path} is no readable zip file: {reason_of(error)}. {_AGAIN}") from error
    with archive:
        yield archive


def _archive_files(archive: zipfile.ZipFile, path: Path) -> Iterator[StoredFile]:
    for entry in archive.infolist():
        # the original name: zipfile cuts what follows a zero byte and turns a system's separators round
        name = entry.orig_filename
        if not is_plain_name(name) or name != entry.filename:
            raise BundleError(f"{path} holds {name[:100]!r}; a bundle's files have plain names and no folders.")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise BundleError(f"{path} holds {name!r} as a link or a device; a bundle holds plain files only.")
        if entry.flag_bits & _ENCRYPTED or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BundleError(f"{name} of {path} is encrypted or packed in an unknown way. {_AGAIN}")
        if entry.file_size > _HARMLESS_BYTES and entry.file_size > _LARGEST_RATIO * entry.compress_size:
            raise BundleError(f"{name} of {path} would unpack to {entry.file_size} bytes; it is no part of a bundle.")
        yield StoredFile(name, entry.file_size, path, partial(archive.open, entry))


def _open_plain(path: Path) -> IO[bytes]:
    return path.open("rb")


def reason_of(error: BaseException) -> str:
    """What went wrong with a file, as a user can read it, without the file's name."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip().rstrip(".") or type(error).__name__
