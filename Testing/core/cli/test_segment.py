import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch
from torch import Tensor, nn

from cisfa.bundle.bundle_folder import open_bundle
from cisfa.cli.main import main
from cisfa.cli.segment_plan import plan_outputs
from cisfa.errors import Cancelled, DeviceError, VolumeFileError
from cisfa.events import Failed, Finished, Notice, Progress, from_json_line
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import Volume
from cisfa.imaging.volume_files import read_label_map, read_volume, write_volume
from cisfa.inference import quality
from cisfa.inference.evidence import Evidence

MakeGeometry = Callable[..., Geometry]
MakeBundle = Callable[..., Path]
MakeVolume = Callable[..., Path]
Cisfa = Callable[..., tuple[int, str, str]]
DONE, USER_CAN_MEND, CANCELLED = 0, 2, 3


@pytest.fixture
def make_volume(tmp_path: Path, oblique: MakeGeometry) -> MakeVolume:
    """Write a volume that looks like MR (or CT) and has a bright block in its middle."""

    def make(name: str, shape: tuple[int, int, int] = (4, 40, 37), *, modality: str = "MR", **how: object) -> Path:
        geometry = oblique(shape, **how)
        voxels = np.random.default_rng(0).rayleigh(60, geometry.shape)
        middle = tuple(slice(count // 4, count - count // 4) for count in geometry.shape)
        voxels[middle] += 500
        path = tmp_path / name
        write_volume(Volume((voxels - (1000 if modality == "CT" else 0)).astype(np.int16), geometry, path.name), path)
        return path

    return make


@pytest.fixture
def cisfa(capsys: pytest.CaptureFixture[str]) -> Cisfa:
    """Run a command in this process; its exit code, standard output and standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


def refused(cisfa: Cisfa, *words: object) -> str:
    """The sentence with which a command line ends."""
    code, _, err = cisfa("segment", *words)
    assert code == USER_CAN_MEND
    return err.strip().splitlines()[-1]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def events_of(text: str) -> list[object]:
    """The events on standard output, where nothing else may be."""
    return [from_json_line(line) for line in text.splitlines()]


def child(*words: object) -> list[str]:
    return [sys.executable, "-m", "cisfa", "segment", *map(str, words)]


def is_under_way(event: object) -> bool:
    return isinstance(event, Progress) and event.stage == "segmenting" and event.fraction > 0


class BrightPlaces(nn.Module):
    """Finds what is brighter than average."""

    def forward(self, slices: Tensor) -> Tensor:
        bright = slices[:, 0] > 0.5
        return 50.0 * torch.stack([~bright, bright, torch.zeros_like(bright)], dim=1).float()


@pytest.fixture
def sees_bright_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cisfa.inference.predictor.load_segmenter", lambda bundle: BrightPlaces())


# in a process of its own


def test_a_folder_is_segmented_by_a_child_process_that_reports_in_events(
    make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path
) -> None:
    first = make_volume("Patienten 肝/Müller & Söhne.nii.gz", order=(2, 0, 1), signs=(-1, 1, 1))
    second = make_volume("Patienten 肝/second.nrrd")
    (first.parent / "._second.nrrd").write_bytes(b"what macOS leaves on foreign disks")
    (first.parent / "notes.txt").write_text("not a volume", encoding="utf-8")
    output = tmp_path / "fertig gestellt"
    words = child(
        first.parent, "--bundle", make_bundle("Bündel.zip"), "--output", output, "--events", "--device", "cpu"
    )
    ended = subprocess.run(words, capture_output=True, encoding="utf-8", timeout=120, stdin=subprocess.DEVNULL)
    assert ended.returncode == DONE, ended.stderr
    events = events_of(ended.stdout)
    assert [(event.stage, event.fraction) for event in events if isinstance(event, Progress)] == [
        ("loading the model", 0),
        ("loading the model", 1),
        *[("segmenting", 0), ("segmenting", 1)] * 2,
    ]
    assert events[-1] == Finished((str(output / first.name), str(output / second.name)))
    for volume in (first, second):
        label_map = read_label_map(output / volume.name)
        label_map.geometry.require_same_grid(read_volume(volume).geometry, ours="label map", theirs="volume")
        assert set(np.unique(label_map.voxels)) <= {0, 1, 5}


def test_one_bad_volume_of_three_does_not_cost_the_other_two(
    make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path
) -> None:
    good, cut, other = make_volume("a.nii.gz"), make_volume("b.nii.gz"), make_volume("c.mha")
    cut.write_bytes(cut.read_bytes()[:2000])
    output = tmp_path / "out"
    words = child(good, cut, other, "--bundle", make_bundle(), "--output", output, "--events", "--device", "cpu")
    ended = subprocess.run(words, capture_output=True, encoding="utf-8", timeout=120, stdin=subprocess.DEVNULL)
    assert ended.returncode == USER_CAN_MEND
    assert "Traceback" not in ended.stderr
    events = events_of(ended.stdout)
    notices = [event.message for event in events if isinstance(event, Notice)]
    assert len(notices) == 1
    assert f"{cut} is left out: {cut} cannot be read" in notices[0]
    assert isinstance(events[-1], Failed)
    assert f"1 of 3 volumes could not be segmented, for the reasons above: {cut}." in events[-1].message
    assert "the other 2" in events[-1].message
    assert sorted(contents(output)) == ["a.nii.gz", "c.mha"]


def test_closing_standard_input_cancels_without_leaving_half_a_result(
    make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path
) -> None:
    volume, output = make_volume("long.nrrd", (1500, 32, 32)), tmp_path / "out" / "long.nrrd"
    words = child(volume, "--bundle", make_bundle(), "--output", output, "--device", "cpu", "--batch-size", 1)
    words += ["--events", "--cancel-when-stdin-closes"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, encoding="utf-8", **pipes) as process:
        events = []
        while not (events and is_under_way(events[-1])):
            events.append(from_json_line(process.stdout.readline()))
        process.stdin.close()
        events += events_of(process.stdout.read())
        complaints = process.stderr.read()
        assert process.wait(timeout=60) == CANCELLED
    assert "Traceback" not in complaints
    assert not any(isinstance(event, Finished | Failed) for event in events)
    assert not output.parent.exists() or contents(output.parent) == {}


def test_something_can_be_shown_before_torch_is_there(
    make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path
) -> None:
    code = (
        "import sys, cisfa.cli.cancellation as cancellation\n"
        "from cisfa.cli.main import main\n"
        "guard = cancellation.Cancellation.guard\n"
        "def spy(self, report):\n"
        "    return guard(self, lambda event: (print('torch' in sys.modules, event), report(event)))\n"
        "cancellation.Cancellation.guard = spy\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    words = ["segment", make_volume("v.nrrd"), "--bundle", make_bundle(), "--output", tmp_path / "out"]
    ended = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, encoding="utf-8", timeout=120
    )
    assert ended.returncode == DONE, ended.stderr
    first, second = ended.stdout.splitlines()[:2]
    assert first == f"False {Progress('loading the model', 0.0)}"
    assert second == f"True {Progress('loading the model', 1.0)}"


# several volumes


def test_the_volumes_that_can_be_used_are_segmented_and_the_others_named(
    cisfa: Cisfa, make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path
) -> None:
    inputs = [make_volume("in/a.nrrd"), tmp_path / "in" / "gone.nii", make_volume("in/ct.nii", modality="CT")]
    inputs += [make_volume("in/z.nrrd")]
    code, _, err = cisfa("segment", *inputs, "--bundle", make_bundle(), "--output", tmp_path / "out")
    assert code == USER_CAN_MEND
    assert "gone.nii does not exist" in err
    assert "ct.nii looks like CT" in err
    assert f"2 of 4 volumes could not be segmented, for the reasons above: {inputs[1]}, {inputs[2]}." in err
    assert sorted(contents(tmp_path / "out")) == ["a.nrrd", "z.nrrd"]


def test_what_was_finished_before_a_cancellation_stays(
    cisfa: Cisfa, make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, bundle = [make_volume(name) for name in ("a.nrrd", "b.nrrd", "c.nrrd")], make_bundle()

    def read_until_cancelled(path: Path) -> Volume:
        if path.name == "b.nrrd":
            raise Cancelled("Stopped on request.")
        return read_volume(path)

    monkeypatch.setattr("cisfa.imaging.volume_files.read_volume", read_until_cancelled)
    assert cisfa("segment", *inputs, "--bundle", bundle, "--output", tmp_path / "out")[0] == CANCELLED
    assert list(contents(tmp_path / "out")) == ["a.nrrd"]


# one volume


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_a_label_map_covers_its_volume(
    cisfa: Cisfa,
    sees_bright_places: None,
    make_bundle: MakeBundle,
    make_volume: MakeVolume,
    tmp_path: Path,
    suffix: str,
) -> None:
    volume, output = make_volume(f"v{suffix}", order=(1, 2, 0), signs=(-1, 1, -1)), tmp_path / f"new/labels{suffix}"
    code, out, err = cisfa("segment", volume, "--bundle", make_bundle(), "--output", output, "--modality", "MR")
    assert (code, out) == (DONE, "")
    assert f"Wrote {output}" in err
    seen, there = (SimpleITK.ReadImage(str(path)) for path in (volume, output))
    assert there.GetSize() == seen.GetSize()
    np.testing.assert_allclose(there.GetDirection(), seen.GetDirection(), atol=1e-6)
    np.testing.assert_allclose(there.GetOrigin(), seen.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(there.GetSpacing(), seen.GetSpacing(), rtol=1e-6)
    labels, bright = SimpleITK.GetArrayFromImage(there), SimpleITK.GetArrayFromImage(seen) > 450
    assert set(np.unique(labels)) == {0, 1}
    assert 2 * (bright & (labels == 1)).sum() / (bright.sum() + (labels == 1).sum()) > 0.97


def test_a_nifti_that_states_two_places_gets_a_label_map_that_states_both(
    cisfa: Cisfa, make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path
) -> None:
    image = nibabel.load(make_volume("plain.nii"))
    image.set_sform(np.diag([-2.0, 2, 2, 1]) @ image.affine, 4, update_affine=False)
    image.header["qform_code"] = 1
    path = tmp_path / "two.nii"
    content = bytearray((tmp_path / "plain.nii").read_bytes())
    content[:348] = image.header.binaryblock
    path.write_bytes(content)
    assert cisfa("segment", path, "--bundle", make_bundle(), "--output", tmp_path / "labels.nii.gz")[0] == DONE
    before, after = nibabel.load(path).header, nibabel.load(tmp_path / "labels.nii.gz").header
    assert abs(before.get_qform() - before.get_sform()).max() > 1
    np.testing.assert_array_equal(after.get_qform(), before.get_qform())
    np.testing.assert_array_equal(after.get_sform(), before.get_sform())


def test_the_output_may_be_of_another_format_than_the_input(
    cisfa: Cisfa, make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path
) -> None:
    volume, output = make_volume("v.nrrd", signs=(1, -1, 1)), tmp_path / "labels.nii.gz"
    assert cisfa("segment", volume, "--bundle", make_bundle(), "--output", output)[0] == DONE
    assert read_label_map(output).geometry.is_same_grid(read_volume(volume).geometry)


@pytest.mark.parametrize(("detached", "whole"), [("v.nhdr", "v.nrrd"), ("v.mhd", "v.mha")])
def test_a_volume_in_two_files_gets_a_label_map_in_one(
    cisfa: Cisfa, make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path, detached: str, whole: str
) -> None:
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(make_volume("v.nii"))), str(tmp_path / detached))
    assert cisfa("segment", tmp_path / detached, "--bundle", make_bundle(), "--output", tmp_path / "out")[0] == DONE
    assert list(contents(tmp_path / "out")) == [whole]


def test_the_last_line_of_events_names_what_was_written(
    cisfa: Cisfa, make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path
) -> None:
    output = tmp_path / "ü.nrrd"
    words = (make_volume("v.nrrd"), "--bundle", make_bundle(), "--output", output, "--events", "--largest-component")
    code, out, _ = cisfa("segment", *words)
    assert code == DONE
    assert json.loads(out.splitlines()[-1]) == {"event": "finished", "outputs": [str(output)]}


@pytest.mark.parametrize("spelling", ["separate", "joined"])
def test_a_region_of_interest_may_begin_with_a_negative_number(
    cisfa: Cisfa,
    sees_bright_places: None,
    make_bundle: MakeBundle,
    make_volume: MakeVolume,
    tmp_path: Path,
    spelling: str,
) -> None:
    volume, output = make_volume("v.nrrd"), tmp_path / "labels.nrrd"
    points = read_volume(volume).geometry.to_lps([(1, 12, 10), (2, 25, 25)])
    bounds = ",".join(f"{low:.2f},{high:.2f}" for low, high in zip(points.min(0), points.max(0), strict=True))
    assert bounds.startswith("-")
    roi = ["--roi", bounds] if spelling == "separate" else [f"--roi={bounds}"]
    assert cisfa("segment", volume, "--bundle", make_bundle(), *roi, "--output", output)[0] == DONE
    labels = read_label_map(output)
    found = labels.geometry.to_lps(np.argwhere(labels.voxels))
    assert len(found)
    assert (found > points.min(axis=0) - 4).all()
    assert (found < points.max(axis=0) + 4).all()


# the report


def test_the_report_says_what_was_found_of_each_organ_and_by_what(
    cisfa: Cisfa, sees_bright_places: None, make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path
) -> None:
    volume, bundle = make_volume("Meier, Anna.nrrd", order=(1, 2, 0)), make_bundle("model.zip")
    output, report = tmp_path / "labels.nrrd", tmp_path / "neu" / "report.json"
    words = (volume, "--bundle", bundle, "--output", output, "--report", report, "--device", "cpu", "--events")
    code, out, _ = cisfa("segment", *words)
    assert code == DONE
    assert events_of(out)[-1] == Finished((str(output),))
    values = json.loads(report.read_text(encoding="utf-8"))
    assert list(values) == ["schema_version", "bundle", "device", "seconds", "organs"]
    assert values["schema_version"] == 1
    opened = open_bundle(bundle)
    assert values["bundle"] == {"name": "random weights", "version": "1.0", "checksum": opened.checksum}
    assert values["device"].startswith("CPU, ")
    assert 0 < values["seconds"] < 60
    labels, intensities = read_label_map(output), read_volume(volume).voxels
    liver, kidney = values["organs"]
    assert (liver["name"], liver["label"]) == ("liver", 1)
    assert liver["voxels"] == (labels.voxels == 1).sum()
    assert liver["volume_ml"] == pytest.approx(liver["voxels"] * 3.1 * 0.9 * 0.7 / 1000, rel=1e-4)
    assert liver["mean_intensity"] == pytest.approx(intensities[labels.voxels == 1].mean())
    assert liver["components"] >= 1
    assert 0 < liver["largest_component_fraction"] <= 1
    assert set(liver.pop("quality")) == {"level", "score", "reasons"}
    nothing = kidney.pop("quality")
    assert (nothing["level"], nothing["score"]) == ("red", 0)
    assert nothing["reasons"][0].startswith("Nothing was found: the right kidney")
    assert kidney == {
        "name": "right kidney",
        "label": 5,
        "voxels": 0,
        "volume_ml": 0.0,
        "mean_intensity": None,
        "components": 0,
        "largest_component_fraction": None,
        "touches_edge": False,
    }


def qualities_of(report: Path) -> dict[str, dict[str, object]]:
    organs = json.loads(report.read_text(encoding="utf-8"))["organs"]
    return {organ["name"]: organ["quality"] for organ in organs}


def test_quality_is_estimated_with_a_report_and_left_out_when_told_to(
    cisfa: Cisfa, sees_bright_places: None, make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    words = (make_volume("v.nrrd"), "--bundle", make_bundle(), "--output", tmp_path / "labels.nrrd", "--overwrite")
    words += ("--report", report, "--events")
    code, out, _ = cisfa("segment", *words)
    assert code == DONE
    stages = [event.stage for event in events_of(out) if isinstance(event, Progress)]
    assert list(dict.fromkeys(stages)) == ["loading the model", "segmenting", "measuring", "judging"]
    for found in qualities_of(report).values():
        assert found["level"] in ("green", "amber", "red")
        assert 0 <= found["score"] <= 1
        assert all(reason.endswith(".") for reason in found["reasons"])
    labels = (tmp_path / "labels.nrrd").read_bytes()
    code, out, _ = cisfa("segment", *words, "--no-quality")
    assert code == DONE
    assert "judging" not in out
    assert set(qualities_of(report).values()) == {None}
    assert (tmp_path / "labels.nrrd").read_bytes() == labels


def test_doubtful_organs_are_told_on_the_terminal_and_not_to_programs(
    cisfa: Cisfa, sees_bright_places: None, make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path
) -> None:
    words = (make_volume("v.nrrd"), "--bundle", make_bundle(), "--output", tmp_path / "labels.nrrd", "--overwrite")
    _, _, err = cisfa("segment", *words)
    assert "right kidney" not in err
    _, _, err = cisfa("segment", *words, "--quality")
    lines = [line for line in err.splitlines() if line.startswith("right kidney: ")]
    assert len(lines) == 1
    assert lines[0].startswith("right kidney: doubtful. Nothing was found")
    _, out, err = cisfa("segment", *words, "--quality", "--events")
    assert "right kidney" not in out + err


def test_a_doubtful_organ_of_several_volumes_is_told_with_its_volume(
    cisfa: Cisfa, sees_bright_places: None, make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path
) -> None:
    volumes = [make_volume(name) for name in ("a.nrrd", "b.nrrd")]
    _, _, err = cisfa("segment", *volumes, "--bundle", make_bundle(), "--output", tmp_path / "out", "--quality")
    for volume in volumes:
        assert sum(line.startswith(f"{volume}: right kidney: doubtful. ") for line in err.splitlines()) == 1


def test_judging_can_be_cancelled_and_leaves_nothing(
    cisfa: Cisfa,
    sees_bright_places: None,
    make_bundle: MakeBundle,
    make_volume: MakeVolume,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def judging_is_stopped(self: object, runner: object, report: object) -> None:
        raise Cancelled("Stopped on request.")

    monkeypatch.setattr("cisfa.inference.witness.Witness.signs", judging_is_stopped)
    words = (make_volume("v.nrrd"), "--bundle", make_bundle(), "--output", tmp_path / "out" / "labels.nrrd")
    assert cisfa("segment", *words, "--report", tmp_path / "out" / "report.json")[0] == CANCELLED
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "shortage",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory"),
        torch.OutOfMemoryError("CUDA out of memory."),
        DeviceError("Memory ran out on the CPU with a single slice. Close other programs and try again."),
    ],
)
def test_memory_that_runs_out_while_judging_costs_the_quality_alone(
    cisfa: Cisfa,
    sees_bright_places: None,
    make_bundle: MakeBundle,
    make_volume: MakeVolume,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shortage: Exception,
) -> None:
    judge_all, left = quality.judge_all, [shortage]  # for the first volume alone

    def crowded(evidence: Sequence[Evidence]) -> tuple[quality.OrganQuality, ...]:
        if left:
            raise left.pop()
        return judge_all(evidence)

    monkeypatch.setattr(quality, "judge_all", crowded)
    output, volumes = tmp_path / "out", [make_volume("a.nrrd"), make_volume("b.nrrd")]
    code, out, _ = cisfa(
        "segment", *volumes, "--bundle", make_bundle(), "--output", output, "--report", output, "--events"
    )
    assert code == DONE
    notices = [event.message for event in events_of(out) if isinstance(event, Notice)]
    assert [notice.startswith(f"{volumes[0]}: The quality of the organs was not estimated") for notice in notices] == [
        True
    ]
    labels, reports = sorted(output.rglob("*.nrrd")), sorted(output.rglob("*.json"))
    assert read_label_map(labels[0]).voxels.any()
    np.testing.assert_array_equal(read_label_map(labels[0]).voxels, read_label_map(labels[1]).voxels)
    assert set(qualities_of(reports[0]).values()) == {None}
    assert None not in qualities_of(reports[1]).values()


def test_a_mistake_of_ours_while_judging_is_not_taken_for_a_lack_of_memory(
    sees_bright_places: None,
    make_bundle: MakeBundle,
    make_volume: MakeVolume,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(evidence: Sequence[Evidence]) -> tuple[quality.OrganQuality, ...]:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(quality, "judge_all", broken)
    words = ("segment", make_volume("v.nrrd"), "--bundle", make_bundle(), "--output", tmp_path / "l.nrrd", "--quality")
    assert main([str(word) for word in words]) not in (DONE, USER_CAN_MEND, CANCELLED)


def test_in_a_region_of_interest_nothing_is_compared_with_whole_volumes(
    cisfa: Cisfa, sees_bright_places: None, make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path
) -> None:
    volume, report = make_volume("v.nrrd"), tmp_path / "report.json"
    words = (volume, "--bundle", make_bundle(), "--output", tmp_path / "l.nrrd", "--report", report, "--overwrite")
    points = read_volume(volume).geometry.to_lps([(1, 12, 10), (2, 25, 25)])
    bounds = ",".join(f"{low:.2f},{high:.2f}" for low, high in zip(points.min(0), points.max(0), strict=True))
    for roi, expected in (((), "not in the bundle"), ((f"--roi={bounds}",), "in a region of interest")):
        assert cisfa("segment", *words, *roi)[0] == DONE
        assert expected in qualities_of(report)["liver"]["reasons"][-1]


def test_a_report_betrays_no_name(
    cisfa: Cisfa, make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path
) -> None:
    words = (make_volume("Meier/Anna.nrrd"), "--bundle", make_bundle(), "--output", tmp_path / "Meier/labels.nrrd")
    assert cisfa("segment", *words, "--report", tmp_path / "Meier" / "report.json")[0] == DONE
    text = (tmp_path / "Meier" / "report.json").read_text(encoding="utf-8")
    for private in ("Meier", "Anna", "labels.nrrd", tmp_path.name):
        assert private not in text


def test_a_folder_of_label_maps_gets_a_folder_of_reports(
    cisfa: Cisfa, make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path
) -> None:
    first, second = make_volume("in/Müller.nii.gz"), make_volume("in/b.c.nrrd")
    cut = make_volume("in/cut.mha")
    cut.write_bytes(cut.read_bytes()[:2000])
    bundle, reports = make_bundle(), tmp_path / "reports"
    words = (first.parent, "--bundle", bundle, "--output", tmp_path / "out", "--report", reports)
    assert cisfa("segment", *words)[0] == USER_CAN_MEND
    assert sorted(contents(reports)) == ["Müller.json", "b.c.json"]
    assert sorted(contents(tmp_path / "out")) == sorted([first.name, second.name])
    words = (second, "--bundle", bundle, "--output", tmp_path / "one.nrrd", "--report", reports)
    assert cisfa("segment", *words)[0] == DONE
    assert "one.json" in contents(reports)


def test_a_report_that_cannot_be_written_is_refused_before_the_work(
    cisfa: Cisfa, make_volume: MakeVolume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file.json").write_bytes(b"mine")
    (tmp_path / "folder" / "v.json").mkdir(parents=True)
    volume = make_volume("v.nrrd")
    words = (volume, "--bundle", tmp_path / "never looked at", "--output")
    one, many = tmp_path / "labels.nrrd", tmp_path / "out"
    for output, report, sentence in (
        (one, "file.json", "file.json exists already. Pass --overwrite"),
        (one, "file.json/r.json", "file.json is a file. Choose another output."),
        (one, "report.txt", "report.txt: name a file that ends in .json, or a folder that is there"),
        (many, "new.json", "new.json is one file, but --output is a folder"),
        (many, "file.json/deeper", "file.json is a file. Choose another output."),
        (many, "folder", "v.json is a folder. Choose another output."),
    ):
        assert sentence in refused(cisfa, *words, output, "--report", tmp_path / report)
    assert (tmp_path / "file.json").read_bytes() == b"mine"
    access = os.access
    monkeypatch.setattr("os.access", lambda path, mode: Path(path).name != "folder" and access(path, mode))
    sentence = refused(cisfa, *words, one, "--report", tmp_path / "folder" / "report.json")
    assert f"{tmp_path / 'folder'} cannot be written to." in sentence


def test_a_report_is_replaced_only_when_it_may_be(
    cisfa: Cisfa, make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path
) -> None:
    words = (make_volume("v.nrrd"), "--bundle", make_bundle(), "--output", tmp_path / "out.nrrd")
    words += ("--report", tmp_path / "report.json", "--overwrite")
    (tmp_path / "report.json").write_bytes(b"mine")
    assert cisfa("segment", *words)[0] == DONE
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["schema_version"] == 1


def test_two_label_maps_cannot_share_a_report(cisfa: Cisfa, make_volume: MakeVolume, tmp_path: Path) -> None:
    inputs = (make_volume("a.nrrd"), make_volume("a.nii"))
    words = (*inputs, "--bundle", tmp_path / "never looked at", "--output", tmp_path / "out")
    assert "would both become" in refused(cisfa, *words, "--report", tmp_path / "out")


# what is refused, before anything is computed


def test_an_output_that_is_there_stays_as_it_is_unless_it_may_be_replaced(
    cisfa: Cisfa, make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path
) -> None:
    volume, bundle, output = make_volume("v.nrrd"), make_bundle(), tmp_path / "out"
    (output / "v.nrrd").parent.mkdir()
    (output / "v.nrrd").write_bytes(b"hours of somebody's work")
    words = (volume, "--bundle", bundle, "--output", output)
    assert "v.nrrd exists already. Pass --overwrite" in refused(cisfa, *words)
    assert "v.nrrd exists already" in refused(cisfa, *words[:-1], output / "v.nrrd")
    assert contents(output) == {"v.nrrd": b"hours of somebody's work"}
    assert cisfa("segment", *words, "--overwrite")[0] == DONE
    assert read_label_map(output / "v.nrrd").voxels.shape == (4, 40, 37)


def test_the_input_is_never_replaced(cisfa: Cisfa, make_bundle: MakeBundle, make_volume: MakeVolume) -> None:
    volume = make_volume("v.nrrd")
    before, bundle = volume.read_bytes(), make_bundle()
    for output in (volume, volume.parent):
        words = (volume, "--bundle", bundle, "--output", output, "--overwrite")
        assert "v.nrrd is the input itself" in refused(cisfa, *words)
    assert volume.read_bytes() == before


@pytest.mark.parametrize("output", ["file/labels.nrrd", "file/deeper", "file"])
def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    cisfa: Cisfa, make_volume: MakeVolume, tmp_path: Path, output: str
) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    words = (make_volume("v.nrrd"), "--bundle", tmp_path / "never looked at", "--output", tmp_path / output)
    assert f"{tmp_path / 'file'} is a file. Choose another output." in refused(cisfa, *words)
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_a_folder_that_may_not_be_written_is_refused_before_the_work(
    cisfa: Cisfa, make_volume: MakeVolume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    words = (make_volume("v.nrrd"), "--bundle", tmp_path / "never looked at", "--output", tmp_path / "out")
    assert f"{tmp_path} cannot be written to." in refused(cisfa, *words)


def test_a_disk_that_fills_up_leaves_nothing_half_written(
    cisfa: Cisfa, make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_up(voxels: object, header: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    words = (make_volume("v.nii"), "--bundle", make_bundle(), "--output", tmp_path / "out")
    monkeypatch.setattr("cisfa.imaging.nifti.save", fill_up)
    assert "v.nii cannot be written: No space left on device" in refused(cisfa, *words)
    assert contents(tmp_path / "out") == {}


def test_a_tampered_bundle_is_refused(
    cisfa: Cisfa, make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path
) -> None:
    bundle = make_bundle()
    weights = bytearray((bundle / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (bundle / "weights.safetensors").write_bytes(weights)
    words = (make_volume("v.nrrd"), "--bundle", bundle, "--output", tmp_path / "out")
    assert "weights.safetensors" in refused(cisfa, *words)
    assert "was changed or damaged" in refused(cisfa, *words)
    assert not (tmp_path / "out").exists()


def test_a_volume_of_another_modality_needs_the_users_word(
    cisfa: Cisfa, make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path
) -> None:
    words = (make_volume("mr.nrrd"), "--bundle", make_bundle(modality="CT"), "--output", tmp_path / "out")
    assert "segments CT, but mr.nrrd looks like MR" in refused(cisfa, *words)
    assert "segments CT, but the volumes are MR" in refused(cisfa, *words, "--modality", "MR")
    assert not (tmp_path / "out").exists()
    assert cisfa("segment", *words, "--modality", "CT")[0] == DONE


def constant(path: Path) -> None:
    SimpleITK.WriteImage(SimpleITK.Image(32, 32, 4, SimpleITK.sitkInt16), str(path))


def series(path: Path) -> None:
    nibabel.Nifti1Image(np.zeros((8, 9, 5, 3), np.int16), np.eye(4)).to_filename(path)


def not_numbers(path: Path) -> None:
    nibabel.Nifti1Image(np.full((8, 9, 5), np.nan, np.float32), np.eye(4)).to_filename(path)


def nothing(path: Path) -> None:
    path.touch()


def missing(path: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (constant, "is constant"),
        (series, "has 4 dimensions"),
        (not_numbers, "360 voxels that are NaN"),
        (nothing, "is empty (0 bytes)"),
        (missing, "does not exist"),
    ],
)
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_what_is_no_usable_volume_is_named(
    cisfa: Cisfa, make_bundle: MakeBundle, tmp_path: Path, make: Callable[[Path], None], message: str, modality: str
) -> None:
    make(tmp_path / "bad.nii.gz")
    words = (tmp_path / "bad.nii.gz", "--bundle", make_bundle(modality=modality), "--output", tmp_path / "out.nii.gz")
    complaint = refused(cisfa, *words)
    assert "bad.nii.gz" in complaint
    assert message in complaint
    assert not (tmp_path / "out.nii.gz").exists()


def test_a_gpu_that_is_not_there_is_refused_with_a_way_out(
    cisfa: Cisfa, make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    words = (make_volume("v.nrrd"), "--bundle", make_bundle(), "--output", tmp_path / "out", "--device", "cuda")
    assert "Use --device cpu" in refused(cisfa, *words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--batch-size", "0"), "--batch-size is 0; it must be at least 1"),
        (("--batch-size", "many"), "Try: cisfa segment --help"),
        (("--roi", "1,2,3"), "--roi 1,2,3: write six numbers"),
        (("--roi", "-1,2,3"), "--roi -1,2,3: write six numbers"),
        (("--roi", "gone.mrk.json"), "gone.mrk.json cannot be read"),
        (("--roi", "9e5,9e6,9e5,9e6,9e5,9e6"), "lies outside the volume"),
        (("--device", "tpu"), "Try: cisfa segment --help"),
        (("--bundle", "gone.zip"), "gone.zip"),
    ],
)
def test_a_wrong_option_is_named(
    cisfa: Cisfa, make_bundle: MakeBundle, make_volume: MakeVolume, tmp_path: Path, words: tuple[str, str], message: str
) -> None:
    given = (make_volume("v.nrrd"), "--bundle", make_bundle(), "--output", tmp_path / "out", *words)
    assert message in refused(cisfa, *given)
    assert not (tmp_path / "out").exists()


# which label map goes where


def test_several_volumes_need_a_folder(make_volume: MakeVolume, tmp_path: Path) -> None:
    with pytest.raises(VolumeFileError, match=r"labels\.nrrd is one file, but there are 2 volumes"):
        plan_outputs([make_volume("a.nrrd"), make_volume("b.nrrd")], tmp_path / "labels.nrrd", overwrite=False)


def test_two_volumes_of_one_name_cannot_share_a_folder(make_volume: MakeVolume, tmp_path: Path) -> None:
    inputs = [make_volume("one/a.nrrd"), make_volume("two/A.nrrd")]  # one file on Windows and macOS
    with pytest.raises(VolumeFileError, match="would both become"):
        plan_outputs(inputs, tmp_path / "out", overwrite=True)


def test_a_folder_without_volumes_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty" / "looks like.nii.gz").mkdir(parents=True)
    with pytest.raises(VolumeFileError, match="empty holds no volumes"):
        plan_outputs([tmp_path / "empty"], tmp_path / "out", overwrite=False)


def test_an_output_in_no_format_of_ours_is_a_folder(make_volume: MakeVolume, tmp_path: Path) -> None:
    volume = make_volume("a.nii.gz")
    assert plan_outputs([volume], tmp_path / "v1.2", overwrite=False) == {volume: tmp_path / "v1.2" / "a.nii.gz"}
    with pytest.raises(VolumeFileError, match=r"a\.nhdr: cannot write this kind of file"):
        plan_outputs([volume], tmp_path / "a.nhdr", overwrite=False)


def test_a_folder_named_like_a_volume_takes_label_maps(make_volume: MakeVolume, tmp_path: Path) -> None:
    (tmp_path / "out.nii.gz").mkdir()
    volume = make_volume("a.nrrd")
    planned = plan_outputs([volume], tmp_path / "out.nii.gz", overwrite=False)
    assert planned == {volume: tmp_path / "out.nii.gz" / "a.nrrd"}


def test_a_volume_given_twice_is_segmented_once(make_volume: MakeVolume, tmp_path: Path) -> None:
    volume = make_volume("in/a.nrrd")
    assert plan_outputs([volume, volume, volume.parent], tmp_path / "out", overwrite=False) == {
        volume: tmp_path / "out" / "a.nrrd"
    }
