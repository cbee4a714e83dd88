"""A picture of curves with its controls: which, logarithmic or not, how smooth, and saving it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from CISFATrainingLib.curve_plot import CurvePlot
from CISFATrainingLib.run_plots import Plot

Guard = Callable[[Callable[[], object]], object]


@dataclass(frozen=True)
class CurveWidgets:
    """What a picture of curves consists of.

    Attributes:
        label: A QLabel for the picture.
        selector: A QComboBox for what is shown.
        log_box: A QCheckBox.
        smoothing: A QSlider from 0 to 99.
        save_button: A QPushButton.
    """

    label: Any
    selector: Any
    log_box: Any
    smoothing: Any
    save_button: Any


class CurveView:
    """Shows one of several plots, and goes on showing it when there are new values."""

    def __init__(self, widgets: CurveWidgets, guarded: Guard) -> None:
        """Args: the widgets; calls an action and shows what goes wrong in it."""
        self._widgets, self._guarded = widgets, guarded
        self._picture = CurvePlot(widgets.label)
        self._plots: Sequence[Plot] = ()
        self._size, self._wanted = (0, 0), ""
        widgets.selector.connect("currentIndexChanged(int)", lambda index: self._choose())
        widgets.log_box.connect("toggled(bool)", lambda checked: self._paint())
        widgets.smoothing.connect("valueChanged(int)", lambda value: self._paint())
        widgets.save_button.connect("clicked(bool)", lambda checked: self._guarded(self._save))
        self.show(())

    def show(self, plots: Sequence[Plot]) -> None:
        """Show these plots; what the user chose last is shown whenever there is one of its kind."""
        selector = self._widgets.selector
        if [plot.key for plot in plots] != [plot.key for plot in self._plots]:
            keys = [plot.key for plot in plots]
            selector.blockSignals(True)
            selector.clear()
            for plot in plots:
                selector.addItem(plot.title)
            selector.setCurrentIndex(keys.index(self._wanted) if self._wanted in keys else min(0, len(keys) - 1))
            selector.blockSignals(False)
        self._plots = plots
        self._paint()

    def repaint_when_resized(self) -> None:
        """Paint again when the label got another size, of which nobody tells."""
        if self._present_size() != self._size:
            self._size = self._present_size()
            self._picture.refresh()

    @property
    def _chosen(self) -> Plot | None:
        index = self._widgets.selector.currentIndex
        return self._plots[index] if 0 <= index < len(self._plots) else None

    def _choose(self) -> None:
        self._wanted = self._chosen.key if self._chosen else ""
        self._paint()

    def _present_size(self) -> tuple[int, int]:
        return self._widgets.label.width, self._widgets.label.height

    def _paint(self) -> None:
        plot = self._chosen
        for widget in (self._widgets.selector, self._widgets.save_button):
            widget.enabled = plot is not None
        self._widgets.smoothing.enabled = plot is not None and plot.is_noisy
        self._size = self._present_size()
        if plot is None:
            self._picture.clear(_("No curves yet: they come with the first steps."))
            return
        self._picture.show(
            plot.curves,
            title=plot.title,
            y_title=plot.y_title,
            is_log=bool(self._widgets.log_box.checked),
            smoothing=self._widgets.smoothing.value / 100 if plot.is_noisy else 0.0,
        )

    def _save(self) -> None:
        plot = self._chosen
        if plot is None:
            return
        name = "".join(sign if sign.isalnum() else " " for sign in plot.title)
        place = str(Path(qt.QDir.homePath()) / f"{' '.join(name.split())}.png")
        path = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), _("Save picture"), place, "PNG (*.png)")
        if path:
            chosen = Path(path)
            self._picture.save(chosen if chosen.suffix.lower() == ".png" else chosen.with_name(f"{chosen.name}.png"))
