"""Finding cases in what a user points at: folders of the usual layouts, a ``dataset.json``, loose files.

Nothing is read but names, ``dataset.json``, and the first bytes of files that may be DICOM. Light, since Slicer's own
process does this.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from cisfa.cases.case_folder import (
    CHANNEL,
    find_layout,
    names_of_stems,
    organs_beside,
    require_single_channel,
    volumes_by_stem,
)
from cisfa.cases.case_list import ListedCase
from cisfa.errors import CaseError
from cisfa.imaging.dicom_places import dicom_folders_below, files_behind, holds_dicom, is_dicom_file
from cisfa.imaging.dicom_series_uid import series_mark
from cisfa.imaging.organs import Organ, organs_of_dataset_json
from cisfa.imaging.segments import Segment
from cisfa.imaging.volume_names import SUFFIXES, stem_of, suffix_of

_DESCRIPTION = "dataset.json"
# how a label map is called that lies beside its volume: "a.nii.gz" and "a_seg.nii.gz", "label_a.nii.gz"
_ENDINGS = ("label", "labels", "labelmap", "seg", "segmentation", "mask", "gt")
_BEFORE_ENDING = ("_", "-", ".", " ")


def discover(paths: Sequence[Path]) -> tuple[ListedCase, ...]:
    """The cases in folders and files.

    Args:
        paths: Folders with images/ and labels/ or nnU-Net's imagesTr/ and labelsTr/, with a dataset.json that lists its
            cases (Medical Segmentation Decathlon), with loose volumes, or with DICOM series, each in a folder of its
            own at any depth; such a dataset.json itself; volumes, whose label maps lie beside them or are given too;
            files of DICOM series.

    Raises:
        CaseError: There is no case in what was given, or a dataset.json cannot be used.
        VolumeFileError: A folder below one of them cannot be opened.
    """
    found: list[ListedCase] = []
    loose: list[Path] = []
    dicom: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += _in_folder(path)
        elif path.name == _DESCRIPTION:
            found += _described(path)
        elif suffix_of(path) is not None:
            loose.append(path)
        elif is_dicom_file(path):
            dicom.append(path)
        else:
            raise CaseError(
                f"{path} is no volume, folder or dataset.json. Volumes end in {', '.join(SUFFIXES)}, or are DICOM."
            )
    found += _paired(loose) + _series_of(dicom)
    if not found:
        raise CaseError(f"There is no case in {', '.join(map(str, paths))}.")
    return tuple(found)


def segments_beside(label_map: Path) -> tuple[Segment, ...]:
    """What the values of a label map mean, as a dataset.json in its folder or the one above says; empty without one.

    Raises:
        ConfigError: The dataset.json cannot be used.
    """
    return _segments(organs_beside(label_map.parent) or organs_beside(label_map.parent.parent))


def _in_folder(folder: Path) -> list[ListedCase]:
    description = folder / _DESCRIPTION
    if description.is_file() and _lists_its_cases(description):
        return _described(description)
    layout = find_layout(folder)
    if layout is None:
        # one level down only: a layout inside, such as a folder that holds ct/ and mr/, is for the user to choose
        loose = sorted(path for path in folder.iterdir() if _is_volume(path))
        return _with_paths_for_names(_paired([*loose, *_series_folders(folder)]), folder)
    volumes = volumes_by_stem(layout.images)
    require_single_channel(layout.images, volumes)
    labels = volumes_by_stem(layout.labels) if layout.labels.is_dir() else {}
    segments = _segments(organs_beside(folder))
    names = names_of_stems(list(volumes))
    return [
        ListedCase(names[stem], path, label, segments=segments if label else ())
        for stem, path in volumes.items()
        for label in [labels.get(stem) or labels.get(names[stem])]
    ]


def _series_folders(folder: Path) -> list[Path]:
    """The folder itself and those below that hold DICOM files; not those of a layout inside."""
    below = [
        place
        for place in dicom_folders_below(folder)
        if not any(
            find_layout(parent) for parent in place.parents if parent != folder and parent.is_relative_to(folder)
        )
    ]
    return [folder, *below] if holds_dicom(folder) else below


def _with_paths_for_names(cases: list[ListedCase], folder: Path) -> list[ListedCase]:
    """The cases, those of one name by the folders on the way to them: every patient may have a "T1"."""
    names = Counter(case.name for case in cases)
    return [
        replace(case, name=" ".join(case.volume.relative_to(folder).parts))
        if names[case.name] > 1 and case.volume.is_dir() and case.volume != folder
        else case
        for case in cases
    ]


def _series_of(files: Sequence[Path]) -> list[ListedCase]:
    """One case for each DICOM series, whose first file stands for it; a file whose series is unknown is its own."""
    found: list[ListedCase] = []
    told: set[tuple[Path, bytes]] = set()
    for path in files:
        mark = series_mark(path)
        if mark is not None and (path.parent, mark) in told:
            continue
        is_alone = mark is None or len(files_behind(path)) == 1
        if mark is not None:
            told.add((path.parent, mark))
        # slices have names that tell nothing
        name = stem_of(path) if is_alone else path.absolute().parent.name or stem_of(path)
        found.append(ListedCase(name, path, _label_map_of(path, ())))
    return found


def _lists_its_cases(description: Path) -> bool:
    try:
        values = json.loads(description.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return False  # whoever needs what it says tells the user
    return isinstance(values, dict) and isinstance(values.get("training"), list)


def _described(description: Path) -> list[ListedCase]:
    """The cases that a dataset.json of the Medical Segmentation Decathlon lists, those without labels too."""
    try:
        values = json.loads(description.read_text(encoding="utf-8-sig"))
        entries = [(Path(entry["image"]), Path(entry["label"])) for entry in values["training"]]
        unlabelled = [Path(entry) for entry in values.get("test", []) if isinstance(entry, str)]
    except OSError as error:
        raise CaseError(f"{description} cannot be read: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CaseError(
            f'{description} does not list its cases as the Medical Segmentation Decathlon does ("training": [{{"image":'
            ' …, "label": …}]). Choose the folder of the volumes instead.'
        ) from error
    segments = _segments(organs_of_dataset_json(description))
    folder = description.parent
    found = [
        ListedCase(stem_of(image), _with_channel(folder / image), folder / label, segments=segments)
        for image, label in entries
    ]
    found += [ListedCase(stem_of(image), _with_channel(folder / image)) for image in unlabelled]
    return [case for case in found if not case.volume.name.startswith("._")]  # macOS leaves these in archives


def _with_channel(volume: Path) -> Path:
    """The file itself: nnU-Net leaves the channel, which its files' names have, out of its dataset.json."""
    named = volume.with_name(f"{stem_of(volume)}{CHANNEL}{suffix_of(volume) or ''}")
    return named if named.is_file() and not volume.is_file() else volume


def _paired(paths: Iterable[Path]) -> list[ListedCase]:
    """Volumes with the label maps among them, or beside them, that have their names."""
    given = list(dict.fromkeys(paths))
    volumes = [path for path in given if path.is_dir() or _volume_stem(path) is None or not _has_volume(path, given)]
    return [ListedCase(stem_of(path), path, _label_map_of(path, given)) for path in volumes]


def _label_map_of(volume: Path, given: Sequence[Path]) -> Path | None:
    beside = [path for path in volume.parent.iterdir() if _is_volume(path)] if volume.parent.is_dir() else []
    # its own folder's first: every patient may have a folder of their own, with the same names in all of them
    candidates = sorted(
        (path for path in dict.fromkeys([*given, *sorted(beside)]) if not path.is_dir()),
        key=lambda path: path.parent != volume.parent,
    )
    return next((path for path in candidates if _volume_stem(path) == stem_of(volume) and path != volume), None)


def _has_volume(label_map: Path, given: Sequence[Path]) -> bool:
    stem = _volume_stem(label_map)
    return any(stem_of(path) == stem for path in given)


def _volume_stem(path: Path) -> str | None:
    """What a label map's volume would be called; None for a file that is not called like a label map."""
    stem = stem_of(path)
    for ending in _ENDINGS:
        for mark in _BEFORE_ENDING:
            if stem.lower().endswith(f"{mark}{ending}"):
                return stem[: -len(ending) - 1]
            if stem.lower().startswith(f"{ending}{mark}"):
                return stem[len(ending) + 1 :]
    return None


def _is_volume(path: Path) -> bool:
    return suffix_of(path) is not None and not path.name.startswith(".") and path.is_file()


def _segments(organs: Sequence[Organ] | None) -> tuple[Segment, ...]:
    return tuple(Segment(organ.label, organ.name, organ.type, organ.laterality) for organ in organs or ())
