"""What is written is read by other people's programs as it was meant: voxels, place, codes, colours, references."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from cisfa.dicom.segment_list import DescribedSegment, SegmentList, segments_of_bundle
from cisfa.dicom.segmentation_object import Kind, make_segmentation, write_segmentation
from cisfa.imaging.dicom_series import open_series
from cisfa.imaging.organs import parse_organs
from cisfa.imaging.volume import LabelMap, Volume
from segmented_phantom import (
    ALGORITHM,
    DESCRIBED,
    ORGANS,
    POSITIONS,
    SHAPE,
    SegmentedSeries,
    geometry,
    organ_voxels,
    segmented_enhanced,
    segmented_series,
)
from series_writer import make_study, write_enhanced
from validators import brought_onto, inconsistencies, read_with_dcmqi, read_with_highdicom, standard_errors

KINDS: tuple[Kind, ...] = ("binary", "labelmap")


def make_case(tmp_path: Path, source: str) -> SegmentedSeries:
    if source.startswith("enhanced "):
        _, modality, position = source.split(" ", 2)
        return segmented_enhanced(tmp_path / "series.dcm", position=position, modality=modality)
    return segmented_series(tmp_path / "series", position=source, modality="MR" if source == "coronal" else "CT")


def label_of_name(described: SegmentList) -> dict[str, int]:
    return {segment.organ.name: segment.organ.label for segment in described.segments}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", [*POSITIONS, "enhanced CT axial", "enhanced MR oblique", "enhanced MR feet first"])
def test_every_position_of_the_patient_is_read_as_it_was_written(tmp_path: Path, source: str, kind: Kind) -> None:
    case = make_case(tmp_path, source)
    path = write_segmentation(case.label_map, case.series, DESCRIBED, tmp_path / "seg.dcm", kind=kind)
    labels = label_of_name(DESCRIBED)

    merged, segments = read_with_dcmqi(path, tmp_path / "dcmqi")
    meant = {segment["labelID"]: labels[segment["SegmentLabel"]] for segment in segments}
    np.testing.assert_array_equal(brought_onto(merged, case.label_map.geometry, meant), case.label_map.voxels)

    volume, described = read_with_highdicom(path)
    meant = {int(item.SegmentNumber): labels[item.SegmentLabel] for item in described}
    np.testing.assert_array_equal(brought_onto(volume, case.label_map.geometry, meant), case.label_map.voxels)


@pytest.mark.parametrize("source", [*POSITIONS, "enhanced CT axial", "enhanced MR oblique"])
def test_the_standard_and_the_study_are_kept(tmp_path: Path, source: str) -> None:
    case = make_case(tmp_path, source)
    # dcentvfy compares bytes, and a text that is not ASCII changes the character set, and with it the patient's bytes
    plain = replace(DESCRIBED, algorithm=replace(ALGORITHM, name="CISFA bundle"))
    path = write_segmentation(case.label_map, case.series, plain, tmp_path / "seg.dcm")
    assert standard_errors(path) == []
    assert inconsistencies([*case.paths, path]) == []
    path = write_segmentation(case.label_map, case.series, DESCRIBED, tmp_path / "seg.dcm")
    assert standard_errors(path) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_names_the_image_that_it_lies_on(tmp_path: Path, kind: Kind) -> None:
    from highdicom.seg import segread

    case = segmented_series(tmp_path / "series", position="files from top to bottom")
    segmentation = segread(write_segmentation(case.label_map, case.series, DESCRIBED, tmp_path / "s.dcm", kind=kind))
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in case.paths]
    planes = segmentation.get_pixels_by_source_instance(
        [header.SOPInstanceUID for header in headers],
        combine_segments=True,
        relabel=False,
        assert_missing_frames_are_empty=True,
    )
    found = planes if kind == "labelmap" else np.array([0, 1, 4, 5, 7, 9])[planes]
    np.testing.assert_array_equal(found, case.label_map.voxels)
    (referred,) = segmentation.ReferencedSeriesSequence
    assert referred.SeriesInstanceUID == headers[0].SeriesInstanceUID
    assert {item.ReferencedSOPInstanceUID for item in referred.ReferencedInstanceSequence} == {
        header.SOPInstanceUID for header in headers
    }
    assert segmentation.StudyInstanceUID == headers[0].StudyInstanceUID
    assert segmentation.FrameOfReferenceUID == headers[0].FrameOfReferenceUID
    assert segmentation.SeriesInstanceUID != headers[0].SeriesInstanceUID


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_names_the_frame_of_an_enhanced_image(tmp_path: Path, kind: Kind) -> None:
    from highdicom.seg import segread

    case = segmented_enhanced(tmp_path / "series.dcm")
    segmentation = segread(write_segmentation(case.label_map, case.series, DESCRIBED, tmp_path / "s.dcm", kind=kind))
    source = pydicom.dcmread(case.folder, stop_before_pixels=True)
    in_stack = [
        item.FrameContentSequence[0].InStackPositionNumber - 1 for item in source.PerFrameFunctionalGroupsSequence
    ]
    planes = segmentation.get_pixels_by_source_frame(
        source.SOPInstanceUID,
        list(range(1, len(in_stack) + 1)),
        combine_segments=True,
        assert_missing_frames_are_empty=True,
    )
    np.testing.assert_array_equal(planes > 0, case.label_map.voxels[in_stack] > 0)
    assert segmentation.SourceImageSequence[0].ReferencedSOPClassUID == source.SOPClassUID


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_names_file_and_frame_of_several_enhanced_images(tmp_path: Path, kind: Kind) -> None:
    grid, labels = geometry("feet first"), organ_voxels()
    study, series_uid, sources = make_study(), pydicom.uid.generate_uid(), {}
    for name, slices in (("a.dcm", [7, 2, 5, 0]), ("b.dcm", [1, 3, 4, 6, 8, 9, 10])):
        path = tmp_path / "series" / name
        write_enhanced(
            path, Volume(labels.astype(np.int16), grid), order=slices, study=study,
            change=lambda dataset: setattr(dataset, "SeriesInstanceUID", series_uid),
        )  # fmt: skip
        sources[pydicom.dcmread(path).SOPInstanceUID] = slices
    path = write_segmentation(
        LabelMap(labels, grid), open_series(tmp_path / "series"), DESCRIBED, tmp_path / "seg.dcm", kind=kind
    )
    made, seen = pydicom.dcmread(path), set()
    for groups, frame in zip(made.PerFrameFunctionalGroupsSequence, made.pixel_array, strict=True):
        (derivation,) = groups.DerivationImageSequence
        (source,) = derivation.SourceImageSequence
        plane = labels[sources[source.ReferencedSOPInstanceUID][source.ReferencedFrameNumber - 1]]
        if kind == "binary":
            number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            plane = plane == ORGANS[number - 1].label
        np.testing.assert_array_equal(frame, plane)
        seen.add(source.ReferencedSOPInstanceUID)
    assert seen == set(sources)
    referred = made.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert {item.ReferencedSOPInstanceUID for item in referred} == seen


def test_each_segment_says_what_it_is_and_who_drew_it(tmp_path: Path) -> None:
    case = segmented_series(tmp_path / "series")
    liver, right, left, spleen, pancreas = DESCRIBED.segments
    described = SegmentList(
        (
            liver,
            DescribedSegment(right.organ, "SEMIAUTOMATIC"),
            DescribedSegment(left.organ, "MANUAL"),
            spleen,
            pancreas,
        ),
        ALGORITHM,
    )
    path = write_segmentation(case.label_map, case.series, described, tmp_path / "seg.dcm")
    items = pydicom.dcmread(path).SegmentSequence
    assert [item.SegmentAlgorithmType for item in items[:3]] == ["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"]
    assert [item.get("SegmentAlgorithmName") for item in items[:3]] == [ALGORITHM.name, ALGORITHM.name, None]
    assert "SegmentationAlgorithmIdentificationSequence" not in items[2]
    (algorithm,) = items[1].SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == (ALGORITHM.name, ALGORITHM.version)
    assert algorithm.AlgorithmFamilyCodeSequence[0].CodeMeaning == "Artificial Intelligence"
    assert algorithm.AlgorithmParameters == f"bundle_sha256={ALGORITHM.checksum}"
    for item, organ in zip(items, ORGANS, strict=True):
        (kind,), (category,) = item.SegmentedPropertyTypeCodeSequence, item.SegmentedPropertyCategoryCodeSequence
        assert (kind.CodingSchemeDesignator, kind.CodeValue) == (organ.type.scheme, organ.type.value)
        assert (category.CodeValue, category.CodeMeaning) == (organ.category.value, organ.category.meaning)
        sides = [side.CodeValue for side in kind.get("SegmentedPropertyTypeModifierCodeSequence", [])]
        assert sides == ([organ.laterality.value] if organ.laterality else [])
        assert item.TrackingID == item.SegmentLabel == organ.name
    assert len({item.TrackingUID for item in items}) == len(items)


def test_dcmqi_reads_codes_colours_and_names_that_are_not_ascii(tmp_path: Path) -> None:
    case = segmented_series(tmp_path / "series")
    path = write_segmentation(case.label_map, case.series, DESCRIBED, tmp_path / "seg.dcm")
    _, segments = read_with_dcmqi(path, tmp_path / "dcmqi")
    for segment, organ in zip(segments, ORGANS, strict=True):
        assert segment["SegmentAlgorithmName"] == "CISFA Bündel"
        assert segment["SegmentedPropertyTypeCodeSequence"]["CodeValue"] == organ.type.value
        modifier = segment.get("SegmentedPropertyTypeModifierCodeSequence")
        assert (modifier and modifier["CodeValue"]) == (organ.laterality and organ.laterality.value)
        assert np.abs(np.subtract(segment["recommendedDisplayRGBValue"], organ.colour)).max() <= 1


def test_the_object_says_which_program_and_bundle_made_it(tmp_path: Path) -> None:
    import cisfa

    case = segmented_series(tmp_path / "series")
    made = pydicom.dcmread(write_segmentation(case.label_map, case.series, DESCRIBED, tmp_path / "seg.dcm"))
    assert (made.Modality, made.Manufacturer, made.ManufacturerModelName) == ("SEG", "SlicerCISFA", "CISFA")
    assert (made.SoftwareVersions, made.DeviceSerialNumber) == (cisfa.__version__, ALGORITHM.checksum)
    assert made.SeriesDescription == "Segmentation: liver, right kidney, left kidney, spleen, pancreas"
    assert made.SeriesNumber == 1003


@pytest.mark.parametrize("kind", KINDS)
def test_a_label_map_without_any_voxel_is_a_valid_object(tmp_path: Path, kind: Kind) -> None:
    case = segmented_series(tmp_path / "series", voxels=np.zeros(SHAPE, np.uint8))
    path = write_segmentation(case.label_map, case.series, DESCRIBED, tmp_path / "seg.dcm", kind=kind)
    made = pydicom.dcmread(path)
    assert made.NumberOfFrames == (len(ORGANS) if kind == "binary" else 1)
    assert not made.pixel_array.any()
    volume, described = read_with_highdicom(path)
    assert len(described) == len(ORGANS)
    assert not volume.voxels.any()
    merged, segments = read_with_dcmqi(path, tmp_path / "dcmqi")
    assert len(segments) == len(ORGANS)
    assert not merged.voxels.any()
    if kind == "binary":
        assert standard_errors(path) == []


def test_an_organ_without_voxels_is_described_and_has_no_frame(tmp_path: Path) -> None:
    case = segmented_series(tmp_path / "series")
    made = pydicom.dcmread(write_segmentation(case.label_map, case.series, DESCRIBED, tmp_path / "seg.dcm"))
    assert [item.SegmentLabel for item in made.SegmentSequence] == [organ.name for organ in ORGANS]
    shown = [
        groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        for groups in made.PerFrameFunctionalGroupsSequence
    ]
    voxels = organ_voxels()
    frames = [int((voxels == organ.label).any(axis=(1, 2)).sum()) for organ in ORGANS]
    assert [shown.count(number) for number in range(1, 6)] == frames
    assert frames[-1] == 0


@pytest.mark.parametrize(("highest", "bits"), [(255, 8), (256, 16), (65535, 16)])
def test_a_label_map_object_keeps_the_labels(tmp_path: Path, highest: int, bits: int) -> None:
    voxels = organ_voxels().astype(np.uint16)
    voxels[voxels == 7] = highest
    described = segments_of_bundle(parse_organs(f"1=liver,4=right kidney,5=left kidney,{highest}=spleen"), ALGORITHM)
    case = segmented_series(tmp_path / "series", voxels=voxels)
    path = write_segmentation(case.label_map, case.series, described, tmp_path / "seg.dcm", kind="labelmap")
    assert pydicom.dcmread(path).BitsAllocated == bits
    volume, _ = read_with_highdicom(path)
    np.testing.assert_array_equal(brought_onto(volume, case.label_map.geometry), voxels)
    if highest <= np.iinfo(np.int16).max:  # dcmqi writes label maps as signed integers
        merged, _ = read_with_dcmqi(path, tmp_path / "dcmqi")
        np.testing.assert_array_equal(brought_onto(merged, case.label_map.geometry), voxels)


def test_a_single_organ_in_a_single_slice_is_written(tmp_path: Path) -> None:
    voxels = np.where(organ_voxels() == 5, np.uint8(5), np.uint8(0))
    described = segments_of_bundle(parse_organs("5=left kidney"), ALGORITHM)
    case = segmented_series(tmp_path / "series", position="oblique", voxels=voxels)
    path = write_segmentation(case.label_map, case.series, described, tmp_path / "seg.dcm")
    assert standard_errors(path) == []
    merged, _ = read_with_dcmqi(path, tmp_path / "dcmqi")
    np.testing.assert_array_equal(brought_onto(merged, case.label_map.geometry) > 0, voxels > 0)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("flipped", [(), (0,), (1, 2)])
def test_the_order_and_direction_of_the_label_maps_axes_do_not_matter(
    tmp_path: Path, order: tuple[int, int, int], flipped: tuple[int, ...]
) -> None:
    case = segmented_series(tmp_path / "series", position="oblique")
    voxels, grid = case.label_map.voxels.transpose(order), case.label_map.geometry.transposed(order)
    for axis in flipped:
        voxels, grid = np.flip(voxels, axis), grid.flipped(axis)
    turned = LabelMap(voxels, grid)
    paths = [tmp_path / "straight.dcm", tmp_path / "turned.dcm"]
    for label_map, path in zip((case.label_map, turned), paths, strict=True):
        write_segmentation(label_map, case.series, DESCRIBED, path)
    straight, other = map(pydicom.dcmread, paths)
    assert straight.PixelData == other.PixelData
    assert straight.SOPInstanceUID == other.SOPInstanceUID


def undated(dataset: Dataset) -> Dataset:
    for keyword in ("ContentDate", "ContentTime", "InstanceCreationDate", "InstanceCreationTime"):
        delattr(dataset, keyword)
    for equipment in dataset.ContributingEquipmentSequence:
        equipment.pop("ContributionDateTime", None)
    return dataset


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_export_twice_is_one_object(tmp_path: Path, kind: Kind) -> None:
    case = segmented_series(tmp_path / "series")
    wide = LabelMap(case.label_map.voxels.astype(np.uint16), case.label_map.geometry)
    first, second = (
        undated(pydicom.dcmread(write_segmentation(each, case.series, DESCRIBED, tmp_path / name, kind=kind)))
        for each, name in ((case.label_map, "a.dcm"), (wide, "b.dcm"))
    )
    assert first == second
    assert first.file_meta == second.file_meta
    for uid in (first.SOPInstanceUID, first.SeriesInstanceUID, first.SegmentSequence[1].TrackingUID):
        assert pydicom.uid.UID(uid).is_valid
        assert uid.startswith("2.25.")


def test_whatever_differs_makes_another_object(tmp_path: Path) -> None:
    case = segmented_series(tmp_path / "series")
    other_voxels = case.label_map.voxels.copy()
    other_voxels[5, 20, 15] = 1
    liver = DESCRIBED.segments[0]
    red = replace(liver, organ=replace(liver.organ, colour=(255, 0, 0)))
    of_nobody = replace(DESCRIBED, algorithm=replace(ALGORITHM, checksum="f" * 64))
    exports = [
        (case.label_map, DESCRIBED, "binary"),
        (LabelMap(other_voxels, case.label_map.geometry), DESCRIBED, "binary"),
        (case.label_map, replace(DESCRIBED, segments=(red, *DESCRIBED.segments[1:])), "binary"),
        (case.label_map, segments_of_bundle(ORGANS, ALGORITHM, "SEMIAUTOMATIC"), "binary"),
        (case.label_map, of_nobody, "binary"),
        (case.label_map, DESCRIBED, "labelmap"),
    ]
    made = [
        pydicom.dcmread(write_segmentation(labels, case.series, described, tmp_path / f"{index}.dcm", kind=kind))
        for index, (labels, described, kind) in enumerate(exports)
    ]
    for uids in (
        {each.SOPInstanceUID for each in made},
        {each.SeriesInstanceUID for each in made},
        {each.SegmentSequence[-1].TrackingUID for each in made},
    ):
        assert len(uids) == len(exports)


def test_another_patient_with_the_same_images_is_another_object(tmp_path: Path) -> None:
    case = segmented_series(tmp_path / "series")
    before = make_segmentation(case.label_map, case.series, DESCRIBED)
    for path in case.paths:
        header = pydicom.dcmread(path)
        header.PatientID = "PH-0043"
        header.save_as(path)
    after = make_segmentation(case.label_map, open_series(case.folder), DESCRIBED)
    assert before.SOPInstanceUID != after.SOPInstanceUID
    assert before.SeriesInstanceUID != after.SeriesInstanceUID
