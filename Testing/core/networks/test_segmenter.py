import pytest
import torch
from torch import Tensor

from cisfa.networks.segmenter import Segmenter

SIZES = [(196, 196), (160, 160), (192, 192), (61, 64), (32, 32), (32, 45)]


def some_slices(rows: int, columns: int, *, batch: int = 1) -> Tensor:
    return torch.randn((batch, 1, rows, columns), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def small() -> Segmenter:
    torch.manual_seed(0)
    return Segmenter(classes=3, width=4)


def test_at_full_width_it_has_31_million_weights() -> None:
    with torch.device("meta"):
        segmenter = Segmenter(classes=5)
    assert round(sum(p.numel() for p in segmenter.parameters()) / 1e6, 1) == 31.0
    assert segmenter.centre_channels == 1024


@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_any_size_comes_back_as_it_went_in(small: Segmenter, rows: int, columns: int) -> None:
    slices = some_slices(rows, columns)
    logits, centre = small.segment(slices)
    assert logits.shape == (1, 3, rows, columns)
    assert centre.shape == (1, small.centre_channels, -(-rows // 16), -(-columns // 16))


@pytest.mark.parametrize(("rows", "columns"), [(48, 64), (61, 50)])
def test_segmenting_encoding_and_calling_agree(small: Segmenter, rows: int, columns: int) -> None:
    slices = some_slices(rows, columns, batch=2)
    logits, centre = small.segment(slices)
    assert torch.equal(small(slices), logits)
    assert torch.equal(small.encode(slices), centre)


def test_padding_is_cut_off_where_it_was_put_on(small: Segmenter) -> None:
    """A slice padded by hand in the same way gives the same logits at the same places."""
    slices = some_slices(37, 42)
    by_hand = torch.nn.functional.pad(slices, (0, 6, 0, 11), mode="replicate")
    assert torch.equal(small(slices), small(by_hand)[..., :37, :42])


def test_training_and_evaluating_are_the_same(small: Segmenter) -> None:
    slices = some_slices(32, 32, batch=2)
    before = small.train()(slices)
    assert torch.equal(small.eval()(slices), before)


def test_a_batch_is_segmented_slice_by_slice(small: Segmenter) -> None:
    slices = some_slices(32, 48, batch=3)
    one_by_one = torch.cat([small(one) for one in slices.split(1)])
    torch.testing.assert_close(small(slices), one_by_one, rtol=1e-4, atol=1e-4)


def test_every_weight_learns_from_the_start() -> None:
    """With the authors' initial weights the gradient of the first layers underflowed."""
    torch.manual_seed(1)
    segmenter = Segmenter(classes=3, width=4)
    segmenter(some_slices(48, 48, batch=2)).softmax(1)[:, 1].mean().backward()
    gradients = {name: p.grad for name, p in segmenter.named_parameters()}
    assert [name for name, grad in gradients.items() if grad is None or not grad.isfinite().all()] == []
    assert [name for name, grad in gradients.items() if grad is not None and grad.norm() < 1e-8] == []


def test_with_coordinates_a_pixel_knows_where_it_lies() -> None:
    """Equal slices mirrored give mirrored predictions only where nobody is told left from right."""
    torch.manual_seed(0)
    uniform = torch.zeros(1, 1, 48, 32)  # no content and no corner that could tell
    for coordinates in (False, True):
        segmenter = Segmenter(classes=3, width=4, coordinates=coordinates)
        first = segmenter.encoder[0][0]
        given: list[Tensor] = []
        first.register_forward_pre_hook(lambda _, inputs, given=given: given.append(inputs[0]))
        logits = segmenter(uniform)
        assert logits.shape == (1, 3, 48, 32)
        assert given[0].shape[1] == (3 if coordinates else 1)
        if coordinates:
            rows, columns = given[0][0, 1], given[0][0, 2]
            assert (rows[0, 0].item(), rows[-1, 0].item()) == (-1, 1)
            assert (columns[0, 0].item(), columns[0, -1].item()) == (-1, 1)
            assert torch.equal(rows, rows[:, :1].expand(48, 32))
            assert torch.equal(columns, columns[:1].expand(48, 32))
