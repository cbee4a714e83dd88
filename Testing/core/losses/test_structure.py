import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cisfa.losses.structure import self_similarity, structure_loss


def some_slices(*, seed: int = 0, shape: tuple[int, int] = (9, 11)) -> Tensor:
    return torch.randn((2, 1, *shape), generator=torch.Generator().manual_seed(seed))


def mind_of(slice_: NDArray[np.float64]) -> NDArray[np.float64]:
    """The descriptor of one slice pixel by pixel, from its definition."""
    rows, columns = slice_.shape

    def at(row: int, column: int) -> float:
        return float(slice_[min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)])

    found = np.zeros((4, rows, columns))
    for row, column in np.ndindex(rows, columns):
        distances = []
        for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            patch = [(row + r, column + c) for r in (-1, 0, 1) for c in (-1, 0, 1)]
            inside = [(r, c) for r, c in patch if 0 <= r < rows and 0 <= c < columns]
            distances.append(np.mean([(at(r + down, c + right) - at(r, c)) ** 2 for r, c in inside]))
        similarity = np.exp(-np.array(distances) / (np.mean(distances) + 1e-4))
        found[:, row, column] = similarity / similarity.max()
    return found


def test_the_descriptor_is_minds() -> None:
    slices = some_slices()
    for one, expected in zip(self_similarity(slices), slices[:, 0].double().numpy(), strict=True):
        np.testing.assert_allclose(one.numpy(), mind_of(expected), rtol=1e-3, atol=1e-4)


def test_a_slice_with_turned_contrast_has_the_same_structure() -> None:
    slices = some_slices()
    assert structure_loss(slices, 3 - 2 * slices).item() < 1e-3
    assert structure_loss(slices, slices).item() == 0


def test_moved_edges_cost_more_than_any_contrast() -> None:
    square = torch.zeros(1, 1, 24, 24)
    square[..., 6:15, 8:18] = 2.0
    darker, moved = 1 - 0.5 * square, square.roll(3, dims=3)
    assert structure_loss(square, moved) > 10 * structure_loss(square, darker)


def test_where_nothing_varies_it_is_finite_and_the_gradient_goes_to_the_translation_alone() -> None:
    source, synthetic = torch.zeros(1, 1, 8, 8, requires_grad=True), some_slices(shape=(8, 8))[:1].requires_grad_()
    loss = structure_loss(source, synthetic)
    loss.backward()
    assert loss.isfinite()
    assert source.grad is None
    assert synthetic.grad is not None
    assert synthetic.grad.isfinite().all()
    assert synthetic.grad.norm() > 0
