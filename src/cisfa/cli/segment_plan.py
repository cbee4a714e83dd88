"""What ``cisfa segment`` will write, and where: decided, and checked to be possible, before anything is computed."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

SEG_SUFFIX = ".dcm"


def find_volumes(inputs: Iterable[Path]) -> dict[Path, str]:
    """The volumes in what was given, and what their results are to be called.

    A folder that holds a DICOM image series is one volume. Any other folder stands for the volumes in it, and for the
    DICOM image series in the folders below it; DICOM segmentations, as an earlier run left them, are no volumes. A file
    stands for its series, which counts once however many of its files are given, with or without their folder. Hidden
    files are no volumes (macOS writes ._names).

    Raises:
        VolumeFileError: A folder holds no volume, or both a series and volumes of other formats; or a path or what
            lies in a folder cannot be opened.
    """
    from cisfa.imaging.dicom_places import require_possible
    from cisfa.imaging.volume_names import stem_of

    given = list(dict.fromkeys(inputs))
    for path in given:
        require_possible(path)
    volumes: dict[Path, str] = {}
    for path in _one_file_a_series(given):
        volumes |= _volumes_in(path) if path.is_dir() else {path: stem_of(path)}
    return {path: name for path, name in volumes.items() if not _is_in_folder_of(volumes, path)}


def _volumes_in(folder: Path) -> dict[Path, str]:
    from cisfa.errors import VolumeFileError
    from cisfa.imaging.dicom_files import holds_image_series
    from cisfa.imaging.dicom_headers import visible_files
    from cisfa.imaging.dicom_places import folders_below
    from cisfa.imaging.volume_names import stem_of, suffix_of

    found = {entry: stem_of(entry) for entry in visible_files(folder) if suffix_of(entry) and not entry.is_dir()}
    if holds_image_series(folder):
        if found:
            raise VolumeFileError(
                f"{folder} holds a DICOM series and volumes of other formats ({next(iter(found)).name}). Put them into"
                " folders of their own, or name the files that are meant."
            )
        return {folder: folder.resolve().name}
    series = sorted(below for below in folders_below(folder) if holds_image_series(below))
    found |= {below: "_".join(below.relative_to(folder).parts) for below in series}
    if not found:
        raise VolumeFileError(f"{folder} holds no volumes.")
    return found


def _one_file_a_series(given: Sequence[Path]) -> list[Path]:
    """What was given, but of a DICOM series' several files, which a shell makes of ``series/*``, the first alone."""
    from cisfa.imaging.dicom_places import is_dicom_file
    from cisfa.imaging.volume_names import suffix_of

    first: dict[tuple[Path, str], Path] = {}
    others = set()
    for path in given:
        if suffix_of(path) is None and is_dicom_file(path):
            series = _series_uid_of(path)
            # whatever cannot be read stays, so that it is refused
            if series is not None and first.setdefault((path.parent, series), path) != path:
                others.add(path)
    return [path for path in given if path not in others]


def _series_uid_of(path: Path) -> str | None:
    """Empty where the file says that it has none, None where it cannot be read."""
    from cisfa.errors import VolumeFileError
    from cisfa.imaging.dicom_headers import read_header
    from cisfa.imaging.dicom_series_uid import series_mark
    from cisfa.imaging.dicom_values import patient_reading, text

    if mark := series_mark(path):
        return mark.decode("latin-1")
    with patient_reading():
        try:
            header = read_header(path)
        except VolumeFileError:
            return None
        return None if header is None else text(header, "SeriesInstanceUID")


def _is_in_folder_of(volumes: Mapping[Path, str], path: Path) -> bool:
    """True for a file of the only series of a folder that is itself among the volumes."""
    from cisfa.errors import VolumeFileError
    from cisfa.imaging.dicom_files import find_series
    from cisfa.imaging.dicom_values import patient_reading

    folder = next((place for place in volumes if place.is_dir() and place.resolve() == path.parent.resolve()), None)
    if folder is None or path.is_dir():
        return False
    with patient_reading():
        try:
            return path.name in [image.path.name for image in find_series(folder).images]
        except VolumeFileError:
            return False  # the folder is refused when it is read, and the file may still be of use


def plan_outputs(inputs: Iterable[Path], output: Path, *, overwrite: bool) -> dict[Path, Path]:
    """Where each input's label map goes.

    Raises:
        VolumeFileError: As :func:`find_volumes` and :func:`plan_label_maps`.
    """
    return plan_label_maps(find_volumes(inputs), output, overwrite=overwrite)


def plan_label_maps(volumes: Mapping[Path, str], output: Path, *, overwrite: bool) -> dict[Path, Path]:
    """Where each volume's label map goes.

    Args:
        volumes: With what their results are to be called.
        output: The label map of the one volume, or a folder.
        overwrite: Whether label maps that are there already may be replaced.

    Raises:
        VolumeFileError: Two volumes with one output, or an output that is there already or cannot be written.
    """
    from cisfa.errors import VolumeFileError
    from cisfa.imaging.dicom_places import require_possible
    from cisfa.imaging.volume_names import WRITABLE_SUFFIXES, suffix_of

    require_possible(output)
    names_a_file = suffix_of(output) is not None and not output.is_dir()
    if names_a_file and len(volumes) > 1:
        raise VolumeFileError(f"--output {output} is one file, but there are {len(volumes)} volumes. Name a folder.")
    planned: dict[Path, Path] = {}
    for path, name in volumes.items():
        suffix = suffix_of(path) if not path.is_dir() else None
        suffix = suffix or ".nii.gz"
        suffix = suffix if suffix in WRITABLE_SUFFIXES else {".nhdr": ".nrrd", ".mhd": ".mha"}[suffix]
        planned[path] = output if names_a_file else output / f"{name}{suffix}"
    _require_distinct(planned)
    for path, target in planned.items():
        if suffix_of(target) not in WRITABLE_SUFFIXES:
            raise VolumeFileError(
                f"{target}: cannot write this kind of file; use one of {', '.join(WRITABLE_SUFFIXES)}."
            )
        require_possible(target)
        if target.exists() and path.exists() and target.samefile(path):
            raise VolumeFileError(f"{target} is the input itself. Choose another output.")
        _require_free(target, overwrite=overwrite)
    _require_writable(output.parent if names_a_file else output)
    return planned


def plan_segmentations(label_maps: Mapping[Path, Path], *, overwrite: bool) -> dict[Path, Path]:
    """Where each volume's DICOM segmentation goes: beside its label map, under the same name.

    Raises:
        VolumeFileError: A volume is no DICOM series, two volumes have one output, or it is there already.
    """
    from cisfa.errors import VolumeFileError
    from cisfa.imaging.volume_names import stem_of, suffix_of

    others = [path for path in label_maps if path.exists() and not path.is_dir() and suffix_of(path)]
    if others:
        raise VolumeFileError(
            f"{others[0]} is no DICOM series, and a DICOM segmentation must refer to one. Give the series' folder, or"
            " leave --dicom-seg away."
        )
    planned = {path: target.with_name(f"{stem_of(target)}{SEG_SUFFIX}") for path, target in label_maps.items()}
    _require_distinct(planned)
    for path, target in planned.items():
        if target.parent.resolve() == (path if path.is_dir() else path.parent).resolve():
            raise VolumeFileError(
                f"{target} would lie among the files of the series. Choose an output outside of {target.parent}."
            )
        _require_free(target, overwrite=overwrite)
    return planned


def plan_organ_reports(
    outputs: Mapping[Path, Path], place: Path, *, names_a_file: bool, overwrite: bool
) -> dict[Path, Path]:
    """Where each input's report goes.

    Args:
        outputs: Each input's label map, as :func:`plan_outputs` gives them.
        place: The report of the one label map, or a folder for reports under the label maps' names.
        names_a_file: Whether a file was named for the one label map; otherwise ``place`` is a folder too.
        overwrite: Whether reports that are there already may be replaced.

    Raises:
        VolumeFileError: Two label maps with one report, or a report that is there already or cannot be written.
    """
    from cisfa.errors import VolumeFileError
    from cisfa.imaging.dicom_places import require_possible
    from cisfa.imaging.volume_names import stem_of
    from cisfa.inference.organ_report import REPORT_SUFFIX

    require_possible(place)
    looks_like_a_file = place.suffix.lower() == REPORT_SUFFIX and not place.is_dir()
    if looks_like_a_file and not names_a_file:
        raise VolumeFileError(f"--report {place} is one file, but --output is a folder. Name a folder for reports too.")
    if names_a_file and not looks_like_a_file and not place.is_dir():
        raise VolumeFileError(f"--report {place}: name a file that ends in {REPORT_SUFFIX}, or a folder that is there.")
    planned = {
        path: place if looks_like_a_file else place / f"{stem_of(target)}{REPORT_SUFFIX}"
        for path, target in outputs.items()
    }
    _require_distinct(planned)
    for target in planned.values():
        _require_free(target, overwrite=overwrite)
    _require_writable(place.parent if looks_like_a_file else place)
    return planned


def _require_distinct(planned: dict[Path, Path]) -> None:
    from cisfa.errors import VolumeFileError

    first: dict[str, Path] = {}
    for path, target in planned.items():
        name = str(target).casefold()  # on Windows and macOS, names that differ by capitals are one file
        if name in first:
            raise VolumeFileError(
                f"{first[name]} and {path} would both become {target}. Segment them into two folders."
            )
        first[name] = path


def _require_free(target: Path, *, overwrite: bool) -> None:
    from cisfa.errors import VolumeFileError
    from cisfa.imaging.dicom_places import require_possible

    require_possible(target)
    if target.is_dir():
        raise VolumeFileError(f"{target} is a folder. Choose another output.")
    if (target.exists() or target.is_symlink()) and not overwrite:
        raise VolumeFileError(f"{target} exists already. Pass --overwrite to replace it, or choose another output.")


def _require_writable(folder: Path) -> None:
    """Raise before minutes of work what would be found out after them."""
    from cisfa.errors import VolumeFileError

    there = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    if there.exists() and not there.is_dir():
        raise VolumeFileError(f"{folder} cannot be a folder: {there} is a file. Choose another output.")
    if not os.access(there, os.W_OK):
        raise VolumeFileError(f"{there} cannot be written to. Choose another output.")
