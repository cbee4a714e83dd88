from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from cisfa.errors import VolumeFileError
from cisfa.imaging.organs import Code
from cisfa.imaging.segmentation_header import codes_of_terminology, header_segments
from cisfa.imaging.segments import Segment

LIVER = (
    "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
    "~SCT^10200004^Liver~^^~Anatomic codes - DICOM master list~^^~^^"
)
LEFT_KIDNEY = "list~SCT^123037004^Anatomical Structure~SCT^64033007^Kidney~SCT^7771000^Left~list~^^~^^"
TISSUE = "list~SCT^85756007^Tissue~SCT^85756007^Tissue~^^~list~^^~^^"


def write(path: Path, fields: dict[str, str]) -> Path:
    image = SimpleITK.GetImageFromArray(np.zeros((2, 3, 4), np.uint8))
    for key, value in fields.items():
        image.SetMetaData(key, value)
    SimpleITK.WriteImage(image, str(path), useCompression=True)
    return path


def test_names_values_and_codes_are_read_as_slicer_writes_them(tmp_path: Path) -> None:
    fields = {
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segment0_ID": "Segment_1",
        "Segment0_Name": "Leber",
        "Segment0_LabelValue": "7",
        "Segment0_Layer": "0",
        "Segment0_Tags": f"Segmentation.Status:inprogress|TerminologyEntry:{LIVER}|",
        "Segment1_Name": "rein  gauche",
        "Segment1_LabelValue": "2",
        "Segment1_Layer": "0",
        "Segment1_TerminologyEntry": LEFT_KIDNEY,
        "Segment10_Name": "Segment_11",
        "Segment10_LabelValue": "300",
        "Segment10_Tags": f"TerminologyEntry:{TISSUE}|",
    }
    assert header_segments(write(tmp_path / "Fälle.seg.nrrd", fields)) == (
        Segment(2, "rein gauche", Code("SCT", "64033007", "Kidney"), Code("SCT", "7771000", "Left")),
        Segment(7, "Leber", Code("SCT", "10200004", "Liver")),
        Segment(300, "Segment_11"),
    )


def test_a_segment_that_says_no_value_has_its_number_and_one_without_a_name_is_none(tmp_path: Path) -> None:
    fields = {"Segment0_Name": "liver", "Segment1_LabelValue": "9", "Segment2_Name": "spleen"}
    assert header_segments(write(tmp_path / "a.nrrd", fields)) == (Segment(1, "liver"), Segment(3, "spleen"))


def test_overlapping_segments_are_refused_with_what_to_do(tmp_path: Path) -> None:
    fields = {"Segment0_Name": "a", "Segment0_Layer": "0", "Segment1_Name": "b", "Segment1_Layer": "1"}
    with pytest.raises(VolumeFileError, match=r"2 segments in 2 layers.*Segment Editor"):
        header_segments(write(tmp_path / "a.seg.nrrd", fields))


def test_files_that_say_nothing_of_segments_have_none(tmp_path: Path) -> None:
    assert header_segments(write(tmp_path / "a.nrrd", {"note": "Segment0_Name"})) == ()
    assert header_segments(write(tmp_path / "a.nii.gz", {})) == ()
    (tmp_path / "b.nrrd").write_bytes(b"\x00\xff no header \r\n" * 3)
    assert header_segments(tmp_path / "b.nrrd") == ()
    assert header_segments(tmp_path / "nowhere.nrrd") == ()


@pytest.mark.parametrize("entry", ["", "~", "list~a^b^c", "list~~SCT^1", "list~~^^~SCT^7771000^Left", TISSUE])
def test_an_entry_without_a_type_gives_no_codes(entry: str) -> None:
    assert codes_of_terminology(entry) == (None, None)
