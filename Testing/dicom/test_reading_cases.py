"""DICOM series as cases of a training: found in folders, looked into, read, and their patients told apart."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from cisfa.cases.case_folder import CaseFiles, labelled_cases, unlabelled_cases, volumes_by_stem
from cisfa.cases.case_list import CaseList, ListedCase, read_case_list, write_case_list
from cisfa.cases.discovery import discover
from cisfa.cases.fact_cache import FactCache
from cisfa.cases.findings import case_problems
from cisfa.cases.inspection import Look, inspect_case, inspect_cases
from cisfa.config import PreprocessingConfig, TrainingConfig
from cisfa.errors import CaseError, VolumeFileError
from cisfa.events import ignore
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.organs import organs_from_names
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_files import write_label_map, write_volume
from cisfa.training.slice_dataset import DomainSlices, read_slices, require_different_patients_by_series
from series_writer import make_study, write_enhanced, write_series

LOOK = Look(PreprocessingConfig())


def body(seed: int = 0, *, is_ct: bool = True) -> tuple[Volume, LabelMap]:
    """A block with an organ in it."""
    geometry = Geometry.from_axes((5, 40, 36), spacing_mm=(4.0, 1.5, 1.25), origin_lps_mm=(-20.0, 7.5, 100.0))
    voxels = np.full(geometry.shape, -1000 if is_ct else 0, np.int16)
    voxels[:, 5:35, 4:33] = np.random.default_rng(seed).integers(10, 90, (5, 30, 29))
    labels = np.zeros(geometry.shape, np.uint8)
    labels[1:4, 10:20, 10:15] = 1
    return Volume(voxels, geometry), LabelMap(labels, geometry)


def series(folder: Path, seed: int = 0, *, modality: str = "CT", study: Dataset | None = None) -> Path:
    write_series(folder, body(seed, is_ct=modality == "CT")[0], modality=modality, study=study)
    return folder


def patient(identity: str) -> Dataset:
    study = make_study()
    study.PatientID = identity
    return study


def found(paths: Sequence[Path], below: Path) -> list[tuple[str, str, str | None]]:
    return [
        (
            case.name,
            case.volume.relative_to(below).as_posix(),
            None if case.labels is None else case.labels.relative_to(below).as_posix(),
        )
        for case in discover(paths)
    ]


def test_folders_with_series_are_volumes_of_the_usual_layout(tmp_path: Path) -> None:
    for name in ("1.2.840.113", "ct_2"):
        series(tmp_path / "images" / name)
        write_label_map(body()[1], tmp_path / "labels" / f"{name}.nii.gz")
    (tmp_path / "images" / "empty").mkdir()
    write_volume(body()[0], tmp_path / "images" / "ct_3.nii.gz")
    write_label_map(body()[1], tmp_path / "labels" / "ct_3.nii.gz")
    cases = labelled_cases(tmp_path)
    assert [case.name for case in cases] == ["1.2.840.113", "ct_2", "ct_3"]
    assert cases[0].volume == tmp_path / "images" / "1.2.840.113"
    assert cases[0].labels == tmp_path / "labels" / "1.2.840.113.nii.gz"
    assert [case.name for case in unlabelled_cases(tmp_path)] == ["1.2.840.113", "ct_2", "ct_3"]
    assert [case.name for case in discover([tmp_path])] == ["1.2.840.113", "ct_2", "ct_3"]


def test_a_folder_and_a_file_of_one_name_are_refused(tmp_path: Path) -> None:
    series(tmp_path / "ct_1")
    write_volume(body()[0], tmp_path / "ct_1.nii.gz")
    with pytest.raises(CaseError, match="holds ct_1 twice"):
        volumes_by_stem(tmp_path)


def test_a_folder_of_slices_is_one_case(tmp_path: Path) -> None:
    series(tmp_path / "CT 5.0")
    write_label_map(body()[1], tmp_path / "CT 5.0_seg.nii.gz")
    assert found([tmp_path / "CT 5.0"], tmp_path) == [("CT 5.0", "CT 5.0", "CT 5.0_seg.nii.gz")]


def test_every_folder_of_slices_below_is_a_case(tmp_path: Path) -> None:
    for name in ("anna/T1", "berta/T1", "clara/T2", "dora"):
        series(tmp_path / name)
    write_label_map(body()[1], tmp_path / "anna" / "T1_seg.nrrd")
    write_label_map(body()[1], tmp_path / "dora_label.nrrd")
    series(tmp_path / "others" / "images" / "not asked for")
    write_volume(body()[0], tmp_path / "eva.nii.gz")
    assert sorted(found([tmp_path], tmp_path)) == [
        ("T2", "clara/T2", None),
        ("anna T1", "anna/T1", "anna/T1_seg.nrrd"),
        ("berta T1", "berta/T1", None),
        ("dora", "dora", "dora_label.nrrd"),
        ("eva", "eva.nii.gz", None),
    ]


def test_a_folder_of_slices_that_is_called_like_a_label_map_is_a_volume(tmp_path: Path) -> None:
    series(tmp_path / "ct")
    series(tmp_path / "ct_seg")
    assert sorted(found([tmp_path], tmp_path)) == [("ct", "ct", None), ("ct_seg", "ct_seg", None)]


def test_files_of_a_series_stand_for_it(tmp_path: Path) -> None:
    series(tmp_path / "both")
    first = sorted((tmp_path / "both").iterdir())
    for path in sorted(series(tmp_path / "other", 1).iterdir()):
        path.rename(tmp_path / "both" / f"x{path.name}")
    cases = discover(sorted((tmp_path / "both").iterdir()))
    assert [case.volume.name for case in cases] == [first[0].name, f"x{first[0].name}"]
    assert {case.name for case in cases} == {"both"}
    alone = write_enhanced(tmp_path / "1.2.3", body()[0])
    assert found([alone], tmp_path) == [("1.2.3", "1.2.3", None)]


def test_a_file_that_is_nothing_known_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("of the day", encoding="utf-8")
    with pytest.raises(CaseError, match="or are DICOM"):
        discover([tmp_path / "notes.txt"])


def test_a_list_of_cases_keeps_folders(tmp_path: Path) -> None:
    cases = CaseList((ListedCase("a", series(tmp_path / "1.2.840"), tmp_path / "a.nii.gz"),))
    write_case_list(cases, tmp_path / "cases.json")
    assert read_case_list(tmp_path / "cases.json") == cases


def test_a_look_into_a_series_tells_what_it_says(tmp_path: Path) -> None:
    study = patient("P1")
    study.Laterality = "R"
    case = ListedCase("a", series(tmp_path / "a", modality="MR", study=study))
    facts = inspect_case(case, "target", LOOK)
    assert facts.problem is None
    assert (facts.modality, facts.laterality) == ("MR", "R")
    assert facts.frame_of_reference_uid == study.FrameOfReferenceUID
    assert len(facts.patient_keys) == 3
    assert facts.size_bytes == sum(path.stat().st_size for path in (tmp_path / "a").iterdir())


def test_a_series_of_another_modality_is_a_problem_unless_the_settings_say_how_to_read_it(tmp_path: Path) -> None:
    write_series(tmp_path / "pet", body()[0], change=lambda dataset, _: setattr(dataset, "Modality", "PT"))
    case = ListedCase("pet", tmp_path / "pet")
    assert "pet is PT: its DICOM series says so" in (inspect_case(case, "target", LOOK).problem or "")
    assert inspect_case(case, "target", replace(LOOK, modality="CT")).problem is None


def test_a_case_is_looked_at_again_when_any_of_its_slices_changes(tmp_path: Path) -> None:
    cache, folder = FactCache(tmp_path / "cache"), series(tmp_path / "a")
    key = cache.key([folder])
    assert cache.key([folder]) == key
    slice_file = sorted(folder.iterdir())[2]
    slice_file.write_bytes(slice_file.read_bytes() + b"\0\0")
    changed = cache.key([folder])
    assert changed != key
    assert cache.key([slice_file]) != changed
    slice_file.unlink()
    assert cache.key([folder]) not in (key, changed)
    assert cache.key([tmp_path / "gone"]) is None


def test_what_was_found_out_about_a_series_is_kept(tmp_path: Path) -> None:
    look = replace(LOOK, cache=FactCache(tmp_path / "cache"))
    case = ListedCase("a", series(tmp_path / "a", study=patient("P1")))
    first = inspect_case(case, "target", look)
    assert inspect_case(case, "target", look) == first
    assert "PH-0042" not in (next((tmp_path / "cache").glob("*.json"))).read_text(encoding="utf-8")


def read(cases: list[CaseFiles]) -> DomainSlices:
    config, organs = PreprocessingConfig(size=32), organs_from_names({"1": "liver"})
    return read_slices(cases, config, modality=None, organs=organs, on_case=lambda done, count: None)


def test_series_are_read_for_training_as_they_say(tmp_path: Path) -> None:
    write_label_map(body()[1], tmp_path / "labels.nii.gz")
    # negative values, as of a CT, in what says that it is MR
    case = CaseFiles("a", tmp_path / "a", tmp_path / "labels.nii.gz")
    write_series(tmp_path / "a", body()[0], change=lambda dataset, _: setattr(dataset, "Modality", "MR"))
    slices = read([case])
    assert (slices.modality, len(slices)) == ("MR", 5)


def test_a_series_of_another_modality_is_not_trained_on(tmp_path: Path) -> None:
    write_series(tmp_path / "pet", body()[0], change=lambda dataset, _: setattr(dataset, "Modality", "PT"))
    with pytest.raises(VolumeFileError, match="is PT: its DICOM series says so"):
        read([CaseFiles("pet", tmp_path / "pet", None)])


def test_one_patient_in_both_domains_is_found_by_what_the_series_say(tmp_path: Path) -> None:
    source = [CaseFiles("ct", series(tmp_path / "ct", 1, study=patient("P1")), None)]
    same = [CaseFiles("mr", series(tmp_path / "mr", 2, modality="MR", study=patient("P1")), None)]
    other = [CaseFiles("mr", series(tmp_path / "other", 2, modality="MR", study=patient("P2")), None)]
    require_different_patients_by_series(read(source), source, read(other), other)
    with pytest.raises(CaseError, match="source case ct and the target case mr are of one patient"):
        require_different_patients_by_series(read(source), source, read(same), same)


def test_a_patient_of_a_list_is_known_again_in_a_series(tmp_path: Path) -> None:
    target = [CaseFiles("mr", series(tmp_path / "mr", 2, modality="MR", study=patient("P1")), None)]
    keys = read(target).patient_keys[0]
    write_volume(body(3)[0], tmp_path / "scene.nrrd")
    source = [CaseFiles("scene", tmp_path / "scene.nrrd", None, patient_keys=keys[:1])]
    with pytest.raises(CaseError, match="are of one patient"):
        require_different_patients_by_series(read(source), source, read(target), target)


def test_a_check_finds_one_patient_in_both_domains_by_what_the_series_say(tmp_path: Path) -> None:
    ct = ListedCase("ct", series(tmp_path / "ct", 1, study=patient("P1")))
    mr = ListedCase("mr", series(tmp_path / "mr", 2, modality="MR", study=patient("P1")))
    facts = inspect_cases(CaseList((ct,), (mr,)), TrainingConfig(), ignore)
    findings = case_problems(facts, CaseList((ct,), (mr,)), TrainingConfig(), has_target=True)
    assert any(
        "The source case ct and the target case mr are of one patient" in finding.message for finding in findings
    )
