"""Prepare a public data set: read each of its cases, check it, write it, and keep a record of all of them."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cisfa.data_sets.body_range import cut_to_organs
from cisfa.data_sets.case_reading import voxel_counts
from cisfa.data_sets.choices import CHANNELS, TITLES, Choices
from cisfa.data_sets.found_set import CaseContent, DataSet, FoundCase, FoundSet, LeftOutError, Observation
from cisfa.data_sets.known_sets import KNOWN_SETS, what_a_folder_holds_instead
from cisfa.data_sets.record import NAME, KeptCase, Record, read_record, write_record
from cisfa.errors import CaseError, ConfigError, VolumeFileError
from cisfa.events import Progress, Report
from cisfa.imaging.volume_files import write_label_map, write_volume
from cisfa.whole_files import reason_of, write_text

UNLABELLED = "unlabelled"
_SUFFIX = ".nii.gz"
# less of an organ is a tip that the end of the volume cut off
_SLIVER_ML = 1.0
_STAGE = "preparing"


@dataclass(frozen=True)
class Request:
    """What to prepare.

    Attributes:
        data_set: Its key in :data:`~cisfa.data_sets.known_sets.KNOWN_SETS`.
        choices: What of it.
        with_unlabelled: Also volumes without labels, into a folder of their own.
        all_organs: Only labelled cases that have every organ.
        around_organs_mm: Cut labelled cases along the body to their organs and so much more; None leaves them whole.
    """

    data_set: str
    choices: Choices = field(default_factory=Choices)
    with_unlabelled: bool = False
    all_organs: bool = False
    around_organs_mm: float | None = None


def prepare(request: Request, raw: Path, out: Path, report: Report, *, resume: bool = False) -> Record:
    """Write the cases of a data set as folders that training and scoring read.

    Args:
        request: What to prepare.
        raw: The folder that the download unpacked to.
        out: Gets ``images``, ``labels``, ``dataset.json`` and ``prepared.json``; volumes without labels go to
            ``unlabelled/images`` in it. It must be new or empty.
        report: Hears of every case; what it raises ends the work, and what was written stays.
        resume: Go on where an earlier call stopped; cases that it left out are looked at again, and those whose
            label map came or went since are written anew, in one place alone.

    Returns:
        What became of each case.

    Raises:
        CaseError: ``raw`` is not this data set, ``out`` is not free, or no case can be used.
        ConfigError: A choice makes no sense for it.
        VolumeFileError: A file cannot be written, or an old one not removed.
    """
    data_set = KNOWN_SETS[request.data_set]
    _require_options(data_set, request.choices)
    _require_folders(raw, out)
    before = _earlier(request, out, resume=resume)
    found = data_set.find(raw, request.choices)
    if not found.cases and not found.left_out:
        raise CaseError(what_a_folder_holds_instead(raw, request.data_set))
    record = Record(
        _asked(request), found.organs, data_set.licences[found.modality], before.kept if before else {}, found.left_out
    )
    begin, todo = time.monotonic(), [case for case in found.cases if not _is_finished(case, record, out)]
    write_record(record, out)
    for done, case in enumerate(todo):
        seconds_each = (time.monotonic() - begin) / done if done else None
        remaining_s = None if seconds_each is None else seconds_each * (len(todo) - done)
        report(Progress(_STAGE, done / len(todo), remaining_s))
        record = _with_case(record, case, request, raw, out)
        _save(record, found, request, out)
    _save(record, found, request, out)
    report(Progress(_STAGE, 1.0))
    if not record.kept:
        raise CaseError(f"No case can be used; {out / NAME} says why. " + " ".join(record.in_words()[1:]))
    return record


def _require_options(data_set: DataSet, choices: Choices) -> None:
    given = {name for name in ("modality", "sequence", "organs", "only") if getattr(choices, name)}
    for name in sorted(given - data_set.options):
        if name == "modality" and choices.modality == "ct":
            continue  # what has CT alone
        raise ConfigError(f"--{name} makes no sense for {TITLES[data_set.key]}. Drop it.")


def _require_folders(raw: Path, out: Path) -> None:
    if not raw.is_dir():
        raise CaseError(f"{raw} is no folder. Name the folder that the download unpacked to.")
    if out.exists() and not out.is_dir():
        raise CaseError(f"{out} is a file; cases need a folder. Choose another one.")
    # what was written would be found again as if it had been downloaded
    if out.resolve().is_relative_to(raw.resolve()):
        raise CaseError(f"{out} lies in {raw}, which is only read. Choose a folder elsewhere.")


def _earlier(request: Request, out: Path, *, resume: bool) -> Record | None:
    """What an earlier call has done; None for a folder that is still free."""
    contents = {path.name for path in out.iterdir() if not path.name.startswith(".")} if out.is_dir() else set()
    # what stays where no case could be used, or none was finished, is nobody's work
    if not contents or (contents == {NAME} and not read_record(out).kept):
        return None
    if not resume:
        raise CaseError(f"{out} is not empty. Choose another folder, or go on with what was begun there: --resume.")
    record = read_record(out)
    asked = _asked(request)
    differing = sorted(key for key in asked if record.asked.get(key) != asked[key])
    if differing:
        key = differing[0]
        raise CaseError(
            f"{out} was begun with {key} {record.asked.get(key)!r}, not {asked[key]!r}. Go on with the same options, or"
            " choose another folder."
        )
    return record


def _asked(request: Request) -> Mapping[str, object]:
    """Every choice, as JSON gives it back."""
    choices = request.choices
    return {
        "data_set": request.data_set,
        "modality": choices.modality,
        "sequence": choices.sequence,
        "organs": list(choices.organs),
        "only": [list(each) for each in choices.only],
        "with_unlabelled": request.with_unlabelled,
        "all_organs": request.all_organs,
        "around_organs_mm": request.around_organs_mm,
    }


def _is_finished(case: FoundCase, record: Record, out: Path) -> bool:
    kept = record.kept.get(case.name)
    if kept is None or kept.has_labels != case.has_labels:
        return False
    return all(path.is_file() for path in _files_of(case.name, out, has_labels=kept.has_labels))


def _files_of(name: str, out: Path, *, has_labels: bool) -> list[Path]:
    """Label map, then volume: a volume that is there is whole, and so is its label map."""
    if not has_labels:
        return [out / UNLABELLED / "images" / f"{name}{_SUFFIX}"]
    return [out / "labels" / f"{name}{_SUFFIX}", out / "images" / f"{name}{_SUFFIX}"]


def _with_case(record: Record, case: FoundCase, request: Request, raw: Path, out: Path) -> Record:
    try:
        if not case.has_labels and not request.with_unlabelled:
            raise LeftOutError("it has no label map", "Keep such volumes, for a target domain, with --unlabelled.")
        content = case.read()
        kept = _described(case, content, record.organs, request, raw)
    except LeftOutError as error:
        _remove(case.name, out, had_labels=True)
        _remove(case.name, out, had_labels=False)
        why = replace(error.why, detail=_without_folder(error.why.detail, raw))
        return record.with_left_out(case.name, why)
    # label maps that came, or went, since an earlier call: else one patient would be in both places
    _remove(case.name, out, had_labels=not kept.has_labels)
    if content.label_map is None:
        write_volume(content.volume, _files_of(case.name, out, has_labels=False)[0])
    else:
        volume, label_map = content.volume, content.label_map
        if request.around_organs_mm is not None:
            volume, label_map = cut_to_organs(volume, label_map, request.around_organs_mm)
        of_labels, of_volume = _files_of(case.name, out, has_labels=True)
        write_label_map(label_map, of_labels)
        write_volume(volume, of_volume)
    return record.with_kept(case.name, kept)


def _remove(name: str, out: Path, *, had_labels: bool) -> None:
    """Take away what an earlier call wrote of a case, the volume first: without it a label map is nobody's.

    Raises:
        VolumeFileError: It cannot be removed.
    """
    for path in reversed(_files_of(name, out, has_labels=had_labels)):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise VolumeFileError(
                f"{path} is of no more use, and cannot be removed: {reason_of(error)}. Close the programs that have it"
                " open, and go on with --resume."
            ) from error


def _described(
    case: FoundCase, content: CaseContent, organs: Mapping[str, int], request: Request, raw: Path
) -> KeptCase:
    """What to keep of a case in the record.

    Raises:
        LeftOutError: It holds too little of the organs.
    """
    files = tuple(path.relative_to(raw).as_posix() for path in case.files)
    if content.label_map is None:
        return KeptCase(files, has_labels=False, remarks=content.remarks)
    counts, ml = voxel_counts(content.label_map.voxels), content.volume.geometry.voxel_volume_ml
    volumes = {name: round(float(counts[label]) * ml, 2) for name, label in organs.items() if label < len(counts)}
    there = {name: volume for name, volume in volumes.items() if volume > 0}
    lacking = [name for name in organs if there.get(name, 0.0) < _SLIVER_ML]
    said = ", ".join(f"{name} ({there[name]:.2g} mL)" if name in there else name for name in lacking)
    if len(lacking) == len(organs):
        raise LeftOutError("it has none of the organs, or only slivers", f"It lacks {said}.")
    remarks = content.remarks
    if lacking:
        remark = Observation("an organ is missing, or only a sliver is there", f"It lacks {said}.")
        if request.all_organs:
            raise LeftOutError(remark.what, remark.detail)
        remarks = (*remarks, remark)
    return KeptCase(files, has_labels=True, organs_ml=there, remarks=remarks)


def _without_folder(message: str, raw: Path) -> str:
    """A message whose paths begin in the data set's folder: where that lies is nobody's business."""
    return message if raw == Path() else message.replace(f"{raw}{os.sep}", "")


def _save(record: Record, found: FoundSet, request: Request, out: Path) -> None:
    labelled = sum(case.has_labels for case in record.kept.values())
    if labelled:
        values = {
            "name": f"{TITLES[request.data_set]} {CHANNELS[found.modality]}",
            "description": f"prepared by cisfa from the public data set; {NAME} says how",
            "licence": record.licence,
            "channel_names": {"0": CHANNELS[found.modality]},
            "labels": {"background": 0, **found.organs},
            "numTraining": labelled,
            "file_ending": _SUFFIX,
        }
        write_text(out / "dataset.json", json.dumps(values, indent=2, ensure_ascii=False) + "\n")
    write_record(record, out)
