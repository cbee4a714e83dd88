"""Two tiny domains of drawn cases, and settings that train on them in a moment."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cisfa.config import TrainingConfig
from cisfa.config_files import compose
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_files import write_label_map, write_volume

HERE = Path(__file__).parent
if str(HERE) not in sys.path:
    sys.path.append(str(HERE))

from nursery import Nursery  # noqa: E402 - found only now

SHAPE = (6, 40, 48)
# intensity of air, body, organ 1 and organ 3, each with its noise
CT = ((-1000.0, 5.0), (30.0, 20.0), (120.0, 10.0), (180.0, 10.0))
MR = ((4.0, 3.0), (220.0, 30.0), (110.0, 15.0), (400.0, 30.0))
TINY = (
    "preprocessing.size=32",
    'networks={"generator_width": 2, "generator_blocks": 2, "segmenter_width": 2, "discriminator_width": 2}',
    "patch_contrast.patches=16",
    "optimiser.batch_size=2",
    'schedule={"steps": 8, "checkpoint_every": 2, "metrics_every": 2, "preview_every": 100}',
    "teacher.begin=0",
    'organs={"1": "liver", "3": "spleen"}',
)


@dataclass(frozen=True)
class Domains:
    """Folders of three source and three target cases, each with ``images`` and ``labels``."""

    source: Path
    target: Path


def geometry_of(number: int) -> Geometry:
    """Oblique, anisotropic, and another one for each case."""
    tilt = 0.03 * number
    axes = np.linalg.qr(np.array([[tilt, 0.1, 1.0], [-0.1, 1.0, 0.05], [1.0, 0.08, -tilt]]).T)[0].T
    axes *= np.sign(axes[[0, 1, 2], [2, 1, 0]])[:, None]
    return Geometry.from_axes(SHAPE, spacing_mm=(5.0, 1.5, 1.25), origin_lps_mm=(-30, 10 * number, 5), axes_lps=axes)


def draw_case(number: int, tissues: tuple[tuple[float, float], ...]) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Voxels and labels 0, 1 and 3 of a body with two organs."""
    rng = np.random.default_rng([number, abs(round(tissues[0][0]))])
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, count) for count in SHAPE), indexing="ij")
    shift = rng.uniform(-0.1, 0.1, 4)
    part = np.where((y / 0.8) ** 2 + (x / 0.85) ** 2 < 1, 1, 0)
    part[(z / 0.9) ** 2 + ((y - shift[0]) / 0.4) ** 2 + ((x + 0.4 + shift[1]) / 0.3) ** 2 < 1] = 2
    part[(z / 0.8) ** 2 + ((y + shift[2]) / 0.25) ** 2 + ((x - 0.5 - shift[3]) / 0.2) ** 2 < 1] = 3
    means, deviations = np.array(tissues).T
    voxels = means[part] + deviations[part] * rng.standard_normal(SHAPE)
    labels = np.array([0, 0, 1, 3], np.uint8)[part]
    return np.abs(voxels).astype(np.float32) if tissues is MR else voxels.astype(np.int16), labels


def draw_domain(folder: Path, tissues: tuple[tuple[float, float], ...], *, prefix: str, count: int = 3) -> Path:
    for number in range(1, count + 1):
        voxels, labels = draw_case(number, tissues)
        geometry, name = geometry_of(number), f"{prefix}_{number}.nii.gz"
        write_volume(Volume(voxels, geometry), folder / "images" / name)
        write_label_map(LabelMap(labels, geometry), folder / "labels" / name)
    return folder


@pytest.fixture(scope="session")
def domains(tmp_path_factory: pytest.TempPathFactory) -> Domains:
    """CT as source and MR as target; not to be changed."""
    folder = tmp_path_factory.mktemp("domains")
    return Domains(draw_domain(folder / "ct", CT, prefix="ct"), draw_domain(folder / "mr", MR, prefix="mr"))


@pytest.fixture(scope="session")
def larger_domains(tmp_path_factory: pytest.TempPathFactory) -> Domains:
    """Five source cases, of which one is held out, and three target cases; not to be changed."""
    folder = tmp_path_factory.mktemp("larger domains")
    return Domains(draw_domain(folder / "ct", CT, prefix="ct", count=5), draw_domain(folder / "mr", MR, prefix="mr"))


@pytest.fixture
def own_domains(domains: Domains, tmp_path: Path) -> Domains:
    """A copy that a test may change."""
    shutil.copytree(domains.source, tmp_path / "source")
    shutil.copytree(domains.target, tmp_path / "target")
    return Domains(tmp_path / "source", tmp_path / "target")


@pytest.fixture(scope="session")
def tiny() -> Callable[..., TrainingConfig]:
    """Settings of a run of 8 steps that takes a second or two, with whatever is assigned on top."""

    def config(*assignments: str, method: str | None = None) -> TrainingConfig:
        return compose(assignments=[*TINY, *assignments], method=method)

    return config


@pytest.fixture(scope="session")
def tiny_words() -> list[str]:
    """The same settings for a command line."""
    return [word for assignment in TINY for word in ("--set", assignment)]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """For tensors as small as here a second thread is in the way; and sums over threads differ in their last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Starts processes of the command."""
    with Nursery() as made:
        yield made
