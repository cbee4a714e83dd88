"""What can be chosen when a data set is prepared. Light, since the command line declares its options by it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Modality = Literal["ct", "mr"]
SEQUENCES = ("t1-in", "t1-out", "t2spir")
TITLES: Mapping[str, str] = {
    "amos": "AMOS 2022",
    "btcv": "BTCV abdomen",
    "chaos": "CHAOS",
    "mmwhs": "MM-WHS 2017",
    "totalsegmentator": "TotalSegmentator",
}
BOTH: tuple[Modality, Modality] = ("ct", "mr")
# as files say which kind of image they hold: nnU-Net's names of channels
CHANNELS: Mapping[Modality, str] = {"ct": "CT", "mr": "MRI"}


@dataclass(frozen=True)
class Choices:
    """What to take of a data set.

    Attributes:
        modality: Of a set that has both; None where only one is there.
        sequence: Of CHAOS's MR, one of :data:`SEQUENCES`; None for the usual one.
        organs: Names in the order of the labels they get; empty for the set's usual ones.
        only: Column of TotalSegmentator's table to a text that it must contain.
    """

    modality: Modality | None = None
    sequence: str | None = None
    organs: tuple[str, ...] = ()
    only: tuple[tuple[str, str], ...] = ()
