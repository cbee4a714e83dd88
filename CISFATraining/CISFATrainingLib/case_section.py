"""The tab of the cases: two tables, and the ways in which cases get into them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from cisfa.cases.case_list import ListedCase
from cisfa.cases.discovery import discover, segments_beside
from cisfa.events import Event, Progress
from cisfa_slicer.error_display import ShownErrors, failure_style
from CISFATrainingLib.case_files import delete_unused
from CISFATrainingLib.case_inspection import CaseInspection
from CISFATrainingLib.case_store import CaseStore, Domain
from CISFATrainingLib.case_table import CaseTable
from CISFATrainingLib.dicom_section import DicomSection
from CISFATrainingLib.file_drop import FileDrop
from CISFATrainingLib.scene_cases import Pair, SceneCaseError, pairs_in_scene, write_case

# files of a DICOM series have any suffix or none
_VOLUMES = "Volumes (*.nii *.nii.gz *.nrrd *.nhdr *.mha *.mhd *.dcm dataset.json);;All files (*)"
_LISTS = "Lists of cases (*.json)"


class CaseSection:
    """Fills the tables and keeps them true."""

    def __init__(self, ui: Any, store: CaseStore, inspection: CaseInspection, log: Callable[[str], object]) -> None:
        """Connect the widgets.

        Args:
            ui: Those of CISFATrainingCases.ui by name.
            store: The cases.
            inspection: Looks at them.
            log: Takes lines.
        """
        self._ui, self._store, self._inspection, self._log = ui, store, inspection, log
        self._tables: dict[Domain, CaseTable] = {}
        self._drops: list[FileDrop] = []  # an event filter is Python's to keep
        self._connect_domain("source", ui.sourceTable, (ui.addSourceFolderButton, ui.addSourceFilesButton))
        self._connect_domain("target", ui.targetTable, (ui.addTargetFolderButton, ui.addTargetFilesButton))
        self._on_click(ui.removeSourceButton, lambda: self._remove("source"))
        self._on_click(ui.removeTargetButton, lambda: self._remove("target"))
        self._on_click(ui.fewLabelsButton, self._choose_drawn_slices)
        self._on_click(ui.addSceneSourceButton, lambda: self._add_pair("source"))
        self._on_click(ui.addSceneTargetButton, lambda: self._add_pair("target"))
        self._on_click(ui.addAllSceneButton, self._add_all_of_scene)
        self._on_click(ui.loadListButton, self._load)
        self._on_click(ui.saveListButton, self._save)
        self._on_click(ui.clearListButton, self._clear)
        ui.sceneVolumeSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._suggest_segmentation)
        self._dicom = DicomSection(ui, self._add_pairs, self._guarded)
        inspection.event.connect(self._show_event)
        inspection.ended.connect(self._on_looked)
        store.changed.connect(self._show_counts)
        self._show_counts()

    def add_paths(self, domain: Domain, paths: Sequence[Path]) -> None:
        """Add what a user points at; errors become a sentence."""
        self._guarded(lambda: self._add(domain, discover(paths)))

    def say_trouble(self, sentence: str) -> None:
        """Tell of something that is wrong with the list as a whole."""
        self._show_failure(sentence)

    def look(self) -> None:
        """Look at cases that nobody has looked at; errors become a sentence."""
        self._guarded(self._inspection.look)

    def _connect_domain(self, domain: Domain, table: Any, buttons: tuple[Any, Any]) -> None:
        folder_button, files_button = buttons
        self._tables[domain] = CaseTable(table, self._store, domain)
        self._drops.append(FileDrop(table, lambda paths: self.add_paths(domain, paths)))
        self._on_click(folder_button, lambda: self._add_folder(domain))
        self._on_click(files_button, lambda: self._add_files(domain))

    def _on_click(self, button: Any, action: Callable[[], object]) -> None:
        button.connect("clicked(bool)", lambda checked: self._guarded(action))

    def _guarded(self, action: Callable[[], object]) -> None:
        with ShownErrors(self._show_failure):
            action()

    def _add(self, domain: Domain, found: Sequence[ListedCase]) -> None:
        self._say(self._store.add(domain, found))
        self._inspection.look()

    def _add_folder(self, domain: Domain) -> None:
        path = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Add cases"), qt.QDir.homePath())
        if path:
            self._add(domain, discover([Path(path)]))

    def _add_files(self, domain: Domain) -> None:
        paths = qt.QFileDialog.getOpenFileNames(slicer.util.mainWindow(), _("Add cases"), qt.QDir.homePath(), _VOLUMES)
        if paths:
            self._add(domain, discover([Path(path) for path in paths]))

    def _add_pair(self, domain: Domain) -> None:
        volume = self._ui.sceneVolumeSelector.currentNode()
        self._add_pairs(domain, [Pair(volume, self._ui.sceneSegmentationSelector.currentNode())])

    def _add_pairs(self, domain: Domain, pairs: Sequence[Pair]) -> None:
        for pair in pairs:  # each by itself, so that one that cannot be used costs no other
            self._add(domain, [write_case(pair, is_source=domain == "source")])

    def _add_all_of_scene(self) -> None:
        pairs = pairs_in_scene()
        if not pairs:
            raise SceneCaseError("The scene has no volume. Load some, or add cases from a folder.")
        self._add_one_of_scene([pair.volume.GetID() for pair in pairs])

    def _add_one_of_scene(self, volume_ids: list[str]) -> None:
        """One at a time, between which the window lives."""
        pair = next((pair for pair in pairs_in_scene() if pair.volume.GetID() == volume_ids[0]), None)
        if pair is not None:  # it may have been deleted meanwhile
            domain: Domain = "target" if pair.segmentation is None else "source"
            self._guarded(lambda: self._add_pairs(domain, [pair]))
        if volume_ids[1:]:
            qt.QTimer.singleShot(0, lambda: self._add_one_of_scene(volume_ids[1:]))

    def _suggest_segmentation(self, volume: Any) -> None:
        """The one that was drawn on the volume."""
        found = next((pair.segmentation for pair in pairs_in_scene() if pair.volume is volume), None)
        self._ui.sceneSegmentationSelector.setCurrentNode(found)

    def _remove(self, domain: Domain) -> None:
        names = self._tables[domain].selected
        if not names:
            self._say(_("Select the cases to remove first."))
            return
        removed = self._store.remove(domain, names)
        delete_unused(removed, self._store.cases)
        self._say(_("{count} removed from the list.").format(count=len(removed)))

    def _choose_drawn_slices(self) -> None:
        names = self._tables["target"].selected
        if len(names) != 1:
            self._say(_("Select the one target case that the drawn slices belong to first."))
            return
        (case,) = (each for each in self._store.of("target") if each.name == names[0])
        question = _("{name} has drawn slices. Take them away?").format(name=case.name)
        if case.few_labels is not None and slicer.util.confirmYesNoDisplay(question):
            self._store.set_few_labels(case.name, None)
            self._inspection.look()
            return
        path = qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), _("Drawn slices"), qt.QDir.homePath(), _VOLUMES)
        if path:
            segments = segments_beside(Path(path))
            self._store.set_few_labels(case.name, ListedCase(case.name, Path(), None, Path(path), segments))
            self._say(_("Drawn slices added; they are used only when you say so under Train."))
            self._inspection.look()

    def _load(self) -> None:
        path = qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), _("Load"), qt.QDir.homePath(), _LISTS)
        if path:
            self._store.load(Path(path))
            self._say(_("{name} loaded.").format(name=Path(path).name))
            self._inspection.look()

    def _save(self) -> None:
        path = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), _("Save"), qt.QDir.homePath(), _LISTS)
        if path:
            chosen = Path(path) if Path(path).suffix else Path(f"{path}.json")
            self._store.save(chosen)
            self._say(_("{name} saved. It holds paths, which may name patients.").format(name=chosen.name))

    def _clear(self) -> None:
        cases = self._store.cases
        if not cases.source and not cases.target:
            return
        question = _("Take all {count} cases out of the lists?").format(count=len(cases.source) + len(cases.target))
        if slicer.util.confirmYesNoDisplay(question):
            self._store.clear()
            delete_unused((*cases.source, *cases.target), self._store.cases)
            self._say("")

    def _show_counts(self) -> None:
        cases = self._store.cases
        self._ui.sourceBox.title = _("Source: annotated cases ({count})").format(count=len(cases.source))
        self._ui.targetBox.title = _("Target: cases without annotation ({count})").format(count=len(cases.target))

    def _show_event(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._ui.casesProgressBar.visible = True
            self._ui.casesProgressBar.setRange(0, 100)
            self._ui.casesProgressBar.setValue(round(100 * event.fraction))
            self._ui.casesProgressBar.setFormat(event.stage)

    def _on_looked(self, message: str) -> None:
        self._ui.casesProgressBar.visible = False
        unusable = self._store.unusable()
        if message:
            self._show_failure(message)
        elif unusable:
            sentence = _("{count} of {total} cases cannot be used as they are: {names}. The table says why.")
            total = len(self._store.cases.source) + len(self._store.cases.target)
            self._show_failure(sentence.format(count=len(unusable), total=total, names=", ".join(unusable)))

    def _say(self, message: str) -> None:
        self._ui.casesMessageLabel.text = message
        self._ui.casesMessageLabel.styleSheet = ""

    def _show_failure(self, message: str) -> None:
        self._log(message)
        self._ui.casesMessageLabel.text = message
        self._ui.casesMessageLabel.styleSheet = failure_style(self._ui.casesMessageLabel)
