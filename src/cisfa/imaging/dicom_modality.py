"""Which modality a volume is: what its DICOM series says comes first, how its intensities look second."""

from cisfa.config import Modality
from cisfa.errors import VolumeFileError
from cisfa.imaging.intensity import guess_modality
from cisfa.imaging.volume import Volume


def modality_of(volume: Volume) -> Modality:
    """CT or MR.

    Raises:
        VolumeFileError: Its series says that it is something else.
    """
    stated = volume.series.modality if volume.series else ""
    if stated == "CT":
        return "CT"
    if stated == "MR":
        return "MR"
    if stated:
        raise VolumeFileError(
            f"{volume.name} is {stated}: its DICOM series says so, and CT and MR are read. Take it out; if it is to be"
            " read as one of them all the same, say so in the settings (source_modality, target_modality)."
        )
    return guess_modality(volume.voxels)
