"""Make sure that the tests can open windows: Qt needs libraries and a font that a Linux without a screen may lack.

dev.py runs this in .venv before the tests. As root on Debian or Ubuntu it installs what is missing.
"""

import importlib.util
import os
import shutil
import subprocess
import sys

# what a bare Debian 12 or 13 lacks; Ubuntu's names are the same
PACKAGES = (
    *("fonts-dejavu-core", "libdbus-1-3", "libegl1", "libfontconfig1", "libgl1", "libglib2.0-0"),
    *("libgssapi-krb5-2", "libxkbcommon0"),
)
INSTALL = ("apt-get", "install", "--yes", "--no-install-recommends", *PACKAGES)
# the argument with which this file tries it out
TRY = "--try"


def main() -> str:
    """What the user has to do; empty when the tests can open windows."""
    obstacle = what_stops_windows()
    if not obstacle:
        return ""
    why = f"The tests cannot open a window ({obstacle})."
    if shutil.which("apt-get") is None:
        return f"{why} Install what this system lacks of {', '.join(PACKAGES)}; there they may have other names."
    if os.name != "posix" or os.geteuid() != 0:
        return f"{why} Run: sudo {' '.join(INSTALL)}"
    print(f"Installing {' '.join(PACKAGES)} ...", flush=True)
    run("apt-get", "update")
    if run(*INSTALL) != 0:
        return f"{' '.join(INSTALL)} failed; its own words are above."
    obstacle = what_stops_windows()
    return f"The tests still cannot open a window ({obstacle})." if obstacle else ""


def what_stops_windows() -> str:
    """Ask a fresh process, since this one would remember what it could not load; elsewhere than on Linux, nothing."""
    if not sys.platform.startswith("linux"):
        return ""
    question = [sys.executable, "-I", __file__, TRY]
    answer = subprocess.run(question, capture_output=True, encoding="utf-8", errors="replace", check=False)
    last_words = [f"exit code {answer.returncode}", *answer.stderr.splitlines()][-1]
    return last_words if answer.returncode else ""


def open_a_window() -> str:
    """What is missing; empty when nothing is, and where pip has no slicer-core, so that no test opens a window."""
    if not (importlib.util.find_spec("PySide6") and importlib.util.find_spec("slicer_core")):
        return ""
    import slicer  # noqa: F401
    from PySide6 import QtGui, QtTest, QtUiTools, QtWidgets  # noqa: F401

    application = QtWidgets.QApplication(["window", "-platform", "offscreen"])
    QtWidgets.QWidget().show()
    application.processEvents()
    return "" if QtGui.QFontDatabase.families() else "there is no font"


def run(*command: str) -> int:
    """Run a command and show it."""
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit((open_a_window() if TRY in sys.argv else main()) or 0)
