import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cisfa.cases.case_list import CaseList, ListedCase
from cisfa.cases.check_report import CaseFacts, Domain, Estimate, Finding, FoundSegment, Intensities
from cisfa.cases.findings import (
    FEWEST_CASES_TO_HOLD_OUT,
    case_problems,
    errors_first,
    estimate_problems,
    setting_problems,
)
from cisfa.config import TrainingConfig
from cisfa.config_files import compose
from cisfa.imaging.organs import catalogue_organ
from cisfa.imaging.segments import Segment

LIVER, SPLEEN, COUCH = Segment(1, "liver"), Segment(2, "spleen"), Segment(9, "couch")
ORGANS = (catalogue_organ("liver", 1), catalogue_organ("spleen", 2))
MEANINGS = {"liver": "liver", "spleen": "spleen", "couch": None}
CT, MR = Intensities(-1024, -1000, -50, 250, 1500), Intensities(0, 2, 90, 700, 1900)
CONFIG = TrainingConfig()


def facts_of(domain: Domain, number: int, **changes: Any) -> CaseFacts:
    """Of a case with which nothing is wrong."""
    is_source = domain == "source"
    given = CaseFacts(
        domain=domain, name=f"{'ct' if is_source else 'mr'} {number}", shape=(40, 256, 256),
        spacing_mm=(5.0, 1.5, 1.5), acquired_plane="axial", plane="axial", slices=40, body_mm=(220.0, 330.0),
        modality="CT" if is_source else "MR", intensities=CT if is_source else MR, size_bytes=10**6,
        fingerprint=f"{domain} {number}", has_labels=is_source, labelled_slices=20 if is_source else 0,
        segments=(FoundSegment(LIVER, 900, True), FoundSegment(SPLEEN, 300, True)) if is_source else (),
    )  # fmt: skip
    return replace(given, **changes)


class Study:
    """Four source and four target cases with which nothing is wrong, until a test changes them."""

    def __init__(self) -> None:
        self.facts = [facts_of(domain, number) for domain in ("source", "target") for number in range(4)]
        self.organs, self.mapping = ORGANS, dict(MEANINGS)
        self.listed: dict[tuple[Domain, str], dict[str, Any]] = {}

    def change(self, domain: Domain, numbers: Sequence[int], **changes: Any) -> "Study":
        at = [index for index, one in enumerate(self.facts) if one.domain == domain]
        for number in numbers:
            self.facts[at[number]] = replace(self.facts[at[number]], **changes)
        return self

    def list(self, domain: Domain, number: int, **changes: Any) -> "Study":
        one = [each for each in self.facts if each.domain == domain][number]
        self.listed[domain, one.name] = changes
        return self

    def drop(self, domain: Domain, numbers: Sequence[int]) -> "Study":
        of_domain = [one for one in self.facts if one.domain == domain]
        gone = [of_domain[number] for number in numbers]
        self.facts = [one for one in self.facts if one not in gone]
        return self

    def cases(self) -> CaseList:
        def listed(domain: Domain) -> tuple[ListedCase, ...]:
            return tuple(self._case(one) for one in self.facts if one.domain == domain)

        return CaseList(listed("source"), listed("target"), self.organs, self.mapping)

    def _case(self, one: CaseFacts) -> ListedCase:
        segments = tuple(each.segment for each in one.segments if each.is_listed)
        labels = Path(f"{one.name}_seg") if one.has_labels else None
        case = ListedCase(one.name, Path(one.name), segments=segments)
        case = replace(case, labels=labels) if one.domain == "source" else replace(case, few_labels=labels)
        return replace(case, **self.listed.get((one.domain, one.name), {}))

    def problems(self, *assignments: str, has_target: bool = True) -> tuple[Finding, ...]:
        config = compose(assignments=assignments)
        return case_problems(self.facts, self.cases(), config, has_target=has_target)


def the_only(findings: Sequence[Finding], severity: str) -> Finding:
    assert [finding.severity for finding in findings] == [severity], findings
    return findings[0]


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert Study().problems() == ()


def test_errors_come_first_and_the_order_stays_otherwise() -> None:
    given = [Finding(severity, message) for severity, message in (("warning", "a"), ("error", "b"), ("warning", "c"))]
    assert [finding.message for finding in errors_first(given)] == ["b", "a", "c"]


def test_an_empty_list_lacks_both_domains_and_organs() -> None:
    found = case_problems((), CaseList(), CONFIG, has_target=True)
    assert [finding.severity for finding in found] == ["error"] * 3
    assert [finding.domain for finding in found] == ["source", "target", None]
    assert "names no organ" in found[2].message


def test_a_method_without_a_target_needs_none_and_looks_at_none() -> None:
    study = Study().change("target", [0], problem="it is broken.", fingerprint="source 1", name="ct 0")
    assert len(study.problems()) >= 2
    assert study.problems(has_target=False) == ()
    assert Study().drop("target", range(4)).problems(has_target=False) == ()
    assert "no target cases" in the_only(Study().drop("target", range(4)).problems(), "error").message


def test_a_source_case_needs_a_label_map() -> None:
    study = Study().change("source", [1, 2], has_labels=False, segments=()).list("source", 1, labels=None)
    found = the_only(study.list("source", 2, labels=None).problems(), "error")
    assert found.message == "ct 1, ct 2 have no label maps, and source cases need one. Add it, or remove the case."
    assert (found.cases, found.domain) == (("ct 1", "ct 2"), "source")


def test_what_cannot_be_read_is_an_error_with_its_reason() -> None:
    found = the_only(Study().change("source", [2], problem="x.nii.gz does not exist.").problems(), "error")
    assert (found.message, found.cases) == ("ct 2: x.nii.gz does not exist.", ("ct 2",))


def test_few_labels_that_are_not_used_may_be_unreadable() -> None:
    study = Study().change("target", [0], has_labels=True, problem="few.nii.gz is no label map.", labelled_slices=0)
    assert [finding.severity for finding in study.problems()] == ["warning", "warning"]
    assert study.problems("few_labels.weight=1")[0].severity == "error"
    study.change("target", [0], fingerprint=None)
    assert study.problems()[0].severity == "error"  # it is the volume


def test_an_organ_in_no_case_cannot_be_learned() -> None:
    study = Study().change("source", range(4), segments=(FoundSegment(LIVER, 9, True), FoundSegment(SPLEEN, 0, True)))
    found = the_only(study.problems(), "error")
    assert "spleen is in none of the 4 source cases that can be read" in found.message


def test_an_organ_in_some_cases_is_a_warning_with_counts() -> None:
    study = Study().change("source", [1], segments=(FoundSegment(LIVER, 9, True),))
    found = the_only(study.problems(), "warning")
    assert "spleen is in 3 of 4 source cases, not in ct 1." in found.message
    assert found.cases == ("ct 1",)


def test_what_is_not_to_be_learned_is_no_finding() -> None:
    good = facts_of("source", 0).segments
    assert Study().change("source", [0, 1, 3], segments=(*good, FoundSegment(COUCH, 50, True))).problems() == ()


def test_values_that_nobody_named_are_one_error_for_all_their_cases() -> None:
    unnamed = FoundSegment(Segment(7, "label 7"), 5, False)
    study = Study().change("source", [0, 3], segments=(*facts_of("source", 0).segments, unnamed))
    found = the_only(study.problems(), "error")
    assert found.message.startswith("ct 0, ct 3 hold the label value 7 (label 7), and nobody has said which organ")
    assert found.cases == ("ct 0", "ct 3")


def test_a_segment_without_a_meaning_is_an_error_even_where_it_has_no_voxels() -> None:
    study = Study().change("source", [0], segments=(*facts_of("source", 0).segments, FoundSegment(COUCH, 0, True)))
    study.mapping.pop("couch")
    found = the_only(study.problems(), "error")
    assert found.message.startswith("ct 0 holds the segment couch, and nobody has said")


def test_a_meaning_that_is_none_of_the_organs_is_an_error() -> None:
    study = Study()
    study.mapping["spleen"] = "milt"
    messages = [finding.message for finding in study.problems()]
    assert any("ct 0, ct 1, ct 2, ct 3 is to be learned as milt" in message for message in messages)


def test_without_names_values_are_the_organs_own_labels() -> None:
    plain = (FoundSegment(Segment(1, "label 1"), 9, False), FoundSegment(Segment(2, "label 2"), 9, False))
    assert Study().change("source", [0], segments=plain).problems() == ()
    wrong = (*plain, FoundSegment(Segment(5, "label 5"), 9, False))
    assert (
        "ct 0 holds the label value 5"
        in the_only(Study().change("source", [0], segments=wrong).problems(), "error").message
    )


def test_empty_label_maps_are_errors_as_training_refuses_them() -> None:
    nothing = (FoundSegment(LIVER, 0, True), FoundSegment(SPLEEN, 0, True))
    found = the_only(Study().change("source", [2], segments=nothing).problems(), "error")
    assert "label map of ct 2 is empty" in found.message
    only_couch = (FoundSegment(COUCH, 30, True),)
    found = the_only(Study().change("source", [2], segments=only_couch).problems(), "error")
    assert "holds nothing that is to be learned, only couch" in found.message


def test_more_organs_than_fit_into_a_byte_are_refused() -> None:
    study = Study()
    study.organs = (*ORGANS, *(catalogue_organ(f"thing {label}", label) for label in range(3, 300)))
    assert any("There are 299 organs; at most 255" in finding.message for finding in study.problems())


def test_one_patient_on_both_sides_is_an_error_by_any_key() -> None:
    study = Study().list("source", 1, patient_keys=("a", "b")).list("target", 3, patient_keys=("b", "a", "c"))
    found = the_only(study.problems(), "error")
    assert "source case ct 1 and the target case mr 3 are of one patient" in found.message
    assert (found.cases, found.domain) == (("ct 1", "mr 3"), None)


def test_the_same_voxels_are_one_patient() -> None:
    across = the_only(Study().change("target", [2], fingerprint="source 0").problems(), "error")
    assert "ct 0 (source), mr 2 (target) hold the same voxels" in across.message
    assert (across.cases, across.domain) == (("ct 0", "mr 2"), None)
    within = the_only(Study().change("target", [2, 3], fingerprint="x").problems(), "error")
    assert "mr 2, mr 3 hold the same voxels: one patient is used twice in the target" in within.message
    assert within.domain == "target"


def test_equal_names_on_both_sides_are_a_warning() -> None:
    found = the_only(Study().change("target", [2], name="ct 0").problems(), "warning")
    assert "both have cases named ct 0" in found.message


def test_modalities_that_differ_within_a_domain_are_an_error_unless_the_settings_say_which() -> None:
    study = Study().change("target", [1], modality="CT", intensities=CT)
    found = the_only(study.problems(), "error")
    assert "mr 1 looks like CT, but mr 0, the first target case, like MR" in found.message
    assert "target_modality=MR" in found.message
    stated = [finding for finding in study.problems("target_modality=MR") if "looks like CT" in finding.message]
    assert [finding.severity for finding in stated] == ["warning"]


def test_the_same_modality_on_both_sides_is_only_said() -> None:
    study = Study().change("target", range(4), modality="CT", intensities=CT)
    assert "both read as CT" in the_only(study.problems(), "warning").message
    assert "both read as CT" in the_only(Study().problems("target_modality=CT")[-1:], "warning").message


@pytest.mark.parametrize(
    ("domain", "intensities", "complaint"),
    [
        ("source", Intensities(-160, -150, 0, 200, 240), "ct 0 is read as CT, but holds no air"),
        ("source", Intensities(-1024, -1000, -900, 60, 80), "nothing in it is as bright as 100 HU"),
        ("target", Intensities(-3, -2, 0, 3, 5), "mr 0 is read as MR, but has many negative voxels"),
        ("target", Intensities(0, 0, 0.2, 0.9, 1), "mr 0 .*lie between 0 to 1: it was rescaled"),
        ("target", Intensities(-1, 5, 5, 5, 900), "mr 0 is nearly constant: 98 of 100 voxels are 5"),
    ],
)
def test_implausible_intensities_are_a_warning(domain: Domain, intensities: Intensities, complaint: str) -> None:
    found = the_only(Study().change(domain, [0], intensities=intensities).problems(), "warning")
    assert found.cases == (f"{'ct' if domain == 'source' else 'mr'} 0",)
    assert re.search(complaint, found.message)


def test_resamplings_overshoot_below_zero_is_no_finding() -> None:
    assert Study().change("target", [0], intensities=replace(MR, lowest=-40.0)).problems() == ()


@pytest.mark.parametrize(("slices", "severity"), [(12, "warning"), (0, None), (13, None)])
def test_few_slices_are_a_warning(slices: int, severity: str | None) -> None:
    study = Study().change("source", range(4), slices=slices)
    of_slices = [finding for finding in study.problems() if "slices" in finding.message]
    assert [finding.severity for finding in of_slices] == ([severity] if severity else [])


def test_fewer_slices_than_a_batch_are_an_error() -> None:
    study = Study().change("target", range(4), slices=2)
    found = the_only(study.problems("optimiser.batch_size=9"), "error")
    assert "The 4 target cases have 8 slices, less than one batch (optimiser.batch_size is 9)" in found.message
    assert the_only(study.problems("optimiser.batch_size=8"), "warning").domain == "target"


def test_fewer_than_four_source_cases_leave_none_for_validation() -> None:
    from cisfa.training.sampling import FEWEST_CASES_TO_HOLD_OUT as AS_TRAINING_HAS_IT

    assert FEWEST_CASES_TO_HOLD_OUT == AS_TRAINING_HAS_IT
    study = Study().drop("source", [3])
    assert "With 3 source cases none can be held out" in the_only(study.problems(), "warning").message
    assert study.problems("validation.held_out=0") == ()


def test_cases_acquired_in_another_plane_are_a_warning() -> None:
    study = Study().change("target", [0, 2], acquired_plane="coronal", spacing_mm=(1.5, 8.0, 1.5))
    found = the_only(study.problems(), "warning")
    assert "mr 0, mr 2 were acquired in coronal slices, up to 8 mm apart, but training cuts axial ones" in found.message
    isotropic = Study().change("target", range(4), plane="coronal", spacing_mm=(1.6, 1.5, 1.5))
    assert [finding for finding in isotropic.problems() if "acquired" in finding.message] == []


def test_very_different_spacings_are_a_warning_within_a_domain_and_between_them() -> None:
    within = the_only(Study().change("source", [1], spacing_mm=(16.0, 1.5, 1.5)).problems(), "warning")
    assert "slice distance of the source cases runs from 5 mm (ct 0) to 16 mm (ct 1)" in within.message
    between = the_only(Study().change("target", range(4), spacing_mm=(5.0, 0.4, 0.4)).problems(), "warning")
    assert "pixel size is 1.5 mm in the source and 0.4 mm in the target" in between.message
    assert Study().change("target", range(4), spacing_mm=(14.0, 0.6, 0.6)).problems() == ()


def test_bodies_of_very_different_proportions_are_a_warning() -> None:
    found = the_only(Study().change("target", range(4), body_mm=(400.0, 300.0)).problems(), "warning")
    assert "1.5 times as wide as high in the source and 0.75 times in the target" in found.message


def test_few_labels_are_told_to_be_off_with_the_slices_drawn() -> None:
    few = {"has_labels": True, "labelled_slices": 6, "segments": facts_of("source", 0).segments}
    study = Study().change("target", [1, 2], **few)
    found = the_only(study.problems(), "warning")
    assert (
        "2 target cases have few labels (12 slices drawn), which are not used: few_labels.weight is 0" in found.message
    )
    assert study.problems("few_labels.weight=1") == ()
    one = Study().change("target", [1], **few)
    assert "6 slices drawn in all" in the_only(one.problems("few_labels.weight=1"), "warning").message


def test_few_labels_that_are_wanted_must_be_there_and_be_right() -> None:
    assert "no target case has few labels" in the_only(Study().problems("few_labels.weight=0.5"), "error").message
    unnamed = (FoundSegment(LIVER, 9, True), FoundSegment(Segment(7, "label 7"), 5, False))
    study = Study().change("target", [1], has_labels=True, labelled_slices=30, segments=unnamed)
    found = the_only(study.problems("few_labels.weight=1"), "error")
    assert (found.cases, found.domain) == (("mr 1",), "target")
    assert [finding.severity for finding in study.problems()] == ["warning"]  # while they are not opened


def test_an_organ_that_is_drawn_under_a_name_that_is_not_learned_is_not_taught_as_background() -> None:
    drawn = (FoundSegment(LIVER, 9, True), FoundSegment(COUCH, 9, True))
    study = Study().change("target", [1], has_labels=True, labelled_slices=30, segments=drawn)
    study.list("target", 1, segments=(LIVER, COUCH))
    found = the_only(study.problems("few_labels.weight=1"), "error")
    assert "hold couch, which are not to be learned, and lack spleen" in found.message
    # where nothing else was drawn, the organ may not be there
    study.change("target", [1], segments=drawn[:1])
    assert "spleen is drawn nowhere" in the_only(study.problems("few_labels.weight=1"), "warning").message


def test_names_of_few_labels_must_mean_something_even_while_they_are_not_used() -> None:
    """As training has it, which looks the names up before it decides what to open."""
    study = Study().change("target", [1], has_labels=True, labelled_slices=30, segments=(FoundSegment(COUCH, 9, True),))
    study.mapping.pop("couch")
    errors = [finding for finding in study.problems() if finding.severity == "error"]
    assert [(finding.cases, finding.domain) for finding in errors] == [(("mr 1",), "target")]


def test_settings_that_cannot_work_together_are_errors() -> None:
    assert setting_problems(CONFIG) == ()
    found = the_only(setting_problems(compose(assignments=["optimiser.batch_size=1"])), "error")
    assert "feature contrast compares" in found.message
    for assignment in ("feature_contrast.combination=off", "method=supervised"):
        assert setting_problems(compose(assignments=["optimiser.batch_size=1", assignment])) == ()


ESTIMATE = Estimate(
    device="a card", steps=1000, step_s=1.0, time_basis="measured", memory_mib=2000, memory_basis="computed",
    free_memory_mib=8000, total_memory_mib=16000, disk_mib=500, free_disk_mib=50000,
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "severity", "complaint"),
    [
        ({"memory_mib": 17000}, "error", "about 16.6 GiB of memory (computed) on a card, which has 15.6 GiB in all"),
        ({"memory_mib": 17000, "total_memory_mib": None}, "warning", "7.8 GiB are free now"),
        ({"memory_mib": 7900}, "warning", "7.8 GiB are free now. Close other programs"),
        ({"disk_mib": 50001}, "error", "grows to about 48.8 GiB, where 48.8 GiB are free"),
        ({"disk_mib": 45000}, "warning", "schedule.keep_checkpoints"),
        ({"step_s": 864.0}, "warning", "would take about 10 days"),
    ],
)
def test_what_the_computer_lacks_is_said(change: dict[str, Any], severity: str, complaint: str) -> None:
    assert complaint in the_only(estimate_problems(replace(ESTIMATE, **change)), severity).message


@pytest.mark.parametrize(
    "change",
    [{}, {"step_s": None}, {"free_memory_mib": None, "total_memory_mib": None}, {"free_disk_mib": None}],
)
def test_what_is_not_known_is_no_finding(change: dict[str, Any]) -> None:
    assert estimate_problems(replace(ESTIMATE, **change)) == ()
