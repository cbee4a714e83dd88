"""File names of volumes: their suffixes, and what is left without them. Light, since Slicer's process lists folders."""

from pathlib import Path

NIFTI_SUFFIXES = (".nii.gz", ".nii")
ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")
SUFFIXES = NIFTI_SUFFIXES + ITK_SUFFIXES
# .nhdr and .mhd keep their voxels in a second file, which cannot be moved into place in one step
WRITABLE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")


def suffix_of(path: Path) -> str | None:
    """The file's volume suffix in lower case, ``.nii.gz`` as one; None when it is no format known here."""
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)


def stem_of(path: Path) -> str:
    """The file's name without its volume suffix; of a folder, which may hold a DICOM series, the whole name."""
    if path.is_dir():
        return path.name
    # "1.2.840.113", as files of DICOM series are called, has no suffix
    suffix = suffix_of(path) or ("" if path.suffix[1:].isdigit() else path.suffix)
    return path.name[: -len(suffix) or None]
