"""Choosing where networks run."""

from pathlib import Path
from typing import Literal, get_args

import torch

from cisfa.errors import DeviceError
from cisfa.events import Notice, Report

DeviceChoice = Literal["auto", "cpu", "cuda", "mps"]


def choose_device(choice: DeviceChoice, report: Report) -> torch.device:
    """The device to run on; ``auto`` takes CUDA, else Apple's MPS, else the CPU.

    A graphics card is tried out first: one that torch lists may be too old for it, or its driver too old for both.

    Args:
        choice: What the user wants.
        report: Hears why ``auto`` does not take the card that is there.

    Raises:
        DeviceError: A device was asked for that is not there, or that does not compute.
    """
    if choice not in get_args(DeviceChoice):
        raise DeviceError(f"There is no device {choice!r}; choose one of {', '.join(get_args(DeviceChoice))}.")
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    name = next(name for name, is_there in there.items() if is_there) if choice == "auto" else choice
    if not there[name]:
        what = "CUDA GPU" if name == "cuda" else "Apple GPU (MPS)"
        raise DeviceError(
            f"--device {name}: no {what} can be used by this torch ({torch.__version__}). Use --device cpu, or run"
            " `cisfa doctor` to see what is missing."
        )
    fault = None if name == "cpu" else fault_of(name)
    if fault is None:
        return torch.device(name)
    unusable = f"The graphics card {_card_name(name)} cannot be used ({fault})"
    if choice != "auto":
        raise DeviceError(
            f"{unusable}. Update its driver, or install a PyTorch built for it; or use --device cpu, which is slower."
        )
    report(Notice(f"{unusable}: going on on the CPU, slower. Update its driver, or install a PyTorch built for it."))
    return torch.device("cpu")


def fault_of(device: str) -> str | None:
    """Compute something small with a known result; a card may be listed that this torch was not built for.

    Args:
        device: torch's word for it ("cpu", "cuda:0", "mps").

    Returns:
        What went wrong, in a few words; None when the result was right.
    """
    try:
        result = torch.nn.functional.conv2d(
            torch.ones(1, 1, 4, 4, device=device), torch.ones(1, 1, 3, 3, device=device)
        )
        total = float(result.sum().cpu())
    except (RuntimeError, NotImplementedError) as error:
        # CUDA's first line says what happened, the others how to debug torch
        words = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return words.replace(str(Path.home()), "~").rstrip(" .")
    return None if total == 36.0 else f"a convolution gave {total:g} where 36 is right"


def describe_device(device: torch.device) -> str:
    """The device in words for a report: no host name, only the hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return f"CPU, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    return device.type


def _card_name(name: str) -> str:
    try:
        return describe_device(torch.device(name))
    except RuntimeError:  # what keeps it from computing may keep it from telling its name
        return name
