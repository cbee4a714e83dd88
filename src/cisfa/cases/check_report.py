"""What ``cisfa check`` found, as one JSON file: the facts of each case, what is wrong, what a training would take.

The file names cases and volumes and so may tell who a patient is: it stays on the computer that the volumes are on.
Light, since Slicer's own process reads it.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from cisfa.config import Modality
from cisfa.config_files import from_json_values
from cisfa.errors import CaseError, ConfigError
from cisfa.imaging.segments import Segment
from cisfa.whole_files import write_text

SCHEMA = 1

Domain = Literal["source", "target"]
Severity = Literal["error", "warning"]
Plane = Literal["axial", "coronal", "sagittal"]


@dataclass(frozen=True)
class FoundSegment:
    """One value that a label map holds, or should hold.

    Attributes:
        segment: What it means, as the list of cases or the file itself names it; "label 3" where neither does.
        voxels: How many voxels have it; 0 for a value that is named and not there.
        is_listed: True when the list of cases names this value of the case.
    """

    segment: Segment
    voxels: int
    is_listed: bool


@dataclass(frozen=True)
class Intensities:
    """How bright a volume's voxels are, in HU or in the scanner's units.

    Attributes:
        lowest: Of all voxels.
        low: 1st percentile.
        middle: Median.
        high: 99th percentile.
        highest: Of all voxels.
    """

    lowest: float
    low: float
    middle: float
    high: float
    highest: float


@dataclass(frozen=True)
class CaseFacts:
    """What was found in the files of one case; what could not be read is None, and ``problem`` says why.

    Attributes:
        domain: Which side of the list it is on.
        name: What the list calls it.
        problem: Why the case cannot be used, in a sentence; None for a case that can be read.
        shape: Of the array: (slices, rows, columns) as stored.
        spacing_mm: Distance of neighbouring voxels along these.
        acquired_plane: The plane that the scanner acquired, as far as the spacing tells.
        plane: The plane that training cuts it in.
        slices: Number of slices in that plane.
        body_mm: Height and width of the body in these slices.
        modality: What its DICOM series says, or else what its intensities look like.
        intensities: How bright it is.
        size_bytes: Of its files on disk, label map included.
        fingerprint: SHA-256 of its voxels, as runs record it; the same for two copies of one volume.
        has_labels: True when the list names a label map that training reads: a source case's ``labels``, a target
            case's ``few_labels``.
        segments: What the list names of this case, found or not, and what else that label map holds, by rising value.
        labelled_slices: Number of slices in the training's plane on which that label map holds anything.
        thumbnail: Path of a picture of its middle slice, or of the one with most labels; None without a cache.
        laterality: "L" or "R", where its DICOM series says so.
        frame_of_reference_uid: Of its DICOM series; empty where that says nothing.
        patient_keys: Digests of what identifies the patient in its DICOM series (never that itself).
    """

    domain: Domain
    name: str
    problem: str | None = None
    shape: tuple[int, int, int] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    acquired_plane: Plane | None = None
    plane: Plane | None = None
    slices: int = 0
    body_mm: tuple[float, float] | None = None
    modality: Modality | None = None
    intensities: Intensities | None = None
    size_bytes: int = 0
    fingerprint: str | None = None
    has_labels: bool = False
    segments: tuple[FoundSegment, ...] = ()
    labelled_slices: int = 0
    thumbnail: str | None = None
    laterality: str = ""
    frame_of_reference_uid: str = ""
    patient_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or may be.

    Attributes:
        severity: With an error, training refuses to start or cannot succeed; a warning is for the user to judge.
        message: What is wrong, the value found, and what to do.
        cases: Names of the cases that it is about; empty when it is about none in particular.
        domain: The side that these cases are on; None for both, or neither.
    """

    severity: Severity
    message: str
    cases: tuple[str, ...] = ()
    domain: Domain | None = None


@dataclass(frozen=True)
class Estimate:
    """What a training with these cases and settings would take.

    Attributes:
        device: Where, in words: "a CPU (8 threads)", the name of a graphics card.
        steps: Optimiser updates until the schedule's end.
        step_s: Seconds of one step, with its share of the validations; None when it could not be found out.
        time_basis: How that is known: "measured" with these settings, "extrapolated" from smaller slices, "unknown".
        memory_mib: Memory needed on the device, with the slices of all cases.
        memory_basis: "measured" on the device, or "computed" from networks' and slices' sizes.
        free_memory_mib: Memory free there now; None where the system does not tell.
        total_memory_mib: All memory there; None likewise.
        disk_mib: What the run's folder grows to.
        free_disk_mib: Free space where the run would be written; None when no place was named.
    """

    device: str
    steps: int
    step_s: float | None
    time_basis: Literal["measured", "extrapolated", "unknown"]
    memory_mib: float
    memory_basis: Literal["measured", "computed"]
    free_memory_mib: float | None
    total_memory_mib: float | None
    disk_mib: float
    free_disk_mib: float | None

    @property
    def total_s(self) -> float | None:
        """Seconds of the whole training; None when not known."""
        return None if self.step_s is None else self.step_s * self.steps


@dataclass(frozen=True)
class CheckReport:
    """Everything that was found.

    Attributes:
        cases: Facts of each case, in the order of the list, the source's first.
        findings: What is wrong, errors first.
        estimate: What training would take; None when it was not asked for, or cannot be told.
    """

    cases: tuple[CaseFacts, ...] = ()
    findings: tuple[Finding, ...] = ()
    estimate: Estimate | None = None

    @property
    def has_errors(self) -> bool:
        """True when something has to be mended before a training can start."""
        return bool(self.errors)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What has to be mended before a training can start."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What the user should look at."""
        return tuple(finding for finding in self.findings if finding.severity == "warning")


def read_check_report(path: Path) -> CheckReport:
    """Read what :func:`write_check_report` wrote.

    Raises:
        CaseError: The file cannot be read, is damaged, or is of a newer version.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CaseError(f"{path} cannot be read: {error.strerror or error}. Check the cases again.") from error
    except ValueError as error:
        raise CaseError(f"{path} is damaged ({error}). Check the cases again.") from error
    schema = values.pop("schema", None) if isinstance(values, dict) else None
    if not isinstance(schema, int) or isinstance(schema, bool):
        raise CaseError(f"{path} is no report on cases (it has no schema). Choose one that cisfa check wrote.")
    if schema > SCHEMA:
        raise CaseError(f"{path} was written by a newer version of CISFA (schema {schema}). Update this one.")
    try:
        return from_json_values(CheckReport, values)
    except ConfigError as error:
        raise CaseError(f"{path} is damaged ({error}). Check the cases again.") from error


def write_check_report(report: CheckReport, path: Path) -> None:
    """Save a report, whole or not at all.

    Raises:
        VolumeFileError: The file cannot be written.
    """
    write_text(path, json.dumps({"schema": SCHEMA, **asdict(report)}, indent=2, ensure_ascii=False) + "\n")
