import torch
from torch import Tensor

from cisfa.training.organ_atlas import OrganAtlas
from cisfa.training.processes import Alone

SIZE = 50
ALONE = Alone(torch.device("cpu"))


def blob(rows: slice, columns: slice, organ: int) -> Tensor:
    labels = torch.zeros(1, SIZE, SIZE, dtype=torch.int64)
    labels[:, rows, columns] = organ
    return labels


def kidneys() -> OrganAtlas:
    """Right kidney (1) in the left half of the slice, left kidney (2) in the right one, as a radiologist looks."""
    atlas = OrganAtlas(classes=3, size=SIZE)
    atlas.learn(blob(slice(20, 30), slice(8, 18), 1), ALONE)
    atlas.learn(blob(slice(20, 30), slice(32, 42), 2), ALONE)
    return atlas


def test_an_organ_where_the_source_has_it_is_trusted() -> None:
    # a pixel beside is near enough
    labels = blob(slice(20, 30), slice(8, 18), 1) + blob(slice(21, 31), slice(31, 41), 2)
    assert kidneys().trusted(labels).all()


def test_a_kidney_on_the_wrong_side_is_not() -> None:
    labels = blob(slice(20, 30), slice(32, 42), 1)
    trusted = kidneys().trusted(labels)
    assert not trusted[labels == 1].any()
    assert trusted[labels == 0].all()


def test_an_organ_much_larger_than_in_any_source_slice_is_dropped_in_that_slice_alone() -> None:
    atlas = OrganAtlas(classes=2, size=SIZE)
    for place in range(0, 40, 10):  # seen everywhere, but small
        atlas.learn(blob(slice(0, 50), slice(place, place + 10), 1), ALONE)
    labels = torch.cat([blob(slice(0, 50), slice(0, 40), 1), blob(slice(0, 50), slice(0, 12), 1)])
    trusted = atlas.trusted(labels)
    assert not trusted[0][labels[0] == 1].any()
    assert trusted[1].all()


def test_it_knows_nothing_before_it_has_learned() -> None:
    atlas = OrganAtlas(classes=3, size=SIZE)
    labels = blob(slice(20, 30), slice(8, 18), 1)
    assert torch.equal(atlas.trusted(labels), labels == 0)


def test_what_it_knows_is_saved_with_the_networks() -> None:
    atlas, other = kidneys(), OrganAtlas(classes=3, size=SIZE)
    other.load_state_dict(atlas.state_dict())
    labels = blob(slice(20, 30), slice(30, 44), 1) + blob(slice(10, 14), slice(8, 18), 2)
    assert torch.equal(other.trusted(labels), atlas.trusted(labels))
    assert int(other.batches) == 2


def logits_of(labels: Tensor, classes: int = 3) -> Tensor:
    return 9.0 * torch.nn.functional.one_hot(labels, classes).movedim(-1, 1).float()


def test_the_dice_is_that_of_the_last_batches() -> None:
    atlas = kidneys()
    assert atlas.dice.tolist() == [0, 0, 0]
    truth = blob(slice(20, 30), slice(8, 18), 1) + blob(slice(20, 30), slice(32, 42), 2)
    half = blob(slice(20, 30), slice(13, 23), 1)  # half of the one, nothing of the other
    atlas.watch(logits_of(half), truth, ALONE)
    assert atlas.dice[1:].tolist() == [0.5, 0]
    for _ in range(400):
        atlas.watch(logits_of(truth), truth, ALONE)
    assert atlas.dice.min() > 0.99


def test_what_is_not_learned_yet_teaches_nothing_where_it_may_lie() -> None:
    atlas = kidneys()
    truth = blob(slice(20, 30), slice(8, 18), 1) + blob(slice(20, 30), slice(32, 42), 2)
    atlas.watch(logits_of(blob(slice(20, 30), slice(8, 18), 1)), truth, ALONE)  # finds the right kidney alone
    labels = blob(slice(20, 30), slice(8, 18), 1) + blob(slice(20, 25), slice(32, 42), 2)
    trusted = atlas.trusted(labels, least_dice=0.5)
    assert trusted[labels == 1].all()
    assert not trusted[:, 20:30, 32:42].any()  # neither as kidney nor as background
    everywhere_right = atlas.trusted(torch.ones_like(labels), least_dice=0.5)
    assert not everywhere_right[:, 20:30, 32:42].any()  # nor as the kidney that is learned
    assert trusted[:, :15].all()
    assert atlas.trusted(labels).all()
