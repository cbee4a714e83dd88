import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cisfa.config import TrainingConfig
from cisfa.errors import ConfigError
from cisfa.inference import network
from cisfa.losses.overlap_loss import dice_loss
from cisfa.training import cisfa_method, translation
from cisfa.training.cisfa_method import CisfaMethod
from cisfa.training.method import Batch

CPU = torch.device("cpu")
CLASSES = 3
Tiny = Callable[..., TrainingConfig]
NETWORKS = {
    "generator", "patch projector", "segmenter", "feature head", "slice discriminator", "prediction discriminator",
}  # fmt: skip


def make_method(config: TrainingConfig, *, seed: int = 0) -> CisfaMethod:
    torch.manual_seed(seed)
    return CisfaMethod(config, classes=CLASSES, target_range=(-2.0, 3.0), device=CPU)


def make_batch(*, count: int = 3, size: int = 32, seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    labels = torch.zeros(count, size, size, dtype=torch.int64)
    for number, one in enumerate(labels):  # each slice another shape, or there would be nothing to tell them apart by
        one[2 + 3 * number : 8 + 5 * number, 4 : 12 + 4 * number] = 1
        one[20:28, 4 + 6 * number : 10 + 7 * number] = 2
    noise = torch.randn((2, count, 1, size, size), generator=rng)
    brightness = torch.tensor([0.0, 1.0, 2.0])[labels][:, None]
    return Batch(brightness + 0.3 * noise[0], labels, 1 - brightness + 0.3 * noise[1])


def weights_of(method: CisfaMethod) -> dict[str, list[Tensor]]:
    return {name: [p.detach().clone() for p in network.parameters()] for name, network in method.networks.items()}


def changed(method: CisfaMethod, before: dict[str, list[Tensor]]) -> set[str]:
    return {
        name
        for name, tensors in weights_of(method).items()
        if any(not torch.equal(one, other) for one, other in zip(tensors, before[name], strict=True))
    }


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("combination", ["sum", "sequential", "off"])
@pytest.mark.parametrize("pushes", ["synthetic", "target"])
def test_a_step_trains_every_network_and_its_losses_are_finite(
    tiny: Tiny, precision: str, combination: str, pushes: str
) -> None:
    method = make_method(
        tiny(
            f"optimiser.precision={precision}",
            f"feature_contrast.combination={combination}",
            f"segmentation_adversary.pushes={pushes}",
        )
    )
    before = weights_of(method)
    losses = method.step(make_batch(), rng())
    assert changed(method, before) == NETWORKS - ({"feature head"} if combination == "off" else set())
    assert all(math.isfinite(value) for value in losses.values())
    for value in losses.values():
        assert (value.ndim, value.dtype, value.requires_grad) == (0, torch.float32, False)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_single_weight_gets_a_gradient(tiny: Tiny, precision: str) -> None:
    """Weights that autocast keeps from a pass without gradients would silently stay as they were."""
    method = make_method(tiny(f"optimiser.precision={precision}"))
    method.step(make_batch(), rng())
    without = [
        f"{name}: {parameter}"
        for name, network in method.networks.items()
        for parameter, tensor in network.named_parameters()
        if tensor.grad is None
    ]
    assert without == []
    assert all(p.requires_grad for network in method.networks.values() for p in network.parameters())


def test_every_optimiser_has_its_own_networks_and_no_other(tiny: Tiny) -> None:
    method = make_method(tiny("feature_contrast.combination=sequential"))
    owners = {
        "generator": ["generator", "patch projector"],
        "segmenter": ["segmenter", "feature head"],
        "slice discriminator": ["slice discriminator"],
        "prediction discriminator": ["prediction discriminator"],
    }
    for name, networks in owners.items():
        held = {id(p) for group in method.optimisers[name].param_groups for p in group["params"]}
        assert held == {id(p) for network in networks for p in method.networks[network].parameters()}
    encoder = {id(p) for group in method.optimisers["encoder"].param_groups for p in group["params"]}
    expected = {*map(id, method.segmenter.encoder.parameters()), *map(id, method.feature_head.parameters())}
    assert encoder == expected
    assert "encoder" not in make_method(tiny()).optimisers


def updates(method: CisfaMethod, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, set[str]]]:
    """Which networks each part of a step changes, in order."""
    seen: list[tuple[str, set[str]]] = []

    def watch(owner: object, name: str) -> None:
        real = getattr(owner, name)

        def watched(*arguments: object) -> object:
            before = weights_of(method)
            result = real(*arguments)
            seen.append((name, changed(method, before)))
            return result

        monkeypatch.setattr(owner, name, watched)

    watch(method.translation, "update_generator")
    for name in ("_update_encoder", "_update_segmenter", "_update_discriminators"):
        watch(method, name)
    method.step(make_batch(), rng())
    return seen


def test_each_part_of_a_step_changes_its_own_networks_in_the_papers_order(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert updates(make_method(tiny()), monkeypatch) == [
        ("update_generator", {"generator", "patch projector"}),
        ("_update_segmenter", {"segmenter", "feature head"}),
        ("_update_discriminators", {"slice discriminator", "prediction discriminator"}),
    ]


def test_sequential_updates_the_encoder_first_and_then_the_segmenter_without_the_contrast(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = make_method(tiny("feature_contrast.combination=sequential"))
    decoder = [p.detach().clone() for p in method.segmenter.decoder.parameters()]
    real = method._update_encoder

    def only_the_encoder(*arguments: Any) -> object:
        result = real(*arguments)
        assert all(torch.equal(a, b) for a, b in zip(method.segmenter.decoder.parameters(), decoder, strict=True))
        return result

    monkeypatch.setattr(method, "_update_encoder", only_the_encoder)
    assert updates(method, monkeypatch)[1:3] == [
        ("_update_encoder", {"segmenter", "feature head"}),
        ("_update_segmenter", {"segmenter"}),
    ]


def test_the_segmenter_learns_from_synthetic_slices_of_the_updated_generator(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, batch = make_method(tiny("optimiser.precision=float32", "optimiser.learning_rate=0.05")), make_batch()
    given: list[Tensor] = []
    real = method._update_segmenter
    monkeypatch.setattr(
        method, "_update_segmenter", lambda b, synthetic: (given.append(synthetic), real(b, synthetic))[1]
    )
    with torch.no_grad():
        stale = method.translation.generator(batch.source)
    method.step(batch, rng())
    with torch.no_grad():
        fresh = method.translation.generator(batch.source)
    torch.testing.assert_close(given[0], fresh)
    assert not torch.allclose(given[0], stale, atol=1e-2)
    assert not given[0].requires_grad


def test_the_discriminators_see_predictions_of_the_updated_segmenter(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, batch = make_method(tiny("optimiser.precision=float32", "optimiser.learning_rate=0.01")), make_batch()
    judged: dict[str, list[Tensor]] = {"slice": [], "prediction": []}
    method.translation.critic.register_forward_pre_hook(lambda _, given: judged["slice"].append(given[0].detach()))
    method.prediction_critic.register_forward_pre_hook(lambda _, given: judged["prediction"].append(given[0].detach()))
    method.step(batch, rng())
    with torch.no_grad():
        synthetic = method.translation.generator(batch.source)
        predictions = method.segmenter(torch.cat([batch.target, synthetic])).softmax(1)
    torch.testing.assert_close(judged["slice"][-1], torch.cat([batch.target, synthetic]))
    torch.testing.assert_close(judged["prediction"][-1], predictions, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("pushes", ["synthetic", "target"])
def test_the_segmenters_adversary_pushes_one_side_only(tiny: Tiny, pushes: str) -> None:
    method = make_method(tiny("optimiser.precision=float32", f"segmentation_adversary.pushes={pushes}"))
    batch = make_batch()
    pushed: list[Tensor] = []

    def keep(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        given[0].retain_grad()
        pushed.append(given[0])

    hook = method.prediction_critic.register_forward_pre_hook(keep)
    with torch.no_grad():
        synthetic = method.translation.generator(batch.source)
        slices = {"synthetic": synthetic, "target": batch.target}
        predictions = {side: method.segmenter(of_side).softmax(1) for side, of_side in slices.items()}
    method._update_segmenter(batch, synthetic)
    hook.remove()
    assert len(pushed) == 1
    assert [side for side, of_side in predictions.items() if torch.allclose(of_side, pushed[0], atol=1e-5)] == [pushes]
    assert pushed[0].grad is not None
    assert (pushed[0].grad != 0).any()
    critic = method.prediction_critic
    assert all(p.grad is None for p in critic.parameters())
    # down the gradient the discriminator takes them for more real
    with torch.no_grad():
        more = critic(pushed[0] - 0.1 * pushed[0].grad / pushed[0].grad.norm())
        assert (more - 1).square().mean() < (critic(pushed[0]) - 1).square().mean()


@pytest.mark.parametrize("pushes", ["synthetic", "target"])
def test_a_step_against_the_adversary_makes_the_pushed_predictions_look_more_real(tiny: Tiny, pushes: str) -> None:
    """The authors' sign was the other way round: their segmenter helped the discriminator."""
    settings = ("optimiser.precision=float32", "feature_contrast.combination=off", "segmentation_adversary.weight=1000")
    method = make_method(tiny(*settings, f"segmentation_adversary.pushes={pushes}"))
    batch = make_batch()
    for _ in range(5):  # first the discriminator learns something to be fooled about
        with torch.no_grad():
            synthetic = method.translation.generator(batch.source)
        method._update_discriminators(batch, synthetic)
    slices = {"synthetic": synthetic, "target": batch.target}

    def realness(side: str) -> float:
        with torch.no_grad():
            return method.prediction_critic(method.segmenter(slices[side]).softmax(1)).mean().item()

    # which side the discriminator takes for real
    other = "target" if pushes == "synthetic" else "synthetic"
    assert realness(other) > realness(pushes)
    before = realness(pushes)
    for _ in range(3):
        method._update_segmenter(batch, synthetic)
    assert realness(pushes) > before


def test_the_generator_learns_to_fool_its_discriminator(tiny: Tiny) -> None:
    method = make_method(
        tiny("optimiser.precision=float32", "patch_contrast.enabled=false", "optimiser.learning_rate=0.002")
    )
    batch = make_batch()
    for _ in range(5):
        with torch.no_grad():
            synthetic = method.translation.generator(batch.source)
        method._update_discriminators(batch, synthetic)
    losses = [method.translation.update_generator(batch, rng())[0]["generator adversary"].item() for _ in range(8)]
    assert losses[-1] < losses[0]


def test_without_weight_there_is_no_adversary_on_predictions(tiny: Tiny) -> None:
    method = make_method(tiny("segmentation_adversary.weight=0"))
    before = weights_of(method)
    losses = method.step(make_batch(), rng())
    assert "segmenter adversary" not in losses
    assert "prediction discriminator" not in losses
    assert changed(method, before) == NETWORKS - {"prediction discriminator"}


def test_without_patch_contrast_the_projector_rests(tiny: Tiny) -> None:
    method = make_method(tiny("patch_contrast.enabled=false"))
    before = weights_of(method)
    assert "patch contrast" not in method.step(make_batch(), rng())
    assert changed(method, before) == NETWORKS - {"patch projector"}


def test_the_patch_contrast_compares_the_taps_of_both_slices_at_the_same_places(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("optimiser.precision=float32", "patch_contrast.organ_weight=3", "patch_contrast.temperature=0.5")
    method, batch = make_method(config), make_batch()
    with torch.no_grad():
        synthetic, taps = method.translation.generator.translate(batch.source)
        synthetic_taps = method.translation.generator.encode(synthetic)
    calls: list[tuple[Any, ...]] = []
    real = translation.weighted_patch_contrast

    def spy(*arguments: Any, **settings: Any) -> Tensor:
        calls.append((*arguments, settings))
        return real(*arguments, **settings)

    monkeypatch.setattr(translation, "weighted_patch_contrast", spy)
    loss = method.translation._patch_contrast(batch.labels, taps, synthetic, rng(4))
    assert len(calls) == len(taps) == 4  # with two blocks the first and the middle one are the same
    generator = rng(4)
    for (queries, keys, in_organ, settings), tap, other, head in zip(
        calls, taps, synthetic_taps, method.translation.projector.heads, strict=True
    ):
        assert settings == {"organ_weight": 3.0, "temperature": 0.5}
        places = torch.randperm(tap.shape[2] * tap.shape[3], generator=generator)[:16]
        for vectors, features in ((queries, other), (keys, tap)):
            at = features.flatten(2)[..., places].transpose(1, 2)
            torch.testing.assert_close(vectors, nn.functional.normalize(head(at), dim=-1), rtol=1e-3, atol=1e-4)
        stride = 32 // tap.shape[2]
        expected = (batch.labels[:, ::stride, ::stride] > 0).flatten(1)[:, places]
        assert torch.equal(in_organ, expected)
        assert not keys.requires_grad
    assert loss.item() > 0


def test_the_patch_contrast_teaches_the_generator_through_its_synthetic_slice(tiny: Tiny) -> None:
    method, batch = make_method(tiny()), make_batch()
    synthetic, taps = method.translation.generator.translate(batch.source)
    method.translation._patch_contrast(batch.labels, taps, synthetic, rng()).backward()
    assert method.translation.generator.head.weight.grad is not None  # no tap lies behind this last layer
    assert method.translation.generator.head.weight.grad.norm() > 0


def test_a_step_is_repeatable_and_depends_on_its_generator(tiny: Tiny) -> None:
    batch = make_batch()

    def after(seed: int) -> dict[str, float]:
        return {name: value.item() for name, value in make_method(tiny()).step(batch, rng(seed)).items()}

    assert after(0) == after(0)
    assert after(0) != after(1)


def test_it_is_the_papers_and_has_nothing_of_cisfa_plus(tiny: Tiny) -> None:
    """Settings of CISFA+ stand in the same file, and their defaults are not the paper's."""
    plus = ("translation.structure_weight=9", "teacher.weight=9", "supervision.cross_entropy=9", "appearance.gamma=2")
    plain, other = make_method(tiny()), make_method(tiny(*plus))
    ours, theirs = plain.step(make_batch(), rng()), other.step(make_batch(), rng())
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert "structure" not in ours


def test_the_global_seed_alone_decides_the_first_weights(tiny: Tiny) -> None:
    one, same, other = (weights_of(make_method(tiny(), seed=seed)) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for name in one for a, b in zip(one[name], same[name], strict=True))
    assert any(not torch.equal(a, b) for name in one for a, b in zip(one[name], other[name], strict=True))


def test_global_randomness_does_not_matter_to_a_step(tiny: Tiny) -> None:
    results = []
    for seed in (1, 2):
        method = make_method(tiny())
        torch.manual_seed(seed)
        results.append(method.step(make_batch(), rng())["dice"].item())
    assert results[0] == results[1]


def test_a_preview_shows_source_synthetic_and_target_and_changes_nothing(tiny: Tiny) -> None:
    method, batch = make_method(tiny()), make_batch()
    before = weights_of(method)
    preview = method.preview(batch)
    assert list(preview.columns) == ["source", "synthetic", "target"]
    assert set(preview.predictions) == set(preview.columns)
    assert torch.equal(preview.predictions["source"], batch.labels)
    shapes = {tensor.shape for tensor in (*preview.columns.values(), *preview.predictions.values())}
    assert shapes == {batch.labels.shape}
    assert changed(method, before) == set()


def test_synthetic_slices_stay_within_the_targets_range(tiny: Tiny) -> None:
    method = make_method(tiny())
    synthetic = method.preview(make_batch()).columns["synthetic"]
    assert -2.0 <= synthetic.min() < synthetic.max() <= 3.0


def test_one_slice_has_no_other_to_be_contrasted_with(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match=r"optimiser\.batch_size is 1.*feature_contrast\.combination=off"):
        make_method(tiny("optimiser.batch_size=1"))
    method = make_method(tiny("optimiser.batch_size=1", "feature_contrast.combination=off"))
    assert method.step(make_batch(count=1), rng())["dice"].isfinite()


def test_a_batch_without_organs_does_no_harm(tiny: Tiny) -> None:
    method = make_method(tiny())
    batch = make_batch()
    losses = method.step(replace(batch, labels=torch.zeros_like(batch.labels)), rng())
    assert all(value.isfinite() for value in losses.values())
    assert all(p.isfinite().all() for network in method.networks.values() for p in network.parameters())


def test_losses_are_computed_in_float32_even_in_bfloat16_training(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    types: dict[str, set[torch.dtype]] = {}
    modules = {
        "weighted_patch_contrast": translation, "discriminator_loss": translation,
        "feature_contrast": cisfa_method, "dice_loss": cisfa_method, "fooling_loss": cisfa_method,
    }  # fmt: skip
    for name, module in modules.items():
        real = getattr(module, name)

        def spy(*arguments: Tensor, real: Any = real, name: str = name, **settings: float) -> Tensor:
            assert not torch.is_autocast_enabled("cpu"), name
            types.setdefault(name, set()).update(a.dtype for a in arguments if a.is_floating_point())
            result: Tensor = real(*arguments, **settings)
            types[name].add(result.dtype)
            return result

        monkeypatch.setattr(module, name, spy)
    make_method(tiny("optimiser.precision=bfloat16")).step(make_batch(), rng())
    assert len(types) == 5
    assert set.union(*types.values()) == {torch.float32}


@pytest.mark.parametrize(
    ("precision", "multiplies", "dtype"),
    [
        ("bfloat16", True, torch.bfloat16),
        ("float32", True, torch.float32),
        ("bfloat16", False, torch.float32),  # imitated, it would be many times slower
    ],
)
def test_networks_run_in_the_configured_precision_where_the_hardware_has_it(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, precision: str, multiplies: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(network, "_cpu_capabilities", lambda: {"avx512_bf16": multiplies})
    method = make_method(tiny(f"optimiser.precision={precision}"))
    seen: set[torch.dtype] = set()
    method.segmenter.head.register_forward_hook(lambda _, __, logits: seen.add(logits.dtype))
    method.step(make_batch(), rng())
    assert seen == {dtype}
    assert {p.dtype for one in method.networks.values() for p in one.parameters()} == {torch.float32}


def test_the_feature_contrast_falls_and_stays_low(tiny: Tiny) -> None:
    """The authors' version stays at ln(2t - 1), its value where all slices have the same features."""
    method = make_method(tiny("networks.segmenter_width=4", "optimiser.learning_rate=0.001"))
    batch = make_batch(count=4)
    contrast = [method.step(batch, rng(step))["feature contrast"].item() for step in range(25)]
    assert 0.7 * math.log(7) < contrast[0] < 1.2 * math.log(7)
    assert sum(contrast[-10:]) / 10 < 0.5 * math.log(7)


def test_the_segmenter_learns_to_segment_what_it_is_shown(tiny: Tiny) -> None:
    method = make_method(
        tiny("optimiser.precision=float32", "networks.segmenter_width=4", "optimiser.learning_rate=0.003")
    )
    batch = make_batch()
    dice = [method.step(batch, rng(step))["dice"].item() for step in range(25)]
    assert dice[-1] < 0.85 * dice[0]
    with torch.no_grad():
        assert dice_loss(method.segmenter(method.translation.generator(batch.source)), batch.labels) < 0.85 * dice[0]
