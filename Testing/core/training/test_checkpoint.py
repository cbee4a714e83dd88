from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cisfa.errors import CisfaError
from cisfa.training.checkpoint import latest_checkpoint, save_checkpoint

CPU = torch.device("cpu")


class SmallMethod:
    """One network with one optimiser."""

    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        network = nn.Linear(3, 2)
        self.segmenter: Any = network
        self.networks: dict[str, nn.Module] = {"segmenter": network}
        self.optimisers: dict[str, torch.optim.Optimizer] = {"segmenter": torch.optim.Adam(network.parameters())}

    def learn(self) -> None:
        self.optimisers["segmenter"].zero_grad()
        self.networks["segmenter"](torch.ones(1, 3)).square().sum().backward()
        self.optimisers["segmenter"].step()

    def weights(self) -> list[float]:
        return [value for p in self.networks["segmenter"].parameters() for value in p.flatten().tolist()]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_restored_method_learns_on_as_the_saved_one_would(tmp_path: Path) -> None:
    method, other = SmallMethod(), SmallMethod(seed=1)
    method.learn()
    save_checkpoint(tmp_path, method, step=7, keep=3)
    checkpoint = latest_checkpoint(tmp_path, device=CPU)
    assert checkpoint is not None
    assert (checkpoint.step, checkpoint.damaged) == (7, ())
    checkpoint.restore(other)
    assert other.weights() == method.weights()
    method.learn()
    other.learn()
    assert other.weights() == method.weights()


def test_there_may_be_none_yet(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path, device=CPU) is None
    assert latest_checkpoint(tmp_path / "nowhere", device=CPU) is None


def test_the_newest_are_kept_by_number_and_not_by_name_or_time(tmp_path: Path) -> None:
    for step in (900, 1000, 8, 90):
        save_checkpoint(tmp_path, SmallMethod(), step=step, keep=10)
    save_checkpoint(tmp_path, SmallMethod(), step=1100, keep=3)
    assert names(tmp_path) == ["step-00000900.pt", "step-00001000.pt", "step-00001100.pt"]


def test_what_is_no_checkpoint_is_left_alone(tmp_path: Path) -> None:
    others = ["step-1.pt", "step-00000002.pt.bak", "my step-00000003.pt", "notes.txt"]
    for name in others:
        (tmp_path / name).write_bytes(b"mine")
    for step in (1, 2):
        save_checkpoint(tmp_path, SmallMethod(), step=step, keep=1)
    assert names(tmp_path) == sorted([*others, "step-00000002.pt"])


def test_an_old_checkpoint_that_cannot_be_removed_does_not_end_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path, SmallMethod(), step=1, keep=1)
    real = Path.unlink

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if self.name == "step-00000001.pt":
            raise PermissionError(13, "The file is used by another process")
        real(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    save_checkpoint(tmp_path, SmallMethod(), step=2, keep=1)
    assert names(tmp_path) == ["step-00000001.pt", "step-00000002.pt"]


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), PermissionError(13, "no")]
)
def test_a_checkpoint_that_could_not_be_read_this_time_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    save_checkpoint(tmp_path, SmallMethod(), step=1, keep=1)

    def load(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(type(error)):
        latest_checkpoint(tmp_path, device=CPU)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("unexpected pos 64 vs 0")])
def test_a_checkpoint_that_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    save_checkpoint(tmp_path, SmallMethod(), step=1, keep=1)

    def save(*_: object) -> None:
        raise error  # torch's own writer turns a full disk into a RuntimeError

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(CisfaError, match=r"step-00000002\.pt cannot be written"):
        save_checkpoint(tmp_path, SmallMethod(), step=2, keep=1)
    assert names(tmp_path) == ["step-00000001.pt"]
