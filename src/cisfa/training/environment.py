"""What a run was made with, for its records: versions and hardware, nothing that names a person or a machine."""

import os
import platform
import time
from importlib import metadata
from typing import Any

import torch

from cisfa.inference.device import describe_device

_PACKAGES = ("cisfa", "torch", "numpy", "monai", "SimpleITK", "nibabel", "safetensors")


def versions() -> dict[str, str]:
    """Version of every package that can change a result."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            from cisfa import __version__

            found[name] = __version__ if name == "cisfa" else "not installed"
    return found


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Versions, hardware and the time of starting (UTC)."""
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "device": describe_device(device),
        "versions": versions(),
    }
