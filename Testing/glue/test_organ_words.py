"""What the user is told of an organ's quality. The words must not promise what nobody has measured."""

import pytest

from CISFASegmentationLib.organ_results import Level, OrganResult, Quality
from CISFASegmentationLib.organ_words import (
    explanation_of,
    look_at,
    names_of_doubtful,
    quality_word,
    remarks_of,
    said_of_all,
    verdict_on,
)

PIECES = "In 3 pieces; the largest holds 61 %."
NOTHING = "Nothing was found: the spleen was missed, lies outside of the volume, or is not there."


def organ(level: Level | None, *reasons: str, name: str = "spleen", **changes: object) -> OrganResult:
    quality = None if level is None else Quality(level, 0.414, reasons)
    values = {"volume_ml": 1.0, "mean_intensity": 2.0, "components": 1, "touches_edge": False}
    return OrganResult(**{"name": name, "label": 1, **values, "quality": quality, **changes})


@pytest.mark.parametrize(
    ("red", "amber", "sentence"),
    [
        (0, 0, ""),
        (1, 0, "1 of 5 organs is doubtful: look at it before you use it."),
        (2, 0, "2 of 5 organs are doubtful: look at them before you use them."),
        (2, 1, "2 of 5 organs are doubtful: look at them before you use them. Check 1 more."),
        (0, 1, "Check 1 of 5 organs before you use it."),
        (0, 3, "Check 3 of 5 organs before you use them."),
    ],
)
def test_the_verdict_counts_what_is_doubtful(red: int, amber: int, sentence: str) -> None:
    levels = [Level.RED] * red + [Level.AMBER] * amber
    assert verdict_on([organ(level) for level in [*levels, *[Level.GREEN] * (5 - len(levels))]]) == sentence


def test_the_verdict_counts_no_organ_that_was_edited_or_not_estimated() -> None:
    assert verdict_on([organ(Level.RED, is_edited=True), organ(None, components=3)]) == ""


@pytest.mark.parametrize(
    ("levels", "lost", "sentence"),
    [
        ([], 1, "1 of 5 organs was not found: look whether it is there."),
        ([], 2, "2 of 5 organs were not found: look whether they are there."),
        ([Level.RED], 1, "1 of 5 organs is doubtful: look at it before you use it. 1 was not found."),
        ([Level.AMBER], 3, "Check 1 of 5 organs before you use it. 3 were not found."),
        (
            [Level.RED, Level.RED, Level.AMBER],
            2,
            "2 of 5 organs are doubtful: look at them before you use them. Check 1 more. 2 were not found.",
        ),
    ],
)
def test_the_verdict_counts_what_was_not_found_apart(levels: list[Level], lost: int, sentence: str) -> None:
    organs = [*map(organ, levels), *[organ(Level.RED, NOTHING, components=0)] * lost]
    assert verdict_on([*organs, *[organ(Level.GREEN)] * (5 - len(organs))]) == sentence


def test_each_quality_has_a_word_of_its_own() -> None:
    organs = [*map(organ, (*Level, None)), organ(Level.RED, is_edited=True)]
    assert [quality_word(each) for each in organs] == ["Plausible", "Check", "Doubtful", "Not estimated", "Edited"]


@pytest.mark.parametrize("level", Level)
def test_the_explanation_gives_meaning_reasons_and_score_and_warns(level: Level) -> None:
    lines = explanation_of(organ(level, PIECES))
    assert lines[0].startswith(quality_word(organ(level)))
    assert lines[1] == PIECES
    assert lines[2].startswith("Score 0.41: ")
    assert "probably not above" in lines[2]
    assert "no diagnosis" in lines[-1]


def test_of_an_organ_that_was_not_found_it_says_so_and_gives_no_score() -> None:
    lost = organ(Level.RED, NOTHING, components=0)
    lines = explanation_of(lost)
    assert quality_word(lost) == "Not found"
    assert lines[0].startswith("Not found: ")
    assert lines[1] == NOTHING
    assert "no diagnosis" in lines[-1]
    assert len(lines) == 3
    for word in ("probably wrong", "Doubtful", "Score"):
        assert not any(word in line for line in lines)
    assert names_of_doubtful([lost], with_reasons=False) == ["spleen (not found)"]
    assert quality_word(organ(Level.RED, NOTHING, components=0, is_edited=True)) == "Edited"
    assert quality_word(organ(None, components=0)) == "Not estimated"


def test_without_an_estimate_the_explanation_says_so() -> None:
    lines = explanation_of(organ(None, touches_edge=True))
    assert "was not estimated" in lines[0]
    assert lines[1:] == ["touches the volume's edge"]


def test_of_an_edited_organ_no_old_value_is_told() -> None:
    edited = organ(Level.RED, PIECES, is_edited=True)
    assert remarks_of(edited) == explanation_of(edited)
    assert "changed by hand" in remarks_of(edited)[0]
    assert not any(PIECES in line for line in explanation_of(edited))


def test_beside_sentences_remarks_are_sentences() -> None:
    assert remarks_of(organ(Level.RED, PIECES, touches_edge=True)) == [PIECES, "Touches the volume's edge."]
    assert remarks_of(organ(None, touches_edge=True)) == ["touches the volume's edge"]


def test_doubtful_organs_are_named_with_why() -> None:
    organs = [
        organ(Level.GREEN, name="liver"),
        organ(Level.RED, PIECES, touches_edge=True),
        organ(Level.AMBER, name="aorta"),
        organ(None, name="heart", components=2, touches_edge=True),
    ]
    assert names_of_doubtful(organs, with_reasons=False) == [
        "spleen (doubtful)",
        "aorta (check)",
        "heart (2 components, touches the volume's edge)",
    ]
    spleen = "spleen (doubtful: In 3 pieces; the largest holds 61 %; Touches the volume's edge)"
    assert names_of_doubtful(organs)[0] == spleen
    assert look_at(names_of_doubtful(organs[:2])) == f" Look twice at: {spleen}."
    assert look_at([]) == ""


NOTE = "Not measured against training: its sizes are not in the bundle."


def test_what_holds_for_all_organs_that_were_found_is_said_once() -> None:
    organs = [
        organ(Level.GREEN, NOTE, name="liver"),
        organ(Level.RED, PIECES, NOTE),
        organ(Level.RED, "Nothing was found.", name="aorta", components=0),
        organ(None, name="heart"),
        organ(Level.RED, PIECES, name="stomach", is_edited=True),
    ]
    assert said_of_all(organs) == (NOTE,)
    assert [remarks_of(each, said_of_all(organs)) for each in organs[:2]] == [[], [PIECES]]
    assert NOTE in explanation_of(organs[1])
    assert names_of_doubtful(organs)[0] == "spleen (doubtful: In 3 pieces; the largest holds 61 %)"


@pytest.mark.parametrize(
    "organs",
    [
        [],
        [organ(Level.GREEN, NOTE)],
        [organ(Level.GREEN, NOTE), organ(Level.GREEN)],
        [organ(Level.RED, PIECES, NOTE), organ(Level.AMBER, NOTE)],  # why would the second one be doubtful?
    ],
)
def test_a_reason_stays_with_its_organ_otherwise(organs: list[OrganResult]) -> None:
    assert said_of_all(organs) == ()
