"""Reading a bundle's ``manifest.json`` out of its folder or zip file, without checking the other files.

Free of torch and numpy, since 3D Slicer's own process does this to list the models.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from cisfa.bundle.manifest import MANIFEST, Manifest, from_json
from cisfa.bundle.stored_files import StoredFile, open_stored_files
from cisfa.errors import BundleError

LARGEST_MANIFEST_BYTES = 1 << 20


def read_manifest(bundle: Path) -> Manifest:
    """Read a bundle's manifest, without checking its other files.

    Args:
        bundle: A folder or a ``.zip`` file.

    Raises:
        BundleError: There is no bundle, or its manifest cannot be read.
    """
    return identify_bundle(bundle)[0]


def identify_bundle(bundle: Path) -> tuple[Manifest, str]:
    """Read a bundle's manifest and the checksum that stands for the whole bundle, without checking its other files.

    Args:
        bundle: A folder or a ``.zip`` file.

    Returns:
        The manifest, and the SHA-256 of its bytes, 64 hexadecimal digits.

    Raises:
        BundleError: There is no bundle, or its manifest cannot be read.
    """
    with open_stored_files(bundle) as files:
        content = read_manifest_bytes(files, bundle)
    return from_json(content, where=str(bundle)), bundle_checksum(content)


def bundle_checksum(manifest_bytes: bytes) -> str:
    """The SHA-256 of ``manifest.json``, which holds the digests of all other files."""
    return hashlib.sha256(manifest_bytes).hexdigest()


def read_manifest_bytes(files: Mapping[str, StoredFile], bundle: Path) -> bytes:
    """The bytes of ``manifest.json`` among a bundle's stored files.

    Raises:
        BundleError: There is none, or it is too large to be one.
    """
    if MANIFEST not in files:
        raise BundleError(f"{bundle} is no model bundle: it has no {MANIFEST}.")
    if files[MANIFEST].size_bytes > LARGEST_MANIFEST_BYTES:
        raise BundleError(f"{MANIFEST} of {bundle} is larger than 1 MiB; it is no manifest.")
    return files[MANIFEST].read()
