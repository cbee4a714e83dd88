"""What a step of the full-width method costs, counted on tensors without memory."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cisfa.config import OptimiserConfig, TrainingConfig
from cisfa.training import cisfa_method, translation
from cisfa.training.cisfa_method import CisfaMethod
from cisfa.training.method import Batch

META = torch.device("meta")


@pytest.fixture
def full_width(monkeypatch: pytest.MonkeyPatch) -> CisfaMethod:
    # neither fused Adam nor autocast knows the meta device, and neither changes the count
    def plain(modules: tuple[nn.Module, ...], config: OptimiserConfig) -> torch.optim.Optimizer:
        return torch.optim.SGD([p for module in modules for p in module.parameters()], lr=config.learning_rate)

    for module in (cisfa_method, translation):
        monkeypatch.setattr(module, "CoolingAdam", plain)
    with META:
        method = CisfaMethod(TrainingConfig(), classes=5, target_range=(-2, 3), device=META)
    method.autocast = method.translation.autocast = nullcontext
    return method


def gigaflops(method: CisfaMethod, *, batch: int, size: int) -> float:
    slices = torch.zeros(batch, 1, size, size, device=META)
    labels = torch.zeros(batch, size, size, dtype=torch.int64, device=META)
    with FlopCounterMode(display=False) as counter:
        method.step(Batch(slices, labels, slices), torch.Generator())
    return counter.get_total_flops() / 1e9


def test_a_step_costs_no_more_than_the_papers_mathematics(full_width: CisfaMethod) -> None:
    """The authors' step costs 4752 GFLOP, since it translates three times and encodes twice over."""
    cost = gigaflops(full_width, batch=4, size=192)
    assert 2500 < cost < 3400  # less would mean that a part of the step was lost


def test_the_cost_grows_with_the_batch_and_the_area(full_width: CisfaMethod) -> None:
    one = gigaflops(full_width, batch=2, size=96)
    assert gigaflops(full_width, batch=4, size=96) == pytest.approx(2 * one, rel=0.02)
    assert gigaflops(full_width, batch=2, size=192) == pytest.approx(4 * one, rel=0.05)
