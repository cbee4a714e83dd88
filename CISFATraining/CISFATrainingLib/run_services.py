"""What the parts of the tab of runs work with."""

from collections.abc import Callable
from dataclasses import dataclass

from cisfa_slicer.model_library import ModelLibrary
from cisfa_slicer.run_launcher import RunLauncher
from cisfa_slicer.run_library import Run, RunLibrary
from CISFATrainingLib.curve_view import Guard


@dataclass(frozen=True)
class RunServices:
    """What the tab works with.

    Attributes:
        library: Where runs are kept.
        launcher: Pauses, stops and resumes them.
        models: Where models go that are made of runs.
        log: Takes lines.
        require_installed: Sees to it that everything is installed; asks, and raises when the user says no.
    """

    library: RunLibrary
    launcher: RunLauncher
    models: ModelLibrary
    log: Callable[[str], object]
    require_installed: Callable[[], object]


@dataclass(frozen=True)
class RunTab:
    """What a part of the tab knows of the rest of it.

    Attributes:
        selected: The chosen runs.
        guarded: Calls an action, and says and logs what goes wrong in it.
        guarded_on_screen: Likewise, without the log: for what may name cases.
        say: Shows a sentence.
        refresh: Looks at all runs again.
    """

    selected: Callable[[], tuple[Run, ...]]
    guarded: Guard
    guarded_on_screen: Guard
    say: Callable[[str], object]
    refresh: Callable[[], object]
