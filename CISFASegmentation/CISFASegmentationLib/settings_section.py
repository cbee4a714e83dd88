"""What belongs to this computer rather than to a scene: folders, another Python, and whether all of it works."""

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from cisfa_slicer.error_display import ShownErrors
from cisfa_slicer.interpreter import find_interpreter
from cisfa_slicer.job import Job, JobEnd, Outcome
from cisfa_slicer.setting_fields import bind_path_field
from cisfa_slicer.settings import CATALOGUE, EXTERNAL_PYTHON, MODEL_FOLDER, WHEEL_FOLDER, read_setting
from CISFASegmentationLib.activity_view import ActivityView


class SettingsSection:
    """The part of Advanced that Slicer remembers between sessions."""

    def __init__(
        self, ui: Any, activity: ActivityView, log: Callable[[str], object], on_models_moved: Callable[[], object]
    ) -> None:
        """Show the settings and follow the fields.

        Args:
            ui: Holds the path fields and doctorButton.
            activity: Shows the check of this computer.
            log: Takes lines.
            on_models_moved: Called when another model folder was chosen.
        """
        self._activity, self._log = activity, log
        self._job: Job | None = None
        fields = {
            EXTERNAL_PYTHON: ui.externalPythonEdit,
            WHEEL_FOLDER: ui.wheelFolderEdit,
            MODEL_FOLDER: ui.modelFolderEdit,
            CATALOGUE: ui.catalogueEdit,
        }
        for name, field in fields.items():
            bind_path_field(field, name, on_models_moved if name == MODEL_FOLDER else lambda: None)
        ui.doctorButton.connect("clicked(bool)", lambda checked: self._check())

    @property
    def external_python(self) -> str:
        """Path of a Python of the user's own; empty for Slicer's."""
        return read_setting(EXTERNAL_PYTHON)

    def end_now(self) -> None:
        """Stop the check: for when Slicer quits."""
        if self._job is not None:
            self._job.end_now()

    def _check(self) -> None:
        """Let the doctor look at the Python that jobs run in."""
        with ShownErrors(lambda message: self._activity.show_message(message, is_failure=True)):
            self._job = Job(find_interpreter(self.external_python))
            self._job.log.connect(self._log)
            self._job.ended.connect(self._on_checked)
            self._activity.begin(_("Checking this computer"), self._job.cancel)
            self._job.start(["doctor"])

    def _on_checked(self, end: JobEnd) -> None:
        self._job = None
        good = _("Everything that is needed is there; the log says what was found.")
        message = good if end.outcome is Outcome.DONE else end.message
        self._activity.end(message, is_failure=end.outcome is Outcome.FAILED)
