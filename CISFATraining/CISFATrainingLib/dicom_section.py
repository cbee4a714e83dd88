"""Series of Slicer's DICOM database as cases: a tree to tick them in, and loading them with their segmentations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from CISFATrainingLib.case_store import Domain
from CISFATrainingLib.scene_cases import Pair, SceneCaseError, pairs_in_scene

_SEGMENTATION = "SEG"
# of DICOM: modality, referenced series (inside of a sequence, which the database does not index)
_MODALITY = "0008,0060"
_USABLE = ("CT", "MR", "PT", "NM")


@dataclass(frozen=True)
class Series:
    """One series of the database.

    Attributes:
        uid: Series Instance UID.
        study_uid: Study Instance UID.
        description: For people.
        modality: "MR".
        images: Number of its files.
    """

    uid: str
    study_uid: str
    description: str
    modality: str
    images: int


class DicomSection:
    """The database as a tree with boxes to tick."""

    def __init__(
        self,
        ui: Any,
        add_pairs: Callable[[Domain, Sequence[Pair]], object],
        guarded: Callable[[Callable[[], object]], object],
    ) -> None:
        """Connect the widgets.

        Args:
            ui: Holds dicomTree and its buttons.
            add_pairs: Takes what was loaded.
            guarded: Runs an action and shows its errors.
        """
        self._tree, self._add_pairs = ui.dicomTree, add_pairs
        self._items: list[tuple[Any, Series]] = []
        ui.refreshDicomButton.connect("clicked(bool)", lambda checked: guarded(self.refresh))
        ui.addDicomSourceButton.connect("clicked(bool)", lambda checked: guarded(lambda: self._add("source")))
        ui.addDicomTargetButton.connect("clicked(bool)", lambda checked: guarded(lambda: self._add("target")))

    def refresh(self) -> None:
        """Read the database.

        Raises:
            SceneCaseError: There is none.
        """
        database = _database()
        self._tree.clear()
        self._items = []
        for patient in database.patients():
            studies = [
                _tree_item([_study_name(database, patient, study)]) for study in database.studiesForPatient(patient)
            ]
            for item, study in zip(studies, database.studiesForPatient(patient), strict=True):
                self._tree.addTopLevelItem(item)
                for series in series_of(database, study):
                    self._add_series(item, series)
                item.setExpanded(True)

    def _add_series(self, study: Any, series: Series) -> None:
        item = _tree_item([series.description, series.modality, str(series.images)])
        if series.modality != _SEGMENTATION:
            item.setCheckState(0, qt.Qt.Unchecked)
            self._items.append((item, series))
        study.addChild(item)

    def _add(self, domain: Domain) -> None:
        ticked = [series for item, series in self._items if item.checkState(0) == qt.Qt.Checked]
        if not ticked:
            raise SceneCaseError("No series is ticked. Read the database, then tick the series to add.")
        for series in ticked:
            before = set(_node_ids())
            try:
                self._add_pairs(domain, load_pairs(_database(), series, with_segmentation=domain == "source"))
            finally:  # they are files now, and many series would fill the memory
                for identity in _node_ids():
                    if identity not in before:
                        slicer.mrmlScene.RemoveNode(slicer.mrmlScene.GetNodeByID(identity))
        for item, _series in self._items:
            item.setCheckState(0, qt.Qt.Unchecked)


def series_of(database: Any, study: str) -> list[Series]:
    """The image series and DICOM segmentations of a study."""
    found = []
    for uid in database.seriesForStudy(study):
        files = database.filesForSeries(uid)
        modality = str(database.fileValue(files[0], _MODALITY)) if files else ""
        if modality in (*_USABLE, _SEGMENTATION):
            description = str(database.descriptionForSeries(uid)) or _("(no description)")
            found.append(Series(uid, study, description, modality, len(files)))
    return found


def load_pairs(database: Any, series: Series, *, with_segmentation: bool) -> list[Pair]:
    """Load a series, and for an annotated case the segmentations of its study.

    Raises:
        SceneCaseError: Slicer's DICOM module cannot load it as a volume, or no segmentation refers to it.
    """
    from DICOMLib import DICOMUtils

    wanted = [series.uid]
    if with_segmentation:
        wanted += [one.uid for one in series_of(database, series.study_uid) if one.modality == _SEGMENTATION]
    loaded = set(DICOMUtils.loadSeriesByUID(wanted))
    pairs = [pair for pair in pairs_in_scene() if pair.volume.GetID() in loaded]
    if not pairs:
        raise SceneCaseError(f"{series.description} cannot be loaded as a volume. Try it in the module DICOM.")
    if with_segmentation and all(pair.segmentation is None for pair in pairs):
        raise SceneCaseError(
            f"No segmentation of the study refers to {series.description}. Slicer needs a module that reads DICOM"
            " segmentations (part of it from 5.12 on, before that the extension QuantitativeReporting)."
        )
    return [pair for pair in pairs if pair.segmentation is not None] if with_segmentation else pairs


def _database() -> Any:
    database = getattr(slicer, "dicomDatabase", None)
    if database is None or not database.isOpen:
        raise SceneCaseError("Slicer's DICOM database is not open. Open the module DICOM once, then try again.")
    return database


def _node_ids() -> list[str]:
    """Of the volumes and segmentations that there are."""
    kinds = ("vtkMRMLVolumeNode", "vtkMRMLSegmentationNode")
    return [node.GetID() for kind in kinds for node in slicer.util.getNodesByClass(kind)]


def _tree_item(texts: list[str]) -> Any:
    item = qt.QTreeWidgetItem()
    for column, text in enumerate(texts):
        item.setText(column, text)
    return item


def _study_name(database: Any, patient: str, study: str) -> str:
    description = str(database.descriptionForStudy(study)) or _("(no description)")
    return f"{database.nameForPatient(patient)}: {description}"
