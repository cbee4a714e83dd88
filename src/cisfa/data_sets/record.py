"""``prepared.json``: which case was made from which files, what was left out and why; and how to go on after a stop."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import cisfa
from cisfa.data_sets.found_set import Observation
from cisfa.errors import CaseError
from cisfa.whole_files import write_text

NAME = "prepared.json"
_FORMAT = 1


@dataclass(frozen=True)
class KeptCase:
    """A case that was written.

    Attributes:
        files: What it was read from, relative to the data set's folder, with forward slashes.
        has_labels: False for a volume alone.
        organs_ml: Volume of each wanted organ that is there.
        remarks: What to know of it.
    """

    files: tuple[str, ...]
    has_labels: bool
    organs_ml: Mapping[str, float] = field(default_factory=dict)
    remarks: tuple[Observation, ...] = ()


@dataclass(frozen=True)
class Record:
    """What has been prepared so far.

    Attributes:
        asked: The data set and every choice, as JSON has them: what must be the same to go on.
        organs: Name to label.
        licence: Of the data.
        kept: Name of a case to how it was made.
        left_out: Name of a case to why it is not there.
    """

    asked: Mapping[str, Any]
    organs: Mapping[str, int]
    licence: str
    kept: Mapping[str, KeptCase] = field(default_factory=dict)
    left_out: Mapping[str, Observation] = field(default_factory=dict)

    def with_kept(self, name: str, case: KeptCase) -> "Record":
        """With a case that was written."""
        left_out = {other: why for other, why in self.left_out.items() if other != name}
        return replace(self, kept={**self.kept, name: case}, left_out=left_out)

    def with_left_out(self, name: str, why: Observation) -> "Record":
        """With a case that cannot be used."""
        kept = {other: case for other, case in self.kept.items() if other != name}
        return replace(self, kept=kept, left_out={**self.left_out, name: why})

    def in_words(self) -> list[str]:
        """The summary, a line for each kind of thing to know."""
        labelled = sum(case.has_labels for case in self.kept.values())
        alone = len(self.kept) - labelled
        total = len(self.kept) + len(self.left_out)
        lines = [f"Kept {len(self.kept)} of {total} cases" + (f", {alone} of them without labels." if alone else ".")]
        left_out = list(self.left_out.items())
        remarks = [(name, remark) for name, case in self.kept.items() for remark in case.remarks]
        lines += [f"Left out {line}" for line in _grouped(left_out)]
        return lines + [f"Note on {line}" for line in _grouped(remarks)]


def _grouped(found: Iterable[tuple[str, Observation]]) -> Iterable[str]:
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, observation in found:
        groups.setdefault(observation.what, []).append((name, observation.detail))
    for what, cases in groups.items():
        name, detail = cases[0]
        whose = f"{name}: " if len(cases) == 1 else f"for instance {name}: "
        yield f"{len(cases)}: {what} ({whose}{detail})"


def write_record(record: Record, folder: Path) -> None:
    """Write it, whole.

    Raises:
        VolumeFileError: The folder cannot be written.
    """
    values = {
        "format": _FORMAT,
        "cisfa_version": cisfa.__version__,
        "asked": record.asked,
        "licence": record.licence,
        "organs": record.organs,
        "summary": {
            "kept": len(record.kept),
            "left_out": dict(Counter(why.what for why in record.left_out.values())),
            "remarks": dict(Counter(one.what for case in record.kept.values() for one in case.remarks)),
        },
        "kept": {name: asdict(case) for name, case in record.kept.items()},
        "left_out": {name: asdict(why) for name, why in record.left_out.items()},
    }
    write_text(folder / NAME, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def read_record(folder: Path) -> Record:
    """Read what an earlier call has written.

    Raises:
        CaseError: There is none, or it cannot be read.
    """
    path = folder / NAME
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Record(
            asked=dict(values["asked"]),
            organs={str(name): int(label) for name, label in values["organs"].items()},
            licence=str(values["licence"]),
            kept={name: _kept(case) for name, case in values["kept"].items()},
            left_out={name: Observation(**why) for name, why in values["left_out"].items()},
        )
    except FileNotFoundError as error:
        raise CaseError(
            f"{folder} holds no {NAME}, so nothing was prepared there that could go on. Choose an empty folder."
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CaseError(f"{path} cannot be read ({error}). Prepare into another folder.") from error


def chosen_by_labels(volumes: Iterable[Path]) -> list[str]:
    """Warnings about folders whose cases were cut or chosen by their labels, which must not be done to a target.

    A folder without a record, or with one that cannot be read, gives none.

    Args:
        volumes: Of target cases; only the folders that hold them count, as ``OUT/images/case.nii.gz`` does OUT.
    """
    warnings = []
    for folder in dict.fromkeys(volume.parent.parent for volume in volumes):
        try:
            asked = read_record(folder).asked
        except CaseError:
            continue
        done = ["its volumes were cut to their organs (--around-organs)"] * (asked.get("around_organs_mm") is not None)
        done += ["cases without all organs were left out (--all-organs)"] * bool(asked.get("all_organs"))
        if done:
            warnings.append(
                f"{folder} was prepared by what its label maps show: {', and '.join(done)}. A target has no labels to"
                " go by, so its scores would flatter: prepare it without, or use it as a source."
            )
    return warnings


def _kept(values: Mapping[str, Any]) -> KeptCase:
    return KeptCase(
        files=tuple(map(str, values["files"])),
        has_labels=bool(values["has_labels"]),
        organs_ml={str(name): float(ml) for name, ml in values["organs_ml"].items()},
        remarks=tuple(Observation(**remark) for remark in values["remarks"]),
    )
