"""What was found out about cases, kept in a folder so that a second look is instant.

A file is known by its path, size and time of change, a DICOM series by all its files'; an entry's name is a digest of
these, so that the folder's names tell nothing. Whatever is wrong with an entry, the case is looked at again.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from cisfa.cases.check_report import CaseFacts
from cisfa.config_files import from_json_values
from cisfa.errors import ConfigError, VolumeFileError
from cisfa.imaging.dicom_places import files_behind
from cisfa.whole_files import write_text

# to be raised with every change of what is found out
_VERSION = 3


class FactCache:
    """A folder of facts and thumbnails."""

    def __init__(self, folder: Path) -> None:
        """Args: the folder, existing or not."""
        self._folder = folder

    def key(self, paths: Iterable[Path], *settings: object) -> str | None:
        """Where a case's facts are kept; None for one whose files are not there.

        Args:
            paths: The files that the facts are about, and folders with DICOM series.
            settings: What else they depend on, as something whose ``repr`` tells it.
        """
        known: list[object] = [_VERSION, *settings]
        try:
            for path in paths:
                known.append(os.fspath(path.absolute()))
                for file in files_behind(path):
                    status = file.stat()
                    known += [file.name, status.st_mtime_ns, status.st_size]
        except OSError:
            return None
        return hashlib.sha256(repr(known).encode("utf-8", errors="surrogatepass")).hexdigest()[:40]

    def thumbnail(self, key: str) -> Path:
        """Where a case's picture is kept."""
        return self._folder / f"{key}.png"

    def load(self, key: str) -> CaseFacts | None:
        """The facts of an entry with its picture; None when it is not whole."""
        try:
            values = json.loads((self._folder / f"{key}.json").read_text(encoding="utf-8"))
            facts = from_json_values(CaseFacts, values)
        except (OSError, ValueError, TypeError, AttributeError, ConfigError):
            return None
        picture = self.thumbnail(key)
        return replace(facts, thumbnail=os.fspath(picture)) if picture.is_file() else None

    def save(self, key: str, facts: CaseFacts) -> None:
        """Keep the facts of a case whose picture has been written; what cannot be kept is found out again."""
        with suppress(VolumeFileError):
            # without a patient's name: who looks a case up knows it
            text = json.dumps(asdict(replace(facts, name="", thumbnail=None)), ensure_ascii=False)
            write_text(self._folder / f"{key}.json", text)
