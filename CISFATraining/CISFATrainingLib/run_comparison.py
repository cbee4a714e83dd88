"""Several runs in one picture: one chosen quantity, a curve for each run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from cisfa_slicer.run_library import Run
from CISFATrainingLib.curve_view import CurveView, CurveWidgets, Guard
from CISFATrainingLib.run_plots import RunCurves, plots_of_runs

MOST_CURVES = 8  # more can neither be told apart nor drawn in time


class RunComparison:
    """Shows the chosen runs beside each other, again and again while they go on."""

    def __init__(self, ui: Any, guarded: Guard) -> None:
        """Args: the widgets of CISFATrainingRuns.ui by name; calls an action and shows what goes wrong in it."""
        self._ui = ui
        self._curves: dict[Path, RunCurves] = {}
        self._view = CurveView(
            CurveWidgets(
                ui.comparisonLabel,
                ui.comparisonSelector,
                ui.comparisonLogCheckBox,
                ui.comparisonSmoothingSlider,
                ui.saveComparisonButton,
            ),
            guarded,
        )

    def show(self, runs: Sequence[Run]) -> None:
        """Compare runs; fewer than two are none to compare."""
        chosen = [run for run in runs if not run.summary.problem] if len(runs) > 1 else []
        usable = chosen[:MOST_CURVES]
        self._ui.comparisonHintLabel.visible = len(chosen) > len(usable)
        self._ui.comparisonHintLabel.text = _("The first {most} of the {count} chosen trainings are compared.").format(
            most=len(usable), count=len(chosen)
        )
        self._ui.comparisonSection.visible = len(runs) > 1
        self._ui.comparisonSection.text = _("Comparison of {count} trainings").format(count=len(usable))
        # the readers that there are know what they have read already
        curves = {run.path: self._curves.get(run.path) or RunCurves(run.path) for run in usable}
        is_other = list(curves) != list(self._curves)
        self._curves = curves
        news = [each.read() for each in curves.values()]
        if is_other or any(news):
            self._view.show(plots_of_runs({path.name: each for path, each in curves.items()}))
        else:
            self._view.repaint_when_resized()
