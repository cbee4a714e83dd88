"""All settings of a training as a tree, with what each does; what differs from the preset is bold."""

import html
from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from cisfa.config import TrainingConfig
from cisfa.config_fields import ConfigField, config_fields, value_text
from cisfa.config_files import compose
from cisfa.errors import ConfigError

# chosen elsewhere in the panel
_ELSEWHERE = ("method", "organs", "few_labels.weight")
_NAME, _VALUE, _EXPLANATION = range(3)


class SettingsTree:
    """Settings to change one by one.

    Attributes:
        on_refused: Called with a sentence when a value cannot be.
        on_changed: Called when a setting was changed.
    """

    def __init__(self, tree: Any) -> None:
        """Args: the QTreeWidget."""
        self.on_refused: Callable[[str], object] = lambda message: None
        self.on_changed: Callable[[], object] = lambda: None
        self._tree = tree
        self._preset = self._config = TrainingConfig()
        self._items: dict[str, Any] = {}
        self._is_filling = False
        self._build()
        tree.connect("itemChanged(QTreeWidgetItem*,int)", self._on_changed)
        tree.connect("itemDoubleClicked(QTreeWidgetItem*,int)", self._edit)

    @property
    def config(self) -> TrainingConfig:
        """The settings as they are now."""
        return self._config

    def set_config(self, config: TrainingConfig, preset: TrainingConfig | None = None) -> None:
        """Show settings.

        Args:
            config: Them.
            preset: What to compare with; None takes these as a preset.
        """
        self._config, self._preset = config, preset or config
        self._show()

    def reset(self) -> None:
        """Take the preset's settings again."""
        self._config = self._preset
        self._show()
        self.on_changed()

    def _build(self) -> None:
        groups: dict[str, Any] = {}
        for field in config_fields():
            if field.path in _ELSEWHERE:
                continue
            group, _dot, name = field.path.rpartition(".")
            item = qt.QTreeWidgetItem()
            item.setText(_NAME, name.replace("_", " "))
            item.setText(_EXPLANATION, field.explanation)
            tip = _tip(field)
            for column in (_NAME, _VALUE, _EXPLANATION):
                item.setToolTip(column, tip)
            item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEditable)
            item.setData(_NAME, qt.Qt.UserRole, field.path)
            if not group:
                self._tree.addTopLevelItem(item)
            else:
                if group not in groups:
                    groups[group] = self._group(group, field.group)
                groups[group].addChild(item)
            self._items[field.path] = item
        self._tree.setColumnWidth(_NAME, 170)
        self._tree.setColumnWidth(_VALUE, 90)

    def _group(self, name: str, about: str) -> Any:
        item = qt.QTreeWidgetItem()
        item.setText(_NAME, name.replace("_", " "))
        item.setText(_EXPLANATION, about)
        item.setToolTip(_EXPLANATION, about)
        self._tree.addTopLevelItem(item)
        return item

    def _edit(self, item: Any, column: int) -> None:
        """Only values can be edited, wherever in the line somebody clicks."""
        if item.data(_NAME, qt.Qt.UserRole):
            self._tree.editItem(item, _VALUE)

    def _show(self) -> None:
        self._is_filling = True
        for path, item in self._items.items():
            text = value_text(self._config, path)
            item.setText(_VALUE, text)
            font = item.font(_VALUE)
            font.setBold(text != value_text(self._preset, path))
            item.setFont(_VALUE, font)
        self._is_filling = False

    def _on_changed(self, item: Any, column: int) -> None:
        path = item.data(_NAME, qt.Qt.UserRole)
        if self._is_filling or not path or column != _VALUE:
            return
        try:
            self._config = compose(base=self._config, assignments=[f"{path}={item.text(_VALUE).strip()}"])
        except ConfigError as error:
            self.on_refused(str(error))
        else:
            self.on_changed()
        self._show()


def _tip(field: ConfigField) -> str:
    lines = [f"<b>{html.escape(field.path)}</b>", html.escape(field.explanation)]
    if field.choices:
        lines.append(_("One of: {choices}").format(choices=html.escape(", ".join(field.choices))))
    return "<br>".join(line for line in lines if line)
