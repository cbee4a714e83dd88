"""CTK's widgets that panels use, as far as they use them; what they emit and when is as in CTK, the looks nearly so."""

import enum
import re
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from slicer_host import dialogs
from slicer_host.wrapped import offer


def kept(kind: type | str, name: str, start: Any) -> Any:
    """A property that is only kept."""
    attribute = f"_kept_{name}"
    return QtCore.Property(
        kind, lambda self: getattr(self, attribute, start), lambda self, value: setattr(self, attribute, value)
    )


class Collapsing:
    """Hides the children of a widget and brings back those that were not hidden before."""

    def __init__(self, widget: QtWidgets.QWidget) -> None:
        self._widget, self._hidden = widget, []
        self.is_collapsed = False

    def set(self, is_collapsed: bool) -> None:
        self.is_collapsed = is_collapsed
        if is_collapsed:
            self.hide_children()
        else:
            children, self._hidden = self._hidden, []
            for child in children:
                child.setVisible(True)

    def hide_children(self) -> None:
        for child in self._widget.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindDirectChildrenOnly):
            if not child.isHidden():
                child.setVisible(False)
                self._hidden.append(child)


class CollapsibleButton(QtWidgets.QAbstractButton):
    """A header bar with contents below."""

    contentsCollapsed = QtCore.Signal(bool)
    buttonTextAlignment = kept(int, "buttonTextAlignment", 0x84)
    indicatorAlignment = kept(int, "indicatorAlignment", 0x81)
    contentsFrameShape = kept(int, "contentsFrameShape", 0)
    contentsFrameShadow = kept(int, "contentsFrameShadow", 0)
    contentsLineWidth = kept(int, "contentsLineWidth", 1)
    contentsMidLineWidth = kept(int, "contentsMidLineWidth", 0)
    collapsedHeight = kept(int, "collapsedHeight", 10)
    flat = kept(bool, "flat", False)

    def __init__(self, *given: Any) -> None:
        super().__init__(next((each for each in given if isinstance(each, QtWidgets.QWidget)), None))
        self.setText(next((each for each in given if isinstance(each, str)), ""))
        self._collapsing = Collapsing(self)
        self._free_height = self.maximumHeight()
        self.setCheckable(True)
        self.setChecked(True)
        self.setContentsMargins(0, self._header_height(), 0, 0)
        self.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Preferred)
        self.toggled.connect(self._on_toggled)

    def _get_collapsed(self) -> bool:
        return self._collapsing.is_collapsed

    def _set_collapsed(self, is_collapsed: bool) -> None:
        self.setChecked(not is_collapsed)

    collapsed = QtCore.Property(bool, _get_collapsed, _set_collapsed)

    def _on_toggled(self, is_open: bool) -> None:
        self._collapsing.set(not is_open)
        self.setMaximumHeight(self._free_height if is_open else self._header_height())
        self.updateGeometry()
        self.contentsCollapsed.emit(not is_open)

    def _header_height(self) -> int:
        return self.fontMetrics().height() + 10

    def sizeHint(self) -> QtCore.QSize:
        inside = self.layout().totalSizeHint() if self.layout() else QtCore.QSize(200, 0)
        height = self._header_height() if self._collapsing.is_collapsed else max(inside.height(), self._header_height())
        return QtCore.QSize(max(inside.width(), self.fontMetrics().horizontalAdvance(self.text()) + 40), height)

    def minimumSizeHint(self) -> QtCore.QSize:
        return QtCore.QSize(super().minimumSizeHint().width(), self.sizeHint().height() if self.layout() else 20)

    def showEvent(self, event: QtGui.QShowEvent) -> None:
        super().showEvent(event)
        if self._collapsing.is_collapsed:  # children that came after it was collapsed
            self._collapsing.hide_children()

    def hitButton(self, place: QtCore.QPoint) -> bool:
        return place.y() <= self._header_height()

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.Antialiasing)
        header = QtCore.QRectF(0.5, 0.5, self.width() - 1, self._header_height() - 3)
        painter.setPen(self.palette().color(QtGui.QPalette.Mid))
        painter.setBrush(self.palette().color(QtGui.QPalette.Midlight))
        painter.drawRoundedRect(header, 3, 3)
        middle = header.center().y()
        points = [(-4, -2), (4, -2), (0, 3)] if not self._collapsing.is_collapsed else [(-2, -4), (3, 0), (-2, 4)]
        painter.setBrush(self.palette().color(QtGui.QPalette.ButtonText))
        painter.setPen(QtCore.Qt.NoPen)
        painter.drawPolygon(QtGui.QPolygonF([QtCore.QPointF(12 + x, middle + y) for x, y in points]))
        painter.setPen(self.palette().color(QtGui.QPalette.ButtonText))
        painter.drawText(header.adjusted(24, 0, -6, 0), QtCore.Qt.AlignVCenter | QtCore.Qt.AlignLeft, self.text())


class ctkCollapsibleButton(CollapsibleButton):  # noqa: N801
    pass


class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):  # noqa: N801
    collapsedHeight = kept(int, "collapsedHeight", 14)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._collapsing = Collapsing(self)
        self.setCheckable(True)
        self.toggled.connect(lambda is_open: self._collapsing.set(not is_open))

    collapsed = QtCore.Property(
        bool, lambda self: self._collapsing.is_collapsed, lambda self, value: self.setChecked(not value)
    )


class ctkPathLineEdit(QtWidgets.QWidget):  # noqa: N801
    """A path that can be typed or browsed for.

    A text that is not acceptable, which an empty one never is, changes ``currentPath`` but is not told of.
    """

    Filters = enum.IntFlag("Filters", {name: value.value for name, value in QtCore.QDir.Filter.__members__.items()})
    Option = QtWidgets.QFileDialog.Option
    currentPathChanged = QtCore.Signal(str)
    validInputChanged = QtCore.Signal(bool)
    label = kept(str, "label", "")
    options = kept(int, "options", 0)
    settingKey = kept(str, "settingKey", "")
    showBrowseButton = kept(bool, "showBrowseButton", True)
    showHistoryButton = kept(bool, "showHistoryButton", True)
    minimumContentsLength = kept(int, "minimumContentsLength", 0)
    sizeAdjustPolicy = kept(int, "sizeAdjustPolicy", 0)
    # as QDir: all entries, but neither . nor ..
    filters = kept(int, "filters", 0x6007)
    nameFilters = kept("QStringList", "nameFilters", [])

    def __init__(self, *given: Any) -> None:
        super().__init__(next((each for each in given if isinstance(each, QtWidgets.QWidget)), None))
        self._box, self._was_valid = QtWidgets.QComboBox(self), False
        self._box.setEditable(True)
        self._button = QtWidgets.QToolButton(self)
        self._button.setText("...")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._box, 1)
        layout.addWidget(self._button)
        self.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        self._box.lineEdit().textChanged.connect(self._on_text_changed)
        self._button.clicked.connect(self.browse)

    def setCurrentPath(self, path: str) -> None:
        self._box.lineEdit().setText(path)

    currentPath = QtCore.Property(str, lambda self: self._box.currentText(), setCurrentPath)

    def comboBox(self) -> QtWidgets.QComboBox:
        return self._box

    def browse(self) -> None:
        wants_file = bool(self.filters & QtCore.QDir.Filter.Files.value)
        path = dialogs.ask("QFileDialog", "Open a file" if wants_file else "Select a directory...", default="")
        if path:
            self.setCurrentPath(path)

    def addCurrentPathToHistory(self) -> None:
        self._box.addItem(self._box.currentText())

    def _on_text_changed(self, path: str) -> None:
        endings = re.findall(r"\*\.(\w+)", " ".join(self.nameFilters))
        is_valid = re.fullmatch("|".join(rf".*\.{each}" for each in endings) or ".+", path) is not None
        if is_valid:
            self.currentPathChanged.emit(path)
        if is_valid != self._was_valid:
            self._was_valid = is_valid
            self.validInputChanged.emit(is_valid)


class ctkDirectoryButton(QtWidgets.QPushButton):  # noqa: N801
    directoryChanged = QtCore.Signal(str)
    directorySelected = QtCore.Signal(str)
    caption = kept(str, "caption", "")
    acceptMode = kept(int, "acceptMode", 0)
    options = kept(int, "options", 1)
    elideMode = kept(int, "elideMode", 3)

    def __init__(self, *given: Any) -> None:
        super().__init__(next((each for each in given if isinstance(each, QtWidgets.QWidget)), None))
        self._directory = QtCore.QDir(next((each for each in given if isinstance(each, str)), ""))
        self.setText(self._directory.absolutePath())
        self.clicked.connect(self.browse)

    def _set_directory(self, path: str) -> None:
        changed = QtCore.QDir(path) != self._directory
        self._directory = QtCore.QDir(QtCore.QDir(path).absolutePath())
        self.setText(self._directory.absolutePath())
        self.directorySelected.emit(self._directory.absolutePath())
        if changed:
            self.directoryChanged.emit(self._directory.absolutePath())

    directory = QtCore.Property(str, lambda self: self._directory.absolutePath(), _set_directory)

    def browse(self) -> None:
        if path := dialogs.ask("QFileDialog", self.caption or "Select directory", default=""):
            self._set_directory(path)


class ctkComboBox(QtWidgets.QComboBox):  # noqa: N801
    defaultText = QtCore.Property(
        str, lambda self: self.placeholderText(), lambda self, text: self.setPlaceholderText(text)
    )


class ctkCheckBox(QtWidgets.QCheckBox):  # noqa: N801
    pass


class ctkFittedTextBrowser(QtWidgets.QTextBrowser):  # noqa: N801
    collapsed = kept(bool, "collapsed", True)

    def sizeHint(self) -> QtCore.QSize:
        return QtCore.QSize(super().sizeHint().width(), round(self.document().size().height()) + 4)


class ctkMessageBox(QtWidgets.QMessageBox):  # noqa: N801
    dontShowAgain = kept(bool, "dontShowAgain", False)
    dontShowAgainVisible = kept(bool, "dontShowAgainVisible", False)
    dontShowAgainSettingsKey = kept(str, "dontShowAgainSettingsKey", "")


OFFERED = (
    ctkCollapsibleButton,
    ctkCollapsibleGroupBox,
    ctkPathLineEdit,
    ctkDirectoryButton,
    ctkComboBox,
    ctkCheckBox,
    ctkFittedTextBrowser,
    ctkMessageBox,
)
for each in OFFERED:
    offer("ctk", each)
