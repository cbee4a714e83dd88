"""Starting, pausing, stopping and resuming runs, whose processes are nobody's children."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cisfa.cases.case_list import CaseList
from cisfa.config import TrainingConfig
from cisfa.errors import CisfaError
from cisfa.runs.run_state import clear_request, make_request
from cisfa.runs.run_summary import is_run
from cisfa_slicer.detached_process import Start, start_detached
from cisfa_slicer.interpreter import Interpreter, find_interpreter
from cisfa_slicer.run_companion import RunCompanion
from cisfa_slicer.run_files import write_plan
from cisfa_slicer.run_library import RunLibrary
from cisfa_slicer.settings import EXTERNAL_PYTHON, read_setting


class RunLauncherError(CisfaError):
    """A run cannot be started, resumed or asked to stop."""


@dataclass(frozen=True)
class RunPlan:
    """A run to be started.

    Attributes:
        name: For people; the folder is called after it.
        cases: To learn from.
        config: All settings.
        device: "auto", "cpu", "cuda" or "mps".
        processes: "1", or "all" for every graphics card of this computer.
    """

    name: str
    cases: CaseList
    config: TrainingConfig
    device: str = "auto"
    processes: str = "1"


def interpreter_of_settings() -> Interpreter:
    """The Python that the user's settings name, or Slicer's own."""
    return find_interpreter(read_setting(EXTERNAL_PYTHON))


class RunLauncher:
    """Processes for the runs of a library."""

    def __init__(self, library: RunLibrary, interpreter: Callable[[], Interpreter] = interpreter_of_settings) -> None:
        """Args: where runs are kept; finds the Python to run in whenever one is started."""
        self._library, self._interpreter = library, interpreter

    def start(self, plan: RunPlan) -> Path:
        """Start a run, which goes on whatever becomes of Slicer.

        Returns:
            Its folder.

        Raises:
            CisfaError: The folder cannot be written, or the process cannot be started; nothing is left then.
        """
        interpreter = self._interpreter()
        folder = self._library.new_folder(plan.name)
        companion = RunCompanion(folder)
        try:
            companion.make()
        except OSError as error:
            raise RunLauncherError(
                f"The run folder {self._library.folder} cannot be written to: {error.strerror or error}. Choose another"
                " one under Advanced, or free some space."
            ) from error
        try:
            write_plan(plan.cases, plan.config, companion.path)
            words = ["train", "--cases", str(companion.cases), "--config", str(companion.config), "--run", str(folder)]
            self._start(companion, interpreter, words, plan.device, plan.processes)
        except CisfaError:
            companion.remove()
            raise
        return folder

    def resume(self, folder: Path) -> None:
        """Go on with a run that was paused, stopped, or interrupted by a crash or a power cut.

        Raises:
            CisfaError: It is being trained, its cases are not known on this computer, or it cannot be started.
        """
        run, companion = self._library.look_at(folder), RunCompanion(folder)
        if run.state.status.is_active:
            raise RunLauncherError(f"{folder.name} is being trained already.")
        if not companion.cases.is_file():
            raise RunLauncherError(
                f"{folder.name} was not started on this computer, so its cases are not known here. Resume it where it"
                " was started, with cisfa train --resume."
            )
        launch = companion.read_launch()
        words = ["train", "--cases", str(companion.cases), "--run", str(folder)]
        # one that failed before it began has nothing to resume
        words += ["--resume"] if is_run(folder) else ["--config", str(companion.config)]
        clear_request(folder)
        self._start(companion, self._interpreter(), words, launch.device, launch.processes)

    def pause(self, folder: Path) -> None:
        """Let a run save a checkpoint and end, to be resumed later; the graphics card is free meanwhile.

        Raises:
            VolumeFileError: Its folder cannot be written.
        """
        make_request(folder, "pause")

    def stop(self, folder: Path) -> None:
        """Let a run save a checkpoint and end before its time.

        Raises:
            VolumeFileError: Its folder cannot be written.
        """
        make_request(folder, "stop")

    def _start(
        self, companion: RunCompanion, interpreter: Interpreter, words: list[str], device: str, processes: str
    ) -> None:
        more = ["--device", device] + (["--processes", processes] if processes != "1" else [])
        start = Start(interpreter, [*words, *more], folder=companion.path, log=companion.log)
        companion.write_launch(start_detached(start), device, processes)
