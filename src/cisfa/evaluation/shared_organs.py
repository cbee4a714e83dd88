"""Which organs both a model and the labels of cases know, and what the labels' values are in the model's numbering."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cisfa.errors import CaseError
from cisfa.imaging.organs import Organ, catalogue_organ
from cisfa.imaging.volume import LabelMap


@dataclass(frozen=True)
class SharedOrgans:
    """What can be scored.

    Attributes:
        organs: The organs that the model segments and the labels may hold, with the model's label values.
        values: Every value that a label map may hold, but 0, to the model's; to 0 where the model does not segment it.
        not_segmented: Names of organs of the labels that the model does not segment.
        not_labelled: Names of organs of the model that the labels do not know.
        described: Whether a data set's description named the labels' values; if not, they are the model's.
    """

    organs: tuple[Organ, ...]
    values: Mapping[int, int]
    not_segmented: tuple[str, ...]
    not_labelled: tuple[str, ...]
    described: bool

    def truth(self, label_map: LabelMap) -> LabelMap:
        """A case's label map in the model's numbering, with the shared organs alone.

        Raises:
            CaseError: It holds a value that nothing names.
        """
        unknown = [int(value) for value in np.unique(label_map.voxels) if value and int(value) not in self.values]
        if unknown:
            raise CaseError(self._unknown(label_map.name, unknown))
        return _translated(label_map, self.values)

    def prediction(self, label_map: LabelMap) -> LabelMap:
        """What the model found, with the shared organs alone."""
        return _translated(label_map, {organ.label: organ.label for organ in self.organs})

    def remarks(self) -> tuple[str, ...]:
        """What is not scored, and why, in sentences."""
        sentences = []
        if self.not_segmented:
            sentences.append(f"Not scored, since the model does not segment it: {', '.join(self.not_segmented)}.")
        if self.not_labelled:
            sentences.append(f"Not scored, since the labels do not name it: {', '.join(self.not_labelled)}.")
        return tuple(sentences)

    def _unknown(self, name: str, values: Sequence[int]) -> str:
        numbers = ", ".join(map(str, values))
        found = f"The label map {name} holds the value{'' if len(values) == 1 else 's'} {numbers}"
        if self.described:
            return f"{found}, and dataset.json names {', '.join(map(str, self.values))}. Name every value there."
        return (
            f"{found}, and the model's organs are {_in_words(self.organs)}. Give the organs these values, or put a"
            " dataset.json that names the values beside the labels' folder."
        )


def shared_organs(of_model: Sequence[Organ], of_labels: Sequence[Organ] | None) -> SharedOrgans:
    """Find the organs that can be scored, by their names.

    Args:
        of_model: The organs that the model segments.
        of_labels: The organs that the data set's description names; None where there is none, and the labels' values
            are taken for the model's.

    Raises:
        CaseError: They share no organ.
    """
    if of_labels is None:
        return SharedOrgans(tuple(of_model), {organ.label: organ.label for organ in of_model}, (), (), described=False)
    by_name = {_key(organ): organ for organ in of_model}
    values = {organ.label: by_name[_key(organ)].label if _key(organ) in by_name else 0 for organ in of_labels}
    shared = tuple(organ for organ in of_model if organ.label in values.values())
    if not shared:
        raise CaseError(
            f"The model segments {_in_words(of_model)}, and the labels are {_in_words(of_labels)}: they share no organ."
            " Name the organs in dataset.json as the model does, or choose another model."
        )
    return SharedOrgans(
        organs=shared,
        values=values,
        not_segmented=tuple(organ.name for organ in of_labels if values[organ.label] == 0),
        not_labelled=tuple(organ.name for organ in of_model if organ not in shared),
        described=True,
    )


def _key(organ: Organ) -> str:
    """What organs are told apart by: the catalogue's name where it has one."""
    return catalogue_organ(organ.name, organ.label).name.casefold()


def _in_words(organs: Iterable[Organ]) -> str:
    return ", ".join(f"{organ.label} {organ.name}" for organ in organs)


def _translated(label_map: LabelMap, values: Mapping[int, int]) -> LabelMap:
    """The label map with every value replaced; what is not in the mapping becomes background."""
    table = np.zeros(int(label_map.voxels.max()) + 1, np.uint16)
    for before, after in values.items():
        if before < len(table):
            table[before] = after
    return LabelMap(table[label_map.voxels], label_map.geometry, label_map.name)
