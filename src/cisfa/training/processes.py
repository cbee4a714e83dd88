"""One run on several processes: each works on its share of every batch, and all end a step with the same weights.

Each process has a graphics card of its own, or cores of the CPU, on one computer or several. They do what one process
would do with the whole batch, within float error: gradients are averaged, and whatever a loss takes over the batch is
taken over all shares.

A loss that is a mean over slices needs nothing else, since the shares have the same size. One that is no mean (Dice,
the feature contrast) is computed from values of all processes, so that every process has the loss L of the whole
batch. Process p then has to contribute dL/df_p · df_p/dw, where f_p is what it computed itself; the sum of that over
all processes is dL/dw. As gradients are averaged and not summed, it has to be multiplied by the number of processes:
this is what :meth:`Processes.sum` and :meth:`Processes.gather` do on the way back. They need not ask the others for
their part of the gradient, as it is the same L everywhere.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor

from cisfa.errors import Cancelled, CisfaError, RunError
from cisfa.training.sampling import Share

# The others wait while the first one writes pictures and checkpoints or validates, and for the slowest to read all
# cases. A process that died is noticed at once, or by whoever started it, and not by waiting.
LONGEST_WAIT = timedelta(hours=4)
# as DistributedDataParallel's: large enough to use the wires well, small enough to send while the next is put together
_BUCKET_BYTES = 25 * 2**20


class LostProcessError(RunError):
    """Another process of the same run is gone."""


class Processes(Protocol):
    """The processes that train one run together, as one of them sees them."""

    @property
    def device(self) -> torch.device:
        """Where this process trains."""
        ...

    @property
    def share(self) -> Share:
        """Which part of every batch is this process's."""
        ...

    @property
    def is_first(self) -> bool:
        """True in the process that writes the run's folder and speaks for all."""
        ...

    def sum(self, values: Tensor) -> Tensor:
        """Sums over all processes, with gradient; for a loss that every process computes alike from them."""
        ...

    def gather(self, rows: Tensor) -> Tensor:
        """The rows (batch, ...) of all processes in the batch's order, with gradient; for such a loss too."""
        ...

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their means over all processes; without gradient."""
        ...

    def copy_from_first(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by those of the first process."""
        ...

    def any_says(self, yes: bool) -> bool:
        """Whether one of them says yes; all wait until everybody has answered."""
        ...

    def agreement(self) -> AbstractContextManager[None]:
        """A part that every process does; where it fails in one, it fails in all.

        Raises:
            Cancelled: On leaving, since another process was asked to stop.
            RunError: On leaving, with what another process ended with.
        """
        ...

    def require_same(self, facts: Mapping[str, object]) -> None:
        """Make sure that all processes train the same.

        Args:
            facts: What it is that must be the same, in words, to its value.

        Raises:
            RunError: It is not.
        """
        ...


class Alone:
    """One process, which has nobody to talk to."""

    def __init__(self, device: torch.device) -> None:
        """Args: where to train."""
        self.device = device
        self.share = Share()
        self.is_first = True

    def sum(self, values: Tensor) -> Tensor:
        """The values."""
        return values

    def gather(self, rows: Tensor) -> Tensor:
        """The rows."""
        return rows

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Leave them."""

    def copy_from_first(self, tensors: Iterable[Tensor]) -> None:
        """Leave them."""

    def any_says(self, yes: bool) -> bool:
        """Whether this one does."""
        return yes

    def agreement(self) -> AbstractContextManager[None]:
        """Nothing to agree on."""
        return nullcontext()

    def require_same(self, facts: Mapping[str, object]) -> None:
        """It is."""


class Group:
    """Several processes, connected by torch.distributed."""

    def __init__(self, device: torch.device, share: Share) -> None:
        """Args: where this one trains; its part of every batch, which is its rank. torch.distributed is set up."""
        self.device, self.share = device, share
        self.is_first = share.index == 0
        # words and answers are on the CPU, so they must not wait for what a graphics card still has to do
        self._talk = dist.new_group(backend="gloo", timeout=LONGEST_WAIT) if device.type == "cuda" else None

    def sum(self, values: Tensor) -> Tensor:
        """See :class:`Processes`."""
        with connected():
            total: Tensor = _Sum.apply(values, self.share.count)  # type: ignore[no-untyped-call]
        return total

    def gather(self, rows: Tensor) -> Tensor:
        """See :class:`Processes`."""
        with connected():
            together: Tensor = _Gather.apply(rows, self.share)  # type: ignore[no-untyped-call]
        return together

    def average(self, tensors: Sequence[Tensor]) -> None:
        """See :class:`Processes`."""
        with connected():
            # one message for many small tensors; each is on its way while the next is put together
            sent = []
            for bucket in _buckets(tensors):
                flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
                sent.append((bucket, flat, dist.all_reduce(flat, async_op=True)))
            for bucket, flat, work in sent:
                if work is not None:
                    work.wait()
                parts = (flat / self.share.count).split([tensor.numel() for tensor in bucket])
                for tensor, part in zip(bucket, parts, strict=True):
                    tensor.copy_(part.view(tensor.shape))

    def copy_from_first(self, tensors: Iterable[Tensor]) -> None:
        """See :class:`Processes`."""
        with connected(), torch.no_grad():
            for bucket in _buckets(list(tensors)):
                flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
                dist.broadcast(flat, src=0)
                for tensor, part in zip(bucket, flat.split([tensor.numel() for tensor in bucket]), strict=True):
                    tensor.copy_(part.view(tensor.shape))

    def any_says(self, yes: bool) -> bool:
        """See :class:`Processes`."""
        answer = torch.tensor(int(yes))
        with connected():
            dist.all_reduce(answer, op=dist.ReduceOp.MAX, group=self._talk)
        return bool(answer.item())

    @contextmanager
    def agreement(self) -> Iterator[None]:
        """See :class:`Processes`."""
        try:
            yield
        except LostProcessError:
            raise  # nobody is there to be told
        except Exception as error:
            self._tell_all((type(error).__name__, str(error) if isinstance(error, CisfaError) else None))
            raise
        self._raise_what_others_say(self._tell_all(None))

    def require_same(self, facts: Mapping[str, object]) -> None:
        """See :class:`Processes`."""
        heard = self._tell_all({name: repr(fact) for name, fact in facts.items()})
        differing = [name for name in facts if len({one[name] for one in heard}) > 1]
        if differing:
            raise RunError(
                f"The processes of this training differ in: {', '.join(differing)}. They must be started by the same"
                " command, and see the same cases and the same run folder, on a file system that all of them share."
            )

    def _tell_all(self, words: Any) -> list[Any]:
        heard: list[Any] = [None] * self.share.count
        with connected():
            dist.all_gather_object(heard, words, group=self._talk)
        return heard

    def _raise_what_others_say(self, heard: Sequence[tuple[str, str | None] | None]) -> None:
        failed = [(rank, *said) for rank, said in enumerate(heard) if said is not None]
        if any(kind == Cancelled.__name__ for _, kind, _ in failed):
            raise Cancelled("Stopped on request.")
        for rank, kind, message in failed:
            raise RunError(message or f"Process {rank + 1} of this training failed ({kind}): it says above why.")


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """The tensors in their order, in parts of one type and of some size."""
    bucket: list[Tensor] = []
    for tensor in tensors:
        size = sum(one.nbytes for one in bucket)
        if bucket and (size + tensor.nbytes > _BUCKET_BYTES or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket


@contextmanager
def connected() -> Iterator[None]:
    """Say in words what the connection's errors mean.

    Raises:
        LostProcessError: Instead of them.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise LostProcessError(
            "Another process of this training has ended or cannot be reached. What it said above tells why; the last"
            " checkpoint stays usable."
        ) from error


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, count: int) -> Tensor:
        ctx.count = count
        total = values.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.count, None  # why: see the top of this module


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, share: Share) -> Tensor:
        ctx.share = share
        rows = rows.detach().contiguous()
        parts = [torch.empty_like(rows) for _ in range(share.count)]
        dist.all_gather(parts, rows)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        share: Share = ctx.share
        return share.of(gradient) * share.count, None  # why: see the top of this module
