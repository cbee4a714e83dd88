import pytest
import torch

from cisfa.config_files import compose
from cisfa.training.threads import fitting_threads


@pytest.mark.parametrize(
    ("preset", "device", "threads"),
    [("quick", "cpu", 1), ("reduced", "cpu", 1), ("full", "cpu", 3), ("quick", "meta", 3)],
)
def test_small_networks_train_on_one_thread_of_a_cpu_and_others_on_all(preset: str, device: str, threads: int) -> None:
    torch.set_num_threads(3)
    with fitting_threads(compose(preset=preset), torch.device(device)):
        assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == 3
