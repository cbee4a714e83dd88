from collections.abc import Callable

import pytest
import torch

from cisfa.config import TrainingConfig
from cisfa.errors import ConfigError
from cisfa.training.method import Batch
from cisfa.training.methods import METHODS, method_named
from cisfa.training.supervised_method import SupervisedMethod

Tiny = Callable[..., TrainingConfig]


def make_method(config: TrainingConfig) -> SupervisedMethod:
    torch.manual_seed(0)
    return SupervisedMethod(config, classes=3, target_range=(-2.0, 3.0), device=torch.device("cpu"))


def make_batch() -> Batch:
    labels = torch.zeros(3, 32, 32, dtype=torch.int64)
    labels[:, 4:14, 6:20], labels[:, 18:28, 16:30] = 1, 2
    slices = torch.tensor([0.0, 1.0, 2.0])[labels][:, None] + 0.1 * torch.randn(3, 1, 32, 32)
    return Batch(slices, labels, torch.randn(3, 1, 32, 32))


def test_it_learns_from_labelled_slices(tiny: Tiny) -> None:
    method, batch = make_method(tiny("networks.segmenter_width=4", "optimiser.learning_rate=0.003")), make_batch()
    dice = [method.step(batch, torch.Generator())["dice"].item() for _ in range(25)]
    assert dice[-1] < 0.7 * dice[0]


def test_the_target_and_chance_have_no_say(tiny: Tiny) -> None:
    batch = make_batch()
    other = Batch(batch.source, batch.labels, batch.target * 1e6)
    results = []
    for seed, given in enumerate((batch, other)):
        method = make_method(tiny())
        for _ in range(3):
            losses = method.step(given, torch.Generator().manual_seed(seed))
        results.append([losses["dice"].item(), *(p.sum().item() for p in method.segmenter.parameters())])
    assert results[0] == results[1]


def test_it_has_a_segmenter_alone(tiny: Tiny) -> None:
    method = make_method(tiny())
    assert set(method.networks) == set(method.optimisers) == {"segmenter"}
    assert method.networks["segmenter"] is method.segmenter


def test_a_preview_shows_predictions_on_both_domains(tiny: Tiny) -> None:
    method, batch = make_method(tiny()), make_batch()
    preview = method.preview(batch)
    assert set(preview.predictions) == set(preview.columns)
    assert torch.equal(preview.predictions["source"], batch.labels)
    assert torch.equal(preview.columns["target"], batch.target[:, 0])


def test_source_only_and_supervised_are_the_same_recipe_for_other_data() -> None:
    assert METHODS["source-only"].build is METHODS["supervised"].build is SupervisedMethod
    assert METHODS["source-only"].has_target
    assert not METHODS["supervised"].has_target
    assert METHODS["cisfa"].has_target


def test_an_unknown_method_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no method 'cut'; there are cisfa, cisfa-plus, source-only, supervised, "):
        method_named("cut")
