"""One volume, a real child process, and everything that can go wrong on the way back into the scene."""

from pathlib import Path

import numpy as np
import pytest
import slicer

from cisfa.bundle.bundle_folder import open_bundle
from cisfa.errors import BundleError, Cancelled, CisfaError
from cisfa_slicer.interpreter import InterpreterError
from cisfa_slicer.job import Outcome
from cisfa_slicer.model_library import ModelLibrary
from cisfa_slicer.requirements import RequirementsError
from cisfa_slicer.volume_export import SceneError
from CISFASegmentationLib.sample_data import load_sample
from CISFASegmentationLib.segmentation_logic import SegmentationError, SegmentationLogic
from CISFASegmentationLib.segmentation_run import Options, RunEnd
from panel_driving import leftovers
from scenes import add_transform, add_volume, label_like_volume, segment_arrays, snapshot
from stand_ins import GOOD, WAITS


@pytest.fixture
def demo(resources: Path) -> Path:
    return resources / "CISFASegmentationDemoBundle.zip"


@pytest.fixture
def logic(host, demo: Path, resources: Path):
    made = SegmentationLogic(ModelLibrary(demo, resources / "CISFASegmentationCatalogue.json"))
    yield made
    made.end_now()


def run_to_end(host, logic: SegmentationLogic, *arguments: object, **choices: object) -> RunEnd:
    ends: list[RunEnd] = []
    logic.start(*arguments, **choices).ended.connect(ends.append)
    host.spin_until(lambda: ends)
    assert len(ends) == 1
    assert leftovers() == []
    return ends[0]


def test_the_demo_model_finds_the_organs_of_the_sample_volume(host, logic: SegmentationLogic, resources: Path) -> None:
    """The real command with the real model: the first click of every user."""
    volume = load_sample(resources)
    end = run_to_end(host, logic, volume, "demo")
    assert (end.outcome, end.message) == (Outcome.DONE, "")
    sizes = {name: mask.sum() for name, mask in segment_arrays(end.segmentation).items()}
    assert list(sizes) == ["liver", "right kidney", "left kidney", "spleen"]
    assert min(sizes.values()) > 500
    assert max(sizes, key=sizes.get) == "liver"
    assert [organ.name for organ in end.organs] == list(sizes)
    spacing = np.prod(volume.GetSpacing()) / 1000
    for organ in end.organs:
        assert organ.volume_ml == pytest.approx(sizes[organ.name] * spacing, rel=1e-5)
        assert organ.mean_intensity > 0


def test_under_a_transform_the_result_lies_on_the_volume(host, logic: SegmentationLogic, job_does) -> None:
    job_does(GOOD)
    volume, voxels = label_like_volume()
    volume.SetAndObserveTransformNodeID(add_transform().GetID())
    end = run_to_end(host, logic, volume)
    np.testing.assert_array_equal(segment_arrays(end.segmentation)["liver"], voxels == 1)
    assert end.segmentation.GetTransformNodeID() == volume.GetTransformNodeID()


def test_the_blocking_call_returns_the_node(host, logic: SegmentationLogic, job_does, demo: Path) -> None:
    job_does(GOOD)
    node = logic.segment(label_like_volume()[0])
    assert node.IsA("vtkMRMLSegmentationNode")
    assert node.GetAttribute("CISFA.BundleChecksum") == open_bundle(demo).checksum
    assert leftovers() == []


def test_the_blocking_call_raises_what_the_job_says(host, logic: SegmentationLogic, job_does) -> None:
    job_does('say("failed", message="Choose another volume."); sys.exit(2)')
    before = add_volume() and snapshot()
    with pytest.raises(SegmentationError, match="Choose another volume"):
        logic.segment(slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode"))
    assert snapshot() == before


def test_the_blocking_call_raises_cancelled(host, logic: SegmentationLogic, job_does) -> None:
    job_does("sys.exit(3)")
    with pytest.raises(Cancelled):
        logic.segment(add_volume())


def test_every_choice_reaches_the_command(host, logic: SegmentationLogic, job_does, tmp_path: Path) -> None:
    keep = "Path(argument('--report')).parents[1].joinpath('words.json').write_text(json.dumps(sys.argv[1:]))\n"
    job_does(keep + GOOD)
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    roi.SetCenter(0, 0, 0)
    roi.SetSize(10, 10, 10)
    options = Options(device="cpu", batch_size=3, largest_component=True, trust_modality=True)
    assert run_to_end(host, logic, label_like_volume()[0], roi=roi, options=options).outcome is Outcome.DONE
    import json

    words = json.loads((Path(slicer.app.temporaryPath) / "words.json").read_text(encoding="utf-8"))
    assert words[0] == "segment"
    for option, value in (("--device", "cpu"), ("--batch-size", "3"), ("--modality", "MR")):
        assert words[words.index(option) + 1] == value
    assert words[words.index("--roi") + 1].endswith(".mrk.json")
    assert {"--largest-component", "--events", "--cancel-when-stdin-closes"} <= set(words)
    assert not any("Müller" in word for word in words)


def test_a_chosen_segmentation_is_replaced_and_only_at_the_end(host, logic: SegmentationLogic, job_does) -> None:
    volume = label_like_volume()[0]
    job_does(GOOD)
    node = run_to_end(host, logic, volume).segmentation
    before = segment_arrays(node)
    job_does('say("failed", message="no"); sys.exit(2)')
    assert run_to_end(host, logic, volume, replaced=node).outcome is Outcome.FAILED
    assert segment_arrays(node).keys() == before.keys()
    job_does(GOOD)
    assert run_to_end(host, logic, volume, replaced=node).segmentation is node
    assert len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 1


def test_a_volume_that_was_deleted_meanwhile_gives_a_sentence(host, logic: SegmentationLogic, job_does) -> None:
    job_does("time.sleep(0.5)\n" + GOOD)
    volume = label_like_volume("gone")[0]
    ends: list[RunEnd] = []
    logic.start(volume).ended.connect(ends.append)
    slicer.mrmlScene.RemoveNode(volume)
    before = snapshot()
    host.spin_until(lambda: ends)
    assert ends[0].outcome is Outcome.FAILED
    assert "The volume was deleted while it was being segmented" in ends[0].message
    assert snapshot() == before
    assert leftovers() == []


def test_a_model_that_was_exchanged_meanwhile_gives_no_result(
    host, logic: SegmentationLogic, job_does, demo: Path, tmp_path: Path
) -> None:
    """Its label values may mean other organs."""
    import shutil
    import zipfile

    job_does("time.sleep(0.5)\n" + GOOD)
    bundle, ends = tmp_path / "model.zip", []
    shutil.copy(demo, bundle)
    logic.start(label_like_volume()[0], bundle).ended.connect(ends.append)
    with zipfile.ZipFile(demo) as old, zipfile.ZipFile(bundle, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, content.replace(b'"spleen"', b'"stomach"') if name == "manifest.json" else content)
    host.spin_until(lambda: ends)
    assert ends[0].outcome is Outcome.FAILED
    assert "model's file was changed" in ends[0].message
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == []


def test_another_volume_with_the_same_id_gets_nothing(host, logic: SegmentationLogic, job_does) -> None:
    job_does("time.sleep(0.5)\n" + GOOD)
    volume, ends = label_like_volume("first")[0], []
    logic.start(volume).ended.connect(ends.append)
    identity = volume.GetID()
    host.close_scene()
    assert label_like_volume("second")[0].GetID() == identity
    host.spin_until(lambda: ends)
    assert ends[0].outcome is Outcome.CANCELLED  # a closed scene ends what runs for it
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == []


def test_a_replaced_segmentation_that_was_deleted_becomes_a_new_one(host, logic: SegmentationLogic, job_does) -> None:
    job_does("time.sleep(0.5)\n" + GOOD)
    node, ends = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "old"), []
    logic.start(label_like_volume()[0], replaced=node).ended.connect(ends.append)
    slicer.mrmlScene.RemoveNode(node)
    host.spin_until(lambda: ends)
    assert ends[0].outcome is Outcome.DONE
    assert ends[0].segmentation is not node
    assert slicer.mrmlScene.GetNodeByID(ends[0].segmentation.GetID()) is ends[0].segmentation


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        (GOOD.replace('"organs": organs', '"organs": 3'), "no usable report"),
        (GOOD.replace("shutil.copyfile(labels.with_name", "(labels.with_name"), "label map cannot be read"),
        (GOOD.replace("shutil.copyfile", "(lambda a, b: b.write_bytes(b'NRRD'))"), "label map cannot be read"),
        ("say('finished', outputs=[])", "no usable report"),
        ("os._exit(9)", "exit code 9"),
    ],
)
def test_a_job_that_leaves_nonsense_leaves_the_scene_alone(
    script: str, complaint: str, host, logic: SegmentationLogic, job_does
) -> None:
    job_does(script)
    volume = label_like_volume()[0]
    before = snapshot()
    end = run_to_end(host, logic, volume)
    assert end.outcome is Outcome.FAILED
    assert complaint in end.message
    assert snapshot() == before


def test_out_of_memory_is_explained(host, logic: SegmentationLogic, job_does) -> None:
    """As the system ends what takes too much: without a word."""
    job_does("say('progress', stage='a', fraction=0.1); os.kill(os.getpid(), 9)")
    end = run_to_end(host, logic, add_volume())
    assert end.outcome is Outcome.FAILED
    assert "memory (RAM) ran out" in end.message


def test_cancelling_leaves_nothing(host, logic: SegmentationLogic, job_does) -> None:
    job_does(WAITS)
    volume, ends, stages = add_volume(), [], []
    run = logic.start(volume)
    run.ended.connect(ends.append)
    run.progress.connect(stages.append)
    before = snapshot()
    host.spin_until(lambda: stages)
    assert len(leftovers()) == 1
    run.cancel()
    host.spin_until(lambda: ends)
    assert ends[0].outcome is Outcome.CANCELLED
    assert leftovers() == []
    assert snapshot() == before


def test_a_volume_whose_voxels_were_changed_meanwhile_gets_no_result(host, logic: SegmentationLogic, job_does) -> None:
    """A sequence that plays on, another module that writes into the volume."""
    job_does("time.sleep(0.5)\n" + GOOD)
    volume, ends = label_like_volume("cine")[0], []
    logic.start(volume).ended.connect(ends.append)
    slicer.util.arrayFromVolume(volume)[:] = 0
    slicer.util.arrayFromVolumeModified(volume)
    host.spin_until(lambda: ends)
    assert ends[0].outcome is Outcome.FAILED
    assert "cine was changed while it was being segmented" in ends[0].message


def test_a_jobs_sentence_names_the_volume_and_not_its_temporary_file(host, logic: SegmentationLogic, job_does) -> None:
    job_does("say('failed', message=sys.argv[2] + ' holds NaN; volume.nrrd looks odd.'); sys.exit(2)")
    assert run_to_end(host, logic, add_volume("kidney MR")).message == "kidney MR holds NaN; kidney MR looks odd."


def test_a_file_that_is_there_comes_before_a_model_of_that_name(
    host, logic: SegmentationLogic, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").write_bytes(demo.read_bytes())
    assert logic._path_of("demo") == Path("demo")
    (tmp_path / "demo").unlink()
    assert logic._path_of("demo") == demo


def test_slicers_end_is_the_end_of_runs_without_a_panel(host, logic: SegmentationLogic, job_does) -> None:
    job_does(WAITS)
    run = logic.start(add_volume())
    host.process_events()
    host.quit(None)
    assert not run.is_running
    assert leftovers() == []


def test_quitting_ends_all_that_runs_and_leaves_nothing(host, logic: SegmentationLogic, job_does) -> None:
    job_does(WAITS)
    runs = [logic.start(add_volume()), logic.start(add_volume())]
    logic.end_now()
    assert not any(run.is_running for run in runs)
    assert leftovers() == []


@pytest.mark.parametrize(
    ("change", "error", "complaint"),
    [
        ({"bundle": "no such model"}, BundleError, "There is no model no such model. Models are: demo"),
        ({"options": Options(external_python="/no/such/python")}, InterpreterError, "no Python that can be started"),
        ({"volume": None}, SceneError, "There is no volume"),
    ],
)
def test_what_cannot_start_says_why_and_leaves_nothing(
    change: dict[str, object], error: type, complaint: str, host, logic: SegmentationLogic
) -> None:
    choices = {"volume": add_volume(), "bundle": "demo", **change}
    before = snapshot()
    with pytest.raises(error, match=complaint):
        logic.start(choices.pop("volume"), choices.pop("bundle"), **choices)
    assert leftovers() == []
    assert snapshot() == before


def test_a_broken_bundle_is_a_sentence(host, logic: SegmentationLogic, tmp_path: Path) -> None:
    bundle = tmp_path / "kaputt ä.zip"
    bundle.write_bytes(b"PK no zip")
    with pytest.raises(CisfaError, match=r"kaputt ä\.zip"):
        logic.start(add_volume(), bundle)
    assert leftovers() == []


def test_damaged_weights_are_found_by_the_job(host, logic: SegmentationLogic, demo: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "damaged.zip"
    content = bytearray(demo.read_bytes())
    content[len(content) // 2] ^= 1
    bundle.write_bytes(content)
    end = run_to_end(host, logic, add_volume(), bundle)
    assert end.outcome is Outcome.FAILED
    assert "damaged" in end.message


def test_a_temporary_folder_that_cannot_be_written_is_a_sentence(
    host, logic: SegmentationLogic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file where the folder should be: for root, no folder is read-only."""
    blocked = tmp_path / "no folder"
    blocked.write_text("", encoding="utf-8")
    monkeypatch.setattr("cisfa_slicer.job_folder.temporary_folder", lambda: blocked / "below")
    with pytest.raises(CisfaError, match="cannot be written to"):
        logic.start(add_volume())


def test_without_torch_a_script_is_told_how_to_install(
    host, logic: SegmentationLogic, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cisfa_slicer.requirements import Requirement

    monkeypatch.setattr("cisfa_slicer.requirements.missing_requirements", lambda file: (Requirement("torch", "2.8"),))
    with pytest.raises(RequirementsError, match=r"lacks torch. Call install_requirements\(\)"):
        logic.segment(add_volume())


def test_a_run_that_slicers_crash_left_behind_is_swept_up(host, logic: SegmentationLogic, job_does) -> None:
    import os
    import shutil
    import time

    old, recent = (Path(slicer.app.temporaryPath) / f"cisfa-job-{name}" for name in ("old", "recent"))
    for folder in (old, recent):
        folder.mkdir()
        (folder / "volume.nrrd").write_bytes(b"a patient")
    os.utime(old, (time.time() - 3 * 86400,) * 2)
    job_does(GOOD)
    logic.segment(label_like_volume()[0])
    left = leftovers()
    shutil.rmtree(recent)  # other tests of this process look for what is left, too
    assert left == [recent]
