"""Choosing where networks run."""

from typing import Literal, get_args

import torch

from cisfa.errors import DeviceError

DeviceChoice = Literal["auto", "cpu", "cuda", "mps"]


def choose_device(choice: DeviceChoice) -> torch.device:
    """The device to run on; ``auto`` takes CUDA, else Apple's MPS, else the CPU.

    Raises:
        DeviceError: A device was asked for that is not there.
    """
    if choice not in get_args(DeviceChoice):
        raise DeviceError(f"There is no device {choice!r}; choose one of {', '.join(get_args(DeviceChoice))}.")
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if choice == "auto":
        return torch.device(next(name for name, is_there in there.items() if is_there))
    if not there[choice]:
        what = "CUDA GPU" if choice == "cuda" else "Apple GPU (MPS)"
        raise DeviceError(
            f"--device {choice}: no {what} can be used by this torch ({torch.__version__}). Use --device cpu, or run"
            " `cisfa doctor` to see what is missing."
        )
    return torch.device(choice)


def describe_device(device: torch.device) -> str:
    """The device in words for a report: no host name, only the hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return f"CPU, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    return device.type
