"""Organs: a label value with a name, the codes other systems know it by, and a colour.

The catalogue (``organ_catalogue.json``) holds the organs whose codes are known here: SNOMED CT as DICOM uses it
(PS3.16), and the colours that 3D Slicer recommends for them. Free of numpy, since Slicer's own process imports it.
"""

import colorsys
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from cisfa.errors import ConfigError

HIGHEST_LABEL = 65535
# label maps and DICOM segment numbers are unsigned 16-bit integers
_SNOMED_CT = "SCT"
_GOLDEN_RATIO = 0.618033988749895


@dataclass(frozen=True)
class Code:
    """A coded term, as DICOM's code sequences hold it.

    Attributes:
        scheme: Coding Scheme Designator (0008,0102), "SCT" for SNOMED CT.
        value: Code Value (0008,0100).
        meaning: Code Meaning (0008,0104), for people.
    """

    scheme: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Organ:
    """One named label value.

    Attributes:
        name: "right kidney".
        label: Its value in label maps, 1 to 65535.
        colour: Red, green, blue, each 0 to 255.
        category: Segmented Property Category; None where the catalogue knows no code.
        type: Segmented Property Type; None where the catalogue knows no code.
        laterality: Modifier of the type that says which side; None where there is none.
    """

    name: str
    label: int
    colour: tuple[int, int, int]
    category: Code | None = None
    type: Code | None = None
    laterality: Code | None = None


_ANATOMICAL_STRUCTURE = Code(_SNOMED_CT, "123037004", "Anatomical Structure")
_SIDES = {"right": Code(_SNOMED_CT, "24028007", "Right"), "left": Code(_SNOMED_CT, "7771000", "Left")}


@dataclass(frozen=True)
class _Entry:
    name: str
    colour: tuple[int, int, int]
    category: Code
    type: Code
    laterality: Code | None


def catalogue_names() -> tuple[str, ...]:
    """The names of all organs that the catalogue has codes for, in its order."""
    return tuple(dict.fromkeys(entry.name for entry in _catalogue().values()))


def catalogue_organ(name: str, label: int) -> Organ:
    """An organ with the codes and the colour of the catalogue.

    Args:
        name: Matched without regard to case, with ``_`` and ``-`` as blanks, and by aliases: ``Kidney_Right`` becomes
            "right kidney". An unknown name is kept as it is, without codes, in a colour that follows from the label.
        label: Its value in label maps.

    Raises:
        ConfigError: The name is empty, or the label is outside 1 to 65535.
    """
    written = " ".join(name.split())
    if not written:
        raise ConfigError(f"The organ with label {label} has no name. Name it, for instance {label}=liver.")
    if not 1 <= label <= HIGHEST_LABEL:
        raise ConfigError(f"The label of {written} is {label}; it must be from 1 to {HIGHEST_LABEL}.")
    entry = _catalogue().get(_key(written))
    if entry is None:
        return Organ(written, label, _colour_of_label(label))
    return Organ(entry.name, label, entry.colour, entry.category, entry.type, entry.laterality)


def catalogue_name_of(type_code: Code | None, laterality: Code | None = None) -> str | None:
    """The catalogue's name of the organ with these codes; None when it has none.

    Args:
        type_code: Segmented Property Type.
        laterality: Its side; None for an organ without, or for both.
    """
    if type_code is None:
        return None
    side = laterality.value if laterality else None
    for entry in _catalogue().values():
        same = (entry.type.scheme, entry.type.value) == (type_code.scheme, type_code.value)
        if same and (entry.laterality.value if entry.laterality else None) == side:
            return entry.name
    return None


def parse_organs(text: str) -> tuple[Organ, ...]:
    """Read organs as a command line has them: ``1=liver,2=right kidney``.

    Raises:
        ConfigError: A part is no ``label=name``, or a label or an organ is there twice.
    """
    organs = []
    for part in text.split(","):
        label, equals, name = part.partition("=")
        if not equals:
            raise ConfigError(
                f"{part.strip()!r} in the organs {text!r} is not label=name. Write 1=liver,2=right kidney."
            )
        organs.append(catalogue_organ(name, _label(label.strip(), f"the organs {text!r}")))
    return _distinct(organs, f"The organs {text!r}")


def organs_from_names(names: Mapping[str, str]) -> tuple[Organ, ...]:
    """Organs from label values and names as settings hold them: ``{"1": "liver"}``.

    Raises:
        ConfigError: There is none, a label is no number from 1 to 65535, or a label or an organ is there twice.
    """
    organs = [catalogue_organ(name, _label(label, "the setting organs")) for label, name in names.items()]
    return _distinct(organs, "The setting organs")


def organs_of_dataset_json(path: Path) -> tuple[Organ, ...]:
    """Organs from the ``dataset.json`` of a data set.

    Reads nnU-Net v2's ``"labels": {"background": 0, "liver": 1}`` and the form of the Medical Segmentation Decathlon
    and nnU-Net v1, ``"labels": {"0": "background", "1": "liver"}``.

    Raises:
        ConfigError: The file cannot be read, has no labels, or has regions or an ignore label.
    """
    labels = _labels_of(path)
    organs = []
    for key, value in labels.items():
        name, label = (key, value) if not isinstance(value, str) else (value, key)
        if isinstance(label, (list, tuple)):
            raise ConfigError(
                f"{path} has the region {name!r} of the labels {label}; regions cannot be trained. Give every organ one"
                " label."
            )
        number = _label(str(label), str(path))
        if number == 0:
            continue
        if _key(name) == "ignore":
            raise ConfigError(f"{path} has an ignore label ({number}). Annotate these voxels, or leave the cases out.")
        organs.append(catalogue_organ(name, number))
    return _distinct(organs, str(path))


def _labels_of(path: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON ({error}).") from error
    labels = values.get("labels") if isinstance(values, dict) else None
    if not isinstance(labels, dict) or not labels:
        raise ConfigError(f'{path} has no labels. It needs, for instance, "labels": {{"background": 0, "liver": 1}}.')
    return labels


def _label(text: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise ConfigError(f"The label {text!r} in {where} is not a whole number from 1 to {HIGHEST_LABEL}.")
    return int(text)


def _distinct(organs: Iterable[Organ], where: str) -> tuple[Organ, ...]:
    """The organs by rising label."""
    ordered = tuple(sorted(organs, key=lambda organ: organ.label))
    if not ordered:
        raise ConfigError(f"{where}: there is no organ. Give at least one, for instance 1=liver.")
    for what, values in (
        ("label", [organ.label for organ in ordered]),
        ("organ", [_key(organ.name) for organ in ordered]),
    ):
        value, count = Counter(values).most_common(1)[0]
        if count > 1:
            raise ConfigError(f"{where}: the {what} {value} is there {count} times; it must be there once.")
    return ordered


def _key(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _colour_of_label(label: int) -> tuple[int, int, int]:
    """Bright colours that are easily told apart: hues a golden ratio of the circle apart come close late."""
    saturation, value = (0.85, 0.6)[label // 8 % 2], (0.95, 0.7)[label // 16 % 2]
    red, green, blue = colorsys.hsv_to_rgb(label * _GOLDEN_RATIO % 1.0, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


@cache
def _catalogue() -> Mapping[str, _Entry]:
    """Every name and alias, as a key, to its organ."""
    file = resources.files("cisfa.imaging").joinpath("organ_catalogue.json")
    catalogue = {}
    for values in json.loads(file.read_text(encoding="utf-8"))["organs"]:
        for entry, names in _entries(values):
            catalogue.update(dict.fromkeys(map(_key, names), entry))
    return catalogue


def _entries(values: Mapping[str, Any]) -> Iterator[tuple[_Entry, list[str]]]:
    """One organ of the file as entries with the names that mean them: singular, plural, right and left."""
    category = Code(_SNOMED_CT, *values["category"]) if "category" in values else _ANATOMICAL_STRUCTURE
    names = [values["name"], *values.get("aliases", ())]
    red, green, blue = values["colour"]
    entry = _Entry(
        name=values["name"],
        colour=(red, green, blue),
        category=category,
        type=Code(_SNOMED_CT, values["code"], values["meaning"]),
        laterality=_SIDES[values["side"]] if "side" in values else None,
    )
    yield entry, names
    if "plural" in values:
        yield replace(entry, name=values["plural"]), [values["plural"]]
    if values.get("paired"):
        for side, laterality in _SIDES.items():
            sided = [text for name in names for text in (f"{side} {name}", f"{name} {side}")]
            yield replace(entry, name=f"{side} {entry.name}", laterality=laterality), sided
