"""The panel: binds widgets to the logic, forwards clicks, shows what happens, and decides nothing."""

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from cisfa.bundle.manifest import Manifest
from cisfa.errors import CisfaError
from cisfa_slicer.error_display import ShownErrors
from cisfa_slicer.job import Outcome
from cisfa_slicer.log_view import LogView
from cisfa_slicer.model_library import Model
from cisfa_slicer.requirements import missing_requirements, require_installed
from cisfa_slicer.volume_export import SceneError, body_part_of, modality_of, require_usable
from CISFASegmentationLib.activity_view import ActivityView
from CISFASegmentationLib.batch import Batch
from CISFASegmentationLib.export_dialog import ExportDialog
from CISFASegmentationLib.model_fit import doubts
from CISFASegmentationLib.model_section import ModelSection
from CISFASegmentationLib.organ_words import look_at, names_of_doubtful
from CISFASegmentationLib.parameters import SegmentationParameters
from CISFASegmentationLib.result_section import ResultSection
from CISFASegmentationLib.segmentation_import import loss_by_replacing
from CISFASegmentationLib.segmentation_logic import SegmentationLogic
from CISFASegmentationLib.segmentation_run import Options, RunEnd, SegmentationRun
from CISFASegmentationLib.settings_section import SettingsSection


class PanelError(CisfaError):
    """A choice is missing or was taken back."""


class SegmentationPanel:
    """What happens on clicks; Slicer's own conventions (enter, exit, scene closing) stay in the widget class."""

    def __init__(self, ui: Any, logic: SegmentationLogic) -> None:
        """Connect the widgets.

        Args:
            ui: The widgets of the .ui file by name.
            logic: Does the work.
        """
        self._ui, self._logic = ui, logic
        self._parameters: SegmentationParameters | None = None
        self._is_segmenting = False
        self._result = ResultSection(ui)
        self._log = LogView(ui.logText)
        others = (ui.batchButton, ui.addModelButton, ui.removeModelButton, ui.downloadModelButton, ui.doctorButton)
        self._activity = ActivityView(ui, others, self._log.add)
        self._models = ModelSection(ui, logic.library, self._activity, self._log.add)
        self._models.on_chosen = self._remember_model
        self._settings = SettingsSection(ui, self._activity, self._log.add, self._models.refresh)
        self._export: ExportDialog | None = None
        ui.exportSegButton.connect("clicked(bool)", lambda checked: self._guarded(self._open_export))
        ui.segmentButton.connect("clicked(bool)", lambda checked: self._on_segment())
        ui.batchButton.connect("clicked(bool)", lambda checked: self._guarded(self._start_batch))
        ui.show3DCheckBox.connect("toggled(bool)", lambda checked: self._guarded(lambda: self._result.show_3d(checked)))
        ui.copyLogButton.connect("clicked(bool)", lambda checked: self._log.copy())

    def set_parameters(self, parameters: SegmentationParameters | None) -> None:
        """Follow another parameter node; None while there is no scene."""
        self._parameters = parameters
        self._result.set_parameters(parameters)
        self.segmentations_changed()
        if parameters is not None:
            self._models.choose(parameters.model)

    def scene_closes(self) -> None:
        """What is being segmented belongs to a scene that goes away; a download does not."""
        if self._is_segmenting:
            self._activity.cancel()
        if self._export is not None:
            self._export.scene_closes()
        self._result.set_parameters(None)

    def forget_deleted_result(self) -> None:
        """The table tells of nothing that is not there."""
        self._result.forget_deleted()

    def segmentations_changed(self) -> None:
        """Without a segmentation there is nothing to export."""
        self._ui.exportSegButton.enabled = bool(slicer.util.getNodesByClass("vtkMRMLSegmentationNode"))

    def end_now(self) -> None:
        """Stop everything and wait until it is gone: for when Slicer quits."""
        self._activity.cancel()
        self._logic.end_now()
        self._models.end_now()
        self._settings.end_now()
        if self._export is not None:
            self._export.end_now()
            self._export = None

    def _open_export(self) -> None:
        if self._export is None:
            self._export = ExportDialog(self._logic, self._log.add, lambda: self._settings.external_python)
        self._export.open(self._result.node)

    def _guarded(self, action: Callable[[], object]) -> None:
        with ShownErrors(self._show_failure):
            action()

    def _show_failure(self, message: str) -> None:
        self._activity.show_message(message, is_failure=True)

    def _remember_model(self, key: str) -> None:
        if self._parameters is not None:
            self._parameters.model = key

    def _on_segment(self) -> None:
        if self._activity.is_busy:
            self._activity.cancel()
        else:
            self._guarded(self._start)

    def _start(self) -> None:
        self._result.clear()
        parameters = self._require_parameters()
        volume, model = parameters.input_volume, self._require_model()
        manifest = model.require_manifest()
        require_usable(volume)
        trusted = self._is_confirmed(doubts(manifest, modality_of(volume), body_part_of(volume)))
        replaced = parameters.output_segmentation
        self._require_replaceable(replaced, volume)
        self._require_installed()
        run = self._logic.start(
            volume, model.path, roi=parameters.roi, replaced=replaced, options=self._options(trusted)
        )
        run.ended.connect(self._on_end)
        self._follow(run)
        self._is_segmenting = True
        self._activity.begin(_("Starting"), run.cancel)
        self._log.add(f"Segmenting with {manifest.name} {manifest.version}.")

    def _start_batch(self) -> None:
        volumes = list(self._ui.batchSelector.checkedNodes())
        if not volumes:
            raise SceneError("No volume is chosen. Tick the volumes to segment in the list.")
        model = self._require_model()
        manifest = model.require_manifest()
        found = [doubt for volume in volumes for doubt in self._doubts_of(volume, manifest)]
        trusted = self._is_confirmed(tuple(dict.fromkeys(found)))
        self._require_installed()
        self._result.clear()
        batch = Batch(self._logic, model.path, self._require_parameters().roi, self._options(trusted))
        batch.volume_started.connect(
            lambda place, name: self._activity.show_prefix(f"{place + 1} / {len(volumes)}: {name}")
        )
        batch.volume_started.connect(lambda place, name: self._log.add(f"Volume {place + 1} of {len(volumes)}."))
        looks: list[str] = []  # of each volume that has ended its name, or nothing if nothing is doubtful
        batch.volume_ended.connect(lambda name, end: looks.append(name if names_of_doubtful(end.organs) else ""))
        batch.volume_ended.connect(lambda name, end: self._on_volume_ended(end))
        batch.ended.connect(lambda sentence, all_well: self._on_batch_ended(sentence, looks, is_failure=not all_well))
        self._is_segmenting = True
        self._activity.begin(_("Starting"), batch.cancel)
        batch.start(volumes, self._follow)

    def _doubts_of(self, volume: Any, manifest: Manifest) -> tuple[str, ...]:
        try:
            require_usable(volume)
        except SceneError:
            return ()  # the batch says so when its turn comes, and goes on with the others
        return doubts(manifest, modality_of(volume), body_part_of(volume))

    def _follow(self, run: SegmentationRun) -> None:
        run.progress.connect(self._activity.show_event)
        run.log.connect(self._log.add)

    def _on_end(self, end: RunEnd) -> None:
        message = end.message
        if end.outcome is Outcome.DONE:
            doubtful = look_at(names_of_doubtful(end.organs, with_reasons=False))
            message = _("Done: {name}.").format(name=end.segmentation.GetName()) + doubtful
            if self._parameters is not None:
                self._parameters.output_segmentation = None  # the next result is a new one again
            self._log_doubts(end)
        self._end_segmenting(message, is_failure=end.outcome is Outcome.FAILED)
        self._show_end(end)

    def _end_segmenting(self, message: str, *, is_failure: bool) -> None:
        self._is_segmenting = False
        self._activity.end(message, is_failure=is_failure)

    def _on_volume_ended(self, end: RunEnd) -> None:
        if end.message:
            self._log.add(end.message)
        self._log_doubts(end)
        self._show_end(end)

    def _on_batch_ended(self, sentence: str, looks: list[str], *, is_failure: bool) -> None:
        """The panel names the volumes; the log, which names none, says which ones by their numbers."""
        doubtful = {place: name for place, name in enumerate(looks, 1) if name}
        if doubtful:
            self._log.add(f"Of {len(looks)} volumes, look twice at: {', '.join(map(str, doubtful))}.")
        self._end_segmenting(sentence + look_at(list(doubtful.values())), is_failure=is_failure)

    def _log_doubts(self, end: RunEnd) -> None:
        if names := names_of_doubtful(end.organs):
            self._log.add(look_at(names).strip())

    def _show_end(self, end: RunEnd) -> None:
        if end.outcome is Outcome.DONE:
            self._result.show(end.segmentation)

    def _options(self, trusted: bool) -> Options:
        parameters = self._require_parameters()
        return Options(
            device=parameters.device,
            batch_size=parameters.batch_size,
            largest_component=parameters.largest_component,
            trust_modality=trusted,
            external_python=self._settings.external_python,
        )

    def _require_parameters(self) -> SegmentationParameters:
        if self._parameters is None:
            raise PanelError("There is no scene. Leave the module and enter it again.")
        return self._parameters

    def _require_model(self) -> Model:
        model = self._models.chosen
        if model is None:
            raise PanelError(self._models.missing_sentence())
        return model

    def _is_confirmed(self, found: tuple[str, ...]) -> bool:
        """Ask whether to go on in spite of doubts.

        Returns:
            True when there were doubts and the user goes on, so that the job must not refuse.

        Raises:
            PanelError: The user does not go on.
        """
        if not found:
            return False
        question = " ".join((*found, _("Its result would probably be worthless. Segment all the same?")))
        if not slicer.util.confirmYesNoDisplay(question, windowTitle=_("The model may not fit")):
            raise PanelError(" ".join((*found, _("Nothing was segmented. Choose another model."))))
        return True

    def _require_replaceable(self, node: Any, volume: Any) -> None:
        """Ask before somebody's work is replaced.

        Raises:
            PanelError: The user keeps it.
        """
        loss = "" if node is None else loss_by_replacing(node, volume)
        if loss and not slicer.util.confirmYesNoDisplay(f"{loss} " + _("Replace it all the same?")):
            raise PanelError(f"{loss} " + _("Nothing was segmented. Choose to make a new segmentation."))

    def _require_installed(self) -> None:
        if self._settings.external_python or not missing_requirements():
            return
        if slicer.app.testingEnabled():  # Slicer answers yes to every question then
            require_installed()
        # installing lets clicks through, which must not start anything meanwhile
        self._activity.begin_what_cannot_be_cancelled(_("Installing what is missing"))
        try:
            self._logic.install_requirements(slicer.util.confirmYesNoDisplay)
        finally:
            self._activity.end("")
