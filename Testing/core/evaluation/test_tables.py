import pytest

from cisfa.errors import CaseError
from cisfa.evaluation.score_case import CaseScores, OrganScore
from cisfa.evaluation.statistics import ASSD, DICE, compare, summarise
from cisfa.evaluation.tables import methods_table, organs_table, paired_tests_table
from cisfa.imaging.organs import parse_organs

LIVER, SPLEEN = parse_organs("1=liver,4=spleen|left")


def case_of(name: str, *dices: float, assd_mm: float | None = 1.5) -> CaseScores:
    return CaseScores(
        name,
        tuple(
            OrganScore(
                organ=organ,
                dice=dice,
                dice_organ_slices=dice,
                assd_mm=assd_mm,
                hd95_mm=assd_mm,
                predicted_ml=1.0,
                true_ml=1.0,
                remark="" if assd_mm is not None else "prediction empty",
            )
            for organ, dice in zip((LIVER, SPLEEN), dices, strict=False)
        ),
    )


def cells(table: str) -> list[list[str]]:
    lines = table.replace("\\|", "¦").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_a_table_of_organs_shows_percent_and_mm_with_their_spread() -> None:
    scores = [case_of("a", 0.8, 0.6), case_of("b", 0.9, 0.0, assd_mm=None)]
    header, _, liver, spleen, mean = cells(organs_table(summarise(scores), (DICE, ASSD)))
    assert header == ["organ", "Dice %, all slices", "ASSD mm", "prediction empty", "truth empty", "both empty"]
    assert liver == ["liver", "85.0 ± 7.1", "1.50 (n = 1)", "1", "0", "0"]
    assert spleen == ["spleen¦left", "30.0 ± 42.4", "1.50 (n = 1)", "1", "0", "0"]
    assert mean == ["mean over organs", "57.5 ± 17.7", "1.50 (n = 1)", "2", "0", "0"]


def test_the_columns_of_a_table_are_aligned_for_the_terminal() -> None:
    lines = organs_table(summarise([case_of("a", 0.8, 0.6)])).splitlines()
    assert len({len(line) for line in lines}) == 1


def test_a_table_of_methods_tests_each_against_the_reference() -> None:
    better = [case_of("a", 0.91), case_of("b", 0.92), case_of("c", 0.93)]
    reference = [case_of("a", 0.71), case_of("b", 0.83), case_of("c", 0.74)]
    header, _, ours, theirs = cells(methods_table({"ours": better, "plain": reference}, DICE, reference="plain"))
    p = compare(better, reference, DICE)["liver"].t_test_p
    assert header == ["method (Dice %, all slices)", "liver", "mean over organs", "prediction empty"]
    assert p is not None
    assert ours == ["ours", f"92.0 ± 1.0 (p = {p:.3f})", f"92.0 ± 1.0 (p = {p:.3f})", "0"]
    assert theirs == ["plain", "76.0 ± 6.2", "76.0 ± 6.2", "0"]


def test_a_tiny_p_value_is_not_shown_as_zero() -> None:
    ours = [case_of(str(case), 0.9 + case / 1000) for case in range(8)]
    theirs = [case_of(str(case), 0.5 - case / 1000) for case in range(8)]
    assert "(p < 0.001)" in methods_table({"ours": ours, "plain": theirs}, DICE, reference="plain")


def test_a_table_of_methods_without_a_reference_has_no_p_values() -> None:
    assert "p" not in cells(methods_table({"one": [case_of("a", 0.9)]}, ASSD))[2][1]


def test_methods_scored_on_other_cases_are_not_put_into_one_table_with_p_values() -> None:
    with pytest.raises(CaseError, match="differ in a, b"):
        methods_table({"ours": [case_of("a", 0.9)], "plain": [case_of("b", 0.9)]}, DICE, reference="plain")


def test_a_test_that_could_not_be_computed_shows_why() -> None:
    tests = compare([case_of("a", 0.9)], [case_of("a", 0.7)], DICE)
    row = cells(paired_tests_table({DICE: tests}))[2]
    assert row == ["Dice %, all slices", "liver", "1", "+20.0", "-", "-", "1 case; a test needs two"]
