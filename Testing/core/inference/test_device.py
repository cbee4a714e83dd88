from collections.abc import Callable

import pytest
import torch

from cisfa.errors import DeviceError
from cisfa.events import Event, Notice, ignore
from cisfa.inference.device import choose_device, describe_device, fault_of

Computer = Callable[..., None]


@pytest.fixture
def computer(monkeypatch: pytest.MonkeyPatch) -> Computer:
    """Pretend to be a computer that has, or lacks, each kind of GPU.

    Args:
        cuda: Whether there is a card of NVIDIA's.
        mps: Whether there is one of Apple's.
        fault: What a kernel raises on it; None when it computes, or the wrong sum.
    """

    def pretend(*, cuda: bool, mps: bool, fault: Exception | float | None = None) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU 9000")
        ones = torch.ones

        def ones_there(*shape: int, device: str) -> torch.Tensor:
            if isinstance(fault, Exception):
                raise fault
            return ones(*shape) * (1.0 if fault is None else fault)

        monkeypatch.setattr(torch, "ones", ones_there)

    return pretend


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_the_fastest_that_is_there(computer: Computer, cuda: bool, mps: bool, expected: str) -> None:
    computer(cuda=cuda, mps=mps)
    assert choose_device("auto", ignore) == torch.device(expected)


@pytest.mark.parametrize("choice", ["cpu", "cuda", "mps"])
def test_what_is_there_can_be_asked_for(computer: Computer, choice: str) -> None:
    computer(cuda=True, mps=True)
    assert choose_device(choice, ignore) == torch.device(choice)


@pytest.mark.parametrize(("choice", "what"), [("cuda", "CUDA GPU"), ("mps", "Apple GPU")])
def test_what_is_not_there_is_named_with_a_way_out(computer: Computer, choice: str, what: str) -> None:
    computer(cuda=False, mps=False)
    with pytest.raises(DeviceError, match=rf"--device {choice}: no {what}.*Use --device cpu"):
        choose_device(choice, ignore)


NO_KERNEL = RuntimeError(
    "CUDA error: no kernel image is available for execution on the device\n"
    "For debugging consider passing CUDA_LAUNCH_BLOCKING=1\n"
    "Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n"
)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (NO_KERNEL, "CUDA error: no kernel image is available for execution on the device"),
        (NotImplementedError(), "NotImplementedError"),
        (0.5, "a convolution gave 9 where 36 is right"),
    ],
)
def test_a_card_that_does_not_compute_is_left_for_the_cpu_with_a_reason(
    computer: Computer, fault: Exception | float, reason: str
) -> None:
    computer(cuda=True, mps=False, fault=fault)
    events: list[Event] = []
    assert choose_device("auto", events.append) == torch.device("cpu")
    assert events == [
        Notice(
            f"The graphics card Some GPU 9000 cannot be used ({reason}): going on on the CPU, slower. Update its"
            " driver, or install a PyTorch built for it."
        )
    ]


@pytest.mark.parametrize(("choice", "name"), [("cuda", "Some GPU 9000"), ("mps", "mps")])
def test_a_card_that_was_asked_for_and_does_not_compute_is_refused(computer: Computer, choice: str, name: str) -> None:
    computer(cuda=True, mps=True, fault=NO_KERNEL)
    with pytest.raises(
        DeviceError, match=rf"graphics card {name} cannot be used \(CUDA error: no.*\)\. Update its driver"
    ):
        choose_device(choice, ignore)


def test_a_card_that_cannot_even_tell_its_name_is_called_by_its_kind(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(device: object) -> str:
        raise RuntimeError("CUDA unknown error")

    computer(cuda=True, mps=False, fault=NO_KERNEL)
    monkeypatch.setattr(torch.cuda, "get_device_name", fail)
    with pytest.raises(DeviceError, match="graphics card cuda cannot be used"):
        choose_device("cuda", ignore)


def test_a_cpu_is_not_doubted(computer: Computer) -> None:
    computer(cuda=False, mps=False, fault=NO_KERNEL)
    assert choose_device("auto", ignore) == choose_device("cpu", ignore) == torch.device("cpu")


def test_this_processor_computes() -> None:
    assert fault_of("cpu") is None


@pytest.mark.parametrize("choice", ["", "gpu", "cuda:1", "CPU"])
def test_an_unknown_device_is_told_the_known_ones(choice: str) -> None:
    with pytest.raises(DeviceError, match="choose one of auto, cpu, cuda, mps"):
        choose_device(choice, ignore)


def test_a_cpu_is_described_without_a_name() -> None:
    assert describe_device(torch.device("cpu")).startswith("CPU, ")
    assert describe_device(torch.device("mps")) == "mps"


def test_a_gpu_is_described_by_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU 9000")
    assert describe_device(torch.device("cuda")) == "Some GPU 9000"
