"""How the processes of one training find each other, and which graphics card each of them takes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

from cisfa.errors import DeviceError
from cisfa.events import Report
from cisfa.inference.device import DeviceChoice, choose_device
from cisfa.training.launch_variables import is_one_of_several
from cisfa.training.processes import LONGEST_WAIT, Alone, Group, Processes, connected
from cisfa.training.sampling import Share


@contextmanager
def join_processes(choice: DeviceChoice, report: Report) -> Iterator[Processes]:
    """Meet the other processes of this training, where torchrun or ``cisfa train --processes`` started several.

    Args:
        choice: Which device the user wants; process i of a computer takes the i-th card.
        report: Hears of a card that cannot be used, and of how many they are.

    Raises:
        DeviceError: There are fewer cards than processes, or one does not compute.
    """
    if not is_one_of_several(os.environ):
        yield Alone(choose_device(choice, report))
        return
    device = _own_device(choice, int(os.environ["LOCAL_RANK"]), report)
    share = Share(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    with connected():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=LONGEST_WAIT)
    try:
        yield Group(device, share)
    finally:
        dist.destroy_process_group()


def card_count() -> int:
    """CUDA cards of this computer."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _own_device(choice: DeviceChoice, number: int, report: Report) -> torch.device:
    """The card of the ``number``-th process of this computer, or the CPU."""
    if choice == "mps":
        raise DeviceError("Several processes cannot share an Apple GPU. Leave out --processes, or use --device cpu.")
    if choice == "cpu" or (choice == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if number >= card_count() > 0:
        raise DeviceError(
            f"This computer has {card_count()} CUDA cards, too few for {number + 1} processes. Start one process a"
            " card, or use --device cpu."
        )
    # before the card is tried out, or every process would take memory of the first one; "cuda" means the present one
    if card_count():
        torch.cuda.set_device(number)
    choose_device("cuda", report)
    return torch.device("cuda", number)
