import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from cisfa.cases import inspection
from cisfa.cases.case_list import CaseList, ListedCase
from cisfa.cases.check_report import CaseFacts
from cisfa.cases.fact_cache import FactCache
from cisfa.cases.inspection import Look, inspect_case, inspect_cases
from cisfa.config import PreprocessingConfig, TrainingConfig
from cisfa.errors import Cancelled
from cisfa.events import Event, Progress, ignore
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.organs import Code
from cisfa.imaging.segments import Segment
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_files import read_volume, write_label_map, write_volume

MakeGeometry = Callable[..., Geometry]
LOOK = Look(PreprocessingConfig())


@pytest.fixture
def case(tmp_path: Path, oblique: MakeGeometry) -> ListedCase:
    """A CT of a body with labels 1 and 3, in a name that tells who it is."""
    geometry = oblique(shape=(5, 40, 37))
    rng = np.random.default_rng(0)
    voxels = np.full(geometry.shape, -1000, np.int16)
    voxels[:, 6:34, 4:33] = rng.integers(-20, 90, (5, 28, 29))
    labels = np.zeros(geometry.shape, np.uint8)
    labels[1:3, 10:20, 10:15], labels[2, 25:30, 20:30] = 1, 3
    write_volume(Volume(voxels, geometry), tmp_path / "Zoë Müller.nii.gz")
    write_label_map(LabelMap(labels, geometry), tmp_path / "Zoë Müller_seg.nii.gz")
    return ListedCase(
        "Zoë",
        tmp_path / "Zoë Müller.nii.gz",
        labels=tmp_path / "Zoë Müller_seg.nii.gz",
        segments=(Segment(1, "Leber"),),
    )


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The volumes that were opened."""
    opened: list[Path] = []
    monkeypatch.setattr(inspection, "read_volume", lambda path: (opened.append(path), read_volume(path))[1])
    return opened


def with_cache(folder: Path) -> Look:
    return Look(PreprocessingConfig(), cache=FactCache(folder))


def segments(facts: CaseFacts) -> list[tuple[int, str, int, bool]]:
    return [(one.segment.value, one.segment.name, one.voxels, one.is_listed) for one in facts.segments]


def test_the_facts_of_a_case_are_those_of_its_files(case: ListedCase) -> None:
    facts = inspect_case(case, "source", LOOK)
    assert facts.problem is None
    assert (facts.domain, facts.name, facts.shape, facts.slices) == ("source", "Zoë", (5, 40, 37), 5)
    assert facts.spacing_mm == pytest.approx((3.1, 0.9, 0.7), rel=1e-5)
    assert (facts.plane, facts.acquired_plane, facts.modality) == ("axial", "axial", "CT")
    assert facts.intensities is not None
    assert (facts.intensities.lowest, facts.intensities.low) == (-1000, -1000)
    assert -20 <= facts.intensities.middle < facts.intensities.high <= facts.intensities.highest == 89
    assert facts.body_mm == pytest.approx((28 * 0.9, 29 * 0.7), rel=0.1)
    assert facts.size_bytes == case.volume.stat().st_size + case.labels.stat().st_size  # type: ignore[union-attr]
    assert segments(facts) == [(1, "Leber", 100, True), (3, "label 3", 50, False)]
    assert (facts.has_labels, facts.labelled_slices, facts.thumbnail) == (True, 2, None)


def test_the_fingerprint_is_the_one_that_runs_record(case: ListedCase) -> None:
    voxels = read_volume(case.volume).voxels
    expected = hashlib.sha256(np.ascontiguousarray(voxels, "<f4").tobytes()).hexdigest()
    assert inspect_case(case, "source", LOOK).fingerprint == expected


def test_a_named_segment_that_nobody_drew_has_no_voxels(case: ListedCase) -> None:
    more = replace(case, segments=(Segment(2, "spleen"), Segment(1, "Leber"), Segment(3, "x")))
    assert segments(inspect_case(more, "source", LOOK)) == [
        (1, "Leber", 100, True),
        (2, "spleen", 0, True),
        (3, "x", 50, True),
    ]


def test_the_plane_of_the_training_counts_slices(case: ListedCase) -> None:
    facts = inspect_case(case, "source", Look(PreprocessingConfig(plane="coronal")))
    assert (facts.plane, facts.acquired_plane, facts.slices, facts.labelled_slices) == ("coronal", "axial", 40, 15)


def test_names_and_codes_come_from_the_header_where_the_list_says_nothing(case: ListedCase, tmp_path: Path) -> None:
    image = SimpleITK.ReadImage(str(case.labels))
    for key, value in (("Name", "Milz"), ("LabelValue", "3"), ("TerminologyEntry", "a~b^c^d~SCT^78961009^Spleen~^^")):
        image.SetMetaData(f"Segment0_{key}", value)
    SimpleITK.WriteImage(image, str(tmp_path / "drawn.seg.nrrd"))
    facts = inspect_case(replace(case, labels=tmp_path / "drawn.seg.nrrd"), "source", LOOK)
    assert segments(facts) == [(1, "Leber", 100, True), (3, "Milz", 50, False)]
    assert facts.segments[1].segment.type == Code("SCT", "78961009", "Spleen")


def test_overlapping_segments_are_a_problem(case: ListedCase, tmp_path: Path) -> None:
    image = SimpleITK.JoinSeries([SimpleITK.ReadImage(str(case.labels))] * 2)
    for number in range(2):
        image.SetMetaData(f"Segment{number}_Name", f"s{number}")
        image.SetMetaData(f"Segment{number}_Layer", str(number))
    SimpleITK.WriteImage(image, str(tmp_path / "drawn.seg.nrrd"))
    facts = inspect_case(replace(case, labels=tmp_path / "drawn.seg.nrrd"), "source", LOOK)
    assert facts.problem is not None
    assert "in 2 layers" in facts.problem
    assert facts.shape == (5, 40, 37)


def test_of_a_target_case_only_few_labels_are_opened(case: ListedCase, tmp_path: Path) -> None:
    secret = tmp_path / "expert.nii.gz"
    secret.write_bytes(b"nobody may open this")
    plain = inspect_case(replace(case, labels=secret), "target", LOOK)
    assert (plain.problem, plain.segments, plain.has_labels) == (None, (), False)
    few = inspect_case(replace(case, labels=secret, few_labels=case.labels), "target", LOOK)
    assert (few.problem, few.has_labels, few.labelled_slices) == (None, True, 2)


def test_what_cannot_be_read_is_said_and_the_others_are_looked_at(case: ListedCase, tmp_path: Path) -> None:
    (tmp_path / "half.nii.gz").write_bytes(case.volume.read_bytes()[:300])
    moved = tmp_path / "moved.nii.gz"
    labels = SimpleITK.ReadImage(str(case.labels))
    labels.SetOrigin((0, 0, 0))
    SimpleITK.WriteImage(labels, str(moved))
    constant = tmp_path / "constant.nii.gz"
    write_volume(Volume(np.full((5, 40, 37), 7, np.int16), read_volume(case.volume).geometry), constant)
    cases = CaseList(
        source=(
            replace(case, name="gone", volume=tmp_path / "nowhere.nii.gz"),
            replace(case, name="half", volume=tmp_path / "half.nii.gz"),
            replace(case, name="elsewhere", labels=moved),
            replace(case, name="constant", volume=constant),
        ),
        target=(replace(case, name="good"),),
    )
    gone, half, elsewhere, flat, good = inspect_cases(cases, TrainingConfig(), ignore)
    assert gone.problem == f"{tmp_path / 'nowhere.nii.gz'} does not exist."
    assert half.problem is not None and "cannot be read" in half.problem  # noqa: PT018
    assert elsewhere.problem is not None and "lie at different places" in elsewhere.problem  # noqa: PT018
    assert flat.problem is not None and "is constant" in flat.problem  # noqa: PT018
    assert (good.domain, good.problem) == ("target", None)


def test_progress_counts_the_cases_and_may_end_the_work(case: ListedCase) -> None:
    cases = CaseList((case, replace(case, name="b")), (replace(case, name="c"),))
    events: list[Event] = []
    inspect_cases(cases, TrainingConfig(), events.append)
    stages = [event.stage for event in events if isinstance(event, Progress)]
    assert stages[:3] == [f"looking at case {number} of 3" for number in (1, 2, 3)]
    assert events[-1] == Progress("looking at case 3 of 3", 1.0)

    def cancel(event: Event) -> None:
        raise Cancelled("Stopped on request.")

    with pytest.raises(Cancelled):
        inspect_cases(cases, TrainingConfig(), cancel)


def test_a_modality_that_the_settings_state_is_how_volumes_are_read(case: ListedCase, tmp_path: Path) -> None:
    geometry = read_volume(case.volume).geometry
    bright = np.random.default_rng(1).integers(400, 500, geometry.shape).astype(np.int16)
    write_volume(Volume(bright, geometry), tmp_path / "mr.nrrd")
    mr = ListedCase("mr", tmp_path / "mr.nrrd")
    as_ct, as_it_looks = inspect_cases(CaseList((mr,), (mr,)), TrainingConfig(source_modality="CT"), ignore)
    assert (as_ct.modality, as_it_looks.modality) == ("MR", "MR")
    assert as_ct.problem is not None
    assert "is constant" in as_ct.problem  # all of it lies above the window
    assert as_it_looks.problem is None


def test_a_second_look_opens_nothing_and_finds_the_same(case: ListedCase, tmp_path: Path, reads: list[Path]) -> None:
    first = inspect_case(case, "source", with_cache(tmp_path / "cache"))
    assert len(reads) == 1
    again = inspect_case(replace(case, name="Anna"), "source", with_cache(tmp_path / "cache"))
    assert len(reads) == 1
    assert again == replace(first, name="Anna")
    assert again.thumbnail is not None
    assert Path(again.thumbnail).read_bytes().startswith(b"\x89PNG")


def test_the_names_in_the_cache_tell_nothing(case: ListedCase, tmp_path: Path) -> None:
    inspect_case(case, "source", with_cache(tmp_path / "cache"))
    names = sorted(path.name for path in (tmp_path / "cache").iterdir())
    assert len(names) == 2
    assert all(set(name.split(".")[0]) <= set("0123456789abcdef") for name in names)
    for path in (tmp_path / "cache").iterdir():
        assert "Müller".encode() not in path.read_bytes()


def test_what_has_changed_is_looked_at_again(case: ListedCase, tmp_path: Path, reads: list[Path]) -> None:
    look = with_cache(tmp_path / "cache")
    inspect_case(case, "source", look)
    inspect_case(case, "source", replace(look, preprocessing=PreprocessingConfig(plane="sagittal")))
    assert len(reads) == 2
    inspect_case(case, "source", replace(look, preprocessing=PreprocessingConfig(size=64)))
    assert len(reads) == 2  # the size of slices changes nothing that is told
    inspect_case(case, "source", replace(look, modality="MR"))
    assert len(reads) == 3
    os.utime(case.volume, ns=(10**18, 10**18))
    inspect_case(case, "source", look)
    assert len(reads) == 4
    inspect_case(replace(case, labels=None), "source", look)
    assert len(reads) == 5


def test_naming_what_was_found_costs_no_second_look(case: ListedCase, tmp_path: Path, reads: list[Path]) -> None:
    look = with_cache(tmp_path / "cache")
    facts = inspect_case(case, "source", look)
    named = replace(case, segments=(*case.segments, facts.segments[1].segment))
    inspect_case(named, "source", look)
    renamed = replace(case, segments=(Segment(1, "liver"), Segment(3, "x")))
    assert segments(inspect_case(renamed, "source", look)) == [(1, "liver", 100, True), (3, "x", 50, True)]
    assert inspect_case(named, "source", look).thumbnail != inspect_case(renamed, "source", look).thumbnail


@pytest.mark.parametrize("damage", ["", "{", '{"name": 3}', "[]", '{"domain": "source", "name": "", "slices": "x"}'])
def test_a_damaged_entry_is_made_again(case: ListedCase, tmp_path: Path, reads: list[Path], damage: str) -> None:
    look = with_cache(tmp_path / "cache")
    first = inspect_case(case, "source", look)
    (entry,) = (tmp_path / "cache").glob("*.json")
    entry.write_text(damage, encoding="utf-8")
    assert inspect_case(case, "source", look) == first
    assert len(reads) == 2
    assert json.loads(entry.read_text(encoding="utf-8"))["slices"] == 5


def test_a_picture_that_is_gone_is_drawn_again(case: ListedCase, tmp_path: Path) -> None:
    look = with_cache(tmp_path / "cache")
    picture = Path(inspect_case(case, "source", look).thumbnail or "")
    picture.unlink()
    inspect_case(case, "source", look)
    assert picture.is_file()


def test_a_cache_that_cannot_be_written_is_no_fault_of_the_case(case: ListedCase, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    facts = inspect_case(case, "source", with_cache(tmp_path / "cache"))
    assert (facts.problem, facts.thumbnail, facts.slices) == (None, None, 5)


def test_problems_are_not_kept(case: ListedCase, tmp_path: Path) -> None:
    look = with_cache(tmp_path / "cache")
    labels = case.labels
    moved = tmp_path / "later.nii.gz"
    assert inspect_case(replace(case, labels=moved), "source", look).problem is not None
    moved.write_bytes((labels or moved).read_bytes())
    assert inspect_case(replace(case, labels=moved), "source", look).problem is None


def test_the_picture_shows_the_slice_with_most_labels_in_radiological_orientation(
    tmp_path: Path, oblique: MakeGeometry
) -> None:
    pictures = []
    for signs in ((1, 1, 1), (-1, 1, -1)):
        geometry = oblique(shape=(4, 40, 60), signs=signs)
        labels = np.zeros((4, 40, 60), np.uint8)
        labels[2, 5:12, 8:20] = 1  # towards anterior and right
        body = np.full((4, 40, 60), 40, np.int16) + np.arange(60, dtype=np.int16)
        flips = tuple(axis for axis, sign in enumerate(signs) if sign < 0)
        folder = tmp_path / str(len(pictures))
        write_volume(Volume(np.flip(body, flips).copy(), geometry), folder / "a.nrrd")
        write_label_map(LabelMap(np.flip(labels, flips).copy(), geometry), folder / "s.nrrd")
        look = Look(PreprocessingConfig(crop_to_body=False), cache=FactCache(folder / "cache"))
        facts = inspect_case(ListedCase("a", folder / "a.nrrd", labels=folder / "s.nrrd"), "source", look)
        pictures.append(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(facts.thumbnail)))
    assert np.array_equal(*pictures)
    picture = pictures[0]
    assert picture.shape == (96, round(96 * 60 * 0.7 / (40 * 0.9)), 3)
    coloured = np.argwhere(np.ptp(picture.astype(int), axis=-1) > 30)
    assert coloured[:, 0].max() < 40  # anterior is up
    assert coloured[:, 1].max() < 48  # the patient's right is on the left
