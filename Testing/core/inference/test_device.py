from collections.abc import Callable

import pytest
import torch

from cisfa.errors import DeviceError
from cisfa.inference.device import choose_device, describe_device

Computer = Callable[..., None]


@pytest.fixture
def computer(monkeypatch: pytest.MonkeyPatch) -> Computer:
    """Pretend to be a computer that has, or lacks, each kind of GPU."""

    def pretend(*, cuda: bool, mps: bool) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_the_fastest_that_is_there(computer: Computer, cuda: bool, mps: bool, expected: str) -> None:
    computer(cuda=cuda, mps=mps)
    assert choose_device("auto") == torch.device(expected)


@pytest.mark.parametrize("choice", ["cpu", "cuda", "mps"])
def test_what_is_there_can_be_asked_for(computer: Computer, choice: str) -> None:
    computer(cuda=True, mps=True)
    assert choose_device(choice) == torch.device(choice)


@pytest.mark.parametrize(("choice", "what"), [("cuda", "CUDA GPU"), ("mps", "Apple GPU")])
def test_what_is_not_there_is_named_with_a_way_out(computer: Computer, choice: str, what: str) -> None:
    computer(cuda=False, mps=False)
    with pytest.raises(DeviceError, match=rf"--device {choice}: no {what}.*Use --device cpu"):
        choose_device(choice)


@pytest.mark.parametrize("choice", ["", "gpu", "cuda:1", "CPU"])
def test_an_unknown_device_is_told_the_known_ones(choice: str) -> None:
    with pytest.raises(DeviceError, match="choose one of auto, cpu, cuda, mps"):
        choose_device(choice)


def test_a_cpu_is_described_without_a_name() -> None:
    assert describe_device(torch.device("cpu")).startswith("CPU, ")
    assert describe_device(torch.device("mps")) == "mps"


def test_a_gpu_is_described_by_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU 9000")
    assert describe_device(torch.device("cuda")) == "Some GPU 9000"
