"""CT or MR, of a data set that may hold both."""

from collections.abc import Collection
from pathlib import Path

from cisfa.data_sets.choices import Modality
from cisfa.errors import ConfigError


def settled_modality(chosen: Modality | None, there: Collection[str], raw: Path) -> Modality:
    """The modality to prepare.

    Args:
        chosen: By the user; None leaves it to what is there.
        there: The modalities that are there; where there is none, any answer finds no case.
        raw: The data set's folder, for messages.

    Raises:
        ConfigError: Both are there and none was chosen, or the chosen one is not there.
    """
    if chosen is not None:
        if there and chosen not in there:
            raise ConfigError(f"{raw} holds no {chosen.upper()}, only {next(iter(there)).upper()}. Drop --modality.")
        return chosen
    if len(there) > 1:
        raise ConfigError(
            f"{raw} holds CT and MR, which cannot be one domain. Choose --modality ct or --modality mr, and prepare the"
            " other into a folder of its own."
        )
    return "mr" if "mr" in there else "ct"
