"""The list of models with the chosen one's card, and adding, removing and downloading models."""

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from cisfa_slicer.error_display import ShownErrors
from cisfa_slicer.interpreter import find_interpreter
from cisfa_slicer.job import Job, JobEnd, Outcome
from cisfa_slicer.model_catalogue import CatalogueModel
from cisfa_slicer.model_library import DEMO_KEY, Model, ModelLibrary
from CISFASegmentationLib.activity_view import ActivityView
from CISFASegmentationLib.model_card_view import card_as_html

_FILE_FILTER = "Model bundles (*.zip manifest.json)"


class ModelSection:
    """The part of the panel where a model is chosen."""

    def __init__(self, ui: Any, library: ModelLibrary, activity: ActivityView, log: Callable[[str], object]) -> None:
        """Connect the buttons; the list is filled by :meth:`choose`.

        Args:
            ui: Holds modelSelector, modelCard and the buttons.
            library: The models.
            activity: Shows downloads.
            log: Takes lines.
        """
        self._ui, self._library, self._activity, self._log = ui, library, activity, log
        self._models: tuple[Model, ...] = ()
        self._chosen_key = DEMO_KEY
        self._job: Job | None = None
        self.on_chosen: Callable[[str], object] = lambda key: None
        ui.modelSelector.connect("currentIndexChanged(int)", self._on_index_changed)
        ui.addModelButton.connect("clicked(bool)", lambda checked: self._guarded(self._add_from_file))
        ui.removeModelButton.connect("clicked(bool)", lambda checked: self._guarded(self._remove))
        ui.openModelFolderButton.connect("clicked(bool)", lambda checked: self._guarded(self._open_folder))
        ui.downloadModelButton.connect("clicked(bool)", lambda checked: self._guarded(self._choose_download))

    @property
    def chosen(self) -> Model | None:
        """The chosen model; None when its file is gone."""
        return next((model for model in self._models if model.key == self._chosen_key), None)

    def choose(self, key: str) -> None:
        """Choose a model, after looking into the model folder again; nobody is told, since somebody asked for it.

        One that is not there is not replaced by another one, which would segment something else.
        """
        self._models = ()
        self._guarded(self._read_folder)
        if not self._models:  # the folder cannot be read
            self._models = (self._library.demo(),)
        self._chosen_key = key
        self._ui.modelSelector.blockSignals(True)
        self._ui.modelSelector.clear()
        for model in self._models:
            self._ui.modelSelector.addItem(model.name, model.key)
        keys = [model.key for model in self._models]
        self._ui.modelSelector.setCurrentIndex(keys.index(key) if key in keys else -1)
        self._ui.modelSelector.blockSignals(False)
        self._show_card()

    def refresh(self) -> None:
        """Look into the model folder again."""
        self.choose(self._chosen_key)

    def missing_sentence(self) -> str:
        """What to say when the chosen model is not there."""
        return _(
            "The model {key} is not in the model folder {folder}. Choose another one, or add it from a file."
        ).format(key=self._chosen_key, folder=self._library.folder)

    def _read_folder(self) -> None:
        self._models = self._library.models()

    def end_now(self) -> None:
        """Stop a download: for when Slicer quits."""
        if self._job is not None:
            self._job.end_now()

    def _guarded(self, action: Callable[[], object]) -> None:
        with ShownErrors(lambda message: self._activity.show_message(message, is_failure=True)):
            action()

    def _on_index_changed(self, index: int) -> None:
        if 0 <= index < len(self._models):
            self._chosen_key = self._models[index].key
            self._show_card()
            self.on_chosen(self._chosen_key)

    def _show_card(self) -> None:
        self._ui.modelCard.text = card_as_html(self.chosen) if self.chosen else html.escape(self.missing_sentence())

    def _add_from_file(self) -> None:
        path = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(), _("Add a model"), qt.QDir.homePath(), _FILE_FILTER
        )
        if path:
            self._take(self._library.add(Path(path)))

    def _take(self, model: Model) -> None:
        self.choose(model.key)
        self.on_chosen(model.key)
        self._activity.show_message(_("{name} was added.").format(name=model.name))

    def _remove(self) -> None:
        model = self.chosen
        if model is None:
            return
        self._library.require_removable(model.key)
        question = _("Remove {name}? Its file {file} will be deleted.").format(name=model.name, file=model.path.name)
        if slicer.util.confirmYesNoDisplay(question):
            self._library.remove(model.key)
            self.choose(DEMO_KEY)
            self.on_chosen(self._chosen_key)

    def _open_folder(self) -> None:
        self._library.folder.mkdir(parents=True, exist_ok=True)
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self._library.folder)))

    def _choose_download(self) -> None:
        offered = self._library.downloadable()
        if not offered:
            self._activity.show_message(
                _("The catalogue offers no model that is not here already. Under Advanced, another can be chosen.")
            )
            return
        lines = [f"{model.name} ({model.size_bytes / 1e6:.0f} MB): {model.description}" for model in offered]
        # whoever cancels gets the first line, which therefore is no model
        shown = [_("Choose a model"), *lines]
        line = qt.QInputDialog.getItem(slicer.util.mainWindow(), _("Download a model"), _("Model"), shown, 0, False)
        if line in lines:
            self._download(offered[lines.index(line)])

    def _download(self, model: CatalogueModel) -> None:
        self._library.folder.mkdir(parents=True, exist_ok=True)
        self._job = Job(find_interpreter())
        self._job.event.connect(self._activity.show_event)
        self._job.log.connect(self._log)
        self._job.ended.connect(lambda end: self._on_downloaded(model, end))
        self._activity.begin(_("Downloading"), self._job.cancel)
        words = ["bundle", "download", model.url, "--sha256", model.sha256, "--size", str(model.size_bytes)]
        self._job.start([*words, "--output", str(self._library.folder / model.file_name)])

    def _on_downloaded(self, model: CatalogueModel, end: JobEnd) -> None:
        self._job = None
        self._activity.end(end.message, is_failure=end.outcome is Outcome.FAILED)
        if end.outcome is Outcome.DONE and (there := self._library.find(model.file_name)):
            self._take(there)
