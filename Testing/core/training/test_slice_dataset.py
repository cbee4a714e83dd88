from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cisfa.cases.case_folder import CaseFiles, labelled_cases, unlabelled_cases
from cisfa.config import Modality, PreprocessingConfig
from cisfa.errors import CaseError, GeometryError, VolumeFileError
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.organs import organs_from_names
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_files import read_label_map, read_volume, write_label_map, write_volume
from cisfa.training.slice_dataset import DomainSlices, read_slices, require_no_shared_voxels

CONFIG = PreprocessingConfig(size=32)
ORGANS = organs_from_names({"1": "liver", "3": "spleen"})


def read(
    cases: list[CaseFiles], modality: Modality | None = None, config: PreprocessingConfig = CONFIG
) -> DomainSlices:
    return read_slices(cases, config, modality=modality, organs=ORGANS, on_case=lambda done, count: None)


def rewrite_labels(case: CaseFiles, change: dict[int, int]) -> None:
    assert case.labels is not None
    label_map = read_label_map(case.labels)
    voxels = label_map.voxels.copy()
    for value, new in change.items():
        voxels[label_map.voxels == value] = new
    write_label_map(LabelMap(voxels, label_map.geometry), case.labels)


def test_a_domain_is_all_slices_of_all_cases_normalised(domains: Any) -> None:
    told: list[tuple[int, int]] = []
    slices = read_slices(
        labelled_cases(domains.source), CONFIG, modality=None, organs=ORGANS, on_case=lambda *done: told.append(done)
    )
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert slices.modality == "CT"
    assert len(slices) == 18
    assert slices.voxels.shape == (18, 1, 32, 32)
    assert slices.voxels.dtype == torch.float16
    assert slices.labels is not None
    assert slices.labels.shape == (18, 32, 32)
    for case in slices.voxels.float().split(6):
        assert abs(case.mean()) < 0.05
        assert 0.8 < case.std() < 1.05


def test_labels_become_class_indices_in_the_organs_order(domains: Any) -> None:
    slices = read(labelled_cases(domains.source))
    assert slices.labels is not None
    assert slices.labels.unique().tolist() == [0, 1, 2]
    # in CT liver (class 1) is darker than spleen (class 2), and both are brighter than what is around them
    voxels = slices.voxels[:, 0].float()
    means = [voxels[slices.labels == kind].mean().item() for kind in (1, 2)]
    assert voxels.mean() < means[0] < means[1]


def test_labels_lie_on_their_slices(domains: Any) -> None:
    """Every class is where its own intensity is, in each slice that has it."""
    slices = read(labelled_cases(domains.source))
    assert slices.labels is not None
    voxels = slices.voxels[:, 0].float()
    liver = voxels[slices.labels == 1].mean()
    spleen = voxels[slices.labels == 2].mean()
    for one, labels in zip(voxels, slices.labels, strict=True):
        for kind, expected, other in ((1, liver, spleen), (2, spleen, liver)):
            inside = labels == kind
            if inside.sum() > 5:
                assert (one[inside].mean() - expected).abs() < (one[inside].mean() - other).abs()


def test_cases_without_labels_give_slices_without(domains: Any) -> None:
    slices = read(unlabelled_cases(domains.target))
    assert slices.labels is None
    assert slices.label_fingerprints == ()
    assert slices.modality == "MR"


def test_slices_keep_what_they_know_when_they_move(domains: Any) -> None:
    slices = read(labelled_cases(domains.source))
    moved = slices.to(torch.device("cpu"))
    assert (moved.modality, moved.fingerprints) == (slices.modality, slices.fingerprints)
    assert moved.label_fingerprints == slices.label_fingerprints
    assert len(set(slices.fingerprints)) == len(set(slices.label_fingerprints)) == 3


def test_the_modality_that_is_named_counts(domains: Any) -> None:
    as_mr = read(labelled_cases(domains.source), "MR")
    assert as_mr.modality == "MR"
    assert not torch.equal(as_mr.voxels, read(labelled_cases(domains.source)).voxels)


def test_a_volume_of_another_modality_in_the_folder_is_named(own_domains: Any) -> None:
    mr = read_volume(own_domains.target / "images" / "mr_2.nii.gz")
    write_volume(mr, own_domains.source / "images" / "ct_2.nii.gz")
    with pytest.raises(CaseError, match=r"ct_2\.nii\.gz looks like MR, but the first case of its domain like CT"):
        read(unlabelled_cases(own_domains.source))
    assert len(read(unlabelled_cases(own_domains.source), "CT")) == 18


def test_a_label_value_without_an_organ_is_named(own_domains: Any) -> None:
    cases = labelled_cases(own_domains.source)
    rewrite_labels(cases[1], {3: 7})
    with pytest.raises(CaseError, match=r"ct_2\.nii\.gz holds the label value 7, but the organs have 1, 3\."):
        read(cases)


def test_label_values_above_255_are_read(own_domains: Any) -> None:
    cases = labelled_cases(own_domains.source)
    before = read(cases)
    for case in cases:
        assert case.labels is not None
        label_map = read_label_map(case.labels)
        voxels = label_map.voxels.astype(np.uint16)
        voxels[voxels == 3] = 60001
        write_label_map(LabelMap(voxels, label_map.geometry), case.labels)
    organs = organs_from_names({"1": "liver", "60001": "spleen"})
    after = read_slices(cases, CONFIG, modality=None, organs=organs, on_case=lambda *_: None)
    assert before.labels is not None
    assert after.labels is not None
    assert torch.equal(after.labels, before.labels)


def test_more_organs_than_a_byte_can_count_are_refused(domains: Any) -> None:
    organs = organs_from_names({str(label): f"organ {label}" for label in range(1, 257)})
    with pytest.raises(CaseError, match="There are 256 organs; at most 255"):
        read_slices(labelled_cases(domains.source), CONFIG, modality=None, organs=organs, on_case=lambda *_: None)


def test_a_label_map_without_any_organ_is_named(own_domains: Any) -> None:
    cases = labelled_cases(own_domains.source)
    rewrite_labels(cases[2], {1: 0, 3: 0})
    with pytest.raises(CaseError, match=r"ct_3\.nii\.gz holds no organ at all"):
        read(cases)


def test_a_label_map_of_another_shape_is_refused_with_both_names(own_domains: Any) -> None:
    case = labelled_cases(own_domains.source)[0]
    assert case.labels is not None
    label_map = read_label_map(case.labels)
    cut = Geometry((6, 40, 47), label_map.geometry.index_to_lps)
    write_label_map(LabelMap(label_map.voxels[:, :, :47], cut), case.labels)
    with pytest.raises(
        GeometryError, match=r"labels.ct_1\.nii\.gz has .*40x47, but .*images.ct_1\.nii\.gz has .*40x48"
    ):
        read([case])


def test_a_label_map_at_another_place_is_refused(own_domains: Any) -> None:
    case = labelled_cases(own_domains.source)[0]
    assert case.labels is not None
    label_map = read_label_map(case.labels)
    moved = label_map.geometry.index_to_lps.copy()
    moved[:3, 3] += (0, 4, 0)
    write_label_map(LabelMap(label_map.voxels, Geometry(label_map.geometry.shape, moved)), case.labels)
    with pytest.raises(GeometryError, match="lie at different places"):
        read([case])


def test_a_label_map_that_is_no_volume_file_is_refused(own_domains: Any) -> None:
    case = labelled_cases(own_domains.source)[0]
    assert case.labels is not None
    case.labels.write_bytes(b"not a volume")
    with pytest.raises(VolumeFileError, match=r"labels.ct_1\.nii\.gz"):
        read([case])


def test_a_folder_without_cases_is_refused() -> None:
    with pytest.raises(CaseError, match="no cases"):
        read([])


def stored(voxels: NDArray[np.generic], geometry: Geometry, path: Path) -> CaseFiles:
    write_volume(Volume(voxels, geometry), path)
    return CaseFiles(path.name, path, None)


def test_one_patient_twice_in_a_domain_is_found_by_its_voxels(own_domains: Any, tmp_path: Path) -> None:
    cases = unlabelled_cases(own_domains.source)
    volume = read_volume(cases[0].volume)
    again = stored(volume.voxels, volume.geometry, tmp_path / "another name.nrrd")
    with pytest.raises(CaseError, match=r"ct_1\.nii\.gz and .*another name\.nrrd hold the same voxels"):
        read([*cases, again])


def test_one_patient_in_both_domains_is_found_by_its_voxels(own_domains: Any, tmp_path: Path) -> None:
    """Another name, another file format and another type of numbers do not hide it."""
    source_cases, target_cases = unlabelled_cases(own_domains.source), unlabelled_cases(own_domains.target)
    source, target = read(source_cases), read(target_cases)
    require_no_shared_voxels(source, source_cases, target, target_cases)
    volume = read_volume(source_cases[1].volume)
    assert volume.voxels.dtype == np.int16
    hidden = stored(volume.voxels.astype(np.float32), volume.geometry, tmp_path / "mr_9.mha")
    with pytest.raises(CaseError, match=r"ct_2\.nii\.gz and .*mr_9\.mha hold the same voxels"):
        require_no_shared_voxels(source, source_cases, read([hidden]), [hidden])


def test_labels_do_not_change_the_slices(domains: Any) -> None:
    """Crop and normalisation come from intensities alone."""
    cases = labelled_cases(domains.source)
    unlabelled = [replace(case, labels=None) for case in cases]
    assert torch.equal(read(cases).voxels, read(unlabelled).voxels)


def blanked(case: CaseFiles, slices: tuple[int, ...], *, noise: float = 0.0) -> tuple[int, int]:
    """Make slices of a case's file show nothing, as padding does; how many of its slices are labelled, and were."""
    volume = read_volume(case.volume)
    voxels = volume.voxels.astype(np.float32)
    for number in slices:
        voxels[number] = voxels.min() + noise * np.random.default_rng(number).normal(size=voxels.shape[1:])
    write_volume(Volume(voxels, volume.geometry), case.volume)
    assert case.labels is not None
    labelled = read_label_map(case.labels).voxels.any(axis=(1, 2))
    return int(np.delete(labelled, slices).sum()), int(labelled.sum())


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_slices_that_show_nothing_are_left_out_with_their_labels(own_domains: Any, noise: float) -> None:
    cases = labelled_cases(own_domains.source)
    before = read(cases, "CT")
    left, all_labelled = blanked(cases[1], (2, 5), noise=noise)
    slices = read(cases, "CT")
    assert slices.without_contrast == 2
    assert before.without_contrast == 0
    assert slices.slices_of_cases == (6, 4, 6)
    assert len(slices) == 16
    assert slices.labels is not None
    assert left < all_labelled
    assert int(slices.labels[6:10].flatten(1).any(1).sum()) == left
    for kept, whole in ((slice(0, 6), slice(0, 6)), (slice(10, 16), slice(12, 18))):
        assert torch.equal(slices.voxels[kept], before.voxels[whole])
    assert slices.voxels.float().std(dim=(1, 2, 3)).min() > 0.1


def test_drawn_slices_keep_their_labels_where_others_are_left_out(own_domains: Any) -> None:
    case = labelled_cases(own_domains.source)[0]
    assert case.labels is not None
    blanked(case, (0, 2))
    drawn = replace(case, labels=None, few_labels=case.labels)
    few, whole = read([drawn], "CT").few, read([case], "CT")
    assert few is not None
    assert whole.labels is not None
    assert few.at.tolist() == torch.nonzero(whole.labels.flatten(1).any(1)).flatten().tolist()
    assert torch.equal(few.labels, whole.labels[few.at])


def test_what_is_drawn_on_slices_that_show_nothing_is_no_drawing(own_domains: Any) -> None:
    case = labelled_cases(own_domains.source)[0]
    assert case.labels is not None
    label_map = read_label_map(case.labels)
    drawn = int(np.flatnonzero(label_map.voxels.any(axis=(1, 2)))[0])
    voxels = np.zeros_like(label_map.voxels)
    voxels[drawn] = label_map.voxels[drawn]
    write_label_map(LabelMap(voxels, label_map.geometry), case.labels)
    blanked(case, (drawn,))
    with pytest.raises(CaseError, match="on slices without contrast"):
        read([replace(case, labels=None, few_labels=case.labels)], "CT")
