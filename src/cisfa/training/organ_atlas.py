"""Where source cases have their organs, how much of them a slice shows, and which of them a network has learned."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cisfa.training.processes import Processes

_ROOM = 0.04  # of the edge: how far beyond the places of the source an organ may lie
_AREA = 1.3  # times the largest area in a source slice
_MEMORY = 0.98  # of what was found on source slices, for each batch: the Dice is that of about fifty


class OrganAtlas(nn.Module):
    """Grows with every batch of labels; its buffers are saved with the networks.

    Slices are cut to the body and lie the same way in both domains, so places can be compared. Since left and right
    are places, a kidney on the wrong side is found out too.
    """

    seen: Tensor
    largest: Tensor
    batches: Tensor
    overlap: Tensor
    sizes: Tensor

    def __init__(self, *, classes: int, size: int) -> None:
        """Begin with an atlas that knows nothing.

        Args:
            classes: Organs and background.
            size: Rows and columns of the slices.
        """
        super().__init__()
        self.register_buffer("seen", torch.zeros((classes, size, size)))
        self.register_buffer("largest", torch.zeros(classes))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))
        self.register_buffer("overlap", torch.zeros(classes))
        self.register_buffer("sizes", torch.zeros(classes))

    def learn(self, labels: Tensor, processes: Processes) -> None:
        """Take in the labels of a batch.

        Args:
            labels: Of this process's share, (batch, rows, columns).
            processes: Those that train together; all get the same atlas.
        """
        masks = F.one_hot(labels, len(self.seen)).movedim(-1, 1).float()
        places, areas = masks.amax(0), processes.gather(masks.sum((2, 3)))
        processes.average([places])
        self.seen.copy_(torch.maximum(self.seen, (places > 0).float()))
        self.largest.copy_(torch.maximum(self.largest, areas.amax(0)))
        self.batches += 1

    @torch.no_grad()
    def watch(self, logits: Tensor, labels: Tensor, processes: Processes) -> None:
        """See how well a network finds the organs in a batch of source slices.

        Args:
            logits: Of this process's share, (batch, classes, rows, columns).
            labels: Of the same slices, (batch, rows, columns).
            processes: Those that train together.
        """
        found, there = (F.one_hot(classes, len(self.seen)).bool() for classes in (logits.argmax(1), labels))
        both, either = (found & there).sum((0, 1, 2)), found.sum((0, 1, 2)) + there.sum((0, 1, 2))
        overlap, sizes = processes.sum(torch.stack([both, either]).float())
        self.overlap.mul_(_MEMORY).add_(overlap)
        self.sizes.mul_(_MEMORY).add_(sizes)

    @property
    def dice(self) -> Tensor:
        """How well each class was found in the source slices of late, (classes,); 0 for what was not there."""
        return 2 * self.overlap / self.sizes.clamp_min(1)

    def trusted(self, labels: Tensor, *, least_dice: float = 0.0) -> Tensor:
        """Where labels (batch, rows, columns) are such as the source has them; background is everywhere.

        Args:
            labels: Class indices that a network found.
            least_dice: Of an organ in source slices (:attr:`dice`), below which the network has not learned it yet:
                nothing is trusted where that organ may lie, since it is taken there for background or a neighbour.

        Returns:
            A mask, (batch, rows, columns): False for pixels at places where the source never has that organ, for all
            of an organ in a slice that shows much more of it than any source slice, and as ``least_dice`` says.
        """
        reach = 2 * round(_ROOM * self.seen.shape[-1]) + 1
        places = F.max_pool2d(self.seen[None], reach, stride=1, padding=reach // 2)[0] > 0
        may_be_unknown = places[1:][self.dice[1:] < least_dice].any(0)
        places[0] = True
        masks = F.one_hot(labels, len(self.seen)).movedim(-1, 1).bool()
        fits = masks.sum((2, 3)) <= _AREA * self.largest
        fits[:, 0] = True
        return (masks & places & fits[:, :, None, None]).any(1) & ~may_be_unknown
