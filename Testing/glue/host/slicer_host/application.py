"""slicer.app: the application, its settings and its modules."""

import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtWidgets

from slicer_host.wrapped import Wrapped, make_class, take_native

VERSION = "5.12.0"


class QuitRequestedError(AssertionError):
    """Something asked Slicer to quit."""


class qSlicerModuleManager(QtCore.QObject):  # noqa: N801
    moduleLoaded = QtCore.Signal(str)
    moduleAboutToBeUnloaded = QtCore.Signal(str)

    def __init__(self, parent: QtCore.QObject) -> None:
        super().__init__(parent)
        self.modules: dict[str, Any] = {}

    def module(self, name: str) -> Any:
        return self.modules.get(name)

    def modulesNames(self) -> list[str]:
        return list(self.modules)


class qSlicerMainWindow(QtWidgets.QMainWindow):  # noqa: N801
    """The window that dialogs have for a parent; it is never shown.

    Args:
        select_module: Called with the name of a module that is to be opened.
    """

    def __init__(self, select_module: Callable[[str], object]) -> None:
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self._select_module, self._selected = select_module, ""

    def moduleSelector(self) -> types.SimpleNamespace:
        return types.SimpleNamespace(selectModule=self._select, selectedModule=self._selected)

    def _select(self, name: str) -> None:
        self._selected = name
        self._select_module(name)


def make_main_window(select_module: Callable[[str], object]) -> Wrapped:
    native = qSlicerMainWindow(select_module)
    return take_native(new(make_class("slicer.util.mainWindow()", qSlicerMainWindow)), native)


def constant_property(kind: type, value: Any) -> Any:
    return QtCore.Property(kind, lambda self: value)


class qSlicerApplication(QtWidgets.QApplication):  # noqa: N801
    """Qt's application with Slicer's additions; a test never runs its event loop to the end."""

    startupCompleted = QtCore.Signal()
    mrmlSceneChanged = QtCore.Signal(object)
    revision = constant_property(str, "00000")
    repositoryRevision = constant_property(str, "0" * 7)
    releaseType = constant_property(str, "Stable")
    majorVersion = constant_property(int, int(VERSION.split(".")[0]))
    minorVersion = constant_property(int, int(VERSION.split(".")[1]))
    mainApplicationName = constant_property(str, "Slicer")
    mainApplicationMajorVersion = constant_property(int, int(VERSION.split(".")[0]))
    mainApplicationMinorVersion = constant_property(int, int(VERSION.split(".")[1]))
    mainApplicationPatchVersion = constant_property(int, int(VERSION.split(".")[2]))
    isInstalled = constant_property(bool, True)
    documentationBaseUrl = constant_property(str, "https://slicer.readthedocs.io/en/latest/")

    def __init__(self) -> None:
        super().__init__(["Slicer"])
        # lives as long as the process; what tests leave in it goes with it
        self._folder = tempfile.TemporaryDirectory(prefix="slicer-host-", ignore_cleanup_errors=True)
        self.home = Path(self._folder.name) / "Slicer"
        self._temporary = Path(self._folder.name) / "temporary"
        for folder in (self.home / "bin", self._temporary):
            folder.mkdir(parents=True)
        self.setApplicationName("Slicer")
        self.setApplicationVersion(VERSION)
        self.setOrganizationName("slicer.org")
        self.setQuitOnLastWindowClosed(False)
        QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
        QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, QtCore.QSettings.UserScope, self._folder.name)
        self._user_settings = self._settings("Slicer.ini")
        self._revision_settings = self._settings("Slicer-00000.ini")
        self._manager = qSlicerModuleManager(self)
        self.manager = take_native(new(make_class("slicer.app.moduleManager()", qSlicerModuleManager)), self._manager)
        self.is_testing = False
        self.current: Any = None

    def _settings(self, name: str) -> QtCore.QSettings:
        return QtCore.QSettings(str(Path(self._folder.name) / name), QtCore.QSettings.IniFormat, self)

    def _set_temporary_path(self, path: str) -> None:
        self._temporary = Path(path)

    temporaryPath = QtCore.Property(str, lambda self: self._temporary.as_posix(), _set_temporary_path)
    slicerHome = QtCore.Property(str, lambda self: self.home.as_posix())
    slicerUserSettingsFilePath = QtCore.Property(str, lambda self: self._user_settings.fileName())

    def userSettings(self) -> QtCore.QSettings:
        return self._user_settings

    def settings(self) -> QtCore.QSettings:
        return self._user_settings

    def revisionUserSettings(self) -> QtCore.QSettings:
        return self._revision_settings

    def applicationDirPath(self) -> str:
        return (self.home / "bin").as_posix()

    def startupEnvironment(self) -> QtCore.QProcessEnvironment:
        return QtCore.QProcessEnvironment.systemEnvironment()

    def environment(self) -> QtCore.QProcessEnvironment:
        return QtCore.QProcessEnvironment.systemEnvironment()

    def commandOptions(self) -> types.SimpleNamespace:
        return types.SimpleNamespace(runPythonAndExit=False)

    def testingEnabled(self) -> bool:
        return self.is_testing

    def moduleManager(self) -> QtCore.QObject:
        return self._manager

    def mrmlScene(self) -> Any:
        return self.current.scene

    def applicationLogic(self) -> Any:
        return self.current.application_logic

    def moduleLogic(self, name: str) -> Any:
        return self.current.logics.get(name)

    def layoutManager(self) -> None:
        """There are no views."""
        return

    def pauseRender(self) -> None:
        """There is nothing to render."""

    resumeRender = pauseRender

    def exit(self, code: int = 0) -> None:
        raise QuitRequestedError(f"Slicer was asked to quit with {code}.")

    quit = restart = exit


def show_message(kind: QtCore.QtMsgType, context: QtCore.QMessageLogContext, text: str) -> None:
    """What Qt says goes to standard error, but for what it says of there being no screen."""
    if "propagateSizeHints" not in text:
        sys.stderr.write(f"{text}\n")


def new(cls: type) -> Any:
    return cls.__new__(cls)


def make_application() -> tuple[qSlicerApplication, Wrapped]:
    """The one application of a process, and what Python sees of it."""
    QtCore.qInstallMessageHandler(show_message)
    native = qSlicerApplication()
    return native, take_native(new(make_class("slicer.app", qSlicerApplication)), native)
