"""Series as scanners, archives and anonymisers leave them are exported all the same."""

import struct
import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from cisfa.dicom.segment_list import DescribedSegment, SegmentList, segments_of_bundle
from cisfa.dicom.segmentation_object import write_segmentation
from cisfa.imaging.dicom_series import open_series
from cisfa.imaging.organs import Code, Organ
from cisfa.imaging.volume import LabelMap
from segmented_phantom import ALGORITHM, DESCRIBED, SegmentedSeries, segmented_series
from validators import brought_onto, read_with_dcmqi, read_with_highdicom, standard_errors

Change = Callable[[Dataset, int], None]
NUMBERS = ("DS", "IS")
TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName", "PositionReferenceIndicator", "SeriesNumber", "Manufacturer",
    "PatientPosition", "SliceThickness", "AcquisitionNumber", "SpecificCharacterSet",
)  # fmt: skip


def untidy(**values: object) -> Change:
    """Put values into the headers that pydicom would warn of; numbers that are none as texts, as it makes no others."""

    def change(dataset: Dataset, index: int) -> None:
        for keyword, value in values.items():
            tag = tag_for_keyword(keyword)
            assert tag is not None
            vr = "LO" if dictionary_VR(tag) in NUMBERS else dictionary_VR(tag)
            dataset[keyword] = DataElement(tag, vr, value, validation_mode=config.IGNORE)

    return change


def without(*keywords: str) -> Change:
    def change(dataset: Dataset, index: int) -> None:
        for keyword in keywords:
            dataset.pop(keyword, None)

    return change


def only_some(dataset: Dataset, index: int) -> None:
    """Files of one series that do not agree on what they have."""
    if index % 2:
        for keyword in TYPE_2:
            dataset.pop(keyword, None)


def shifted(change: Change, by: int) -> Change:
    return lambda dataset, index: change(dataset, index + by)


def private(dataset: Dataset, index: int) -> None:
    block = dataset.private_block(0x0009, "SOMEBODY", create=True)
    block.add_new(1, "UN", b"\0\1\2\3")
    dataset.private_block(0x0011, "SOMEBODY", create=True).add_new(2, "LO", "Phantom^Tülay")


def untidy_items(dataset: Dataset, index: int) -> None:
    other, code, physician = Dataset(), Dataset(), Dataset()
    other["PatientID"] = DataElement(0x00100020, "LO", "other", validation_mode=config.IGNORE)
    code["CodeValue"] = DataElement(0x00080100, "SH", "much longer than sixteen", validation_mode=config.IGNORE)
    physician["PersonIdentificationCodeSequence"] = DataElement(0x00401101, "SQ", Sequence([Dataset()]))
    dataset.OtherPatientIDsSequence = Sequence([other])
    dataset.ProcedureCodeSequence = Sequence([code])
    dataset.ReferencedStudySequence = Sequence([])
    dataset.PhysiciansOfRecordIdentificationSequence = Sequence([physician])


def unknown(dataset: Dataset, index: int) -> None:
    """Attributes that no dictionary has, and bytes where there should be text."""
    dataset.add(DataElement(0x00100FFE, "PN", "Nobody^At All"))
    dataset.add(DataElement(0x00081FFE, "OB", b"\0\1"))
    dataset.add(DataElement(0x00081030, "OB", b"\xff\0"))
    dataset.add(DataElement(0x00081080, "SQ", Sequence([Dataset()])))


CHANGES: dict[str, Change] = {
    "everything optional missing": without(*TYPE_2),
    "everything optional empty": untidy(**dict.fromkeys(TYPE_2, "")),
    "everything optional missing in some files": only_some,
    "no character set": without("SpecificCharacterSet"),
    "unknown character set": untidy(SpecificCharacterSet="LATIN1", PatientName="Anna"),
    "character set that must not stand alone": untidy(SpecificCharacterSet="ISO 2022 IR 100"),
    "several character sets": untidy(SpecificCharacterSet=["", "ISO 2022 IR 100"]),
    "name of one component": untidy(PatientName="Anna"),
    "name of too many groups": untidy(PatientName="A^B=C^D=E^F=G^H", ReferringPhysicianName="a^b^c^d^e^f^g"),
    "several names": untidy(PatientName=["A^B", "C^D"]),
    "name of 200 letters": untidy(PatientName="N" * 200),
    "no dates": untidy(PatientBirthDate="UNKNOWN", StudyDate="ANON", StudyTime="noon", SeriesDate="0"),
    "impossible dates": untidy(PatientBirthDate="19701399", StudyDate="20260230", StudyTime="256199"),
    "dates as ACR-NEMA had them": untidy(StudyDate="2026.01.31", StudyTime="12:00:00", PatientBirthDate="1970-01-01"),
    "unknown sex": untidy(PatientSex="X"),
    "sex in words": untidy(PatientSex="female"),
    "numbers stated as texts": untidy(PatientWeight="heavy", PatientSize="tall", PatientAge="old", KVP="many"),
    "series number that is none": untidy(SeriesNumber="1.5"),
    "highest series number": untidy(SeriesNumber="2147483647"),
    "negative series number": untidy(SeriesNumber="-2000"),
    "slice thickness of zero": untidy(SliceThickness="0"),
    "slice thickness that is none": untidy(SliceThickness="thin"),
    "spacing that contradicts the positions": untidy(SpacingBetweenSlices="-99"),
    "long texts": untidy(StudyDescription="d" * 200, InstitutionName="i" * 200, StationName="s" * 40, StudyID="7" * 30),
    "control characters": untidy(StudyDescription="a\x00b\x07c", InstitutionAddress="Street 1\r\nTown"),
    "untidy equipment": untidy(SoftwareVersions=["a", ""], DeviceSerialNumber="", ManufacturerModelName="m" * 90),
    "lossy": untidy(
        LossyImageCompression="01", LossyImageCompressionRatio="9", LossyImageCompressionMethod="ISO_10918_1"
    ),
    "lossy in its own words": untidy(LossyImageCompression="YES", LossyImageCompressionRatio="much"),
    "untidy acquisition": untidy(AcquisitionDateTime="yesterday", AcquisitionDate="x", AcquisitionTime="y"),
    "trial": untidy(ClinicalTrialSponsorName="", ClinicalTrialProtocolID="p" * 80, ClinicalTrialSubjectID=""),
    "private attributes": private,
    "unknown attributes": unknown,
    "items with half a content": untidy_items,
    "secondary capture": untidy(SOPClassUID="1.2.840.10008.5.1.4.1.1.7.2", Modality="OT", ConversionType="WSD"),
    "a manufacturer's own kind of image": untidy(SOPClassUID="1.3.12.2.1107.5.9.1"),
}
# where dciodvfy finds in the segmentation what it has from the series, and had better keep
KEPT = {"name of too many groups", "several names", "name of 200 letters", "long texts"}


def exported(tmp_path: Path, change: Change, described: SegmentList = DESCRIBED) -> tuple[SegmentedSeries, Path]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        case = segmented_series(tmp_path / "series", change=change, position="oblique")
    return case, write_segmentation(case.label_map, case.series, described, tmp_path / "seg.dcm")


def state_as_numbers(paths: list[Path], *keywords: str) -> None:
    """Call numbers what has been written as texts."""
    for keyword in keywords:
        tag = tag_for_keyword(keyword)
        assert tag is not None
        start = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        for path in paths:
            path.write_bytes(path.read_bytes().replace(start + b"LO", start + dictionary_VR(tag).encode("ascii")))


def test_numbers_that_are_none_do_not_matter(tmp_path: Path) -> None:
    words = {"PatientWeight": "heavy", "KVP": "many", "SeriesNumber": "last", "InstanceNumber": "x"}
    case = segmented_series(tmp_path / "series", change=untidy(**words))
    state_as_numbers(case.paths, *words)
    path = write_segmentation(case.label_map, open_series(case.folder), DESCRIBED, tmp_path / "seg.dcm")
    assert "PatientWeight" not in pydicom.dcmread(path)
    assert standard_errors(path) == []


@pytest.mark.parametrize("name", CHANGES)
def test_an_untidy_series_is_exported(tmp_path: Path, name: str) -> None:
    case, path = exported(tmp_path, CHANGES[name])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        volume, described = read_with_highdicom(path)
    labels = {number: segment.organ.label for number, segment in enumerate(DESCRIBED.segments, 1)}
    assert len(described) == len(labels)
    np.testing.assert_array_equal(brought_onto(volume, case.label_map.geometry, labels), case.label_map.voxels)
    if name not in KEPT:
        assert standard_errors(path) == []


def test_texts_that_name_the_patient_are_kept_whole(tmp_path: Path) -> None:
    _, path = exported(tmp_path, untidy(PatientID="7" * 80, AccessionNumber="A" * 30, PatientName="N" * 200))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = pydicom.dcmread(path)
        assert (made.PatientID, made.AccessionNumber, made.PatientName) == ("7" * 80, "A" * 30, "N" * 200)


def test_the_patient_is_known_where_any_file_names_her(tmp_path: Path) -> None:
    for parity in (0, 1):
        _, path = exported(tmp_path / str(parity), shifted(only_some, parity))
        assert pydicom.dcmread(path).PatientID == "PH-0042"


def test_dates_in_an_old_spelling_are_kept(tmp_path: Path) -> None:
    made = pydicom.dcmread(exported(tmp_path, CHANGES["dates as ACR-NEMA had them"])[1])
    assert (made.StudyDate, made.StudyTime, made.PatientBirthDate) == ("20260131", "120000", "19700101")


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Phantom^Tülay"),
        ("ISO_IR 144", "Люкceмбypг^Роза"),
        ("ISO_IR 192", "Phantom^Тülay山"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
    ],
)
@pytest.mark.parametrize("organ", ["liver", "Leber, größte"])
def test_the_patients_name_survives(tmp_path: Path, charset: object, name: str, organ: str) -> None:
    liver = DESCRIBED.segments[0].organ
    named = Organ(organ, 1, liver.colour, liver.category, liver.type)
    others = [segment.organ for segment in DESCRIBED.segments[1:]]
    described = segments_of_bundle((named, *others), ALGORITHM)
    _, path = exported(tmp_path, untidy(SpecificCharacterSet=charset, PatientName=name), described)
    made = pydicom.dcmread(path)
    assert str(made.PatientName) == name
    assert made.SegmentSequence[0].SegmentLabel == organ
    assert read_with_dcmqi(path, tmp_path / "dcmqi")[1][0]["SegmentLabel"] == organ


@pytest.mark.parametrize("declared", [b" " * 10, b"ISO_IR 999"])
def test_utf_8_that_is_not_declared_is_recognised(tmp_path: Path, declared: bytes) -> None:
    case = segmented_series(tmp_path / "series", change=untidy(SpecificCharacterSet="ISO_IR 192"))
    for path in case.paths:
        path.write_bytes(path.read_bytes().replace(b"ISO_IR 192", declared))
    path = write_segmentation(case.label_map, open_series(case.folder), DESCRIBED, tmp_path / "seg.dcm")
    assert str(pydicom.dcmread(path).PatientName) == "Phantom^Tülay"


def test_latin_1_that_is_not_declared_is_kept(tmp_path: Path) -> None:
    case = segmented_series(tmp_path / "series")
    for path in case.paths:
        path.write_bytes(path.read_bytes().replace(b"ISO_IR 100", b" " * 10))
    path = write_segmentation(case.label_map, open_series(case.folder), DESCRIBED, tmp_path / "seg.dcm")
    assert str(pydicom.dcmread(path).PatientName) == "Phantom^Tülay"


def test_a_name_that_its_character_set_does_not_hold_is_kept_as_far_as_it_can_be_read(tmp_path: Path) -> None:
    case = segmented_series(tmp_path / "series", change=untidy(PatientName="Brand^R®"))
    for path in case.paths:  # in Greek, ® has no letter
        path.write_bytes(path.read_bytes().replace(b"ISO_IR 100", b"ISO_IR 126"))
    plain = replace(DESCRIBED, algorithm=replace(ALGORITHM, name="CISFA bundle"))
    path = write_segmentation(case.label_map, open_series(case.folder), plain, tmp_path / "seg.dcm")
    assert str(pydicom.dcmread(path).PatientName) == "Brand^R\ufffd"


def test_long_and_untidy_names_of_organs_become_labels(tmp_path: Path) -> None:
    liver = DESCRIBED.segments[0].organ
    assert liver.type is not None
    names = ["liver " * 20, "liver\\left\nlobe", "twin", "twin", "x" * 100]
    long_meaning = Code("SCT", liver.type.value, "a structure of the abdomen " * 5)
    organs = [
        Organ(name, label, liver.colour, liver.category, long_meaning)
        for name, label in zip(names, (1, 4, 5, 7, 9), strict=True)
    ]
    described = SegmentList(tuple(DescribedSegment(organ, "MANUAL") for organ in organs))
    _, path = exported(tmp_path, without(), described)
    items = pydicom.dcmread(path).SegmentSequence
    assert [item.SegmentLabel for item in items[1:4]] == ["liver/left lobe", "twin", "twin"]
    assert items[0].SegmentLabel == " ".join(["liver"] * 10) + "..."
    assert len(items[4].SegmentLabel) == 64
    assert [item.TrackingID for item in items[2:4]] == ["twin 5", "twin 7"]
    assert standard_errors(path) == []


def test_where_headers_do_not_say_the_volume_says_where_the_slices_lie(tmp_path: Path) -> None:
    case = segmented_series(tmp_path / "series", position="oblique")
    headers = deepcopy(case.series.headers)
    for header in headers:
        header.ImagePositionPatient = None
        header.ImageOrientationPatient = None
    silent = replace(case.series, headers=headers)
    said = pydicom.dcmread(write_segmentation(case.label_map, case.series, DESCRIBED, tmp_path / "said.dcm"))
    path = write_segmentation(case.label_map, silent, DESCRIBED, tmp_path / "silent.dcm")
    for ours, theirs in zip(
        pydicom.dcmread(path).PerFrameFunctionalGroupsSequence, said.PerFrameFunctionalGroupsSequence, strict=True
    ):
        places = [groups.PlanePositionSequence[0].ImagePositionPatient for groups in (ours, theirs)]
        np.testing.assert_allclose(*places, atol=1e-6)


def test_slices_that_stray_from_an_even_spacing_lie_where_the_volume_has_them(tmp_path: Path) -> None:
    def stray(dataset: Dataset, index: int) -> None:
        place = [float(part) for part in dataset.ImagePositionPatient]
        place[2] += 0.15 if index == 4 else 0.0
        dataset.ImagePositionPatient = [f"{part:.3f}" for part in place]

    case = segmented_series(tmp_path / "series", change=stray)
    label_map = LabelMap(case.label_map.voxels, case.series.geometry)
    path = write_segmentation(label_map, case.series, DESCRIBED, tmp_path / "seg.dcm")
    merged, segments = read_with_dcmqi(path, tmp_path / "dcmqi")
    labels = {segment["labelID"]: DESCRIBED.segments[segment["labelID"] - 1].organ.label for segment in segments}
    np.testing.assert_array_equal(brought_onto(merged, label_map.geometry, labels), label_map.voxels)
