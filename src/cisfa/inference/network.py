"""The segmenter of a bundle, ready to run."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from cisfa.bundle.bundle_folder import Bundle
from cisfa.errors import BundleError
from cisfa.networks.segmenter import Segmenter


def load_segmenter(bundle: Bundle) -> Segmenter:
    """Build the segmenter that the manifest describes and fill in its weights, on the CPU.

    Raises:
        BundleError: The weights do not fit the manifest.
    """
    spec = bundle.manifest.segmenter
    if spec.input_channels != 1:
        raise BundleError(
            f"{bundle.path} wants {spec.input_channels} channels a slice; only single-channel models run."
        )
    segmenter = Segmenter(classes=spec.classes, width=spec.width, coordinates=spec.coordinates)
    try:
        segmenter.load_state_dict(safetensors.torch.load(bundle.weights_bytes()))
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise BundleError(f"The weights of {bundle.path} do not fit its manifest ({reason}). Get it again.") from error
    return segmenter.eval()


def fast_precision(device: torch.device) -> AbstractContextManager[object]:
    """Autocast to bfloat16 where the hardware multiplies it faster, float32 elsewhere."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.autocast("cuda", dtype=torch.bfloat16)
    if device.type == "cpu" and _cpu_capabilities().get("avx512_bf16", False):
        return torch.autocast("cpu", dtype=torch.bfloat16)
    return nullcontext()


def _cpu_capabilities() -> Mapping[str, Any]:
    """What the CPU can do; nothing that is known in versions of torch that do not say."""
    ask: Callable[[], Mapping[str, Any]] = getattr(torch.cpu, "get_capabilities", dict)
    return ask()
