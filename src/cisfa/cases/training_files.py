"""From a list of cases to the files that a training reads."""

from collections.abc import Iterable

from cisfa.cases.case_folder import CaseFiles, some_of
from cisfa.cases.case_list import CaseList, ListedCase
from cisfa.cases.patient_keys import patients_in_both
from cisfa.errors import CaseError


def source_files(cases: CaseList) -> list[CaseFiles]:
    """The annotated cases.

    Raises:
        CaseError: There is none, one has no label map, or a segment has no meaning.
    """
    if not cases.source:
        raise CaseError("The list has no source cases. Add annotated cases to learn from.")
    if not cases.organs:
        raise CaseError("The list names no organ to learn. Say what the segments of the source cases are.")
    files = []
    for case in cases.source:
        if case.labels is None:
            raise CaseError(f"{case.name} has no label map, and source cases need one. Add it, or remove the case.")
        meaning = _meaning(cases, case)
        files.append(CaseFiles(case.name, case.volume, case.labels, values=meaning, patient_keys=case.patient_keys))
    return files


def target_files(cases: CaseList) -> list[CaseFiles]:
    """The cases to adapt to; with the label maps of which some slices were drawn, where there are any.

    Raises:
        CaseError: There is none, a segment has no meaning, or a patient is in both domains.
    """
    if not cases.target:
        raise CaseError("The list has no target cases. Add unlabelled cases to adapt to.")
    # not before a method asks for the target: for one that does not, nothing would flatter
    require_different_patients_by_keys(cases)
    return [
        CaseFiles(
            case.name, case.volume, None, few_labels=case.few_labels,
            values=_meaning(cases, case) if case.few_labels else None, patient_keys=case.patient_keys,
        )
        for case in cases.target
    ]  # fmt: skip


def require_files(cases: Iterable[CaseFiles]) -> None:
    """Raise when a file of a case is not there, before hours are spent on reading the others.

    Raises:
        CaseError: As said.
    """
    paths = [path for case in cases for path in (case.volume, case.labels, case.few_labels) if path is not None]
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise CaseError(
            f"{'Files' if len(missing) > 1 else 'A file'} of the cases cannot be found: {some_of(missing)}. Put"
            f" {'them' if len(missing) > 1 else 'it'} back or connect the drive, then start again. A new run can do"
            " without such a case, a run that goes on cannot."
        )


def _meaning(cases: CaseList, case: ListedCase) -> dict[int, int] | None:
    """What to make of its values; None, the organs' own labels, where nobody has named any."""
    return cases.values_of(case) if case.segments else None


def require_different_patients_by_keys(cases: CaseList) -> None:
    """Raise when a patient is in both domains, as far as identifiers tell.

    Raises:
        CaseError: As said.
    """
    both = patients_in_both(
        *([(case.name, case.patient_keys) for case in side] for side in (cases.source, cases.target))
    )
    if both:
        source, target = both[0]
        raise CaseError(
            f"The source case {source} and the target case {target} are of one patient, which would flatter the scores."
            " Remove one of them."
        )
