import pytest
import torch

from cisfa.inference.slice_changes import SliceChange, changed, moved_back


def blob(rows: int = 48, columns: int = 64) -> torch.Tensor:
    """A smooth bright ellipse off the centre, (1, 1, rows, columns)."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.exp(-(((y - 20) / 6.0) ** 2 + ((x - 38) / 11.0) ** 2))[None, None]


def centre_of(mask: torch.Tensor) -> list[float]:
    return [float(place.float().mean()) for place in torch.nonzero(mask, as_tuple=True)]


def test_no_change_leaves_a_slice_as_it_is() -> None:
    torch.testing.assert_close(changed(blob(), [SliceChange()]), blob(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "change",
    [
        SliceChange(degrees=8),
        SliceChange(degrees=-8, factor=1.1),
        SliceChange(factor=0.9),
        SliceChange(along_columns=0.06),
        SliceChange(along_rows=-0.05),
        SliceChange(degrees=6, factor=0.92, along_columns=0.03, along_rows=0.02),
    ],
)
def test_what_is_found_on_a_moved_slice_comes_back_to_its_place(change: SliceChange) -> None:
    truth = blob() > 0.5
    moved = changed(blob(), [change])
    # a perfect segmenter, with edges that are known to a part of a pixel
    organ = ((moved - 0.5) * 20).sigmoid()
    found, stays = moved_back(torch.cat([1 - organ, organ], dim=1), [change])
    assert (moved - blob()).abs().max() > 0.1
    assert stays.float().mean() > 0.8
    assert (2 * (found[0][truth[0, 0]]).sum() / (found.sum() + truth.sum())) > 0.97


def test_shifts_go_along_the_axes_they_name() -> None:
    at = centre_of(blob()[0, 0] > 0.5)
    right = centre_of(changed(blob(), [SliceChange(along_columns=0.1)])[0, 0] > 0.5)
    down = centre_of(changed(blob(), [SliceChange(along_rows=0.1)])[0, 0] > 0.5)
    assert abs(right[1] - at[1]) == pytest.approx(6.4, abs=0.3)
    assert right[0] == pytest.approx(at[0], abs=0.3)
    assert abs(down[0] - at[0]) == pytest.approx(4.8, abs=0.3)
    assert down[1] == pytest.approx(at[1], abs=0.3)


def test_contrast_changes_within_the_range_of_the_slice() -> None:
    slices = blob() * 3 - 1
    brighter = changed(slices, [SliceChange(gamma=0.7)])
    assert (brighter.min(), brighter.max()) == (pytest.approx(-1, abs=1e-3), pytest.approx(2, abs=1e-2))
    assert brighter.mean() > slices.mean()
    assert changed(slices, [SliceChange(gamma=1.4)]).mean() < slices.mean()


def test_each_slice_of_a_batch_is_changed_in_its_own_way() -> None:
    both = changed(torch.cat([blob(), blob()]), [SliceChange(), SliceChange(along_rows=0.1)])
    torch.testing.assert_close(both[:1], blob(), atol=1e-5, rtol=0)
    assert (both[1] - blob()[0]).abs().max() > 0.5
