"""What torchrun, and whoever starts processes in its way, tells them; known without importing torch."""

from collections.abc import Mapping

_NEEDED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def is_one_of_several(environment: Mapping[str, str]) -> bool:
    """Whether a process with these variables was started together with others."""
    return all(name in environment for name in _NEEDED) and int(environment["WORLD_SIZE"]) > 1
