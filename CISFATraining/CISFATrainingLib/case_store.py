"""The cases of the panel: what is in the two tables, what is known of it, and what its segments mean."""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from slicer.i18n import tr as _

from cisfa.cases.case_list import CaseList, ListedCase, read_case_list, write_case_list
from cisfa.cases.check_report import CaseFacts, CheckReport
from cisfa.cases.organ_mapping import map_segment, match_organs
from cisfa.errors import CisfaError
from cisfa.imaging.segments import Segment
from cisfa_slicer.signal import Signal

Domain = Literal["source", "target"]


class CaseStore:
    """Both domains.

    Attributes:
        changed: Called when cases or meanings changed.
        looked: Called when more is known of the cases.
    """

    def __init__(self, working_file: Path) -> None:
        """Args: where the list is kept between sittings; it need not exist."""
        self.changed: Signal[[]] = Signal()
        self.looked: Signal[[]] = Signal()
        self._working_file = working_file
        self._cases = CaseList()
        self._facts: dict[tuple[str, str], CaseFacts] = {}

    @property
    def cases(self) -> CaseList:
        """Both domains with what is to be learned."""
        return self._cases

    def of(self, domain: Domain) -> tuple[ListedCase, ...]:
        """The cases of a domain."""
        return _of(self._cases, domain)

    def facts_of(self, domain: Domain, case: ListedCase) -> CaseFacts | None:
        """What is known of a case; None until it was looked at."""
        return self._facts.get((domain, case.name))

    @property
    def unknown(self) -> bool:
        """True when there is a case that nobody has looked at."""
        return any(self.facts_of(domain, case) is None for domain in _DOMAINS for case in self.of(domain))

    def names(self) -> set[str]:
        """What tells whose the cases are: their names, and their files with every folder on the way."""
        cases = (*self._cases.source, *self._cases.target)
        paths = {path for case in cases for path in (case.volume, case.labels, case.few_labels) if path is not None}
        found = {case.name for case in cases} | {str(path) for path in paths}
        return found | {path.name for path in paths} | {str(path.parent) for path in paths}

    def unusable(self) -> list[str]:
        """The names of cases that cannot be used, as far as they were looked at."""
        return [case.name for domain in _DOMAINS for case in self.of(domain) if self.problem_of(domain, case)]

    def problem_of(self, domain: Domain, case: ListedCase) -> str:
        """Why a case cannot be used, in a sentence; empty when it can, or was not looked at."""
        if domain == "source" and case.labels is None:
            return _("no label map, which source cases need")
        facts = self.facts_of(domain, case)
        if (
            facts is not None
            and domain == "source"
            and not facts.problem
            and not any(found.voxels for found in facts.segments)
        ):
            return _("its label map is empty")
        return (facts.problem or "") if facts is not None else ""

    def restore(self) -> str:
        """Take up the list of the last sitting.

        Returns:
            Why it cannot be taken up, in a sentence; empty when it can, or when there is none. It is kept beside.
        """
        if not self._working_file.is_file():
            return ""
        try:
            self._cases = read_case_list(self._working_file)
        except CisfaError as error:
            aside = self._working_file.with_name(f"{self._working_file.stem}, not readable.json")
            with suppress(OSError):
                os.replace(self._working_file, aside)
            return f"{error} It is kept as {aside.name}."
        self.changed()
        return ""

    def add(self, domain: Domain, found: Iterable[ListedCase]) -> str:
        """Add cases to a domain; those that are in it already are passed over, names are made different.

        Returns:
            What was done, in a sentence.
        """
        present = list(self.of(domain))
        volumes = {str(case.volume) for case in present}
        added = doubled = 0
        for case in found:
            if str(case.volume) in volumes:
                doubled += 1
                continue
            volumes.add(str(case.volume))
            name = _free_name(case.name, {each.name for each in present})
            # the label maps of cases that are to count as unlabelled are not even remembered
            kept = case if domain == "source" else replace(case, labels=None, segments=_few(case))
            present.append(replace(kept, name=name))
            added += 1
        self._set(domain, present)
        sentence = f"{added} {domain} {'case' if added == 1 else 'cases'} added."
        return f"{sentence} {doubled} already there." if doubled else sentence

    def remove(self, domain: Domain, names: Sequence[str]) -> tuple[ListedCase, ...]:
        """Take cases out; returns them."""
        removed = tuple(case for case in self.of(domain) if case.name in names)
        for case in removed:
            self._facts.pop((domain, case.name), None)
        self._set(domain, [case for case in self.of(domain) if case.name not in names])
        return removed

    def clear(self) -> None:
        """Take everything out."""
        self.replace(CaseList())

    def replace(self, cases: CaseList) -> None:
        """Put another list in place of this one."""
        self._cases, self._facts = cases, {}
        self._keep()
        self.changed()

    def load(self, path: Path) -> None:
        """Put a saved list in place of this one.

        Raises:
            CaseError: It cannot be read.
        """
        self.replace(read_case_list(path))

    def save(self, path: Path) -> None:
        """Save the list for the command line, or for another day.

        Raises:
            VolumeFileError: It cannot be written.
        """
        write_case_list(self._cases, path)

    def set_meaning(self, key: str, organ: str | None) -> None:
        """Say which organ a segment is; None for what is not to be learned.

        Raises:
            ConfigError: There is no label left for a new organ.
        """
        self._cases = map_segment(self._cases, key, organ)
        self._keep()
        self.changed()

    def set_few_labels(self, name: str, labelled: ListedCase | None) -> None:
        """Give a target case the slices that were drawn, or take them away."""
        self._facts.pop(("target", name), None)
        self._set("target", [_with_few(case, labelled) if case.name == name else case for case in self._cases.target])

    def take(self, report: CheckReport, looked_at: CaseList) -> None:
        """Remember what a look at cases has found; segments that nobody had named become known by it.

        Args:
            report: Of the look.
            looked_at: The list as it was then; what is another case by now is still to be looked at.
        """
        then = {(domain, case.name): case for domain in _DOMAINS for case in _of(looked_at, domain)}
        now = {(domain, case.name): case for domain in _DOMAINS for case in self.of(domain)}
        for facts in report.cases:
            key = (facts.domain, facts.name)
            if key in now and _files(now[key]) == _files(then[key]):
                self._facts[key] = facts
        filled = {domain: [self._filled(domain, case) for case in self.of(domain)] for domain in _DOMAINS}
        cases = match_organs(replace(self._cases, source=tuple(filled["source"]), target=tuple(filled["target"])))
        if cases != self._cases:
            self._cases = cases
            self._keep()
            self.changed()
        self.looked()

    def _filled(self, domain: Domain, case: ListedCase) -> ListedCase:
        facts = self.facts_of(domain, case)
        if facts is None or not facts.segments:
            return case
        known = {segment.value for segment in case.segments}
        found = tuple(each.segment for each in facts.segments if each.segment.value not in known)
        return replace(case, segments=(*case.segments, *found)) if found else case

    def _set(self, domain: Domain, cases: Sequence[ListedCase]) -> None:
        both = {"source": self._cases.source, "target": self._cases.target, domain: tuple(cases)}
        self._cases = match_organs(replace(self._cases, source=both["source"], target=both["target"]))
        self._keep()
        self.changed()

    def _keep(self) -> None:
        write_case_list(self._cases, self._working_file)


_DOMAINS: tuple[Domain, Domain] = ("source", "target")


def _of(cases: CaseList, domain: Domain) -> tuple[ListedCase, ...]:
    return cases.source if domain == "source" else cases.target


def _files(case: ListedCase) -> tuple[object, ...]:
    return case.volume, case.labels, case.few_labels


def _few(case: ListedCase) -> tuple[Segment, ...]:
    return case.segments if case.few_labels is not None else ()


def _with_few(case: ListedCase, labelled: ListedCase | None) -> ListedCase:
    if labelled is None:
        return replace(case, few_labels=None, segments=())
    return replace(case, few_labels=labelled.few_labels, segments=labelled.segments)


def _free_name(name: str, taken: set[str]) -> str:
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name} {number}"
    return free
