"""Adapting models from Python: the cases, the runs, and what works on them; no widget in here."""

from collections.abc import Callable
from pathlib import Path

from cisfa_slicer.data_folder import data_folder
from cisfa_slicer.model_library import ModelLibrary
from cisfa_slicer.requirements import TRAINING_FILE, ensure_requirements, require_installed
from cisfa_slicer.run_launcher import RunLauncher, RunPlan
from cisfa_slicer.run_library import Run, RunLibrary
from cisfa_slicer.settings import CASE_FOLDER, EXTERNAL_PYTHON, WHEEL_FOLDER, read_setting
from CISFATrainingLib.case_store import CaseStore

_WORKING_LIST = "present list.json"


class TrainingLogic:
    """What the panel shows, and what a script can do without it.

    Attributes:
        store: The cases in the tables.
        runs: All runs of this computer.
        launcher: Starts, pauses, stops and resumes them.
        models: Where bundles go, for CISFA Segmentation to find.
    """

    def __init__(self, models: ModelLibrary) -> None:
        """Args: where bundles go."""
        self.models = models
        self.store = CaseStore(data_folder("cases", CASE_FOLDER) / _WORKING_LIST)
        self.runs = RunLibrary()
        self.launcher = RunLauncher(self.runs)

    def start(self, plan: RunPlan) -> Path:
        """Start a training, which goes on whatever becomes of Slicer.

        Returns:
            The run's folder.

        Raises:
            CisfaError: Something is not installed, or the run cannot be started.
        """
        self.require_installed()
        return self.launcher.start(plan)

    def look_at(self, folder: Path) -> Run:
        """How far a run is."""
        return self.runs.look_at(folder)

    def require_installed(self) -> None:
        """Ask nobody and install nothing.

        Raises:
            RequirementsError: Something is missing in Slicer's Python, and no other one is chosen.
        """
        if not read_setting(EXTERNAL_PYTHON):
            require_installed(TRAINING_FILE)

    def install_requirements(self, ask: Callable[[str], bool] = lambda question: True) -> None:
        """Install what is missing into Slicer's Python, from the network or from the wheel folder of the settings.

        Args:
            ask: Shows a question and returns True for yes; by default nobody is asked.

        Raises:
            RequirementsError: The user said no, or it could not be installed.
        """
        if not read_setting(EXTERNAL_PYTHON):
            ensure_requirements(ask, wheel_folder=read_setting(WHEEL_FOLDER), file=TRAINING_FILE)
