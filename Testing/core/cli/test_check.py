"""``cisfa check`` as its users meet it: a person at a terminal, and 3D Slicer, which fills its tables from it."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cisfa.cases.case_list import CaseList, ListedCase, read_case_list, write_case_list
from cisfa.cases.check_report import CheckReport, read_check_report
from cisfa.cases.discovery import discover
from cisfa.cases.organ_mapping import match_organs
from cisfa.cli import check, main
from cisfa.data_sets.record import Record, write_record
from cisfa.errors import CisfaError, ConfigError
from cisfa.events import Event, Failed, Finished, Notice, Progress, from_json_line, ignore
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_files import read_label_map, write_label_map, write_volume

TINY = (
    "preprocessing.size=32",
    'networks={"generator_width": 2, "generator_blocks": 1, "segmenter_width": 2, "discriminator_width": 2}',
    "patch_contrast.patches=16",
    "optimiser.batch_size=2",
    'schedule={"steps": 10}',
)
SETTINGS = [word for assignment in TINY for word in ("--set", assignment)]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four CT cases with labels and four MR ones, of drawn bodies; not to be changed."""
    folder = tmp_path_factory.mktemp("Fälle")
    rng = np.random.default_rng(0)
    geometry = Geometry.from_axes((14, 36, 40), spacing_mm=(5.0, 1.5, 1.25))
    body = np.zeros(geometry.shape, bool)
    body[:, 4:32, 4:36] = True
    for number in range(4):
        labels = np.zeros(geometry.shape, np.uint8)
        labels[1:9, 10:20, 8 + number : 18], labels[1:12, 16:26, 24:32] = 1, 3
        noise = rng.normal(0, 15, geometry.shape)
        ct = np.where(body, 20 + 60.0 * labels + noise, -1000).astype(np.int16)
        mr = np.where(body, 300 - 60.0 * labels + noise, 3).astype(np.float32)
        write_volume(Volume(ct, geometry), folder / "ct" / "images" / f"ct {number}.nii.gz")
        write_label_map(LabelMap(labels, geometry), folder / "ct" / "labels" / f"ct {number}.nii.gz")
        write_volume(Volume(mr, geometry), folder / "mr" / "images" / f"mr {number}.nrrd")
    names = {"labels": {"background": 0, "liver": 1, "spleen": 3}}
    (folder / "ct" / "dataset.json").write_text(json.dumps(names), encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def cases(drawn: Path, tmp_path: Path) -> Path:
    listed = match_organs(CaseList(discover([drawn / "ct"]), discover([drawn / "mr"])))
    write_case_list(listed, tmp_path / "cases.json")
    return tmp_path / "cases.json"


def change(cases: Path, **first_of_source: object) -> None:
    """Change the first source case of a list."""
    listed = read_case_list(cases)
    first = replace(listed.source[0], **first_of_source)  # type: ignore[arg-type]
    write_case_list(replace(listed, source=(first, *listed.source[1:])), cases)


def words(cases: Path, *more: str) -> list[str]:
    folder = cases.parent
    return [
        f"--cases={cases}",
        f"--report={folder / 'report.json'}",
        f"--cache={folder / 'cache'}",
        "--device=cpu",
        *more,
    ]


def run(cases: Path, *more: str) -> tuple[CheckReport, list[Event]]:
    parser = argparse.ArgumentParser()
    check.add_arguments(parser)
    events: list[Event] = []
    check.run(parser.parse_args(words(cases, *more)), events.append)
    return read_check_report(cases.parent / "report.json"), events


def notices(events: list[Event]) -> list[str]:
    return [event.message for event in events if isinstance(event, Notice)]


def test_good_cases_are_told_with_pictures_organs_and_what_training_takes(cases: Path) -> None:
    found, events = run(cases, *SETTINGS, f"--run={cases.parent / 'run'}")
    assert events[-1] == Finished((str(cases.parent / "report.json"),))
    assert [(one.domain, one.problem) for one in found.cases] == [("source", None)] * 4 + [("target", None)] * 4
    assert {one.modality for one in found.cases[:4]} == {"CT"}
    assert [each.segment.name for each in found.cases[0].segments] == ["liver", "spleen"]
    assert all(Path(one.thumbnail or "").is_file() for one in found.cases)
    assert found.errors == ()
    assert found.estimate is not None
    assert (found.estimate.steps, found.estimate.time_basis) == (10, "measured")
    assert found.estimate.free_disk_mib is not None
    assert notices(events)[-1].startswith("Training takes 10 steps on CPU")
    assert not (cases.parent / "run").exists()


def test_folders_are_checked_as_training_takes_them(drawn: Path, tmp_path: Path) -> None:
    folders = [f"--source={drawn / 'ct'}", f"--target={drawn / 'mr'}", f"--report={tmp_path / 'report.json'}"]
    assert main.main(["check", *folders, "--device=cpu", *SETTINGS]) == main.DONE
    found = read_check_report(tmp_path / "report.json")
    assert found.errors == ()
    assert [(one.domain, one.problem) for one in found.cases] == [("source", None)] * 4 + [("target", None)] * 4
    assert [each.segment.name for each in found.cases[0].segments] == ["liver", "spleen"]


@pytest.mark.parametrize("of_both", [True, False])
def test_a_list_and_folders_are_not_mixed(of_both: bool, drawn: Path, tmp_path: Path) -> None:
    named = ["--cases", "cases.json", "--source", str(drawn / "ct")] if of_both else []
    parser = argparse.ArgumentParser()
    check.add_arguments(parser)
    with pytest.raises(CisfaError, match="either --source with --target, or --cases"):
        check.run(parser.parse_args([*named, f"--report={tmp_path / 'report.json'}"]), ignore)


def test_a_target_that_was_cut_by_its_labels_is_warned_of(drawn: Path, tmp_path: Path) -> None:
    for part in ("ct", "mr"):
        shutil.copytree(drawn / part, tmp_path / part)
        record = Record({"around_organs_mm": 30.0, "all_organs": False}, {"liver": 1}, "none")
        write_record(record, tmp_path / part)
    folders = [f"--source={tmp_path / 'ct'}", f"--target={tmp_path / 'mr'}", f"--report={tmp_path / 'report.json'}"]
    assert main.main(["check", *folders, "--facts-only"]) == main.DONE
    (warning,) = (one for one in read_check_report(tmp_path / "report.json").findings if "prepared" in one.message)
    assert (warning.severity, warning.domain) == ("warning", "target")
    assert f"{tmp_path / 'mr'} was prepared by what its label maps show" in warning.message
    assert "--around-organs" in warning.message


def test_progress_counts_the_cases(cases: Path) -> None:
    _, events = run(cases, *SETTINGS)
    stages = list(dict.fromkeys(event.stage for event in events if isinstance(event, Progress)))
    assert stages == [*(f"looking at case {number} of 8" for number in range(1, 9)), "trying the settings"]


def test_errors_end_the_command_after_the_report_is_written(cases: Path) -> None:
    change(cases, labels=None, patient_keys=("p",))
    with pytest.raises(check.CheckError, match=r"This has to be mended .* ct 0 has no label map"):
        run(cases, *SETTINGS)
    found = read_check_report(cases.parent / "report.json")
    assert len(found.errors) == 1
    assert found.estimate is not None


def test_several_errors_are_counted(cases: Path) -> None:
    listed = read_case_list(cases)
    write_case_list(replace(listed, target=(*listed.target, replace(listed.source[0], name="again"))), cases)
    change(cases, labels=None)
    with pytest.raises(check.CheckError, match=r"^3 things have to be mended"):
        run(cases, *SETTINGS)
    messages = [finding.message for finding in read_check_report(cases.parent / "report.json").errors]
    assert any("hold the same voxels" in message for message in messages)
    assert any("again looks like CT" in message for message in messages)


def test_what_training_would_refuse_about_labels_is_found(cases: Path, tmp_path: Path) -> None:
    listed = read_case_list(cases)
    labels = read_label_map(listed.source[0].labels or tmp_path)
    voxels = labels.voxels.copy()
    voxels[0, :3, :3] = 77
    write_label_map(LabelMap(voxels, labels.geometry), tmp_path / "more.nii.gz")
    change(cases, labels=tmp_path / "more.nii.gz")
    with pytest.raises(check.CheckError, match=r"ct 0 holds the label value 77 \(label 77\)"):
        run(cases, *SETTINGS)
    write_label_map(LabelMap(np.zeros_like(voxels), labels.geometry), tmp_path / "more.nii.gz")
    with pytest.raises(check.CheckError, match="label map of ct 0 is empty"):
        run(cases, *SETTINGS)


def test_settings_that_cannot_work_are_an_error_without_an_estimate(cases: Path) -> None:
    with pytest.raises(check.CheckError, match="feature contrast"):
        run(cases, *SETTINGS, "--set", "optimiser.batch_size=1")
    assert read_check_report(cases.parent / "report.json").estimate is None


def test_a_method_without_a_target_needs_none(cases: Path) -> None:
    write_case_list(replace(read_case_list(cases), target=()), cases)
    found, _ = run(cases, *SETTINGS, "--method=supervised")
    assert found.errors == ()
    with pytest.raises(check.CheckError, match="no target cases"):
        run(cases, *SETTINGS)


def test_unknown_settings_are_refused_before_anything_is_read(cases: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean"):
        run(cases, "--set", "preprocessing.plain=axial")
    assert not (cases.parent / "report.json").exists()


def test_facts_alone_are_always_told_and_need_no_torch(cases: Path) -> None:
    listed = read_case_list(cases)
    broken = ListedCase("broken", cases.parent / "nowhere.nii.gz")
    write_case_list(replace(listed, source=(broken, listed.source[0]), target=()), cases)
    code = (
        "import sys\nfrom cisfa.cli.main import main\n"
        f"code = main(['check', '--facts-only', '--events', *{words(cases)!r}])\n"
        "print('torch' in sys.modules, code)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, encoding="utf-8", env=environment
    )
    lines = answer.stdout.splitlines()
    assert lines[-1] == "False 0"
    assert isinstance(from_json_line(lines[-2]), Finished)
    found = read_check_report(cases.parent / "report.json")
    assert [one.problem is None for one in found.cases] == [False, True]
    assert found.estimate is None


def test_a_job_with_errors_ends_in_a_sentence_and_leaves_its_report(cases: Path) -> None:
    change(cases, labels=None)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "cisfa", "check", "--events", *words(cases, *SETTINGS)]
    child = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment, check=False)
    assert child.returncode == main.USER_CAN_MEND, child.stderr
    events = [from_json_line(line) for line in child.stdout.splitlines()]
    assert None not in events
    assert isinstance(events[-1], Failed)
    assert "ct 0 has no label map" in events[-1].message
    assert any(isinstance(event, Notice) and event.message.startswith("error: ") for event in events)
    assert "Traceback" not in child.stderr
    assert read_check_report(cases.parent / "report.json").has_errors


def test_a_list_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(CisfaError, match="cannot be read"):
        run(tmp_path / "nowhere.json")


def test_what_a_check_lets_through_trains_and_what_it_refuses_does_not(cases: Path) -> None:
    from cisfa.cli import train

    def start(name: str) -> None:
        parser = argparse.ArgumentParser()
        train.add_arguments(parser)
        given = [f"--cases={cases}", f"--run={cases.parent / name}", "--device=cpu", *SETTINGS]
        train.run(parser.parse_args([*given, "--set", "schedule.steps=1"]), ignore)

    run(cases, *SETTINGS)
    start("good")
    change(cases, labels=None)
    with pytest.raises(CisfaError, match="has no label map"):
        start("bad")
