"""UIDs that follow from what an object holds, so that the same export twice is one object and not two."""

import hashlib
import uuid
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

# the arc for UIDs made of UUIDs (ITU-T X.667, PS3.5 B.2)
_ARC = "2.25."


class UidSource:
    """Derives UIDs from a SHA-256 over all that is fed to it."""

    def __init__(self, parts: Iterable[str]) -> None:
        self._digest = hashlib.sha256()
        for part in parts:
            self._feed(part.encode("utf-8", errors="surrogatepass"))

    def feed_voxels(self, voxels: NDArray[Any], slices: Iterable[int], *, dtype: type) -> None:
        """Add the voxels of slices.

        Args:
            voxels: (slices, rows, columns).
            slices: Those that hold anything; the others need not be read.
            dtype: Which the voxels are turned into, since the same labels come in several.
        """
        for index in slices:
            self._feed(str(index).encode("ascii"))
            self._feed(np.ascontiguousarray(voxels[index], dtype=dtype).data)

    def uid(self, role: str) -> str:
        """A UID; the same for the same content and role, another for any other.

        Args:
            role: What it names: "instance", "series".
        """
        digest = self._digest.copy()
        digest.update(role.encode("utf-8"))
        return f"{_ARC}{uuid.UUID(bytes=digest.digest()[:16], version=5).int}"

    def _feed(self, content: bytes | memoryview) -> None:
        # with its length, lest two parts that are split elsewhere give the same digest
        self._digest.update(memoryview(content).nbytes.to_bytes(8, "big"))
        self._digest.update(content)
