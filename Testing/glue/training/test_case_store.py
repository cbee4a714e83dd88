"""The cases of the panel."""

from pathlib import Path

import pytest

from cisfa.cases.case_list import ListedCase, read_case_list
from cisfa.imaging.segments import Segment
from CISFATrainingLib.case_store import CaseStore
from panel_steps import facts, report, unnamed


@pytest.fixture
def store(tmp_path: Path) -> CaseStore:
    return CaseStore(tmp_path / "Fälle" / "present list.json")


def case(name: str, *, labels: bool = True, segments=()) -> ListedCase:
    return ListedCase(
        name, Path(f"/x/{name}.nii"), Path(f"/x/{name}_seg.nii") if labels else None, segments=tuple(segments)
    )


LIVER = Segment(1, "liver")


def test_the_list_is_there_again_in_the_next_sitting(store, tmp_path: Path) -> None:
    store.add("source", [case("a", segments=[LIVER])])
    store.add("target", [case("b", labels=False)])
    again = CaseStore(tmp_path / "Fälle" / "present list.json")
    again.restore()
    assert again.cases == store.cases


def test_a_list_that_cannot_be_read_is_kept_beside_and_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text("{", encoding="utf-8")
    store = CaseStore(path)
    sentence = store.restore()
    assert "is not JSON" in sentence
    assert sentence.endswith("It is kept as list, not readable.json.")
    store.add("source", [case("a")])
    assert (tmp_path / "list, not readable.json").read_text(encoding="utf-8") == "{"


def test_what_was_found_of_another_case_of_that_name_counts_for_nothing(store) -> None:
    store.add("source", [case("a")])
    looked_at = store.cases
    store.remove("source", ["a"])
    store.add("source", [ListedCase("a", Path("/y/a.nii"), Path("/y/a_seg.nii"))])
    store.take(report(facts("a", segments=[LIVER])), looked_at)
    assert store.unknown
    assert store.of("source")[0].segments == ()


def test_the_same_volume_is_added_once_and_names_are_made_different(store) -> None:
    store.add("source", [case("a")])
    assert store.add("source", [case("a")]) == "0 source cases added. 1 already there."
    other = ListedCase("a", Path("/y/a.nii"), Path("/y/a_seg.nii"))
    assert store.add("source", [other]) == "1 source case added."
    assert [each.name for each in store.of("source")] == ["a", "a 2"]


def test_labels_of_target_cases_are_not_even_remembered(store, tmp_path: Path) -> None:
    store.add("target", [case("b", segments=[LIVER])])
    assert store.of("target") == (ListedCase("b", Path("/x/b.nii")),)
    assert "seg" not in (tmp_path / "Fälle" / "present list.json").read_text(encoding="utf-8")


def test_named_segments_are_organs_at_once(store) -> None:
    store.add("source", [case("a", segments=[LIVER]), case("b", segments=[Segment(4, "Liver")])])
    assert [organ.name for organ in store.cases.organs] == ["liver"]
    assert [store.cases.values_of(each) for each in store.of("source")] == [{1: 1}, {4: 1}]


def test_what_a_look_finds_becomes_known_and_can_be_named(store) -> None:
    looked: list[int] = []
    store.looked.connect(lambda: looked.append(1))
    store.add("source", [case("a")])
    assert store.unknown
    store.take(report(facts("a", segments=unnamed(1, 5))), store.cases)
    assert not store.unknown
    assert looked == [1]
    assert store.cases.mapping == {"label 1": None, "label 5": None}
    store.set_meaning("label 5", "spleen")
    assert [(organ.name, organ.label) for organ in store.cases.organs] == [("spleen", 1)]
    assert store.cases.values_of(store.of("source")[0]) == {1: 0, 5: 1}


def test_a_case_that_is_removed_takes_its_organs_along(store) -> None:
    store.add("source", [case("a", segments=[LIVER]), case("b", segments=[Segment(2, "spleen")])])
    store.take(report(facts("a", segments=[LIVER])), store.cases)
    assert [each.name for each in store.remove("source", ["a"])] == ["a"]
    assert [organ.name for organ in store.cases.organs] == ["spleen"]
    # another case of that name is another case
    store.add("source", [ListedCase("a", Path("/y/a.nii"))])
    assert store.facts_of("source", store.of("source")[1]) is None


def test_drawn_slices_are_given_to_a_target_case_and_taken_away(store) -> None:
    store.add("target", [case("b", labels=False)])
    store.take(report(facts("b", "target")), store.cases)
    drawn = ListedCase("x", Path("/x/b.nii"), few_labels=Path("/x/few.nrrd"), segments=(LIVER,))
    store.set_few_labels("b", drawn)
    assert store.of("target")[0].few_labels == Path("/x/few.nrrd")
    assert store.unknown  # it has to be looked at again
    assert [organ.name for organ in store.cases.organs] == ["liver"]
    store.set_few_labels("b", None)
    assert store.of("target") == (ListedCase("b", Path("/x/b.nii")),)


def test_a_saved_list_is_what_the_command_line_reads(store, tmp_path: Path) -> None:
    store.add("source", [case("a", segments=[LIVER])])
    store.save(tmp_path / "saved.json")
    assert read_case_list(tmp_path / "saved.json") == store.cases
    store.clear()
    store.load(tmp_path / "saved.json")
    assert [each.name for each in store.of("source")] == ["a"]
