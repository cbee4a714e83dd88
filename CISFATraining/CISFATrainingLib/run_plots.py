"""Which curves of a run belong into one picture, and what runs can be compared by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slicer.i18n import tr as _

from cisfa.runs.run_curves import CurveReader
from cisfa.runs.run_files import METRICS, VALIDATION
from CISFATrainingLib.curve_plot import Curve, colour_of

_GRADIENT, _DICE = "gradient of ", "dice "
_SCORE_TITLES = {"dice": "Dice"}


@dataclass(frozen=True)
class Plot:
    """One picture.

    Attributes:
        key: By which it is found again when there are new values.
        title: For the list and above the picture.
        y_title: Beside the axis of values.
        curves: In the legend's order.
        is_noisy: True for what is measured at single steps; scores are measured rarely, and smoothing would shift them.
    """

    key: str
    title: str
    y_title: str
    curves: tuple[Curve, ...]
    is_noisy: bool = True


class RunCurves:
    """The two tables of a run, followed while they grow."""

    def __init__(self, run: Path) -> None:
        """Read nothing yet."""
        self.metrics, self.validation = CurveReader(run / METRICS), CurveReader(run / VALIDATION)

    def read(self) -> bool:
        """Take in what is new; True when there was something."""
        news = [self.metrics.read(), self.validation.read()]
        return any(news)

    def quantities(self) -> dict[str, tuple[CurveReader, str]]:
        """All that was measured, by key, with the name of the column; what tells most comes first."""
        found = {f"validation {name}": (self.validation, name) for name in self.validation.values}
        return {**found, **{name: (self.metrics, name) for name in _losses_first(self.metrics)}}


def plots_of_run(curves: RunCurves) -> list[Plot]:
    """The pictures of one run: groups of curves, then each loss for itself."""
    losses = [name for name in curves.metrics.values if not name.startswith(_GRADIENT)]
    gradients = [name for name in curves.metrics.values if name.startswith(_GRADIENT)]
    scores = [name for name in curves.validation.values if not name.startswith(_DICE)]
    organs = [name for name in curves.validation.values if name.startswith(_DICE)]
    groups = (
        Plot("losses", _("All losses"), _("loss"), _curves(curves.metrics, losses)),
        Plot("validation", _("Scores without target labels"), _("0 to 1"), _curves(curves.validation, scores), False),
        Plot("organs", _("Dice of each organ"), _("Dice"), _curves(curves.validation, organs, _DICE), False),
        *(Plot(f"loss {name}", name, _("loss"), _curves(curves.metrics, [name])) for name in losses),
        Plot("gradients", _("Gradient norms"), _("norm"), _curves(curves.metrics, gradients, _GRADIENT)),
    )
    return [plot for plot in groups if plot.curves]


def plots_of_runs(runs: Mapping[str, RunCurves]) -> list[Plot]:
    """The pictures of several runs: for each quantity that any of them has, one curve a run.

    Args:
        runs: By the names for the legend.
    """
    of_runs = {name: curves.quantities() for name, curves in runs.items()}
    keys = dict.fromkeys(key for quantities in of_runs.values() for key in quantities)
    ordered = sorted(keys, key=lambda key: (not key.startswith("validation"), key.startswith(_GRADIENT)))
    return [
        Plot(key, _title_of(key), "", _one_curve_a_run(of_runs, key), not key.startswith("validation"))
        for key in ordered
    ]


def _one_curve_a_run(of_runs: Mapping[str, Mapping[str, tuple[CurveReader, str]]], key: str) -> tuple[Curve, ...]:
    found = []
    for place, (run, quantities) in enumerate(of_runs.items()):
        if key in quantities:
            reader, column = quantities[key]
            found.append(Curve(run, reader.steps, reader.values[column], colour_of(place)))
    return tuple(found)


def _curves(reader: CurveReader, names: Sequence[str], prefix: str = "") -> tuple[Curve, ...]:
    return tuple(
        Curve(name.removeprefix(prefix), reader.steps, reader.values[name], colour_of(place))
        for place, name in enumerate(names)
    )


def _losses_first(metrics: CurveReader) -> list[str]:
    return sorted(metrics.values, key=lambda name: name.startswith(_GRADIENT))


def _title_of(key: str) -> str:
    name = key.removeprefix("validation ")
    if name == key:
        return name
    if name.startswith(_DICE):
        return _("Dice: {organ}").format(organ=name.removeprefix(_DICE))
    return _SCORE_TITLES.get(name, name)
