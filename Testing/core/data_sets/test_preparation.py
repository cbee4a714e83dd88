"""Preparing as a whole: what may be written where, stopping and going on, and folders that are another set's."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import cisfa
from cisfa.cases.case_folder import labelled_cases, organs_beside, unlabelled_cases
from cisfa.cases.discovery import discover
from cisfa.data_sets.choices import SEQUENCES, TITLES
from cisfa.data_sets.known_sets import KNOWN_SETS
from cisfa.data_sets.preparation import Request, prepare
from cisfa.data_sets.record import chosen_by_labels
from cisfa.errors import Cancelled, CaseError, ConfigError
from cisfa.events import Event, Progress

VALUES = {"spleen": 1, "right kidney": 2, "left kidney": 3, "liver": 6}
TYPICAL = {
    "amos": "amos22/imagesTr/amos_0001.nii.gz",
    "btcv": "RawData/Training/img/img0001.nii.gz",
    "chaos": "Train_Sets/MR/1/T2SPIR/DICOM_anon/IMG-0004-00001.dcm",
    "mmwhs": "ct_train/ct_train_1001_image.nii.gz",
    "totalsegmentator": "s0001/segmentations/liver.nii.gz",
}


@pytest.fixture
def btcv(raw: Path, abdomen: Callable) -> Path:
    """Three cases, and one without labels."""
    for number in (1, 2, 3):
        abdomen(number).write(raw / f"img/img000{number}.nii.gz", raw / f"label/label000{number}.nii.gz", VALUES)
    abdomen(4).write(raw / "img/img0004.nii.gz")
    return raw


def test_what_is_written_is_what_training_and_scoring_read(btcv: Path, tmp_path: Path, prepared: Callable) -> None:
    prepared("btcv", with_unlabelled=True)
    out = tmp_path / "out"
    assert [case.name for case in labelled_cases(out)] == ["btcv_0001", "btcv_0002", "btcv_0003"]
    assert [case.name for case in unlabelled_cases(out / "unlabelled")] == ["btcv_0004"]
    organs = {"liver": 1, "right kidney": 2, "left kidney": 3, "spleen": 4}
    assert {organ.name: organ.label for organ in organs_beside(out) or ()} == organs
    (first, *_) = discover([out])
    assert {segment.name: segment.value for segment in first.segments} == organs


def test_the_record_says_where_everything_came_from(btcv: Path, tmp_path: Path, prepared: Callable) -> None:
    prepared("btcv")
    text = (tmp_path / "out" / "prepared.json").read_text(encoding="utf-8")
    values = json.loads(text)
    assert values["cisfa_version"] == cisfa.__version__
    assert values["asked"]["data_set"] == "btcv"
    assert values["summary"] == {"kept": 3, "left_out": {"it has no label map": 1}, "remarks": {}}
    assert values["kept"]["btcv_0002"]["files"] == ["img/img0002.nii.gz", "label/label0002.nii.gz"]
    assert values["kept"]["btcv_0002"]["organs_ml"]["liver"] == 28.8
    assert list(values["left_out"]) == ["btcv_0004"]
    assert str(tmp_path) not in text


def test_a_folder_with_anything_in_it_is_not_written_to(btcv: Path, tmp_path: Path, prepared: Callable) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(CaseError, match="is not empty"):
        prepared("btcv")
    with pytest.raises(CaseError, match=r"holds no prepared\.json"):
        prepared("btcv", resume=True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("out", ["", "sub/out"])
def test_nothing_is_written_into_the_download(out: str, btcv: Path, prepared: Callable) -> None:
    with pytest.raises(CaseError, match="which is only read"):
        prepared("btcv", out=f"{btcv.name}/{out}")
    assert not list(btcv.rglob("prepared.json"))


def test_a_stopped_preparation_goes_on_where_it_was(btcv: Path, tmp_path: Path, prepared: Callable) -> None:
    def stop_at_the_third(event: Event) -> None:
        if isinstance(event, Progress) and 0.4 < event.fraction < 1:
            raise Cancelled("stopped")

    out = tmp_path / "out"
    with pytest.raises(Cancelled):
        prepare(Request("btcv"), btcv, out, stop_at_the_third)
    assert sorted(path.name for path in (out / "images").iterdir()) == ["btcv_0001.nii.gz", "btcv_0002.nii.gz"]
    assert (out / "dataset.json").is_file()
    before = (out / "images" / "btcv_0001.nii.gz").stat().st_mtime_ns
    (out / "labels" / "btcv_0002.nii.gz").unlink()
    record = prepared("btcv", resume=True)
    assert sorted(record.kept) == ["btcv_0001", "btcv_0002", "btcv_0003"]
    assert (out / "images" / "btcv_0001.nii.gz").stat().st_mtime_ns == before
    assert len(labelled_cases(out)) == 3


def test_a_case_that_was_mended_is_taken_in_when_going_on(btcv: Path, prepared: Callable, abdomen: Callable) -> None:
    whole = (btcv / "label/label0002.nii.gz").read_bytes()
    (btcv / "label/label0002.nii.gz").write_bytes(whole[:100])
    assert "btcv_0002" in prepared("btcv").left_out
    (btcv / "label/label0002.nii.gz").write_bytes(whole)
    record = prepared("btcv", resume=True)
    assert "btcv_0002" in record.kept
    assert "btcv_0002" not in record.left_out


def test_a_case_that_is_labelled_later_is_not_in_both_places(
    btcv: Path, tmp_path: Path, prepared: Callable, abdomen: Callable
) -> None:
    def names() -> list[str]:
        return sorted(path.relative_to(out).as_posix() for path in out.rglob("btcv_0004*"))

    out, label = tmp_path / "out", btcv / "label/label0004.nii.gz"
    prepared("btcv", with_unlabelled=True)
    assert names() == ["unlabelled/images/btcv_0004.nii.gz"]
    abdomen(4).write(btcv / "img/img0004.nii.gz", label, VALUES)
    assert prepared("btcv", with_unlabelled=True, resume=True).kept["btcv_0004"].has_labels
    assert names() == ["images/btcv_0004.nii.gz", "labels/btcv_0004.nii.gz"]
    label.unlink()
    assert not prepared("btcv", with_unlabelled=True, resume=True).kept["btcv_0004"].has_labels
    assert names() == ["unlabelled/images/btcv_0004.nii.gz"]
    label.write_bytes(b"damaged")
    assert "btcv_0004" in prepared("btcv", with_unlabelled=True, resume=True).left_out
    assert names() == []


def test_a_target_that_was_cut_or_chosen_by_its_labels_is_warned_of(
    btcv: Path, tmp_path: Path, prepared: Callable
) -> None:
    def warnings(folder: Path) -> list[str]:
        return chosen_by_labels(sorted(folder.glob("images/*")))

    out = tmp_path / "out"
    prepared("btcv", with_unlabelled=True, all_organs=True, around_organs_mm=0.0)
    (warning,) = warnings(out)
    assert str(out) in warning
    assert "--around-organs" in warning
    assert "--all-organs" in warning
    assert warnings(out / "unlabelled") == []
    prepared("btcv", out="chosen", all_organs=True)
    (warning,) = warnings(tmp_path / "chosen")
    assert "--around-organs" not in warning
    prepared("btcv", out="whole")
    assert warnings(tmp_path / "whole") == []
    (tmp_path / "whole" / "prepared.json").write_text("another program's", encoding="utf-8")
    assert warnings(tmp_path / "whole") == []


def test_going_on_with_other_options_is_refused(btcv: Path, prepared: Callable) -> None:
    prepared("btcv")
    with pytest.raises(CaseError, match=r"was begun with organs \[\], not \['liver'\]"):
        prepared("btcv", resume=True, organs=("liver",))


def test_where_no_case_can_be_used_the_folder_stays_free(btcv: Path, tmp_path: Path, prepared: Callable) -> None:
    labels = {path: path.read_bytes() for path in (btcv / "label").iterdir()}
    for path in labels:
        path.unlink()
    with pytest.raises(
        CaseError, match=r"No case can be used; .*prepared\.json says why\. Left out 4: it has no label map"
    ):
        prepared("btcv")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["prepared.json"]
    for path, content in labels.items():
        path.write_bytes(content)
    assert len(prepared("btcv", organs=("liver",)).kept) == 3


@pytest.mark.parametrize("there", TYPICAL)
@pytest.mark.parametrize("asked", TYPICAL)
def test_a_folder_of_another_set_is_recognised(there: str, asked: str, raw: Path, prepared: Callable) -> None:
    path = raw / "unpacked" / TYPICAL[there]
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not looked into")
    if there == "totalsegmentator":
        (path.parents[1] / "ct.nii.gz").write_bytes(b"not looked into")
    if there == asked:
        with pytest.raises((CaseError, ConfigError)) as caught:
            prepared(asked)
        assert "looks like" not in str(caught.value)
        return
    with pytest.raises(CaseError, match=f"looks like {TITLES[there]}. Try: cisfa prepare {there}"):
        prepared(asked)


@pytest.mark.parametrize("asked", TYPICAL)
@pytest.mark.parametrize(
    ("file", "said"),
    [(None, "is empty. Download"), ("data.zip", "data.zip. Unpack it first"), ("a.txt", "data-sets.md")],
)
def test_a_folder_of_no_set_says_what_to_do(
    file: str | None, said: str, asked: str, raw: Path, tmp_path: Path, prepared: Callable
) -> None:
    if file:
        (raw / file).write_bytes(b"x")
    with pytest.raises(CaseError, match=said):
        prepared(asked)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("data_set", "options", "said"),
    [
        ("btcv", {"modality": "mr"}, "--modality makes no sense for BTCV"),
        ("amos", {"sequence": SEQUENCES[0]}, "--sequence makes no sense for AMOS"),
        ("mmwhs", {"only": (("split", "train"),)}, "--only makes no sense for MM-WHS"),
    ],
)
def test_options_of_another_set_are_refused(
    data_set: str, options: dict[str, object], said: str, prepared: Callable
) -> None:
    with pytest.raises(ConfigError, match=said):
        prepared(data_set, **options)


def test_every_set_with_a_title_can_be_prepared() -> None:
    assert KNOWN_SETS.keys() == TITLES.keys() == TYPICAL.keys()
