"""Whether a model was made for a volume like this one, before minutes are spent on it."""

import re

from cisfa.bundle.manifest import Manifest

# what DICOM calls parts of a region (0018,0015; PS3.16 Annex L), without blanks and in lower case
_PARTS = {
    "abdomen": ("abdomen", "liver", "kidney", "spleen", "pancreas", "stomach", "abdo", "gallbladder", "trunk"),
    "chest": ("chest", "thorax", "lung", "heart", "breast", "mediastinum", "trunk"),
    "heart": ("heart", "cardiac", "chest", "thorax", "coronary", "aorta"),
    "head": ("head", "brain", "skull", "neck"),
    "pelvis": ("pelvis", "prostate", "uterus", "bladder", "rectum", "hip", "trunk"),
}
_EVERYTHING = ("wholebody", "wb", "body")


def doubts(manifest: Manifest, modality: str, body_part: str) -> tuple[str, ...]:
    """Why the result may be worthless, a sentence each; empty when nothing speaks against it.

    Args:
        manifest: Of the model.
        modality: Of the volume: "CT", "MR", or another one of DICOM's.
        body_part: DICOM's Body Part Examined; empty when not known.
    """
    found = []
    wanted = manifest.target.modality
    if modality != wanted:
        found.append(f"The model {manifest.name} is for {wanted}, but this volume looks like {modality}.")
    if body_part and manifest.body_region and not _is_part_of(body_part, manifest.body_region):
        found.append(f"The model {manifest.name} is for the {manifest.body_region}, but this volume is a {body_part}.")
    return tuple(found)


def _is_part_of(body_part: str, region: str) -> bool:
    part, whole = _plain(body_part), _plain(region)
    names = (*_PARTS.get(whole, ()), whole)
    return part in _EVERYTHING or whole in part or any(name in part for name in names)


def _plain(text: str) -> str:
    return re.sub("[^a-z]", "", text.casefold())
