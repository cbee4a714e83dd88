"""slicer.app: the application, its settings and its modules."""

import tempfile
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtWidgets

from slicer_host.wrapped import Wrapped, make_class, take_native

VERSION = "5.12.0"


class QuitRequestedError(AssertionError):
    """Something asked Slicer to quit."""


class qSlicerModuleManager(QtCore.QObject):  # noqa: N801
    moduleLoaded = QtCore.Signal(str)  # noqa: N815
    moduleAboutToBeUnloaded = QtCore.Signal(str)  # noqa: N815

    def __init__(self, parent: QtCore.QObject) -> None:
        super().__init__(parent)
        self.modules: dict[str, Any] = {}

    def module(self, name: str) -> Any:
        return self.modules.get(name)

    def modulesNames(self) -> list[str]:  # noqa: N802
        return list(self.modules)


def constant_property(kind: type, value: Any) -> Any:
    return QtCore.Property(kind, lambda self: value)


class qSlicerApplication(QtWidgets.QApplication):  # noqa: N801
    """Qt's application with Slicer's additions; a test never runs its event loop to the end."""

    startupCompleted = QtCore.Signal()  # noqa: N815
    mrmlSceneChanged = QtCore.Signal(object)  # noqa: N815
    revision = constant_property(str, "00000")
    repositoryRevision = constant_property(str, "0" * 7)  # noqa: N815
    releaseType = constant_property(str, "Stable")  # noqa: N815
    majorVersion = constant_property(int, int(VERSION.split(".")[0]))  # noqa: N815
    minorVersion = constant_property(int, int(VERSION.split(".")[1]))  # noqa: N815
    mainApplicationName = constant_property(str, "Slicer")  # noqa: N815
    mainApplicationMajorVersion = constant_property(int, int(VERSION.split(".")[0]))  # noqa: N815
    mainApplicationMinorVersion = constant_property(int, int(VERSION.split(".")[1]))  # noqa: N815
    mainApplicationPatchVersion = constant_property(int, int(VERSION.split(".")[2]))  # noqa: N815
    isInstalled = constant_property(bool, True)  # noqa: N815
    documentationBaseUrl = constant_property(str, "https://slicer.readthedocs.io/en/latest/")  # noqa: N815

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

    temporaryPath = QtCore.Property(str, lambda self: self._temporary.as_posix(), _set_temporary_path)  # noqa: N815
    slicerHome = QtCore.Property(str, lambda self: self.home.as_posix())  # noqa: N815
    slicerUserSettingsFilePath = QtCore.Property(str, lambda self: self._user_settings.fileName())  # noqa: N815

    def userSettings(self) -> QtCore.QSettings:  # noqa: N802
        return self._user_settings

    def settings(self) -> QtCore.QSettings:
        return self._user_settings

    def revisionUserSettings(self) -> QtCore.QSettings:  # noqa: N802
        return self._revision_settings

    def applicationDirPath(self) -> str:  # noqa: N802
        return (self.home / "bin").as_posix()

    def startupEnvironment(self) -> QtCore.QProcessEnvironment:  # noqa: N802
        return QtCore.QProcessEnvironment.systemEnvironment()

    def environment(self) -> QtCore.QProcessEnvironment:
        return QtCore.QProcessEnvironment.systemEnvironment()

    def testingEnabled(self) -> bool:  # noqa: N802
        return self.is_testing

    def moduleManager(self) -> QtCore.QObject:  # noqa: N802
        return self._manager

    def mrmlScene(self) -> Any:  # noqa: N802
        return self.current.scene

    def applicationLogic(self) -> Any:  # noqa: N802
        return self.current.application_logic

    def moduleLogic(self, name: str) -> Any:  # noqa: N802
        return self.current.logics.get(name)

    def layoutManager(self) -> None:  # noqa: N802
        """There are no views."""
        return

    def pauseRender(self) -> None:  # noqa: N802
        """There is nothing to render."""

    resumeRender = pauseRender  # noqa: N815

    def exit(self, code: int = 0) -> None:
        raise QuitRequestedError(f"Slicer was asked to quit with {code}.")

    quit = restart = exit


def new(cls: type) -> Any:
    return cls.__new__(cls)


def make_application() -> tuple[qSlicerApplication, Wrapped]:
    """The one application of a process, and what Python sees of it."""
    native = qSlicerApplication()
    return native, take_native(new(make_class("slicer.app", qSlicerApplication)), native)
