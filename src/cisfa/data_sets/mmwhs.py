"""MM-WHS 2017, Multi-Modality Whole Heart Segmentation: cardiac CT and MR with seven structures.

Read at any depth: ``ct_train_1001_image.nii.gz`` with ``ct_train_1001_label.nii.gz``, ``mr_test_2001_image.nii.gz``.
CT and MR often lie side by side, and are two domains.
"""

import re
from functools import partial
from pathlib import Path

from cisfa.data_sets.case_reading import Meaning, read_case
from cisfa.data_sets.choices import BOTH, Choices
from cisfa.data_sets.found_set import DataSet, FoundCase, FoundSet, Observation
from cisfa.data_sets.modality_choice import settled_modality
from cisfa.data_sets.places import by_key, files_named
from cisfa.data_sets.wanted_organs import labels_of

_KEY = "mmwhs"
_STRUCTURES = Meaning(
    {
        205: "myocardium",
        420: "left atrium",
        500: "left ventricle",
        550: "right atrium",
        600: "right ventricle",
        820: "ascending aorta",
        850: "pulmonary artery",
    },
    slips={421: 420},
)
# the paper's four
_USUAL = ("myocardium", "left atrium", "left ventricle", "ascending aorta")
_NAME = re.compile(r"(ct|mr)_(train|test)_(\d+)_(image|label)\.nii(\.gz)?", re.IGNORECASE)


def _find(raw: Path, choices: Choices) -> FoundSet:
    organs = labels_of(choices.organs, _USUAL, _STRUCTURES.names.values(), _KEY)
    matches = [(match, path) for path in files_named(raw, _NAME) if (match := _NAME.fullmatch(path.name))]
    modality = settled_modality(choices.modality, {match[1].lower() for match, _ in matches}, raw)
    chosen = [(match, path) for match, path in matches if match[1].lower() == modality]
    kinds = {
        kind: by_key((f"{_KEY}_{modality}_{match[3]}", path) for match, path in chosen if match[4].lower() == kind)
        for kind in ("image", "label")
    }
    cases = []
    for name, volume in sorted(kinds["image"].items()):
        label_map = kinds["label"].get(name)
        files = (volume,) if label_map is None else (volume, label_map)
        read = partial(read_case, volume, label_map, _STRUCTURES, organs)
        cases.append(FoundCase(name, files, label_map is not None, read))
    alone = {
        name: Observation("the volume is missing", f"There is {kinds['label'][name].name}, and no volume to it.")
        for name in sorted(kinds["label"].keys() - kinds["image"].keys())
    }
    return FoundSet(modality, organs, tuple(cases), alone)


def _holds(raw: Path) -> bool:
    return any(True for _ in files_named(raw, _NAME))


MMWHS = DataSet(
    key=_KEY,
    licences=dict.fromkeys(
        BOTH, "the challenge's own terms; not to be passed on (https://zmiclab.github.io/zxh/0/mmwhs/)"
    ),
    options=frozenset({"modality", "organs"}),
    find=_find,
    holds=_holds,
)
