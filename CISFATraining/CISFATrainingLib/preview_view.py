"""The pictures that a run made along the way, with a slider over the steps."""

import html
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from cisfa.config import TrainingConfig
from cisfa.runs.run_files import PREVIEWS
from cisfa_slicer.run_library import Run

_SMALLEST_WIDTH_PX = 200


class PreviewView:
    """Shows the newest picture, or the one that the user went back to."""

    def __init__(self, ui: Any) -> None:
        """Args: holds previewLabel, previewSlider, previewStepLabel, previewCaptionLabel."""
        self._ui = ui
        self._run: Path | None = None
        self._paths: list[Path] = []
        self._is_following, self._drawn = True, ("", 0)
        policy = ui.previewLabel.sizePolicy
        policy.setHorizontalPolicy(qt.QSizePolicy.Ignored)  # else no label ever gets smaller than its last picture
        ui.previewLabel.setSizePolicy(policy)
        ui.previewSlider.connect("valueChanged(int)", self._on_moved)

    def show(self, run: Run) -> None:
        """Show a run's pictures; called again and again while it goes on."""
        is_other = run.path != self._run
        if is_other:
            self._run, self._is_following = run.path, True
        paths = sorted((run.path / PREVIEWS).glob("step-*.png"))
        if is_other or paths != self._paths:
            self._paths = paths
            self._set_range()
            self._ui.previewCaptionLabel.text = _caption(run)
        self._draw()

    def _set_range(self) -> None:
        slider, last = self._ui.previewSlider, max(0, len(self._paths) - 1)
        slider.blockSignals(True)
        slider.setRange(0, last)
        if self._is_following:
            slider.setValue(last)
        slider.blockSignals(False)
        slider.enabled = last > 0

    def _on_moved(self, place: int) -> None:
        self._is_following = place >= len(self._paths) - 1
        self._draw()

    def _draw(self) -> None:
        """Draw the chosen picture as wide as its label, unless it is there already."""
        label, place = self._ui.previewLabel, self._ui.previewSlider.value
        if not self._paths:
            label.setText(_("No pictures yet: the first one comes with the first step."))
            self._ui.previewStepLabel.text = ""
            self._drawn = ("", 0)
            return
        path = self._paths[min(place, len(self._paths) - 1)]
        width = max(label.width, _SMALLEST_WIDTH_PX)
        self._ui.previewStepLabel.text = _("step {step} ({place} of {count})").format(
            step=_step_of(path), place=self._paths.index(path) + 1, count=len(self._paths)
        )
        if (str(path), width) == self._drawn:
            return
        self._drawn = (str(path), width)
        pixmap = qt.QPixmap(str(path))
        if pixmap.isNull():
            label.setText(_("{name} cannot be shown: it is damaged.").format(name=path.name))
        else:
            label.setPixmap(pixmap.scaledToWidth(width, qt.Qt.SmoothTransformation))


def _caption(run: Run) -> str:
    """What the columns are, and the colours of the outlines."""
    words = _("Columns: source with its labels | synthetic | target, with the outlines that the segmenter finds.")
    if run.summary.config is not None and not _translates(run.summary.config):
        words = _("Columns: source with its labels | source and target with the outlines that the segmenter finds.")
    organs = run.summary.data.organs if run.summary.data else ()
    legend = [
        f'<span style="color: rgb({red}, {green}, {blue})">■</span>&nbsp;{html.escape(organ.name)}'
        for organ in organs
        for red, green, blue in [organ.colour]
    ]
    return " ".join([html.escape(words), *legend])


def _translates(config: TrainingConfig) -> bool:
    return config.method == "cisfa" or (config.method == "cisfa-plus" and config.translation.share > 0)


def _step_of(path: Path) -> str:
    return path.stem.removeprefix("step-").lstrip("0") or "0"
