"""What is wrong with label maps: values without a meaning, organs that nobody drew, few labels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cisfa.cases.case_folder import some_of
from cisfa.cases.case_list import CaseList, ListedCase
from cisfa.cases.check_report import CaseFacts, Domain, Finding
from cisfa.config import TrainingConfig

_FEW_DRAWN_SLICES = 10
# class indices are kept in a byte
_MOST_ORGANS = 255

_Key = tuple[Domain, str]


@dataclass(frozen=True)
class _Meaning:
    """What a case's label map means.

    Attributes:
        facts: Of the case.
        labels: Those of the organs that it holds.
        without_meaning: What it names and the list does not map, in words.
        unknown: What it holds and nobody has named, in words.
        strangers: Organs that it is mapped to and that are not among the list's.
    """

    facts: CaseFacts
    labels: frozenset[int]
    without_meaning: tuple[str, ...]
    unknown: tuple[str, ...]
    strangers: tuple[str, ...]


def label_problems(facts: Sequence[CaseFacts], cases: CaseList, config: TrainingConfig) -> Iterator[Finding]:
    """What is wrong with the label maps that training would read.

    Args:
        facts: Of the cases of the domains that training reads.
        cases: The list that they are from.
        config: Of the training.
    """
    listed = _by_key(cases)
    read = [one for one in facts if one.has_labels and one.problem is None and (one.domain, one.name) in listed]
    meanings = [_meaning(one, listed[one.domain, one.name], cases) for one in read]
    if config.few_labels.weight == 0:
        # their files are not opened, so what they hold is not wrong; but training looks up what their names mean
        meanings = [replace(one, unknown=()) if one.facts.domain == "target" else one for one in meanings]
    if not cases.organs:
        yield Finding("error", "The list names no organ to learn. Say what the segments of the source cases are.")
        return
    if len(cases.organs) > _MOST_ORGANS:
        yield Finding(
            "error", f"There are {len(cases.organs)} organs; at most {_MOST_ORGANS} can be learned at once. Drop some."
        )
    for domain in ("source", "target"):
        yield from _without_meaning(domain, [one for one in meanings if one.facts.domain == domain])
    yield from _empty([one for one in meanings if one.facts.domain == "source" or config.few_labels.weight > 0])
    yield from _missing_organs(cases, [one for one in meanings if one.facts.domain == "source"])
    if config.few_labels.weight > 0:
        yield from _drawn_and_not_learned(cases, [one for one in meanings if one.facts.domain == "target"])


def few_label_problems(facts: Sequence[CaseFacts], config: TrainingConfig) -> Iterator[Finding]:
    """What to know of the target's label maps of which some slices were drawn."""
    weight = config.few_labels.weight
    with_few = [one for one in facts if one.domain == "target" and one.has_labels]
    names = tuple(one.name for one in with_few)
    drawn = sum(one.labelled_slices for one in with_few if one.problem is None)
    if weight == 0 and with_few:
        yield Finding(
            "warning",
            f"{_target_cases(len(with_few))} few labels ({drawn} slices drawn), which are not used: few_labels.weight"
            " is 0. Set it, for instance to 1, to learn from them; they must not serve for scoring then.",
            names,
            "target",
        )
    elif weight > 0 and not with_few:
        yield Finding(
            "error",
            f"few_labels.weight is {weight:g}, but no target case has few labels. Draw every organ on some slices of a"
            " target case and name that label map in the list, or leave the weight at 0.",
        )
    elif weight > 0 and 0 < drawn < _FEW_DRAWN_SLICES:
        yield Finding(
            "warning",
            f"{_target_cases(len(with_few))} few labels, {drawn} slices drawn in all. So few are soon learned by heart;"
            f" draw {_FEW_DRAWN_SLICES} or more, spread over several cases.",
            names,
            "target",
        )


def _target_cases(count: int) -> str:
    return "One target case has" if count == 1 else f"{count} target cases have"


def _by_key(cases: CaseList) -> dict[_Key, ListedCase]:
    found: dict[_Key, ListedCase] = {("source", case.name): case for case in cases.source}
    found.update({("target", case.name): case for case in cases.target})
    return found


def _meaning(facts: CaseFacts, case: ListedCase, cases: CaseList) -> _Meaning:
    labels = {organ.name: organ.label for organ in cases.organs}
    named = {segment.value: segment for segment in case.segments}
    held, unknown = set(), []
    for one in facts.segments:
        if one.voxels and named and one.segment.value not in named:
            unknown.append(f"the label value {one.segment.value} ({one.segment.name})")
        elif one.voxels and not named:
            # nobody has named any: the values are taken for the organs' own labels
            if one.segment.value in labels.values():
                held.add(one.segment.value)
            else:
                unknown.append(f"the label value {one.segment.value} ({one.segment.name})")
        elif one.voxels:
            held.add(labels.get(cases.mapping.get(named[one.segment.value].key) or "", 0))
    organs = [cases.mapping.get(segment.key) for segment in case.segments]
    return _Meaning(
        facts=facts,
        labels=frozenset(held - {0}),
        without_meaning=tuple(
            f"the segment {segment.name}" for segment in case.segments if segment.key not in cases.mapping
        ),
        unknown=tuple(unknown),
        strangers=tuple(organ for organ in organs if organ is not None and organ not in labels),
    )


def _without_meaning(domain: Domain, meanings: Sequence[_Meaning]) -> Iterator[Finding]:
    for what, names in _grouped(
        (each, one) for one in meanings for each in (*one.unknown, *one.without_meaning)
    ).items():
        yield Finding(
            "error",
            f"{_cases_hold(names)} {what}, and nobody has said which organ it is. Choose one, or that it is not to be"
            " learned.",
            names,
            domain,
        )
    for organ, names in _grouped((each, one) for one in meanings for each in one.strangers).items():
        yield Finding(
            "error",
            f"A segment of {some_of(names)} is to be learned as {organ}, which is none of the organs. Choose one of"
            " these, or that it is not to be learned.",
            names,
            domain,
        )


def _empty(meanings: Sequence[_Meaning]) -> Iterator[Finding]:
    for one in meanings:
        facts = one.facts
        if not any(each.voxels for each in facts.segments):
            found = "is empty: it holds only background"
        elif not one.labels and not one.unknown and not one.without_meaning and not one.strangers:
            held = some_of([each.segment.name for each in facts.segments if each.voxels])
            found = f"holds nothing that is to be learned, only {held}"
        else:
            continue
        message = f"The label map of {facts.name} {found}. Draw the organs, or take the case out."
        yield Finding("error", message, (facts.name,), facts.domain)


def _drawn_and_not_learned(cases: CaseList, meanings: Sequence[_Meaning]) -> Iterator[Finding]:
    """What is mapped to nothing is background on drawn slices, which would harm an organ under another name."""
    for one in meanings:
        if one.unknown or one.without_meaning:
            continue  # what has to be said of these comes first
        missing = [organ.name for organ in cases.organs if organ.label not in one.labels]
        held = [each.segment for each in one.facts.segments if each.voxels]
        ignored = [segment.name for segment in held if cases.mapping.get(segment.key, "") is None]
        if one.labels and missing and ignored:
            yield Finding(
                "error",
                f"The few labels of {one.facts.name} hold {some_of(ignored)}, which are not to be learned, and lack"
                f" {some_of(missing)}: where these are drawn under those names, they would be taught as background. Say"
                " which organ each of them is, or take them out of the label map.",
                (one.facts.name,),
                "target",
            )
        elif one.labels and missing:
            yield Finding(
                "warning",
                f"{some_of(missing)} is drawn nowhere in the few labels of {one.facts.name}. Where it is to be seen on"
                " a drawn slice, it is taught as background: draw it there.",
                (one.facts.name,),
                "target",
            )


def _missing_organs(cases: CaseList, meanings: Sequence[_Meaning]) -> Iterator[Finding]:
    clear = [one for one in meanings if one.labels]
    for organ in cases.organs:
        missing = tuple(one.facts.name for one in clear if organ.label not in one.labels)
        if clear and len(missing) == len(clear):
            yield Finding(
                "error",
                f"{organ.name} is in none of the {len(clear)} source cases that can be read, so it cannot be learned."
                " Add cases that have it, or take it off the organs.",
                missing,
                "source",
            )
        elif missing:
            yield Finding(
                "warning",
                f"{organ.name} is in {len(clear) - len(missing)} of {len(clear)} source cases, not in"
                f" {some_of(missing)}. Where it is to be seen and not drawn, it is learned as background: draw it"
                " there, unless the patient or the volume lacks it.",
                missing,
                "source",
            )


def _cases_hold(names: Sequence[str]) -> str:
    return f"{some_of(names)} {'holds' if len(names) == 1 else 'hold'}"


def _grouped(found: Iterator[tuple[str, _Meaning]]) -> Mapping[str, tuple[str, ...]]:
    """Not a finding for every case: what is wrong to the names of the cases."""
    groups: dict[str, list[str]] = {}
    for what, one in found:
        names = groups.setdefault(what, [])
        if one.facts.name not in names:
            names.append(one.facts.name)
    return {what: tuple(names) for what, names in groups.items()}
