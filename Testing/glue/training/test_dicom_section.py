"""Series of Slicer's DICOM database; the database and Slicer's loading are stand-ins."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import slicer

from panel_steps import check_that_finds, rows
from scenes import add_volume
from test_scene_cases import FIRST, add_segmentation

SERIES = {"1.1": ("CT", "thorax"), "1.2": ("SEG", "drawn"), "1.3": ("SR", "report"), "1.4": ("MR", "")}


class Database:
    isOpen = True

    def patients(self):
        return ("1",)

    def nameForPatient(self, patient):
        return "Müller^Anna"

    def studiesForPatient(self, patient):
        return ("9.9",)

    def descriptionForStudy(self, study):
        return "abdomen"

    def seriesForStudy(self, study):
        return tuple(SERIES)

    def filesForSeries(self, series):
        return (f"/{series}/1.dcm", f"/{series}/2.dcm")

    def fileValue(self, file, tag):
        assert tag == "0008,0060"
        return SERIES[file.split("/")[1]][0]

    def descriptionForSeries(self, series):
        return SERIES[series][1]


@pytest.fixture(autouse=True)
def database(monkeypatch: pytest.MonkeyPatch, job_does):
    job_does(check_that_finds())
    monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
    asked: list[list[str]] = []

    def load(uids):
        asked.append(list(uids))
        volume = add_volume("from DICOM")
        loaded = [volume.GetID()]
        if "1.2" in uids:
            loaded.append(add_segmentation(volume, {"liver": FIRST}).GetID())
        return loaded

    module = ModuleType("DICOMLib")
    module.DICOMUtils = SimpleNamespace(loadSeriesByUID=load)
    monkeypatch.setitem(sys.modules, "DICOMLib", module)
    return asked


@pytest.fixture
def looked(host, training):
    def wait() -> None:
        host.spin_until(lambda: not training.panel._inspection.is_running, "a look at the cases")

    return wait


def series_items(tabs):
    study = tabs.dicomTree.topLevelItem(0)
    return [study.child(index) for index in range(study.childCount())]


def test_image_series_and_segmentations_are_listed(tabs) -> None:
    tabs.refreshDicomButton.click()
    assert tabs.dicomTree.topLevelItem(0).text(0) == "Müller^Anna: abdomen"
    listed = [[item.text(column) for column in range(3)] for item in series_items(tabs)]
    assert listed == [["thorax", "CT", "2"], ["drawn", "SEG", "2"], ["(no description)", "MR", "2"]]


def test_a_ticked_series_becomes_a_source_case_with_its_segmentation(tabs, database, looked) -> None:
    tabs.refreshDicomButton.click()
    series_items(tabs)[0].setCheckState(0, 2)
    tabs.addDicomSourceButton.click()
    looked()
    assert database == [["1.1", "1.2"]]
    assert [row[0] for row in rows(tabs.sourceTable)] == ["from DICOM"]
    # it is a file now; the scene stays as it was, and the tick is gone
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == []
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []
    assert series_items(tabs)[0].checkState(0) == 0


def test_a_ticked_series_becomes_a_target_case_without(tabs, database, looked) -> None:
    tabs.refreshDicomButton.click()
    series_items(tabs)[2].setCheckState(0, 2)
    tabs.addDicomTargetButton.click()
    looked()
    assert database == [["1.4"]]
    assert [row[0] for row in rows(tabs.targetTable)] == ["from DICOM"]


def test_a_series_without_a_segmentation_is_no_source_case(tabs, monkeypatch) -> None:
    monkeypatch.setattr(sys.modules["DICOMLib"].DICOMUtils, "loadSeriesByUID", lambda uids: [add_volume("x").GetID()])
    tabs.refreshDicomButton.click()
    series_items(tabs)[0].setCheckState(0, 2)
    tabs.addDicomSourceButton.click()
    assert "No segmentation of the study refers to thorax" in tabs.casesMessageLabel.text
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []


def test_what_slicer_cannot_load_is_said(tabs, monkeypatch) -> None:
    monkeypatch.setattr(sys.modules["DICOMLib"].DICOMUtils, "loadSeriesByUID", lambda uids: [])
    tabs.refreshDicomButton.click()
    series_items(tabs)[0].setCheckState(0, 2)
    tabs.addDicomTargetButton.click()
    assert "cannot be loaded as a volume" in tabs.casesMessageLabel.text


def test_nothing_ticked_and_no_database_are_sentences(tabs, monkeypatch) -> None:
    tabs.addDicomSourceButton.click()
    assert "No series is ticked" in tabs.casesMessageLabel.text
    monkeypatch.delattr(slicer, "dicomDatabase")
    tabs.refreshDicomButton.click()
    assert "database is not open" in tabs.casesMessageLabel.text
