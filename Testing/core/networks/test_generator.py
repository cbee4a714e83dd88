import pytest
import torch
from torch import Tensor

from cisfa.networks.generator import Generator

SIZES = [(196, 196), (160, 160), (192, 192), (61, 64), (32, 32), (32, 45)]


def some_slices(rows: int, columns: int, *, batch: int = 1) -> Tensor:
    return torch.randn((batch, 1, rows, columns), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def small() -> Generator:
    torch.manual_seed(0)
    return Generator(4, 5)


def test_at_full_width_it_has_11_million_weights() -> None:
    with torch.device("meta"):
        assert round(sum(p.numel() for p in Generator().parameters()) / 1e6, 1) == 11.4


@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_a_synthetic_slice_has_the_size_of_its_source(small: Generator, rows: int, columns: int) -> None:
    slices = some_slices(rows, columns)
    assert small(slices).shape == slices.shape
    assert small(slices).dtype == torch.float32


@pytest.mark.parametrize(("rows", "columns"), [(64, 48), (61, 64)])
def test_the_taps_of_translating_are_those_of_encoding(small: Generator, rows: int, columns: int) -> None:
    slices = some_slices(rows, columns, batch=2)
    synthetic, taps = small.translate(slices)
    encoded = small.encode(slices)
    assert torch.equal(synthetic, small(slices))
    assert len(taps) == len(encoded) == len(small.tap_channels)
    for tap, same, channels in zip(taps, encoded, small.tap_channels, strict=True):
        assert torch.equal(tap, same)
        assert tap.shape[1] == channels


@pytest.mark.parametrize("blocks", [1, 2, 6, 9])
def test_the_taps_are_the_slice_and_four_layers_of_the_encoder(blocks: int) -> None:
    generator = Generator(2, blocks)
    taps = generator.encode(some_slices(32, 40))
    assert taps[0] is not None
    assert torch.equal(taps[0], some_slices(32, 40))
    expected = [(1, 32, 40), (4, 16, 20), (8, 8, 10), (8, 8, 10), (8, 8, 10)][: 5 if blocks > 2 else 4]
    assert [tuple(tap.shape[1:]) for tap in taps] == expected
    assert generator.tap_channels == tuple(channels for channels, _, _ in expected)


def test_padding_is_cut_off_where_it_was_put_on(small: Generator) -> None:
    """A slice padded by hand in the same way gives the same synthetic slice at the same places."""
    slices = some_slices(37, 42)
    by_hand = torch.nn.functional.pad(slices, (0, 2, 0, 3), mode="replicate")
    inside = (..., slice(34), slice(39))  # the last layer mirrors 3 pixels at the edge
    torch.testing.assert_close(small(slices)[inside], small(by_hand)[inside])


def test_encoding_goes_no_deeper_than_the_last_tap(small: Generator) -> None:
    passed: list[int] = []
    hooks = [
        block.register_forward_hook(lambda *_, number=number: passed.append(number))
        for number, block in enumerate(small.blocks)
    ]
    small.encode(some_slices(32, 32))
    for hook in hooks:
        hook.remove()
    assert passed == [0, 1, 2]


def test_a_synthetic_slice_stays_within_the_targets_intensities() -> None:
    generator = Generator(4, 2)
    generator.set_output_range(-1.25, 6.5)
    with torch.no_grad():
        generator.head.weight.mul_(1e6)
    synthetic = generator(some_slices(32, 32))
    assert synthetic.min() >= -1.25
    assert synthetic.max() <= 6.5
    assert synthetic.min() < -1.2
    assert synthetic.max() > 6.4


def test_the_output_range_is_saved_with_the_weights() -> None:
    generator, other = Generator(2, 1), Generator(2, 1)
    generator.set_output_range(-3, 9)
    other.load_state_dict(generator.state_dict())
    assert torch.equal(other(some_slices(32, 32)), generator(some_slices(32, 32)))


def test_a_batch_is_translated_slice_by_slice(small: Generator) -> None:
    slices = some_slices(32, 36, batch=3)
    one_by_one = torch.cat([small(one) for one in slices.split(1)])
    torch.testing.assert_close(small(slices), one_by_one, rtol=1e-4, atol=1e-5)


def test_every_weight_learns() -> None:
    torch.manual_seed(1)
    generator = Generator(2, 3)
    generator(some_slices(32, 32)).square().mean().backward()
    without = [name for name, p in generator.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert without == []
