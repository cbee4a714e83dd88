from cisfa.cases.patient_keys import patients_in_both


def test_a_patient_of_both_domains_is_found_once() -> None:
    source = [("ct_1", ["anna", "study 1"]), ("ct_2", ["bert"]), ("ct_3", [])]
    target = [("mr_1", ["clara"]), ("mr_2", ["study 1", "anna"]), ("mr_3", [])]
    assert patients_in_both(source, target) == (("ct_1", "mr_2"),)


def test_one_patient_alone_in_both_domains_is_found() -> None:
    assert patients_in_both([("ct", ["anna"])], [("mr", ["anna"])]) == (("ct", "mr"),)
    assert patients_in_both([("a", ["anna"]), ("b", ["anna"])], [("c", ["anna"]), ("d", ["anna"])]) != ()


def test_what_an_anonymiser_wrote_everywhere_tells_nobody_from_nobody() -> None:
    source = [(f"ct_{number}", ["ANONYMOUS", f"study {number}"]) for number in range(3)]
    target = [(f"mr_{number}", ["ANONYMOUS", f"study {number + 10}"]) for number in range(3)]
    assert patients_in_both(source, target) == ()
    # but a study that both have does, and so does an identifier that some lack
    assert patients_in_both(source, [*target, ("mr_3", ["ANONYMOUS", "study 1"])]) == (("ct_1", "mr_3"),)
    assert ("ct_2", "mr_0") in patients_in_both(source, [*target, ("mr_4", ["dora"])])
