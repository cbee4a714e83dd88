"""Segmenting a volume slice by slice with a bundle's segmenter."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cisfa.bundle.bundle_folder import Bundle
from cisfa.bundle.manifest import Manifest
from cisfa.errors import BundleError, DeviceError
from cisfa.events import Notice, Progress, Report
from cisfa.imaging.intensity import guess_modality
from cisfa.imaging.preprocessing import PreparedSlices, Preprocessing, Restorer, with_contrast
from cisfa.imaging.roi import Roi
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.inference.network import fast_precision, load_segmenter
from cisfa.inference.postprocessing import keep_largest_components
from cisfa.inference.signs import Signs
from cisfa.inference.witness import Witness

DEFAULT_BATCH_SIZE = 8
_STAGE = "segmenting"


@dataclass(frozen=True)
class PredictionOptions:
    """Choices that do not belong to the bundle.

    Attributes:
        batch_size: Slices at a time.
        largest_component: Keep only the largest connected part of each organ; done anyway where the bundle says so.
        trust_modality: Skip the check that the volume looks like the bundle's target modality.
    """

    batch_size: int = DEFAULT_BATCH_SIZE
    largest_component: bool = False
    trust_modality: bool = False


class Predictor:
    """A bundle's segmenter on a device; loads once, segments many volumes."""

    def __init__(self, bundle: Bundle, device: torch.device, options: PredictionOptions, report: Report) -> None:
        """Load the weights onto the device.

        Args:
            bundle: Opened, so verified.
            device: Where to run; the CPU takes over when its memory runs out.
            options: Choices of the user.
            report: Hears progress and notices.

        Raises:
            BundleError: The weights do not fit the manifest.
        """
        self._manifest, self._options, self._report = bundle.manifest, options, report
        self._runner = SliceRunner(load_segmenter(bundle), device, options.batch_size, report)
        labels = [0, *(organ.label for organ in bundle.manifest.organs)]
        self._values: NDArray[np.unsignedinteger] = np.array(
            labels, dtype=np.uint8 if max(labels) <= np.iinfo(np.uint8).max else np.uint16
        )

    @property
    def device(self) -> torch.device:
        """Where it runs now: the CPU once a graphics card's memory has run out."""
        return self._runner.device

    def segment(self, volume: Volume, roi: Roi | None = None) -> LabelMap:
        """Segment one volume.

        Args:
            volume: Of the bundle's target modality, in any orientation.
            roi: The box to segment in, as the training's volumes were cut; None takes the body.

        Returns:
            Label values of the bundle's organs on the volume's own grid.

        Raises:
            BundleError: The volume looks like another modality, or the model computes no numbers.
            VolumeFileError: It is constant.
            GeometryError: The region of interest lies outside it.
            DeviceError: Memory runs out everywhere.
        """
        return self._segment(volume, self._prepare(volume, roi), None)

    def segment_watched(self, volume: Volume, roi: Roi | None = None) -> tuple[LabelMap, Witness]:
        """Segment one volume as :meth:`segment` does, before a witness that :meth:`question` makes tell."""
        prepared = self._prepare(volume, roi)
        witness = Witness(prepared.voxels, len(self._values))
        return self._segment(volume, prepared, witness), witness

    def question(self, witness: Witness) -> Signs:
        """What speaks for and against what was found in a volume; takes up to as long as segmenting it.

        Raises:
            DeviceError: Memory runs out everywhere.
        """
        return witness.signs(self._runner, self._report)

    def _prepare(self, volume: Volume, roi: Roi | None) -> PreparedSlices:
        if not self._options.trust_modality:
            require_modality(self._manifest, volume)
        return Preprocessing(self._manifest.preprocessing, self._manifest.target.modality).apply(volume, roi)

    def _segment(self, volume: Volume, prepared: PreparedSlices, witness: Witness | None) -> LabelMap:
        restorer = Restorer(prepared.frame, self._values)
        started, count = time.monotonic(), len(prepared.voxels)
        self._report(Progress(_STAGE, 0.0))

        def take(first: int, probabilities: NDArray[np.float32]) -> None:
            self._require_numbers(probabilities, volume.name)
            restorer.add(first, probabilities)
            if witness:
                witness.see(first, probabilities)
            done = first + len(probabilities)
            passed = time.monotonic() - started
            self._report(Progress(_STAGE, done / count, passed / done * (count - done)))

        self._runner.run(prepared.voxels, take)
        label_map = restorer.label_map(volume.name)
        if self._options.largest_component or self._manifest.largest_component:
            if witness:
                witness.uncut = label_map
            label_map = keep_largest_components(label_map)
        frame_of_reference_uid = volume.series.frame_of_reference_uid if volume.series else ""
        return replace(label_map, frame_of_reference_uid=frame_of_reference_uid)

    def _require_numbers(self, probabilities: NDArray[np.float32], name: str) -> None:
        # the likeliest class of NaN is the background: a broken model would look like a patient without organs
        if not np.isfinite(probabilities).all():
            raise BundleError(
                f"The bundle {self._manifest.name!r} computed values that are no numbers for {name}. Get the bundle"
                " again; if that does not help, try --device cpu."
            )


class SliceRunner:
    """Runs a segmenter over slices, and steps down when memory runs out: smaller batches, then the CPU."""

    def __init__(self, segmenter: nn.Module, device: torch.device, batch_size: int, report: Report) -> None:
        """Move the segmenter to the device, or to the CPU when it does not even fit there."""
        self._report, self._batch_size, self._device = report, batch_size, device
        self._segmenter = segmenter
        if not self._is_placed(device):
            self._go_to_cpu("for the model alone")

    @property
    def device(self) -> torch.device:
        """Where the segmenter is now."""
        return self._device

    def run(self, slices: NDArray[np.float32], take: Callable[[int, NDArray[np.float32]], None]) -> None:
        """Segment (slices, rows, columns); ``take`` gets the first slice's index and probabilities of each batch.

        A slice without contrast holds no organ, whatever the network says of it: it learned from no such slice, and
        its norms divide by what there is not.

        Raises:
            DeviceError: Memory runs out on the CPU with one slice at a time.
        """
        first = 0
        while first < len(slices):
            probabilities = self._probabilities_if_they_fit(slices[first : first + self._batch_size])
            if probabilities is None:
                self._step_down()
            else:
                empty = ~with_contrast(slices[first : first + len(probabilities)])
                probabilities[empty] = 0
                probabilities[empty, 0] = 1
                take(first, probabilities)
                first += len(probabilities)

    def _probabilities_if_they_fit(self, slices: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Probabilities of a batch; None when memory ran out.

        The error ends with this function, since its traceback holds on to the memory that a smaller batch needs.
        """
        try:
            return self._probabilities(torch.from_numpy(slices)[:, None])
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return None

    @torch.inference_mode()
    def _probabilities(self, batch: Tensor) -> NDArray[np.float32]:
        with fast_precision(self._device):
            logits: Tensor = self._segmenter(batch.to(self._device))
        return logits.float().softmax(dim=1).cpu().numpy()

    def _is_placed(self, device: torch.device) -> bool:
        """Move the segmenter to a device; False when it does not fit."""
        try:
            self._segmenter.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return False
        self._device = device
        return True

    def _step_down(self) -> None:
        if self._batch_size == 1:
            self._go_to_cpu("with a single slice")
            return
        self._batch_size = self._batch_size // 2
        self._report(Notice(f"Memory ran out on {self._device.type}: going on with batches of {self._batch_size}."))
        _free_cache(self._device)

    def _go_to_cpu(self, when: str) -> None:
        crowded = self._device
        if crowded.type == "cpu" or not self._is_placed(torch.device("cpu")):
            raise DeviceError(f"Memory ran out on the CPU {when}. Close other programs and try again.")
        self._report(Notice(f"Memory ran out on {crowded.type} {when}: going on on the CPU."))
        _free_cache(crowded)


def require_modality(manifest: Manifest, volume: Volume) -> None:
    """Raise when a volume is of another modality than the bundle's target: its series says so, or it looks like it.

    Raises:
        BundleError: As said.
    """
    wanted = manifest.target.modality
    stated = volume.series.modality if volume.series else ""
    if stated and stated != wanted:
        raise BundleError(
            f"The bundle {manifest.name!r} segments {wanted}, but {volume.name} is {stated}: its DICOM series says so."
            f" Choose a series of {wanted}, a bundle whose target is {stated}, or pass --modality {wanted} when it is"
            f" {wanted} all the same."
        )
    found = stated or guess_modality(volume.voxels)
    if found == wanted:
        return
    low, high = volume.voxels.min(), volume.voxels.max()
    if low < high:  # a constant volume looks like nothing, and preprocessing says so
        raise BundleError(
            f"The bundle {manifest.name!r} segments {wanted}, but {volume.name} looks like {found} (its intensities run"
            f" from {low:g} to {high:g}). Choose a bundle whose target is {found}, or pass --modality {wanted} when it"
            f" is {wanted} all the same."
        )


def is_out_of_memory(error: Exception) -> bool:
    """True for what torch, CUDA, cuDNN, Apple's MPS and the CPU's allocator each call it."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return any(words in str(error) for words in ("out of memory", "DefaultCPUAllocator", "ALLOC_FAILED"))


def _free_cache(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
