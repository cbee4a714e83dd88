"""Fields for paths that are remembered between sittings, whatever the scene."""

from collections.abc import Callable
from typing import Any

from cisfa_slicer.settings import read_setting, write_setting


def bind_path_field(field: Any, name: str, on_changed: Callable[[], object] = lambda: None) -> None:
    """Show a setting in a ctkPathLineEdit, and remember what the user makes of it.

    Args:
        field: The widget.
        name: Of the setting.
        on_changed: Called when another path was chosen.
    """

    def remember(_: object) -> None:
        path = field.currentPath.strip()
        if path != read_setting(name):
            write_setting(name, path)
            on_changed()

    field.currentPath = read_setting(name)
    field.connect("currentPathChanged(QString)", remember)
    # an emptied field says only that it holds nothing valid any more
    field.connect("validInputChanged(bool)", remember)
