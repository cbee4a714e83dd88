"""What must not become a DICOM segmentation is refused in a sentence, and leaves nothing behind."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from cisfa.dicom.export_checks import require_exportable, require_identified
from cisfa.dicom.segment_list import (
    DescribedSegment,
    SegmentList,
    read_segment_list,
    segments_of_bundle,
    write_segment_list,
)
from cisfa.dicom.segmentation_object import make_segmentation, write_segmentation
from cisfa.errors import CisfaError, ExportError, VolumeFileError
from cisfa.imaging.dicom_series import open_series
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.organs import Code, parse_organs
from cisfa.imaging.volume import LabelMap
from segmented_phantom import ALGORITHM, DESCRIBED, ORGANS, SegmentedSeries, geometry, organ_voxels, segmented_series

LIVER = DESCRIBED.segments[0].organ


@pytest.fixture
def case(tmp_path: Path) -> SegmentedSeries:
    return segmented_series(tmp_path / "series", position="oblique")


def moved(grid: Geometry, by_mm: np.ndarray) -> Geometry:
    matrix = grid.index_to_lps.copy()
    matrix[:3, 3] += by_mm
    return Geometry(grid.shape, matrix)


def refusal(label_map: LabelMap, case: SegmentedSeries, described: SegmentList = DESCRIBED) -> str:
    with pytest.raises(ExportError) as refused:
        make_segmentation(label_map, case.series, described)
    return str(refused.value)


def test_a_label_map_of_another_size_is_refused(case: SegmentedSeries) -> None:
    grid = geometry("oblique", (11, 23, 18))
    text = refusal(LabelMap(organ_voxels(grid.shape), grid, "other.nrrd"), case)
    assert text.startswith(
        "other.nrrd does not belong to series: it has 11 slices of 23x18, the series 11 slices of 23x19."
    )


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_label_map_half_a_voxel_away_is_refused(case: SegmentedSeries, axis: int) -> None:
    grid = case.label_map.geometry
    away_mm = grid.index_to_lps[:3, axis] / 2
    text = refusal(LabelMap(case.label_map.voxels, moved(grid, away_mm)), case)
    assert f"their corners lie up to {np.linalg.norm(away_mm):.2f} mm apart" in text


def test_a_label_map_of_another_patient_of_the_same_size_is_refused(case: SegmentedSeries, tmp_path: Path) -> None:
    other = segmented_series(tmp_path / "other", position="axial")
    assert "their corners lie up to" in refusal(other.label_map, case)


def test_rounded_positions_are_let_through(case: SegmentedSeries) -> None:
    near = moved(case.label_map.geometry, np.full(3, 0.01))
    assert make_segmentation(LabelMap(case.label_map.voxels, near), case.series, DESCRIBED).NumberOfFrames > 1


def test_a_label_map_of_another_frame_of_reference_is_refused(case: SegmentedSeries) -> None:
    own = case.series.facts.frame_of_reference_uid
    assert make_segmentation(replace(case.label_map, frame_of_reference_uid=own), case.series, DESCRIBED)
    text = refusal(replace(case.label_map, frame_of_reference_uid="1.2.3"), case)
    assert "labels.nrrd belongs to another frame of reference (1.2.3)" in text


def test_labels_that_no_segment_describes_are_refused(case: SegmentedSeries) -> None:
    few = segments_of_bundle(parse_organs("1=liver,4=right kidney"), ALGORITHM)
    text = refusal(case.label_map, case, few)
    assert "holds the labels 5, 7, which no segment describes; described are 1 (liver), 4 (right kidney)." in text


def test_organs_without_codes_are_all_named() -> None:
    described = segments_of_bundle(parse_organs("1=liver,2=lump,3=left thing"), ALGORITHM)
    with pytest.raises(
        ExportError, match=r"^lump, left thing cannot be exported.*catalogue.*Segment Editor"
    ) as refused:
        require_exportable(described)
    assert not str(refused.value).startswith("liver")


@pytest.mark.parametrize(
    ("segment", "text"),
    [
        (replace(LIVER, category=None), "liver cannot be exported"),
        (replace(LIVER, type=Code("SCT", "12345678901234567", "Liver")), "has the value '12345678901234567'"),
        (replace(LIVER, type=Code("SCT", " ", "Liver")), "has the value ' '"),
        (replace(LIVER, type=Code("A\\B", "1", "Liver")), r"has the scheme 'A\\\\B'"),
        (replace(LIVER, laterality=Code("SCT", "7771000", "")), "SCT 7771000 of liver has no meaning"),
        (replace(LIVER, colour=(0, 256, 0)), r"colour of liver is \(0, 256, 0\)"),
        (replace(LIVER, name=" "), "label 1 has no name"),
        (replace(LIVER, label=0), r"labels \[0\]; they must rise"),
        (replace(LIVER, label=65536), r"labels \[65536\]; they must rise"),
    ],
)
def test_what_dicom_cannot_hold_is_refused(segment, text: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ExportError, match=text):
        require_exportable(SegmentList((DescribedSegment(segment, "AUTOMATIC"),), ALGORITHM))


def test_a_segment_that_no_bundle_drew_must_be_drawn_by_hand() -> None:
    by_hand = SegmentList((DescribedSegment(LIVER, "MANUAL"),))
    require_exportable(by_hand)
    for drawn in ("AUTOMATIC", "SEMIAUTOMATIC"):
        with pytest.raises(ExportError, match="liver were not drawn by hand, but no bundle is named"):
            require_exportable(SegmentList((DescribedSegment(LIVER, drawn),)))  # type: ignore[arg-type]
    with pytest.raises(ExportError, match="There is no segment"):
        require_exportable(SegmentList((), ALGORITHM))
    with pytest.raises(ExportError, match="must be named with its version and its SHA-256"):
        require_exportable(segments_of_bundle(ORGANS, replace(ALGORITHM, checksum="abc")))


def blank(keyword: str) -> Callable[[Dataset, int], None]:
    def change(dataset: Dataset, index: int) -> None:
        setattr(dataset, keyword, "")

    return change


def remove(keyword: str) -> Callable[[Dataset, int], None]:
    def change(dataset: Dataset, index: int) -> None:
        delattr(dataset, keyword)

    return change


@pytest.mark.parametrize("change", [blank, remove])
@pytest.mark.parametrize(
    ("keyword", "name"),
    [
        ("StudyInstanceUID", "Study Instance UID, by which a PACS"),
        ("SeriesInstanceUID", "Series Instance UID, by which a viewer"),
        ("FrameOfReferenceUID", "Frame of Reference UID, by which a viewer"),
    ],
)
def test_a_series_with_blank_uids_is_refused(
    tmp_path: Path, keyword: str, name: str, change: Callable[[str], Callable[[Dataset, int], None]]
) -> None:
    case = segmented_series(tmp_path / "series", change=change(keyword))
    with pytest.raises(ExportError, match=f"{name}.*is missing or blank in 11 of 11 files.*anonymised"):
        require_identified(case.series)
    assert "cannot be referred to" in refusal(case.label_map, case)


def changed(case: SegmentedSeries, **values: str) -> SegmentedSeries:
    """The series with one header's values replaced, as no file can have them."""
    headers = list(case.series.headers)
    headers[4] = deepcopy(headers[4])
    for keyword, value in values.items():
        headers[4][keyword].value = value
    return replace(case, series=replace(case.series, headers=tuple(headers)))


@pytest.mark.filterwarnings("ignore:Invalid value")
def test_uids_that_are_none_or_not_one_for_each_file_are_refused(case: SegmentedSeries) -> None:
    with pytest.raises(ExportError, match=r"SOP Instance UID.*is missing or blank in 1 of 11 files"):
        require_identified(changed(case, SOPInstanceUID="").series)
    with pytest.raises(ExportError, match=r"SOP Instance UID.*is 'ANON', which is no UID in 1 of 11 files"):
        require_identified(changed(case, SOPInstanceUID="ANON").series)
    same = str(case.series.headers[0].SOPInstanceUID)
    with pytest.raises(ExportError, match="11 files, but only 10 different SOP Instance UIDs"):
        require_identified(changed(case, SOPInstanceUID=same).series)
    with pytest.raises(ExportError, match="not one series: its files have 2 different values of the Study Instance"):
        require_identified(changed(case, StudyInstanceUID="1.2.3").series)
    require_identified(case.series)


def test_a_series_with_missing_slices_is_refused_before(tmp_path: Path) -> None:
    case = segmented_series(tmp_path / "series")
    case.paths[4].unlink()
    with pytest.raises(CisfaError):
        open_series(case.folder)


def test_nothing_is_left_where_nothing_can_be_written(case: SegmentedSeries, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("", encoding="utf-8")
    with pytest.raises(VolumeFileError, match="cannot be written"):
        write_segmentation(case.label_map, case.series, DESCRIBED, in_the_way / "seg.dcm")
    folder = tmp_path / "out"
    with pytest.raises(ExportError):
        write_segmentation(case.label_map, case.series, segments_of_bundle(ORGANS[:1], ALGORITHM), folder / "seg.dcm")
    assert not folder.exists()


def test_a_failure_of_the_library_becomes_a_sentence(case: SegmentedSeries, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise KeyError("SomethingNew")

    monkeypatch.setattr("cisfa.dicom.segmentation_object.Segmentation", fail)
    assert "'SomethingNew' (KeyError)" in refusal(case.label_map, case)


def test_a_list_of_segments_is_read_as_it_was_written(tmp_path: Path) -> None:
    mixed = replace(DESCRIBED, segments=(*DESCRIBED.segments[:-1], DescribedSegment(ORGANS[-1], "MANUAL")))
    for described in (mixed, SegmentList((DescribedSegment(LIVER, "MANUAL"),))):
        write_segment_list(described, tmp_path / "segments.json")
        assert read_segment_list(tmp_path / "segments.json") == described


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is not JSON"),
        ("[]", "no list of segments of schema 1"),
        ('{"schema": 2, "segments": []}', "no list of segments of schema 1"),
        ('{"schema": 1, "segments": []}', "by rising label"),
        ('{"schema": 1, "segments": [{"drawn": "AUTOMATIC"}]}', "organ"),
        ('{"schema": 1, "segments": [{"drawn": "BY MAGIC", "organ": {"name": "liver", "label": 1}}]}', "segments"),
    ],
)
def test_a_list_of_segments_that_is_none_is_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "segments.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ExportError, match=why):
        read_segment_list(path)
    with pytest.raises(ExportError, match="cannot be read"):
        read_segment_list(tmp_path / "missing.json")
