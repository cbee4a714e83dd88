"""Write, open and verify model bundles (docs/bundle-format.md): a folder, or one zip file with the same content.

A bundle is written whole or not at all. One that is opened has been verified file by file against its manifest;
nothing in it is run, and nothing pickled is read. Free of torch: the weights are handed on as bytes.
"""

import hashlib
import os
import shutil
import uuid
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors import SafetensorError, deserialize

from cisfa.bundle.manifest import (
    MANIFEST,
    MODEL_CARD,
    WEIGHTS,
    FileDigest,
    Manifest,
    from_json,
    to_json,
)
from cisfa.bundle.manifest_file import bundle_checksum, read_manifest_bytes
from cisfa.bundle.model_card import model_card
from cisfa.bundle.stored_files import LEFT_BY_SYSTEMS, StoredFile, open_stored_files, reason_of
from cisfa.errors import BundleError

ARCHIVE_SUFFIX = ".zip"
# the oldest time that zip can hold: the same model gives the same bytes whenever it is packed
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_PLAIN_FILE_MODE = 0o100644


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files have been verified.

    Attributes:
        path: The folder or zip file.
        manifest: What it says about itself.
        checksum: SHA-256 of its manifest.json, 64 hexadecimal digits. The manifest lists the digests of all other
            files, so this names the whole bundle; results name it to say which model made them.
    """

    path: Path
    manifest: Manifest
    checksum: str

    def weights_bytes(self) -> bytes:
        """The weights in safetensors format, verified again as they are read.

        Raises:
            BundleError: They cannot be read, or were changed since the bundle was opened.
        """
        with open_stored_files(self.path) as files:
            if WEIGHTS not in files:
                raise BundleError(f"{WEIGHTS} of {self.path} is gone. Copy or download the bundle again.")
            content = files[WEIGHTS].read()
        _require_digest(_digest_of(content), self.manifest.files[WEIGHTS], WEIGHTS, self.path)
        return content


def write_bundle(manifest: Manifest, weights: Path | bytes, destination: Path, *, overwrite: bool = False) -> Path:
    """Write a bundle: manifest, weights, and a model card made from the manifest.

    Args:
        manifest: Its ``files`` are filled in here.
        weights: A safetensors file, or its bytes.
        destination: A zip file when its name ends in ``.zip``, otherwise a folder.
        overwrite: Whether a bundle that is there already may be replaced.

    Returns:
        The destination.

    Raises:
        BundleError: The weights are not safetensors, something is there already, or it cannot be written.
    """
    require_free(destination, overwrite=overwrite)
    contents = {WEIGHTS: _weights_content(weights), MODEL_CARD: model_card(manifest).encode("utf-8")}
    contents = dict(sorted(contents.items()))
    digests = {name: _digest_of(content) for name, content in contents.items()}
    contents[MANIFEST] = to_json(replace(manifest, files=digests))
    is_archive = destination.suffix.lower() == ARCHIVE_SUFFIX
    _write_whole(destination, contents, _write_archive if is_archive else _write_folder)
    return destination


def open_bundle(path: Path) -> Bundle:
    """Open a bundle after verifying all of it.

    Args:
        path: A folder or a ``.zip`` file.

    Raises:
        BundleError: It is no bundle, made by a newer version, or a file is damaged, missing or not listed.
    """
    return _verified(path)[0]


def verify_bundle(path: Path) -> list[str]:
    """Verify a bundle and say what was checked, a line each.

    Raises:
        BundleError: It is no bundle, made by a newer version, or a file is damaged, missing or not listed.
    """
    return _verified(path)[1]


def _verified(path: Path) -> tuple[Bundle, list[str]]:
    with open_stored_files(path) as files:
        content = read_manifest_bytes(files, path)
        manifest = from_json(content, where=str(path))
        checksum = bundle_checksum(content)
        checked = [f"{MANIFEST}: schema {manifest.schema_version}, bundle checksum {checksum}"]
        _require_same_names(files, manifest, path)
        for name, listed in sorted(manifest.files.items()):
            if files[name].size_bytes != listed.size_bytes:
                raise BundleError(
                    f"{name} of {path} has {files[name].size_bytes} bytes, but the manifest lists {listed.size_bytes}."
                    " Copy or download the bundle again."
                )
            _require_digest(_digest_of_file(files[name]), listed, name, path)
            checked.append(f"{name}: {listed.size_bytes} bytes, SHA-256 as listed")
        tensors = _count_tensors(files[WEIGHTS].read(), f"{WEIGHTS} of {path}")
        checked.append(f"{WEIGHTS}: safetensors with {tensors} tensors")
        checked.append("no file is missing, none is unlisted")
    return Bundle(path, manifest, checksum), checked


def _require_same_names(files: Mapping[str, StoredFile], manifest: Manifest, path: Path) -> None:
    there, listed = set(files), {MANIFEST, *manifest.files}
    if missing := sorted(listed - there):
        raise BundleError(f"{path} lacks {', '.join(missing)}. Copy or download the bundle again.")
    if unlisted := sorted(there - listed):
        raise BundleError(
            f"{path} holds {', '.join(map(repr, unlisted))}, which its manifest does not list. Remove what you put"
            " there, or get the bundle again from whom you trust."
        )


def _require_digest(found: FileDigest, listed: FileDigest, name: str, path: Path) -> None:
    if found != listed:
        raise BundleError(
            f"{name} of {path} was changed or damaged: its SHA-256 is {found.sha256}, but the manifest lists"
            f" {listed.sha256}. Copy or download the bundle again."
        )


def _digest_of(content: bytes) -> FileDigest:
    return FileDigest(hashlib.sha256(content).hexdigest(), len(content))


def _digest_of_file(file: StoredFile) -> FileDigest:
    digest, size_bytes = hashlib.sha256(), 0
    for chunk in file.chunks():
        digest.update(chunk)
        size_bytes += len(chunk)
    return FileDigest(digest.hexdigest(), size_bytes)


def _weights_content(weights: Path | bytes) -> bytes:
    if isinstance(weights, bytes):
        content, where = weights, "The weights"
    else:
        where = str(weights)
        try:
            content = weights.read_bytes()
        except OSError as error:
            raise BundleError(f"{weights} cannot be read: {reason_of(error)}.") from error
    if _count_tensors(content, where) == 0:
        raise BundleError(f"{where} holds no tensor; it is no trained model.")
    return content


def _count_tensors(content: bytes, where: str) -> int:
    try:
        return len(deserialize(content))  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise BundleError(
            f"{where} is no valid safetensors file ({error}). Bundles hold weights in that format only, since reading"
            " it cannot run code."
        ) from error


def require_free(destination: Path, *, overwrite: bool) -> None:
    """Refuse to replace what is no bundle, with or without being told to.

    Raises:
        BundleError: Something is there already.
    """
    if not os.path.lexists(destination):
        return
    is_archive = destination.suffix.lower() == ARCHIVE_SUFFIX
    if destination.is_dir() and not destination.is_symlink():
        names = {entry.name for entry in destination.iterdir()} - LEFT_BY_SYSTEMS
        if not names and not is_archive:
            return
        # whoever replaces a bundle must not lose other files with it
        replaceable = not is_archive and {MANIFEST} <= names <= {MANIFEST, WEIGHTS, MODEL_CARD}
    else:
        replaceable = is_archive and destination.is_file()
    if not replaceable:
        raise BundleError(f"{destination} is there already and is no bundle. Choose another name.")
    if not overwrite:
        raise BundleError(f"{destination} is there already. Choose another name, or allow it to be overwritten.")


def _write_whole(
    destination: Path, contents: Mapping[str, bytes], write: Callable[[Path, Mapping[str, bytes]], None]
) -> None:
    """Write beside the destination and move into place, so that a half-written bundle is never seen."""
    mark = uuid.uuid4().hex[:12]
    place = destination.resolve()
    unfinished, former = place.with_name(f".writing-{mark}"), place.with_name(f".replaced-{mark}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write(unfinished, contents)
        if place.is_dir():
            # a folder that has files cannot be replaced in one step
            os.replace(place, former)
        os.replace(unfinished, place)
    except OSError as error:
        raise BundleError(
            f"{destination} cannot be written: {reason_of(error)}. Choose a folder that you may write to, with enough"
            " free space."
        ) from error
    finally:
        with suppress(OSError):
            if former.exists() and not place.exists():
                os.replace(former, place)
            for leftover in (unfinished, former):
                _remove(leftover)


def _write_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def _write_archive(path: Path, contents: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "x") as archive:
        for name, content in sorted(contents.items()):
            # stored, not packed: weights do not shrink, and packers differ between versions
            entry = zipfile.ZipInfo(name, date_time=_ZIP_TIME)
            entry.create_system = _UNIX
            entry.external_attr = _PLAIN_FILE_MODE << 16
            archive.writestr(entry, content)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
