"""What every data set's layout is brought into: cases that can be read, and what was left out and why."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cisfa.data_sets.choices import Choices, Modality
from cisfa.errors import CaseError
from cisfa.imaging.volume import LabelMap, Volume


@dataclass(frozen=True)
class Observation:
    """Something to know of a case.

    Attributes:
        what: In a few words that are the same for every case of which it holds: they are counted.
        detail: What was found in this case, in a sentence.
    """

    what: str
    detail: str


class LeftOutError(CaseError):
    """A case cannot be used; the others can."""

    def __init__(self, what: str, detail: str) -> None:
        super().__init__(detail)
        self.why = Observation(what, detail)


@dataclass(frozen=True, eq=False)
class CaseContent:
    """A case as it is to be written.

    Attributes:
        volume: Where it lies is what its file or series says.
        label_map: On the volume's grid, its values the labels of the wanted organs; None for a case without labels.
        remarks: What to know of it.
    """

    volume: Volume
    label_map: LabelMap | None
    remarks: tuple[Observation, ...] = ()


@dataclass(frozen=True, eq=False)
class FoundCase:
    """A case of a data set, not yet read.

    Attributes:
        name: What its files will be called, after the set's own number for it.
        files: What it is read from.
        has_labels: True where the set has drawn organs for it.
        read: Reads it; raises :class:`LeftOutError` where it cannot be used.
    """

    name: str
    files: tuple[Path, ...]
    has_labels: bool
    read: Callable[[], CaseContent]


@dataclass(frozen=True, eq=False)
class FoundSet:
    """What of a data set lies in a folder and was chosen.

    Attributes:
        modality: Of all its cases.
        organs: Name to label, by rising label from 1.
        cases: In the order in which they are prepared.
        left_out: Name of a case to why it was left out without a look at its volume.
    """

    modality: Modality
    organs: Mapping[str, int]
    cases: tuple[FoundCase, ...]
    left_out: Mapping[str, Observation] = field(default_factory=dict)


@dataclass(frozen=True)
class DataSet:
    """A public data set.

    Attributes:
        key: What it is called on a command line.
        licences: Of the data of each modality, and where they come from; for whoever gets the prepared folder.
        options: Which of the attributes of :class:`~cisfa.data_sets.choices.Choices` make sense for it.
        find: Looks for its cases in a folder; raises :class:`~cisfa.errors.CaseError` where a choice has to be made,
            and gives no case and nothing left out where the folder is not this set's.
        holds: True for a folder among whose files or folders are this set's.
    """

    key: str
    licences: Mapping[Modality, str]
    options: frozenset[str]
    find: Callable[[Path, Choices], FoundSet]
    holds: Callable[[Path], bool]
