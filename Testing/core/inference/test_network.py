from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from cisfa.bundle.bundle_folder import open_bundle, write_bundle
from cisfa.errors import BundleError
from cisfa.inference.network import fast_precision, load_segmenter
from cisfa.networks.segmenter import Segmenter

MakeBundle = Callable[..., Path]


def test_the_weights_of_the_bundle_are_the_networks(make_bundle: MakeBundle) -> None:
    bundle = open_bundle(make_bundle())
    segmenter = load_segmenter(bundle)
    stored = safetensors.torch.load(bundle.weights_bytes())
    state = segmenter.state_dict()
    assert state.keys() == stored.keys()
    assert all(torch.equal(state[name], stored[name]) for name in stored)
    assert segmenter.classes == 3
    assert not segmenter.training


def test_weights_in_half_precision_run_in_full(make_bundle: MakeBundle, tmp_path: Path) -> None:
    bundle = open_bundle(make_bundle())
    halved = {name: value.half() for name, value in safetensors.torch.load(bundle.weights_bytes()).items()}
    path = write_bundle(bundle.manifest, safetensors.torch.save(halved), tmp_path / "half.zip")
    assert {value.dtype for value in load_segmenter(open_bundle(path)).state_dict().values()} == {torch.float32}


@pytest.mark.parametrize(
    "weights",
    [
        Segmenter(classes=3, width=3).state_dict(),
        Segmenter(classes=4, width=2).state_dict(),
        {"other": torch.zeros(3)},
        {**Segmenter(classes=3, width=2).state_dict(), "surplus": torch.zeros(3)},
    ],
    ids=["another width", "another number of classes", "another network", "something more"],
)
def test_weights_of_another_network_are_refused(
    make_bundle: MakeBundle, tmp_path: Path, weights: dict[str, torch.Tensor]
) -> None:
    manifest = open_bundle(make_bundle()).manifest
    path = write_bundle(manifest, safetensors.torch.save(weights), tmp_path / "other.zip")
    with pytest.raises(BundleError, match=r"weights of .*other\.zip do not fit its manifest"):
        load_segmenter(open_bundle(path))


def test_a_model_of_several_channels_is_refused(make_bundle: MakeBundle, tmp_path: Path) -> None:
    bundle = open_bundle(make_bundle())
    manifest = replace(bundle.manifest, segmenter=replace(bundle.manifest.segmenter, input_channels=2))
    path = write_bundle(manifest, bundle.weights_bytes(), tmp_path / "two.zip")
    with pytest.raises(BundleError, match=r"two\.zip wants 2 channels"):
        load_segmenter(open_bundle(path))


@pytest.mark.parametrize(("has_it", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_cpu_multiplies_in_bfloat16_where_it_has_it(
    monkeypatch: pytest.MonkeyPatch, has_it: bool, expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has_it}, raising=False)
    with fast_precision(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == expected


def test_a_torch_that_does_not_know_its_cpu_uses_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert isinstance(fast_precision(torch.device("cpu")), nullcontext)


def test_apples_gpu_uses_float32() -> None:
    assert isinstance(fast_precision(torch.device("mps")), nullcontext)
