"""Where this extension keeps what belongs to a computer rather than to a scene: models, runs, cases."""

from pathlib import Path

import qt

from cisfa_slicer.settings import read_setting


def data_folder(name: str, setting: str) -> Path:
    """The folder for one kind of thing, as the user's settings say; it need not exist yet.

    Args:
        name: Of the folder, where nobody chose another one.
        setting: That may name another one.
    """
    chosen = read_setting(setting)
    if chosen:
        return Path(chosen)
    data = qt.QStandardPaths.writableLocation(qt.QStandardPaths.GenericDataLocation)
    return Path(data) / "CISFA" / name
