"""The host: what a test holds of the application."""

import gc
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from slicer_host import dialogs, modules, slicer_package, slot_errors, special_members
from slicer_host.application import make_main_window, qSlicerApplication
from slicer_host.scene import SceneWithLogics
from slicer_host.wrapped import wrapped

DEFAULT_TIMEOUT_S = 30.0


class Packaging:
    """Stands in for slicer.packaging, which Slicer has from 5.11 on; remembers what it was asked to install."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, dict[str, Any]]] = []
        self.fails_with: BaseException | None = None

    def pip_ensure(self, requirements: Any, **choices: Any) -> None:
        self.asked.append((requirements, choices))
        if self.fails_with is not None:
            raise self.fails_with

    pip_install = pip_ensure


class Host:
    """A Slicer with an empty scene.

    Attributes:
        dialogs: Answers to dialogs, and what they said.
        app: slicer.app.
        samples: What was registered with the module Sample Data.
        pip_asked: What slicer.util.pip_install was asked for.
    """

    def __init__(self, application: qSlicerApplication, app: Any) -> None:
        self._application, self.app = application, app
        self.dialogs = dialogs.queue
        self.samples: list[dict[str, Any]] = []
        self.pip_asked: list[Any] = []
        self._widgets: list[Any] = []

    def start(self) -> None:
        """A fresh scene, no settings, no modules but Slicer's own."""
        self._application.current = SceneWithLogics()
        slicer.app, slicer.mrmlScene = self.app, self.scene
        slicer.modules, slicer.moduleNames, slicer.selfTests = modules.ModulesNamespace(), types.SimpleNamespace(), {}
        manager = self._application.moduleManager()
        manager.modules.clear()
        for name, logic in self._application.current.logics.items():
            manager.modules[name] = modules.CoreModule(name, logic)
            setattr(slicer.modules, name.lower(), manager.modules[name])
        for settings in (self._application.userSettings(), self._application.revisionUserSettings()):
            settings.clear()
        QtCore.QSettings().clear()
        self._application.is_testing = False
        self._main_window = make_main_window(self._select_module)
        self.dialogs.clear()
        self.samples.clear()
        self.pip_asked.clear()
        special_members.opened_urls.clear()
        slot_errors.take()
        self._pip_install, slicer.util.pip_install = slicer.util.pip_install, self._take_pip
        sys.modules["SampleData"] = self._sample_data()

    def end(self) -> None:
        """Modules are told that they go; whatever is left of the test's widgets goes too."""
        for widget in tuple(self._widgets):
            self.quit(widget)
        for each in QtWidgets.QApplication.topLevelWidgets():
            each.close()
            each.deleteLater()
        QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)
        if self._application.receivers(QtCore.SIGNAL("startupCompleted()")):  # the next test's modules start anew
            self._application.startupCompleted.disconnect()
        slicer.util.pip_install = self._pip_install
        sys.modules.pop("SampleData", None)
        slicer_package.remove_module("packaging")
        self._application.current.end()
        gc.collect()
        # what is left stays: looking through all of it again after each test took longer than the tests
        gc.freeze()

    @property
    def scene(self) -> Any:
        return self._application.current.scene

    @property
    def opened_urls(self) -> list[str]:
        """What was given to qt.QDesktopServices.openUrl."""
        return special_members.opened_urls

    def load_module(self, path: Path | str) -> Any:
        """Load a module's file, build its panel, and tell it that Slicer has started.

        Returns:
            Its widget object, not entered yet.
        """
        widget = modules.load(Path(path).resolve())
        self._widgets.append(widget)
        self._application.startupCompleted.emit()
        self.raise_slot_errors()
        return widget

    def _select_module(self, name: str) -> None:
        """What slicer.util.selectModule does: leave the one, enter the other."""
        for widget in self._widgets:
            if widget.parent.isEntered and widget.moduleName != name:
                self.leave(widget)
        module = self._application.moduleManager().module(name)
        if module is None:
            raise AssertionError(f"Slicer has no module {name} to select.")
        if widget := getattr(module, "python_widget", None):
            self.enter(widget)

    def enter(self, widget: Any) -> None:
        """The user opens the module."""
        widget.parent._native.set_entered(True)
        getattr(widget, "enter", lambda: None)()
        self.raise_slot_errors()

    def leave(self, widget: Any) -> None:
        """The user opens another module."""
        widget.parent._native.set_entered(False)
        getattr(widget, "exit", lambda: None)()
        self.raise_slot_errors()

    def close_scene(self) -> None:
        """File, Close Scene."""
        self.scene.Clear(0)
        self.raise_slot_errors()

    def unload(self, widget: Any) -> None:
        """What comes first when a module is reloaded."""
        self._widgets.remove(widget)
        self._application.moduleManager().moduleAboutToBeUnloaded.emit(widget.moduleName)
        self.raise_slot_errors()

    def quit(self, widget: Any) -> None:
        """The user quits Slicer."""
        self._application.aboutToQuit.emit()
        if widget in self._widgets:
            self._widgets.remove(widget)
            self._application.moduleManager().moduleAboutToBeUnloaded.emit(widget.moduleName)
        self.raise_slot_errors()

    def spin_until(self, is_so: Callable[[], object], what: str = "", timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Let events come until a condition holds.

        Args:
            is_so: The condition.
            what: It in words, for the failure.
            timeout_s: After this it fails.
        """
        deadline = time.monotonic() + timeout_s
        while not is_so():
            if time.monotonic() > deadline:
                raise AssertionError(f"Not within {timeout_s:g} s: {what or 'what the test waits for'}.")
            self.process_events()
            time.sleep(0.002)
        self.raise_slot_errors()

    def process_events(self) -> None:
        """Handle what is waiting; errors in slots are raised."""
        self._application.processEvents()
        QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)
        self.raise_slot_errors()

    def raise_slot_errors(self) -> None:
        slot_errors.raise_collected()

    def take_slot_errors(self) -> list[BaseException]:
        """For a test that expects errors in slots: they are forgotten then."""
        return slot_errors.take()

    def render(self, widget: Any, path: Path | str, width: int = 420) -> Path:
        """Draw a widget as high as it wants to be, and write it as a PNG file."""
        native = getattr(widget, "_native", None) or widget.parent._native
        was_visible = native.isVisible()
        native.resize(width, max(native.sizeHint().height(), 20))
        native.show()
        self.process_events()
        native.resize(width, max(native.sizeHint().height(), 20))
        self.process_events()
        native.grab().save(str(path))
        native.setVisible(was_visible)
        return Path(path)

    def use_packaging(self) -> Packaging:
        """Be a Slicer that has slicer.packaging; returns what remembers its calls."""
        packaging = Packaging()
        members = {"pip_ensure": packaging.pip_ensure, "pip_install": packaging.pip_install}
        slicer_package.add_module("packaging", members)
        return packaging

    def use_testing_mode(self) -> None:
        """Be a Slicer that was started with --testing."""
        self._application.is_testing = True

    def wrapped(self, native: QtCore.QObject) -> Any:
        """A PySide object as Python in Slicer sees it."""
        return wrapped(native)

    def _take_pip(self, requirements: Any, **choices: Any) -> None:
        self.pip_asked.append(requirements)
        raise AssertionError(f"slicer.util.pip_install was asked for {requirements}, which the test did not expect.")

    def _sample_data(self) -> types.ModuleType:
        module = types.ModuleType("SampleData")
        names = {"category", "sampleName", "uris", "fileNames", "nodeNames", "customDownloader", "thumbnailFileName"}
        names |= {"loadFileTypes", "loadFiles", "loadFileProperties", "checksums", "loadFileType"}

        def register(**described: Any) -> None:
            if unknown := described.keys() - names:
                raise TypeError(f"registerCustomSampleDataSource() knows no {', '.join(sorted(unknown))}.")
            self.samples.append(described)

        module.SampleDataLogic = types.SimpleNamespace(registerCustomSampleDataSource=register)
        return module
