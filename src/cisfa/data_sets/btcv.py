"""BTCV: Multi-Atlas Labeling Beyond the Cranial Vault, abdomen: CT with thirteen organs.

Read as it unpacks (``RawData/Training/img/img0001.nii.gz`` with ``label/label0001.nii.gz``, ``RawData/Testing/img``),
as Synapse has single files (``averaged-training-images/DET0000101_avg.nii.gz``, ``averaged-training-labels``), and as
MONAI and nnU-Net have people sort it (``imagesTr``, ``labelsTr``, ``imagesTs``), at any depth.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from cisfa.data_sets.case_reading import Meaning, read_case
from cisfa.data_sets.choices import Choices
from cisfa.data_sets.found_set import DataSet, FoundCase, FoundSet, Observation
from cisfa.data_sets.places import by_key, files_named, folders_in, volumes_of
from cisfa.data_sets.wanted_organs import ABDOMEN, labels_of
from cisfa.imaging.volume_names import stem_of

_KEY = "btcv"
_ORGANS = Meaning(
    {
        1: "spleen",
        2: "right kidney",
        3: "left kidney",
        4: "gallbladder",
        5: "oesophagus",
        6: "liver",
        7: "stomach",
        8: "aorta",
        9: "inferior vena cava",
        10: "portal and splenic vein",
        11: "pancreas",
        12: "right adrenal gland",
        13: "left adrenal gland",
    }
)
_IMAGE_FOLDERS = {"img", "imagestr", "imagests", "averaged-training-images", "averaged-testing-images"}
_LABEL_FOLDERS = {"label", "labelstr", "averaged-training-labels"}
# other sets have folders of these names too, so the files must be named as this one's are
_STEM = re.compile(
    r"(?:img|label|det|abd|abdomen|btcv|synapse)[-_]?(\d{2,7})(?:_avg)?(?:_seg)?(?:_0000)?", re.IGNORECASE
)
_TELLING = re.compile(r"((img|label)\d{4}|DET\d{7}_avg(_seg)?)\.nii(\.gz)?", re.IGNORECASE)


def _find(raw: Path, choices: Choices) -> FoundSet:
    organs = labels_of(choices.organs, ABDOMEN, _ORGANS.names.values(), _KEY)
    volumes = by_key(_numbered(raw, _IMAGE_FOLDERS))
    labels = by_key(_numbered(raw, _LABEL_FOLDERS))
    cases = []
    for name, volume in sorted(volumes.items()):
        label_map = labels.get(name)
        files = (volume,) if label_map is None else (volume, label_map)
        read = partial(read_case, volume, label_map, _ORGANS, organs)
        cases.append(FoundCase(name, files, label_map is not None, read))
    alone = {
        name: Observation("the volume is missing", f"There is {labels[name].name}, and no volume to it.")
        for name in sorted(labels.keys() - volumes.keys())
    }
    return FoundSet("ct", organs, tuple(cases), alone)


def _numbered(raw: Path, folder_names: set[str]) -> Iterator[tuple[str, Path]]:
    for folder in folders_in(raw):
        if folder.name.casefold() in folder_names:
            for path in volumes_of(folder):
                match = _STEM.fullmatch(stem_of(path))
                if match:
                    yield f"{_KEY}_{match[1]}", path


def _holds(raw: Path) -> bool:
    return any(True for _ in files_named(raw, _TELLING))


BTCV = DataSet(
    key=_KEY,
    licences={"ct": "Synapse's terms for syn3193805; not to be passed on (https://www.synapse.org/Synapse:syn3193805)"},
    options=frozenset({"organs"}),
    find=_find,
    holds=_holds,
)
