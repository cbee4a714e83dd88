from pathlib import Path

from cisfa.cases.case_list import CaseList, ListedCase
from cisfa.cases.organ_mapping import cases_with, map_segment, match_organs, segments_of, unnamed_segment
from cisfa.imaging.organs import Code, Organ
from cisfa.imaging.segments import Segment

LIVER, KIDNEY = Code("SCT", "10200004", "Liver"), Code("SCT", "64033007", "Kidney")
LEFT, RIGHT = Code("SCT", "7771000", "Left"), Code("SCT", "24028007", "Right")
OURS, THEIRS = Code("99LOCAL", "1", "Lesion"), Code("99LOCAL", "2", "Lesion")


def listed(*cases: tuple[Segment, ...]) -> CaseList:
    return CaseList(
        tuple(ListedCase(str(number), Path(f"{number}.nii.gz"), segments=each) for number, each in enumerate(cases))
    )


def organs(cases: CaseList) -> list[tuple[int, str]]:
    return [(organ.label, organ.name) for organ in cases.organs]


def test_the_same_codes_are_one_organ_whatever_it_is_called() -> None:
    german, french = Segment(1, "Leber", LIVER), Segment(7, "foie", LIVER)
    matched = match_organs(listed((german,), (french,)))
    assert organs(matched) == [(1, "liver")]
    assert matched.mapping == {german.key: "liver", french.key: "liver"}


def test_the_side_is_part_of_the_code() -> None:
    left, right = Segment(1, "Niere", KIDNEY, LEFT), Segment(2, "Niere", KIDNEY, RIGHT)
    assert organs(match_organs(listed((left, right)))) == [(1, "left kidney"), (2, "right kidney")]


def test_without_codes_the_catalogues_names_and_aliases_tell() -> None:
    matched = match_organs(
        listed((Segment(3, "Kidney_Left"),), (Segment(1, "left kidney", KIDNEY, LEFT),), (Segment(9, "LEFT-KIDNEY"),))
    )
    assert organs(matched) == [(3, "left kidney")]
    assert set(matched.mapping.values()) == {"left kidney"}


def test_names_nobody_knows_are_organs_too_and_equal_names_are_one() -> None:
    matched = match_organs(listed((Segment(4, "my thing"),), (Segment(6, "My  Thing"),)))
    assert organs(matched) == [(4, "my thing")]
    assert matched.mapping == {"my thing": "my thing", "My Thing": "my thing"}


def test_the_same_name_with_other_codes_is_another_organ() -> None:
    one, other = Segment(1, "lesion", OURS), Segment(2, "lesion", THEIRS)
    matched = match_organs(listed((one,), (other,)))
    assert organs(matched) == [(1, "lesion"), (2, "lesion (99LOCAL:2)")]
    assert matched.mapping[other.key] == "lesion (99LOCAL:2)"


def test_a_label_that_is_taken_gives_way_to_a_free_one() -> None:
    assert organs(match_organs(listed((Segment(1, "liver"),), (Segment(1, "spleen"),)))) == [
        (1, "liver"),
        (2, "spleen"),
    ]


def test_a_value_without_a_name_is_not_learned_until_somebody_says_so() -> None:
    nameless = unnamed_segment(3)
    matched = match_organs(listed((Segment(1, "liver"), nameless)))
    assert matched.mapping[nameless.key] is None
    chosen = map_segment(matched, nameless.key, "Spleen")
    assert organs(chosen) == [(1, "liver"), (2, "spleen")]
    assert match_organs(chosen).mapping[nameless.key] == "spleen"


def test_a_name_that_only_begins_like_that_is_a_name() -> None:
    named, blank = Segment(1, "label maker"), Segment(2, "  ")
    matched = match_organs(listed((named, blank)))
    assert matched.mapping == {named.key: "label maker", blank.key: None}


def test_what_was_chosen_stays_when_cases_are_added() -> None:
    first = match_organs(listed((Segment(1, "liver"), Segment(2, "spleen"))))
    edited = map_segment(map_segment(first, "spleen", None), "liver", "abdomen")
    more = listed((Segment(1, "liver"), Segment(2, "spleen")), (Segment(1, "liver"), Segment(2, "stomach")))
    added = match_organs(CaseList(more.source, (), edited.organs, edited.mapping))
    assert added.mapping == {"liver": "abdomen", "spleen": None, "stomach": "stomach"}


def test_what_is_gone_from_the_cases_is_gone_from_organs_and_meanings() -> None:
    before = match_organs(listed((Segment(1, "liver"), Segment(2, "spleen"))))
    after = match_organs(CaseList(listed((Segment(2, "spleen"),)).source, (), before.organs, before.mapping))
    assert organs(after) == [(2, "spleen")]
    assert after.mapping == {"spleen": "spleen"}


def test_two_segments_can_be_put_together_into_one_organ() -> None:
    sides = match_organs(listed((Segment(1, "right kidney"), Segment(2, "left kidney"))))
    merged = map_segment(sides, "left kidney", " Right  Kidney ")
    assert organs(merged) == [(1, "right kidney")]
    assert isinstance(merged.organs[0], Organ)
    assert merged.organs[0].laterality == RIGHT


def test_matching_twice_changes_nothing() -> None:
    once = match_organs(listed((Segment(5, "Leber", LIVER), Segment(2, "label 2")), (Segment(1, "liver"),)))
    assert match_organs(once) == once


def test_cases_are_counted_by_the_key_of_their_segments() -> None:
    cases = listed((Segment(1, "liver"),), (Segment(9, "liver"), Segment(1, "spleen")), ())
    assert [segment.key for segment in segments_of(cases)] == ["liver", "spleen"]
    assert [cases_with(cases.source, key) for key in ("liver", "spleen", "stomach")] == [2, 1, 0]
