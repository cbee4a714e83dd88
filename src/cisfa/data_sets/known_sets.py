"""The data sets that can be prepared, and which of them a folder looks like."""

from collections.abc import Mapping
from pathlib import Path

from cisfa.data_sets.amos import AMOS
from cisfa.data_sets.btcv import BTCV
from cisfa.data_sets.chaos import CHAOS
from cisfa.data_sets.choices import TITLES
from cisfa.data_sets.found_set import DataSet
from cisfa.data_sets.mmwhs import MMWHS
from cisfa.data_sets.places import files_of, folders_in
from cisfa.data_sets.totalsegmentator import TOTALSEGMENTATOR

KNOWN_SETS: Mapping[str, DataSet] = {one.key: one for one in (AMOS, BTCV, CHAOS, MMWHS, TOTALSEGMENTATOR)}
_ARCHIVES = (".zip", ".tar", ".tgz", ".7z", ".rar")


def what_a_folder_holds_instead(raw: Path, key: str) -> str:
    """A sentence on a folder in which a data set was looked for in vain.

    Args:
        raw: The folder.
        key: Of the data set that was looked for.
    """
    begin = f"{raw} holds nothing that is laid out as {TITLES[key]} is when it is unpacked"
    others = [one.key for one in KNOWN_SETS.values() if one.key != key and one.holds(raw)]
    if others:
        return f"{begin}; it looks like {TITLES[others[0]]}. Try: cisfa prepare {others[0]} …"
    files = [path for folder in folders_in(raw) for path in files_of(folder)]
    archives = [path.name for path in files if path.name.lower().endswith(_ARCHIVES)]
    if archives:
        return f"{begin}, but {archives[0]}. Unpack it first, and name the folder it unpacks to."
    if not files:
        return f"{raw} is empty. Download {TITLES[key]}, unpack it there, and try again."
    return f"{begin}. docs/data-sets.md shows the layout; name the folder that the download unpacked to."
