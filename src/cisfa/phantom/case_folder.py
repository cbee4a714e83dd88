"""Write synthetic cases as folders that training and evaluation read: volumes, label maps, and what the labels mean."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cisfa.errors import CaseError
from cisfa.events import Progress, Report
from cisfa.imaging.volume_files import write_label_map, write_volume
from cisfa.phantom.case import case_name, make_case
from cisfa.phantom.scanner import Size
from cisfa.phantom.tissues import LABEL_NAMES, Domain
from cisfa.whole_files import write_whole

_DATASET = "dataset.json"
_KINDS = ("images", "labels")
_CHANNELS: dict[Domain, str] = {"ct": "CT", "mr": "MRI"}


@dataclass(frozen=True)
class CaseSet:
    """Which cases to make.

    Attributes:
        domains: CT-like, MR-like, or both.
        cases: How many of each.
        seed: Names the set of patients; another seed makes other patients.
        severity: From 0 (easy) to 1 (hard).
        size: ``standard`` is like a clinical series, ``small`` is for tests.
    """

    domains: tuple[Domain, ...]
    cases: int
    seed: int = 0
    severity: float = 0.5
    size: Size = "standard"


def write_cases(wanted: CaseSet, folder: Path, report: Report, *, overwrite: bool = False) -> tuple[Path, ...]:
    """Make cases and write them to ``folder``; with two domains, to its ``ct`` and ``mr`` folders.

    Args:
        wanted: Which cases.
        folder: Gets ``images``, ``labels`` and ``dataset.json``; is made if it is not there.
        report: Told of every case that is written.
        overwrite: Replace the phantoms that a folder holds already, all of them; other files are never touched.

    Returns:
        The folders that hold ``images`` and ``labels``, one a domain.

    Raises:
        CaseError: A folder is not free.
        VolumeFileError: A file cannot be written.
    """
    homes = {domain: folder / domain if len(wanted.domains) > 1 else folder for domain in wanted.domains}
    for domain, home in homes.items():
        _require_free(home, domain, overwrite=overwrite)
    for domain, home in homes.items():
        _clear(home, domain)
        write_whole(home / _DATASET, lambda path, domain=domain: _write_dataset(path, domain, wanted))  # type: ignore[misc]
    begin, total = time.monotonic(), wanted.cases * len(homes)
    report(Progress("making phantoms", 0.0))
    for done, (domain, index) in enumerate(_all_cases(wanted), start=1):
        volume, label_map = make_case(domain, seed=wanted.seed, index=index, severity=wanted.severity, size=wanted.size)
        write_volume(volume, homes[domain] / "images" / volume.name)
        write_label_map(label_map, homes[domain] / "labels" / label_map.name)
        seconds_each = (time.monotonic() - begin) / done
        report(Progress("making phantoms", done / total, seconds_each * (total - done)))
    return tuple(homes.values())


def _all_cases(wanted: CaseSet) -> Iterator[tuple[Domain, int]]:
    return ((domain, index) for domain in wanted.domains for index in range(wanted.cases))


def _require_free(home: Path, domain: Domain, *, overwrite: bool) -> None:
    if home.exists() and not home.is_dir():
        raise CaseError(f"{home} is a file; phantoms need a folder. Choose another one.")
    if not overwrite:
        taken = [name for name in (*_KINDS, _DATASET) if (home / name).exists()]
        if taken:
            raise CaseError(
                f"{home} already holds {' and '.join(taken)}. Choose another folder, or replace its phantoms with"
                " --overwrite."
            )
    others = [path for path in _files(home) if path not in _phantoms(home, domain)]
    if others:
        raise CaseError(
            f"{home} holds cases that are not {domain.upper()} phantoms, such as {others[0].name}. Phantoms are never"
            " mixed with them: choose another folder."
        )


def _files(home: Path) -> list[Path]:
    return sorted(path for kind in _KINDS for path in (home / kind).glob("[!.]*"))


def _phantoms(home: Path, domain: Domain) -> list[Path]:
    beginning = case_name(domain, 0).rstrip("0")
    return [path for path in _files(home) if path.name.startswith(beginning)]


def _clear(home: Path, domain: Domain) -> None:
    """Remove phantoms of before, lest a smaller set be topped up with patients of another seed."""
    for path in _phantoms(home, domain):
        path.unlink()


def _write_dataset(path: Path, domain: Domain, wanted: CaseSet) -> None:
    """Say what the labels mean, as nnU-Net does, and how the same cases are made again."""
    values = {
        "name": f"synthetic {domain.upper()} abdomens",
        "description": f"cisfa phantom, seed {wanted.seed}, severity {wanted.severity:g}, size {wanted.size}",
        "channel_names": {"0": _CHANNELS[domain]},
        "labels": dict(LABEL_NAMES),
        "numTraining": wanted.cases,
        "file_ending": ".nii.gz",
    }
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
