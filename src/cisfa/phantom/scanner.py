"""Scan a synthetic patient: where the slices lie, and what each kind of scanner does to the signal."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.phantom.anatomy import Anatomy
from cisfa.phantom.appearance import draw_appearance
from cisfa.phantom.chance import Chance
from cisfa.phantom.fields import Points, Scalars, Waves
from cisfa.phantom.painting import Grid, paint
from cisfa.phantom.shapes import turned
from cisfa.phantom.tissues import Domain, Tissue

Size = Literal["small", "standard"]


@dataclass(frozen=True)
class Protocol:
    """How one kind of scan is taken.

    Attributes:
        slices: Number of slices.
        matrix: Rows and columns.
        slice_distance_mm: From one slice's centre to the next.
        thickness_mm: What one slice covers of it.
        layers: How finely the thickness is sampled.
    """

    slices: int
    matrix: int
    slice_distance_mm: float
    thickness_mm: float
    layers: int


PROTOCOLS: dict[tuple[Domain, Size], Protocol] = {
    ("ct", "standard"): Protocol(54, 256, 5.0, 5.0, 2),
    ("mr", "standard"): Protocol(36, 192, 7.7, 7.0, 3),
    # small cases cover the same organs with gaps between their slices
    ("ct", "small"): Protocol(14, 96, 14.0, 5.0, 2),
    ("mr", "small"): Protocol(12, 96, 16.5, 7.0, 3),
}

# the scan reaches from the lung bases to below the kidneys, around this height
_MIDDLE_MM = 27.0
# the range of CT numbers that scanners store
_LOWEST_HU, _HIGHEST_HU = -1024.0, 3071.0


def scan(
    anatomy: Anatomy, domain: Domain, *, seed: np.random.SeedSequence, severity: float, size: Size
) -> tuple[Volume, LabelMap]:
    """Scan a patient.

    Args:
        anatomy: The patient.
        domain: What scanner.
        seed: Decides the patient's position, the tissues' levels, and all noise.
        severity: From 0 (clean) to 1 (hard); scales noise, bias field, motion, and tissue overlap.
        size: How many voxels.

    Returns:
        Volume (int16: HU, or arbitrary units from 0 up) and label map (uint8) on one grid.
    """
    position_seed, look_seed, noise_seed = seed.spawn(3)
    protocol = PROTOCOLS[domain, size]
    grid = _place(anatomy, domain, protocol, Chance(position_seed), severity=severity)
    look = Chance(look_seed, spread=0.4 + 1.2 * severity)
    appearance = draw_appearance(domain, look, severity=severity)
    noise = np.random.default_rng(noise_seed)
    painting = paint(anatomy.parts, grid, appearance, _texture(grid, noise))
    signal, labels = painting.voxels()
    if domain == "ct":
        signal = _with_table(signal, grid, appearance.level[Tissue.TABLE], look)
        voxels = _ct_noise(signal, grid, noise, sigma_hu=(5.0 + 16.0 * severity) * look.ratio(0.15))
    else:
        signal = signal * _bias(grid, look, severity=severity)
        sigma = appearance.level[Tissue.LIVER] * (0.03 + 0.09 * severity) * look.ratio(0.15)
        voxels = _mr_noise(_ghosted(signal, 0.04 * severity), noise, sigma=sigma)
    return _stored(voxels, labels, grid.geometry, domain)


def _place(anatomy: Anatomy, domain: Domain, protocol: Protocol, chance: Chance, *, severity: float) -> Grid:
    """Lay the slices through the patient: straight for CT, slightly oblique and wavering with the breath for MR."""
    half_width, _ = anatomy.half_size_mm
    field_mm = 2.0 * half_width * chance.uniform(1.08, 1.2)
    spacing = (protocol.slice_distance_mm, field_mm / protocol.matrix, field_mm / protocol.matrix)
    shape = (protocol.slices, protocol.matrix, protocol.matrix)
    tilt = [0.0, 0.0, 0.0] if domain == "ct" else [chance.normal(0.0, 2.5) for _ in range(3)]
    left, posterior, superior = np.array(turned(*tilt))
    axes = np.array([superior, posterior, left])
    middle = np.array([chance.normal(0.0, 6.0), chance.normal(4.0, 5.0), _MIDDLE_MM + chance.normal(0.0, 5.0)])
    reach = (axes * np.array(spacing)[:, None] * (np.array(shape)[:, None] - 1) / 2.0).sum(axis=0)
    geometry = Geometry.from_axes(shape, spacing_mm=spacing, origin_lps_mm=middle - reach, axes_lps=axes)
    breath = np.zeros((protocol.slices, 3))
    if domain == "mr":
        # interleaved slices are taken in two breath-holds, none exactly like the other
        for number in range(protocol.slices):
            held = 1.6 if number % 2 else -1.6
            breath[number] = [0.0, chance.normal(0.2 * held, 0.5), chance.normal(held, 0.9)]
        breath *= 2.0 * severity
    return Grid(geometry, protocol.thickness_mm, protocol.layers, breath, anatomy.straightened)


def _texture(grid: Grid, noise: np.random.Generator) -> Scalars:
    """A unit-variance texture: fine grain with coarser mottle, (slices, rows, columns)."""
    white = noise.standard_normal(grid.geometry.shape, dtype=np.float32)
    fine = gaussian_filter(white, (0.0, 0.7, 0.7))
    coarse = gaussian_filter(white, (0.5, 2.5, 2.5))
    return _unit(_unit(fine) + _unit(coarse))


def _unit(values: Scalars) -> Scalars:
    return values / np.float32(values.std())


def _in_scan(grid: Grid) -> Points:
    """Where the coarse lattice lies in the scan, in mm from its middle; one layer a slice."""
    still = Grid(grid.geometry, 0.0, 1, np.zeros_like(grid.breath_mm), lambda points: points)
    middle = grid.geometry.to_lps([(np.array(grid.geometry.shape) - 1) / 2.0])[0]
    return Points(*(values - np.float32(centre) for values, centre in zip(still.coarse, middle, strict=True)))


def _with_table(hu: Scalars, grid: Grid, table_hu: float, chance: Chance) -> Scalars:
    """Slide a thin curved table top under the back of two patients in three."""
    if not chance.happens(0.67):
        return hu
    dense_rows = np.flatnonzero((hu > -300.0).any(axis=(0, 2)))
    at = _in_scan(grid)
    rows, spacing = grid.geometry.shape[1], grid.geometry.spacing_mm[1]
    back_mm = float((dense_rows[-1] - (rows - 1) / 2.0) * spacing) + 5.0
    radius = chance.uniform(380.0, 600.0)
    distance = np.sqrt(np.square(at.x) + np.square(at.y - (back_mm - radius)))
    depth = np.minimum(4.0 - np.abs(distance - radius), 215.0 - np.abs(at.x))
    depth = np.minimum(depth, at.y)
    covered = np.clip(grid.refined(depth)[:, 0] / np.float32(spacing) + np.float32(0.5), 0.0, 1.0)
    with_table: Scalars = np.maximum(hu, -1000.0 + covered * (table_hu + 1000.0))
    return with_table


def _ct_noise(hu: Scalars, grid: Grid, noise: np.random.Generator, *, sigma_hu: float) -> Scalars:
    """Add correlated noise, stronger where rays cross more of the body."""
    spacing = grid.geometry.spacing_mm[1]
    density = np.clip((hu[:, ::4, ::4] + 1000.0) / 1000.0, 0.0, 2.0)
    thickness = gaussian_filter(density, (0.0, 45.0 / (4.0 * spacing), 45.0 / (4.0 * spacing)), truncate=2.0)
    strength = np.exp(1.6 * (np.repeat(np.repeat(thickness, 4, axis=1), 4, axis=2) - 0.75))
    white = noise.standard_normal(hu.shape, dtype=np.float32)
    grainy = _unit(gaussian_filter(white, (0.4, 1.3 / spacing, 1.3 / spacing)))
    return np.clip(hu + np.float32(sigma_hu) * strength * grainy, _LOWEST_HU, _HIGHEST_HU)


def _bias(grid: Grid, chance: Chance, *, severity: float) -> Scalars:
    """How the coils see the patient: brighter near their surface, uneven, fading towards the last slices."""
    at = _in_scan(grid)
    uneven = Waves.random(chance, shortest_mm=260.0, longest_mm=700.0).at(at)
    surface = np.square(at.y / 100.0) + 0.5 * np.square(at.x / 160.0)
    fading = np.square(np.square(at.z / 150.0))
    depth = chance.ratio(0.2)
    log_bias = severity * (0.6 * uneven + 0.3 * depth * surface - 0.9 * fading)
    bias: Scalars = np.exp(grid.refined(log_bias)[:, 0])
    drift = [float(np.exp(chance.normal(0.0, 0.05 * severity))) for _ in range(bias.shape[0])]
    return bias * np.array(drift, np.float32)[:, None, None]


def _ghosted(signal: Scalars, strength: float) -> Scalars:
    """Add the faint copies that breathing leaves along the phase direction, the rows."""
    rows = signal.shape[1]
    return signal + np.float32(strength) * (np.roll(signal, rows // 3, axis=1) + np.roll(signal, -(rows // 3), axis=1))


def _mr_noise(signal: Scalars, noise: np.random.Generator, *, sigma: float) -> Scalars:
    """Rician noise: the magnitude of a complex signal with normal noise in both its channels."""
    real = signal + np.float32(sigma) * noise.standard_normal(signal.shape, dtype=np.float32)
    imaginary = np.float32(sigma) * noise.standard_normal(signal.shape, dtype=np.float32)
    magnitude: Scalars = np.sqrt(np.square(real) + np.square(imaginary))
    return magnitude


def _stored(voxels: Scalars, labels: NDArray[np.uint8], geometry: Geometry, domain: Domain) -> tuple[Volume, LabelMap]:
    """Store the axes as such scanners' files do: CT with rows to the Anterior, MR downwards and columns first."""
    whole = np.rint(voxels).astype(np.int16)
    flips = (1,) if domain == "ct" else (0, 2)
    for axis in flips:
        whole, labels, geometry = np.flip(whole, axis), np.flip(labels, axis), geometry.flipped(axis)
    if domain == "mr":
        order = (0, 2, 1)
        whole, labels, geometry = whole.transpose(order), labels.transpose(order), geometry.transposed(order)
    return Volume(np.ascontiguousarray(whole), geometry), LabelMap(np.ascontiguousarray(labels), geometry)
