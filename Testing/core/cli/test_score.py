import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cisfa.bundle.bundle_folder import open_bundle
from cisfa.cli import score
from cisfa.cli.main import main
from cisfa.errors import Cancelled
from cisfa.evaluation.score_file import ScoreFile, read_scores
from cisfa.events import Failed, Finished, Notice, Progress, from_json_line
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_files import read_label_map, read_volume, write_label_map, write_volume
from cisfa.inference.predictor import Predictor

MakeGeometry = Callable[..., Geometry]
MakeBundle = Callable[..., Path]
MakeCase = Callable[..., Path]
Cisfa = Callable[..., tuple[int, str, str]]
DONE, USER_CAN_MEND, CANCELLED = 0, 2, 3
SHAPE = (4, 40, 37)
REPORT_FILES = ["contours.png", "report.md", "scores.csv", "scores.json", "summary.json"]


class BrightPlaces(nn.Module):
    """Finds the bundle's first organ where it is bright; the others nowhere."""

    def forward(self, slices: Tensor) -> Tensor:
        bright = slices[:, 0] > 0.5
        return 50.0 * torch.stack([~bright, bright, torch.zeros_like(bright)], dim=1).float()


@pytest.fixture
def sees_bright_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cisfa.inference.predictor.load_segmenter", lambda bundle: BrightPlaces())


@pytest.fixture
def make_case(tmp_path: Path, oblique: MakeGeometry) -> MakeCase:
    """Write a case with a bright liver in its middle into ``Fälle``, which it returns."""

    def make(
        name: str = "a",
        *,
        liver: int = 1,
        kidney: int = 0,
        extra: int = 0,
        folders: tuple[str, str] = ("images", "labels"),
        shape: tuple[int, int, int] = SHAPE,
    ) -> Path:
        geometry = oblique(shape)
        voxels = np.random.default_rng(0).rayleigh(60, shape)
        labels = np.zeros(shape, np.uint8)
        middle = tuple(slice(count // 4, count - count // 4) for count in shape)
        voxels[middle] += 500
        labels[middle] = liver
        if kidney:
            labels[1, 2:6, 2:6] = kidney
        labels[0, 0, 0] = extra
        images, label_maps = (tmp_path / "Fälle" / folder for folder in folders)
        write_volume(Volume(voxels.astype(np.int16), geometry), images / f"{name}.nii.gz")
        write_label_map(LabelMap(labels, geometry), label_maps / f"{name.removesuffix('_0000')}.nii.gz")
        return tmp_path / "Fälle"

    return make


@pytest.fixture
def cisfa(capsys: pytest.CaptureFixture[str]) -> Cisfa:
    """Run a command in this process; its exit code, standard output and standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        code = main(["score", *map(str, words), "--device", "cpu"])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


def refused(cisfa: Cisfa, *words: object) -> str:
    """The sentence with which a command line ends."""
    code, _, err = cisfa(*words)
    assert code == USER_CAN_MEND
    return err.strip().splitlines()[-1]


def contents(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def dice_of(scores: ScoreFile) -> dict[tuple[str, str], float | None]:
    return {(entry.case, entry.organ): entry.dice for entry in scores.cases}


def score_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "scores.csv").open(encoding="utf-8", newline="") as file:
        return [{**row, "method": ""} for row in csv.DictReader(file)]


def describe_labels(cases: Path, labels: dict[str, int], *, within: str = ".") -> None:
    (cases / within / "dataset.json").write_text(json.dumps({"labels": {"background": 0, **labels}}), encoding="utf-8")


def child(*words: object) -> list[str]:
    return [sys.executable, "-m", "cisfa", "score", *map(str, words), "--device", "cpu", "--events"]


# a bundle


def test_labelled_cases_are_segmented_scored_reported_and_shown(
    cisfa: Cisfa, sees_bright_places: None, make_bundle: MakeBundle, make_case: MakeCase, tmp_path: Path
) -> None:
    bundle, out = make_bundle("Bündel.zip"), tmp_path / "Ergebnis"
    make_case("Zoë 1", kidney=5)
    code, shown, err = cisfa(bundle, "--cases", make_case("b"), "--output", out)
    assert code == DONE
    predictions = ["predictions/Zoë 1.nii.gz", "predictions/b.nii.gz"]
    assert contents(out) == sorted([*REPORT_FILES, *predictions])
    assert f"Wrote {out / 'scores.json'}" in err
    assert "| mean over organs " in shown
    volume = read_volume(tmp_path / "Fälle" / "images" / "b.nii.gz")
    found = read_label_map(out / "predictions" / "b.nii.gz")
    assert found.geometry.is_same_grid(volume.geometry)
    scores, opened = read_scores(out / "scores.json"), open_bundle(bundle)
    assert (scores.model.name, scores.model.method, scores.model.steps) == ("random weights", "cisfa", 1)
    assert scores.model.checksum == opened.checksum
    assert scores.model.weights_sha256 == opened.manifest.files["weights.safetensors"].sha256
    dice = dice_of(scores)
    assert dice["b", "liver"] == pytest.approx(1.0, abs=0.05)
    assert (dice["Zoë 1", "right kidney"], dice["b", "right kidney"]) == (0.0, None)
    assert [entry.remark for entry in scores.cases] == ["", "prediction empty", "", "both empty"]
    assert scores.organs[0].dice.n == 2
    assert (scores.left_out, scores.remarks) == ((), ())


def test_the_scores_are_those_of_cisfa_evaluate(
    cisfa: Cisfa, sees_bright_places: None, make_bundle: MakeBundle, make_case: MakeCase, tmp_path: Path
) -> None:
    make_case("a", kidney=5)
    bundle, cases, out = make_bundle(), make_case("b"), tmp_path / "out"
    assert cisfa(bundle, "--cases", cases, "--output", out)[0] == DONE
    words = ["--predictions", out / "predictions", "--labels", cases / "labels", "--output", tmp_path / "again"]
    assert main(["evaluate", *map(str, words), "--bundle", str(bundle)]) == DONE
    ours, theirs = (score_rows(folder) for folder in (out, tmp_path / "again"))
    assert ours == theirs
    assert len(ours) == 4


def test_nnu_nets_layout_is_read(
    cisfa: Cisfa, sees_bright_places: None, make_bundle: MakeBundle, make_case: MakeCase, tmp_path: Path
) -> None:
    make_case("mr_1_0000", folders=("imagesTr", "labelsTr"))
    cases = make_case("mr_2_0000", folders=("imagesTr", "labelsTr"))
    assert cisfa(make_bundle(), "--cases", cases, "--output", tmp_path / "out")[0] == DONE
    scores = read_scores(tmp_path / "out" / "scores.json")
    assert {entry.case for entry in scores.cases} == {"mr_1", "mr_2"}


def test_the_labels_have_no_influence_on_what_the_model_finds(
    cisfa: Cisfa, make_bundle: MakeBundle, make_case: MakeCase, tmp_path: Path
) -> None:
    bundle = make_bundle()
    assert cisfa(bundle, "--cases", make_case(), "--output", tmp_path / "one")[0] == DONE
    assert cisfa(bundle, "--cases", make_case(liver=0, kidney=5), "--output", tmp_path / "two")[0] == DONE
    one, two = (read_label_map(tmp_path / folder / "predictions" / "a.nii.gz").voxels for folder in ("one", "two"))
    np.testing.assert_array_equal(one, two)


def test_the_help_says_what_labels_of_the_target_are_for() -> None:
    assert "serve this final score alone" in score.HELP


# a run


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a few steps with the organs 2 spleen and 7 left kidney."""
    folder = tmp_path_factory.mktemp("run to score")
    rng = np.random.default_rng(5)
    geometry = Geometry.from_axes((4, 40, 33), spacing_mm=(5.0, 1.2, 1.7), origin_lps_mm=(-20, 3, 40))
    labels = np.zeros(geometry.shape, np.uint8)
    labels[1:3, 5:20, 4:15], labels[1:3, 22:35, 16:30] = 2, 7
    for domain, low in (("ct", -900), ("mr", 0)):
        for number in range(2):
            voxels = rng.integers(low, low + 1000, geometry.shape).astype(np.int16)
            write_volume(Volume(voxels, geometry), folder / domain / "images" / f"{domain}_{number}.nrrd")
            write_label_map(LabelMap(labels, geometry), folder / domain / "labels" / f"{domain}_{number}.nrrd")
    settings = ("preprocessing.size=32", "networks.segmenter_width=2", "schedule.steps=3")
    settings += ('organs={"2":"spleen","7":"left kidney"}',)
    words = ["train", "--source", str(folder / "ct"), "--target", str(folder / "mr"), "--run", str(folder / "run")]
    words += ["--method", "source-only", "--device", "cpu"]
    assert main([*words, *[word for setting in settings for word in ("--set", setting)]]) == DONE
    return folder / "run"


def test_a_runs_newest_checkpoint_is_scored(
    cisfa: Cisfa, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    before = contents(run_folder)
    assert cisfa(run_folder, "--cases", run_folder.parent / "mr", "--output", tmp_path / "out")[0] == DONE
    scores = read_scores(tmp_path / "out" / "scores.json")
    assert (scores.model.method, scores.model.steps, scores.model.checksum) == ("source-only", 3, None)
    assert [entry.organ for entry in scores.organs] == ["spleen", "left kidney"]
    assert contents(tmp_path / "out") == [
        *("contours.png", "predictions/mr_0.nrrd", "predictions/mr_1.nrrd"),
        *("report.md", "scores.csv", "scores.json", "summary.json"),
    ]
    assert main(["bundle", "make", str(run_folder), "--output", str(tmp_path / "model.zip")]) == DONE
    weights = open_bundle(tmp_path / "model.zip").manifest.files["weights.safetensors"]
    assert scores.model.weights_sha256 == weights.sha256
    assert contents(run_folder) == before
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_run_without_a_checkpoint_is_refused(
    cisfa: Cisfa, run_folder: Path, make_case: MakeCase, tmp_path: Path
) -> None:
    young = tmp_path / "young"
    young.mkdir()
    for name in ("config.json", "data.json", "environment.json"):
        (young / name).write_bytes((run_folder / name).read_bytes())
    assert "has no checkpoint yet" in refused(cisfa, young, "--cases", make_case(), "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_scores_do_not_get_into_a_run_or_a_bundle(
    cisfa: Cisfa, run_folder: Path, make_bundle: MakeBundle, make_case: MakeCase
) -> None:
    cases, bundle = make_case(), make_bundle()
    for model in (run_folder, bundle):
        before = contents(model)
        sentence = refused(cisfa, model, "--cases", cases, "--output", model / "scores", "--overwrite")
        assert "must not get into a run or a bundle" in sentence
        assert contents(model) == before


@pytest.mark.parametrize("name", ["nowhere", "cases", "nowhere.zip"])
def test_what_is_neither_run_nor_bundle_is_named(cisfa: Cisfa, make_case: MakeCase, tmp_path: Path, name: str) -> None:
    (tmp_path / "cases").mkdir()
    sentence = refused(cisfa, tmp_path / name, "--cases", make_case(), "--output", tmp_path / "out")
    assert f"{name} is neither a training run (a folder with config.json) nor a model bundle" in sentence


# what the labels mean


def test_foreign_label_values_are_refused_before_the_segmenting(
    cisfa: Cisfa, make_bundle: MakeBundle, make_case: MakeCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Predictor, "segment", lambda *_: pytest.fail("nothing is to be segmented"))
    bundle, words = make_bundle(), ("--output", tmp_path / "out")
    sentence = refused(cisfa, bundle, "--cases", make_case(liver=3, extra=9), *words)
    assert (
        "The label map a.nii.gz holds the values 3, 9, and the model's organs are 1 liver, 5 right kidney" in sentence
    )
    assert "dataset.json" in sentence
    sentence = refused(cisfa, bundle, "--cases", make_case("b", extra=9), *words)
    assert sentence.startswith("cisfa: error: None of the 2 cases could be scored. a: The label map a.nii.gz holds")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("within", [".", "labels"])
def test_a_data_sets_description_translates_its_values_by_name(
    cisfa: Cisfa, sees_bright_places: None, make_bundle: MakeBundle, make_case: MakeCase, tmp_path: Path, within: str
) -> None:
    cases = make_case(liver=7, kidney=1)
    describe_labels(cases, {"Kidney_Right": 1, "LIVER": 7}, within=within)
    assert cisfa(make_bundle(), "--cases", cases, "--output", tmp_path / "out")[0] == DONE
    scores = read_scores(tmp_path / "out" / "scores.json")
    assert [(entry.organ, entry.label) for entry in scores.cases] == [("liver", 1), ("right kidney", 5)]
    assert dice_of(scores) == {("a", "liver"): pytest.approx(1.0, abs=0.05), ("a", "right kidney"): 0.0}
    assert scores.remarks == ()


def test_what_only_the_model_or_only_the_labels_know_is_not_scored_and_said(
    cisfa: Cisfa, sees_bright_places: None, make_bundle: MakeBundle, make_case: MakeCase, tmp_path: Path
) -> None:
    cases = make_case(liver=4, kidney=2)
    describe_labels(cases, {"stomach": 2, "liver": 4})
    code, _, err = cisfa(make_bundle(organs="3=liver,5=spleen"), "--cases", cases, "--output", tmp_path / "out")
    assert code == DONE
    scores = read_scores(tmp_path / "out" / "scores.json")
    assert dice_of(scores) == {("a", "liver"): pytest.approx(1.0, abs=0.05)}
    assert scores.remarks == (
        "Not scored, since the model does not segment it: stomach.",
        "Not scored, since the labels do not name it: spleen.",
    )
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    for remark in scores.remarks:
        assert remark in err
        assert f"- {remark}\n" in text


def test_labels_that_share_no_organ_with_the_model_are_refused(
    cisfa: Cisfa, make_bundle: MakeBundle, make_case: MakeCase, tmp_path: Path
) -> None:
    cases = make_case()
    describe_labels(cases, {"stomach": 1})
    sentence = refused(cisfa, make_bundle(), "--cases", cases, "--output", tmp_path / "out")
    assert "segments 1 liver, 5 right kidney, and the labels are 1 stomach: they share no organ" in sentence
    assert not (tmp_path / "out").exists()


def test_a_value_that_the_data_sets_description_does_not_name_is_refused(
    cisfa: Cisfa, make_bundle: MakeBundle, make_case: MakeCase, tmp_path: Path
) -> None:
    cases = make_case(extra=9)
    describe_labels(cases, {"liver": 1, "stomach": 2})
    sentence = refused(cisfa, make_bundle(), "--cases", cases, "--output", tmp_path / "out")
    assert "a.nii.gz holds the value 9, and dataset.json names 1, 2." in sentence


# cases that cannot be scored


def test_one_broken_case_of_three_does_not_cost_the_other_two(
    make_bundle: MakeBundle, make_case: MakeCase, tmp_path: Path
) -> None:
    for name in "abc":
        cases = make_case(name)
    broken = cases / "images" / "b.nii.gz"
    broken.write_bytes(broken.read_bytes()[:2000])
    out = tmp_path / "out"
    words = child(make_bundle(), "--cases", cases, "--output", out)
    ended = subprocess.run(words, capture_output=True, encoding="utf-8", timeout=120, stdin=subprocess.DEVNULL)
    assert ended.returncode == USER_CAN_MEND, ended.stderr
    assert "Traceback" not in ended.stderr
    events = [from_json_line(line) for line in ended.stdout.splitlines()]
    stages = [(event.stage, event.fraction) for event in events if isinstance(event, Progress)]
    of_case = [(f"{what} {{}} of 3", fraction) for what in ("segmenting", "scoring") for fraction in (0, 1)]
    assert stages == [
        ("loading the model", 0),
        ("loading the model", 1),
        *[(stage.format(number), fraction) for number in (1, 3) for stage, fraction in of_case],
        ("writing the report", 0),
    ]
    notices = [event.message for event in events if isinstance(event, Notice)]
    assert len(notices) == 1
    assert f"b is left out: {broken} cannot be read" in notices[0]
    assert isinstance(events[-1], Failed)
    assert f"1 of 3 cases could not be scored, for the reasons above: b. The scores of the other 2 are in {out}." in (
        events[-1].message
    )
    assert contents(out) == sorted([*REPORT_FILES, "predictions/a.nii.gz", "predictions/c.nii.gz"])
    scores = read_scores(out / "scores.json")
    assert [case.case for case in scores.left_out] == ["b"]
    assert scores.left_out[0].reason.startswith(str(Path("images", "b.nii.gz")) + " cannot be read")
    assert f"- b is left out: {scores.left_out[0].reason}\n" in (out / "report.md").read_text(encoding="utf-8")
    for written in ("scores.json", "report.md", "summary.json", "scores.csv"):
        assert tmp_path.name not in (out / written).read_text(encoding="utf-8")


def test_events_on_standard_output_are_all_that_is_there(
    cisfa: Cisfa, make_bundle: MakeBundle, make_case: MakeCase, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, shown, _ = cisfa(make_bundle(), "--cases", make_case(), "--output", out, "--events")
    assert code == DONE
    values = [json.loads(line) for line in shown.splitlines()]
    assert {value["event"] for value in values} == {"progress", "finished"}
    assert {"event": "progress", "stage": "segmenting 1 of 1", "fraction": 0.0, "remaining_s": None} in values
    names = ("scores.csv", "summary.json", "report.md", "contours.png", "scores.json", "predictions")
    assert values[-1] == {"event": "finished", "outputs": [str(out / name) for name in names]}


def test_a_label_map_on_another_grid_leaves_its_case_out(
    cisfa: Cisfa, make_bundle: MakeBundle, make_case: MakeCase, oblique: MakeGeometry, tmp_path: Path
) -> None:
    make_case("a")
    cases = make_case("b")
    elsewhere = LabelMap(np.ones(SHAPE, np.uint8), oblique(SHAPE).flipped(0))
    write_label_map(elsewhere, cases / "labels" / "b.nii.gz")
    assert "1 of 2 cases could not be scored" in refused(
        cisfa, make_bundle(), "--cases", cases, "--output", tmp_path / "out"
    )
    (left_out,) = read_scores(tmp_path / "out" / "scores.json").left_out
    assert "The label map b.nii.gz and the volume b.nii.gz have the same shape but lie at different" in left_out.reason


def test_a_volume_of_another_modality_needs_the_users_word(
    cisfa: Cisfa, make_bundle: MakeBundle, make_case: MakeCase, tmp_path: Path
) -> None:
    words = (make_bundle(modality="CT"), "--cases", make_case(), "--output", tmp_path / "out")
    assert "a.nii.gz looks like MR" in refused(cisfa, *words)
    assert "segments CT, but the volumes are MR" in refused(cisfa, *words, "--modality", "MR")
    assert not (tmp_path / "out").exists()
    assert cisfa(*words, "--modality", "CT")[0] == DONE


def test_a_missing_label_map_is_named_before_the_work(
    cisfa: Cisfa, make_bundle: MakeBundle, make_case: MakeCase, tmp_path: Path
) -> None:
    make_case("a")
    cases = make_case("b")
    (cases / "labels" / "b.nii.gz").unlink()
    words = (make_bundle(), "--cases", cases, "--output", tmp_path / "out")
    assert "labels lacks the label maps of b." in refused(cisfa, *words)
    (cases / "labels" / "a.nii.gz").unlink()
    assert "has no label maps in labels" in refused(cisfa, *words)
    assert not (tmp_path / "out").exists()


# the output


def test_scores_that_are_there_stay_unless_they_may_be_replaced(
    cisfa: Cisfa, make_bundle: MakeBundle, make_case: MakeCase, tmp_path: Path
) -> None:
    make_case("a")
    bundle, cases, out = make_bundle(), make_case("b"), tmp_path / "out"
    words = (bundle, "--cases", cases, "--output", out)
    assert cisfa(*words)[0] == DONE
    (out / "mine.txt").write_bytes(b"somebody's notes")
    before = {name: (out / name).read_bytes() for name in contents(out)}
    assert "is not empty. Choose another folder" in refused(cisfa, *words)
    assert {name: (out / name).read_bytes() for name in contents(out)} == before
    (cases / "images" / "b.nii.gz").write_bytes(b"broken")
    assert "1 of 2 cases could not be scored" in refused(cisfa, *words, "--overwrite")
    assert contents(out) == sorted([*REPORT_FILES, "mine.txt", "predictions/a.nii.gz"])
    assert [case.case for case in read_scores(out / "scores.json").left_out] == ["b"]


def test_when_no_case_can_be_scored_the_older_scores_stay(
    cisfa: Cisfa, make_bundle: MakeBundle, make_case: MakeCase, tmp_path: Path
) -> None:
    bundle, cases, out = make_bundle(), make_case("a"), tmp_path / "out"
    assert cisfa(bundle, "--cases", cases, "--output", out)[0] == DONE
    before = {name: (out / name).read_bytes() for name in contents(out)}
    make_case("a", extra=9)
    refused(cisfa, bundle, "--cases", make_case("b", extra=9), "--output", out, "--overwrite")
    assert {name: (out / name).read_bytes() for name in contents(out)} == before


def test_labels_are_never_replaced(
    cisfa: Cisfa, make_bundle: MakeBundle, make_case: MakeCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score, "PREDICTIONS", "labels")
    cases = make_case()
    before = (cases / "labels" / "a.nii.gz").read_bytes()
    sentence = refused(cisfa, make_bundle(), "--cases", cases, "--output", cases, "--overwrite")
    assert "labels is the folder of the labels. Choose another output." in sentence
    assert (cases / "labels" / "a.nii.gz").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--batch-size", "0"), "--batch-size is 0; it must be at least 1"),
        (("--device", "tpu"), "Try: cisfa score --help"),
        (("--organs", "1=liver"), "unrecognized arguments: --organs"),
    ],
)
def test_a_wrong_option_is_named(
    make_case: MakeCase, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, str], sentence: str
) -> None:
    given = (tmp_path / "never looked at", "--cases", make_case(), "--output", tmp_path / "out", *words)
    assert main(["score", *map(str, given)]) == USER_CAN_MEND
    assert sentence in capsys.readouterr().err


# cancelling


def test_what_was_segmented_before_a_cancellation_stays_and_nothing_older_is_taken_for_it(
    cisfa: Cisfa, make_bundle: MakeBundle, make_case: MakeCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_case("a")
    bundle, cases, out = make_bundle(), make_case("b"), tmp_path / "out"
    assert cisfa(bundle, "--cases", cases, "--output", out)[0] == DONE

    def read_until_cancelled(path: Path) -> Volume:
        if path.name == "b.nii.gz":
            raise Cancelled("Stopped on request.")
        return read_volume(path)

    monkeypatch.setattr("cisfa.imaging.volume_files.read_volume", read_until_cancelled)
    assert cisfa(bundle, "--cases", cases, "--output", out, "--overwrite")[0] == CANCELLED
    assert contents(out) == ["predictions/a.nii.gz"]


def test_closing_standard_input_cancels_without_leaving_half_a_result(
    make_bundle: MakeBundle, make_case: MakeCase, tmp_path: Path
) -> None:
    cases, out = make_case("long", shape=(1500, 32, 32)), tmp_path / "out"
    words = child(make_bundle(), "--cases", cases, "--output", out, "--batch-size", 1)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*words, "--cancel-when-stdin-closes"], encoding="utf-8", **pipes) as process:
        for line in process.stdout:
            event = from_json_line(line)
            if isinstance(event, Progress) and event.stage == "segmenting 1 of 1" and event.fraction > 0:
                break
        process.stdin.close()
        rest = [from_json_line(line) for line in process.stdout.read().splitlines()]
        complaints = process.stderr.read()
        assert process.wait(timeout=60) == CANCELLED
    assert "Traceback" not in complaints
    assert not any(isinstance(event, Finished | Failed) for event in rest)
    assert not out.exists() or contents(out) == []
