"""A phantom must be a plausible patient on a plausible grid, with labels that are right to the voxel and the side."""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion

from cisfa.imaging.geometry import Geometry, closest_axis
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.phantom.case import make_case
from cisfa.phantom.scanner import Size
from cisfa.phantom.tissues import LABEL_NAMES, Domain, Label

DOMAINS: tuple[Domain, ...] = ("ct", "mr")
ORGANS = (Label.LIVER, Label.RIGHT_KIDNEY, Label.LEFT_KIDNEY, Label.SPLEEN)


@cache
def case(
    domain: Domain, *, seed: int = 4, index: int = 0, severity: float = 0.5, size: Size = "small"
) -> tuple[Volume, LabelMap]:
    return make_case(domain, seed=seed, index=index, severity=severity, size=size)


def centre_mm(labels: LabelMap, label: Label) -> NDArray[np.float64]:
    return labels.geometry.to_lps(np.argwhere(labels.voxels == label)).mean(axis=0)


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_same_seed_gives_the_same_voxels(domain: Domain) -> None:
    volume, labels = case(domain)
    again, labels_again = make_case(domain, seed=4, index=0, size="small")
    np.testing.assert_array_equal(again.voxels, volume.voxels)
    np.testing.assert_array_equal(labels_again.voxels, labels.voxels)
    assert again.geometry.is_same_grid(volume.geometry)


@pytest.mark.parametrize("other", [{"index": 1}, {"seed": 5}])
def test_another_index_or_seed_is_another_patient(other: dict[str, int]) -> None:
    _, labels = case("ct")
    _, others = case("ct", **other)  # type: ignore[arg-type]
    volumes = [
        [(one.voxels == organ).sum() * one.geometry.voxel_volume_ml for organ in ORGANS] for one in (labels, others)
    ]
    assert np.abs(np.subtract(*volumes)).min() > 0.5


def test_no_patient_is_in_both_domains() -> None:
    spans = []
    for domain in DOMAINS:
        _, labels = case(domain)
        centres = np.array([centre_mm(labels, organ) for organ in ORGANS])
        spans.append(np.linalg.norm(centres - centres[0], axis=1))
    # the distances between a patient's organs do not depend on the scanner
    assert np.abs(np.subtract(*spans)).max() > 3.0


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("index", range(3))
def test_the_organs_lie_on_the_sides_they_have_in_patients(domain: Domain, index: int) -> None:
    _, labels = case(domain, index=index)
    liver, right_kidney, left_kidney, spleen = (centre_mm(labels, organ) for organ in ORGANS)
    # LPS: x grows to the patient's Left, y to the Posterior, z to the Superior
    assert right_kidney[0] < left_kidney[0] - 60.0
    assert liver[0] < spleen[0] - 100.0
    assert spleen[1] > liver[1]
    assert min(right_kidney[1], left_kidney[1]) > liver[1]
    assert min(liver[2], spleen[2]) > max(right_kidney[2], left_kidney[2])


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_organ_of_a_standard_case_has_a_human_size(domain: Domain) -> None:
    _, labels = case(domain, size="standard")
    millilitres = [(labels.voxels == organ).sum() * labels.geometry.voxel_volume_ml for organ in ORGANS]
    limits = [(700, 3200), (60, 350), (60, 350), (60, 600)]
    assert all(low < size < high for size, (low, high) in zip(millilitres, limits, strict=True)), millilitres
    assert set(np.unique(labels.voxels)) == set(Label)


def test_standard_cases_have_the_grids_of_clinical_series() -> None:
    ct, mr = (case(domain, size="standard")[0].geometry for domain in DOMAINS)
    assert ct.shape == (54, 256, 256)
    assert ct.spacing_mm[0] == pytest.approx(5.0)
    assert 1.0 < ct.spacing_mm[1] < 2.0
    assert mr.shape == (36, 192, 192)
    assert mr.spacing_mm[0] == pytest.approx(7.7)


def test_ct_is_straight_and_mr_is_oblique_flipped_and_has_its_columns_first() -> None:
    ct, mr = (case(domain)[0].geometry for domain in DOMAINS)
    np.testing.assert_allclose(ct.axes_lps, [[0, 0, 1], [0, -1, 0], [1, 0, 0]], atol=1e-12)
    assert closest_axis(mr, "axial") == 0
    assert closest_axis(mr, "sagittal") == 1
    assert mr.axes_lps[0, 2] < -0.9
    assert mr.axes_lps[1, 0] < -0.9
    assert 0.5 < np.rad2deg(np.arccos(-mr.axes_lps[0, 2])) < 12.0


def test_ct_is_in_hu() -> None:
    volume, labels = case("ct", size="standard")
    assert volume.voxels.dtype == np.int16
    assert np.median(volume.voxels[:, :3, :3]) == pytest.approx(-1000, abs=15)
    assert 45 < np.median(volume.voxels[labels.voxels == Label.LIVER]) < 90
    assert volume.voxels.max() > 250  # bone
    lung = (volume.voxels > -950) & (volume.voxels < -700)
    assert lung[-4:].mean() > 0.1  # the topmost slices show the lung bases
    assert lung[:10].mean() < 0.02


def test_the_domains_order_their_organs_differently() -> None:
    medians = {}
    for domain in DOMAINS:
        volume, labels = case(domain, size="standard")
        medians[domain] = [float(np.median(volume.voxels[labels.voxels == organ])) for organ in ORGANS]
    ct_liver, ct_right, _, ct_spleen = medians["ct"]
    mr_liver, mr_right, _, mr_spleen = medians["mr"]
    assert ct_liver > ct_spleen > ct_right
    assert mr_liver < min(mr_spleen, mr_right)


def test_mr_noise_is_rician() -> None:
    volume, _ = case("mr", size="standard")
    assert volume.voxels.min() >= 0
    air = volume.voxels[:, [2, 3, -4, -3], :][:, :, [2, 3, -4, -3]].astype(float)
    # where there is no signal, magnitude noise follows Rayleigh's law: mean / standard deviation = 1.913
    assert air.mean() / air.std() == pytest.approx(1.913, rel=0.1)


def test_ct_noise_is_correlated() -> None:
    volume, labels = case("ct", severity=1.0, size="standard")
    inside = binary_erosion(labels.voxels == Label.LIVER, iterations=3)
    centred = np.where(inside, volume.voxels - volume.voxels[inside].mean(), np.nan)
    neighbours = np.nanmean(centred[:, :, 1:] * centred[:, :, :-1]) / np.nanvar(centred)
    far = np.nanmean(centred[:, :, 12:] * centred[:, :, :-12]) / np.nanvar(centred)
    assert neighbours > 0.4
    assert abs(far) < 0.5 * neighbours


def test_voxels_on_a_border_mix_their_tissues() -> None:
    volume, _ = case("ct", severity=0.0, size="standard")
    middle = volume.voxels[20]
    body = binary_erosion(binary_dilation(middle > -400, iterations=2), iterations=4)
    outside = ~binary_dilation(middle > -900, iterations=3)
    between_both = (middle > -880) & (middle < -250) & ~body & ~outside
    # the skin's circumference is some 600 voxels long, and most of them are neither air nor skin
    assert between_both.sum() > 200


def overlap(domain: Domain, severity: float) -> float:
    """Interquartile ranges inside liver and spleen over the distance of their medians; of a middling patient."""
    ratios = []
    for index in range(4):
        volume, labels = case(domain, index=index, severity=severity)
        quartiles = [
            np.percentile(volume.voxels[binary_erosion(labels.voxels == organ, np.ones((1, 3, 3)))], [25, 50, 75])
            for organ in (Label.LIVER, Label.SPLEEN)
        ]
        (low, liver, high), (lower, spleen, higher) = quartiles
        ratios.append((high - low + higher - lower) / abs(spleen - liver))
    return float(np.median(ratios))


@pytest.mark.parametrize("domain", DOMAINS)
def test_severity_makes_organs_harder_to_tell_apart(domain: Domain) -> None:
    easy, middling, hard = (overlap(domain, severity) for severity in (0.0, 0.5, 1.0))
    assert 1.4 * easy < middling
    assert 1.4 * middling < hard


def test_severity_keeps_the_patient() -> None:
    """Sizes stray from the mean in the same direction, only further."""
    (_, mild), (_, strong) = case("ct", severity=0.3), case("ct", severity=0.7)
    assert np.linalg.norm(centre_mm(mild, Label.LIVER) - centre_mm(strong, Label.LIVER)) < 15.0


@pytest.mark.parametrize("domain", DOMAINS)
def test_volume_and_labels_share_grid_and_name(domain: Domain) -> None:
    volume, labels = case(domain, index=1)
    assert volume.geometry.is_same_grid(labels.geometry)
    assert volume.name == labels.name == f"phantom_{domain}_001.nii.gz"


def test_labels_are_named() -> None:
    assert LABEL_NAMES == {"background": 0, "liver": 1, "right kidney": 2, "left kidney": 3, "spleen": 4}


def test_an_oblique_grid_shows_the_same_patient_at_the_same_place() -> None:
    """The tilt must move the grid, not the patient: organs of MR cases lie where those of CT cases do."""
    places = {
        domain: np.mean(
            [[centre_mm(case(domain, index=index)[1], organ) for organ in ORGANS] for index in range(3)], axis=0
        )
        for domain in DOMAINS
    }
    assert np.abs(places["ct"] - places["mr"]).max() < 25.0


def test_a_geometry_is_never_degenerate() -> None:
    for domain in DOMAINS:
        geometry: Geometry = case(domain)[0].geometry
        assert np.linalg.det(geometry.index_to_lps[:3, :3]) != 0
