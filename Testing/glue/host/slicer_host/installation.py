"""Makes ``import qt, ctk, slicer`` give the host's: once a process."""

import os
from functools import cache
from typing import Any


@cache
def install() -> Any:
    """Start Qt without a screen and put the modules in place.

    Returns:
        The host.
    """
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    # PySide's own, which these modules build on, must not be loaded before that line
    from slicer_host import application, namespaces, slot_errors

    namespaces.install()
    native, app = application.make_application()
    from slicer_host import dialogs, scene, slicer_package, special_members, ui_loader  # noqa: F401

    slicer_package.install()
    slot_errors.watch_observers()
    import slicer

    from slicer_host.host import Host

    slicer.app = app
    return Host(native, app)
