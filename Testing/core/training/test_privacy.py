"""A run folder may be sent to others: nothing in it says whose volumes it learned from, or on which computer."""

import getpass
import io
import json
import platform
import shutil
import socket
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch
from PIL import Image, PngImagePlugin

from cisfa.cases.case_folder import labelled_cases, unlabelled_cases
from cisfa.cases.case_list import CaseList, ListedCase, write_case_list
from cisfa.cli.main import CANCELLED, USER_CAN_MEND, main
from cisfa.config import TrainingConfig
from cisfa.errors import Cancelled
from cisfa.events import Event, Metric
from cisfa.imaging.organs import organs_from_names
from cisfa.imaging.segments import Segment
from cisfa.runs.run_state import Status, make_request, read_state
from cisfa.training import trainer
from cisfa.training.run_folder import RunFolder
from cisfa.training.session import TrainingCases, run_training
from tiny_runs import train

PATIENT = "Doe-Jane-1961"
COMPUTER = "RADIOLOGY-PC-17"
# planted in names of files, folders, cases and segments, in lists and in headers
NAME, IDENTIFIER, BIRTH, CLINIC = "Zwölfer", "PID-0815-4711", "19610317", "Sankt-Änne-Klinik"
DIGEST = "c0ffee0123456789deadbeef"
PLANTED = (NAME, IDENTIFIER, BIRTH, "1961-03-17", CLINIC, DIGEST, COMPUTER, "nii.gz", ".nrrd")


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file with its name, and what is in archives, in those within them, and in words of pictures."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield from _inside(str(path.relative_to(folder)), path.read_bytes())


def _inside(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    yield name, content
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for inner in archive.infolist():
                yield f"{name}/{inner.filename}", inner.comment
                yield from _inside(f"{name}/{inner.filename}", archive.read(inner))
    if content.startswith(b"\x89PNG"):
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            yield f"{name}/words", json.dumps({key: str(value) for key, value in picture.info.items()}).encode()


def spellings(word: str) -> set[bytes]:
    """A word as it may stand in a file, in small letters as far as they are ASCII."""
    forms = {unicodedata.normalize(form, word) for form in ("NFC", "NFD")}
    cases = {one for form in forms for one in (form, form.lower(), form.upper())}
    found = {one.encode(encoding) for one in cases for encoding in ("utf-8", "utf-16-le", "utf-16-be")}
    found |= {one.encode("latin-1", errors="replace") for one in cases}
    found |= {json.dumps(one).strip('"').encode() for one in cases}
    return {one.lower() for one in found}


def words_found(folder: Path, words: set[str]) -> list[tuple[str, str]]:
    """Which of the words stand in which files of a folder, or in their names."""
    sought = {word: spellings(word) for word in words}
    return sorted(
        {
            (name, word)
            for name, content in contents(folder)
            for place in (content.lower(), name.encode("utf-8").lower())
            for word, ways in sought.items()
            if any(way in place for way in ways)
        }
    )


def secrets_of(tmp_path: Path) -> set[str]:
    """What must not be found: all that was planted, and what tells of this computer."""
    secrets = {*PLANTED, str(tmp_path), tmp_path.name}
    # a name such as "root" is in too many words to be looked for
    secrets |= {str(Path.home())} if len(str(Path.home())) > 5 else set()
    secrets |= {getpass.getuser()} if len(getpass.getuser()) > 4 else set()
    return secrets


@pytest.fixture
def run(tiny: Callable[..., TrainingConfig], own_domains: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was cancelled and resumed, in plain sight of a patient's and a computer's name."""
    monkeypatch.setattr(socket, "gethostname", lambda: COMPUTER)
    monkeypatch.setattr(platform, "node", lambda: COMPUTER)
    for domain in (own_domains.source, own_domains.target):
        for path in sorted(domain.rglob("*.nii.gz")):
            path.rename(path.with_name(f"{PATIENT}-{path.name}"))
        domain.rename(domain.with_name(f"{PATIENT}-{domain.name}"))
    source, target = (tmp_path / f"{PATIENT}-{name}" for name in ("source", "target"))
    cases = TrainingCases(labelled_cases(source), unlabelled_cases(target))
    folder = RunFolder(tmp_path / f"{PATIENT}-runs" / "run")

    def cancel(event: Event) -> None:
        if isinstance(event, Metric) and event.step == 4:
            raise Cancelled

    config = tiny("schedule.preview_every=4")
    with pytest.raises(Cancelled):
        run_training(folder, cases, config, torch.device("cpu"), cancel)
    run_training(folder, cases, None, torch.device("cpu"), lambda event: None)
    return folder.path


def test_a_run_folder_names_no_patient_person_computer_or_path(run: Path, tmp_path: Path) -> None:
    assert words_found(run, {PATIENT, *secrets_of(tmp_path)}) == []


def test_a_run_folder_holds_everything_that_is_promised(run: Path) -> None:
    names = {name for name, _ in contents(run)}
    promised = {
        "config.json", "data.json", "environment.json", "events.jsonl", "metrics.csv", "validation.csv", "trained.json",
        str(Path("checkpoints", "step-00000004.pt")), str(Path("checkpoints", "step-00000006.pt")),
        str(Path("checkpoints", "step-00000008.pt")), str(Path("previews", "step-00000001.png")),
        str(Path("previews", "step-00000008.png")), str(Path("candidates", "step-00000008.safetensors")),
    }  # fmt: skip
    assert promised <= names
    assert not (run / "checkpoints" / "step-00000002.pt").exists()
    assert len(list((run / "tensorboard").iterdir())) == 2


def in_text(encoding: str, word: str = NAME) -> Callable[[Path], object]:
    return lambda folder: (folder / "a").write_bytes(f"\n a{word}b".encode(encoding))


def in_json(folder: Path) -> None:
    (folder / "a.json").write_text(json.dumps({"a": f"of {NAME}"}), encoding="utf-8")


def in_checkpoint(folder: Path) -> None:
    torch.save({"case": {NAME: 1}}, folder / "step-00000009.pt")


def in_archive(folder: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", "long " * 99 + NAME)
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b.zip", inner.getvalue())


def in_picture(folder: Path) -> None:
    words = PngImagePlugin.PngInfo()
    words.add_text("Source", "long " * 99 + NAME, zip=True)
    Image.new("L", (4, 4)).save(folder / "a.png", pnginfo=words)


def in_name(folder: Path) -> None:
    (folder / f"a{NAME}.txt").touch()


def in_name_in_archive(folder: Path) -> None:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr(f"{NAME}.txt", "")


@pytest.mark.parametrize(
    "plant",
    [
        in_text("utf-8"), in_text("utf-16-le"), in_text("utf-16-be"), in_text("latin-1"),
        in_text("utf-8", NAME.upper()), in_text("latin-1", NAME.upper()), in_text("utf-8", NAME.swapcase().title()),
        in_text("utf-8", unicodedata.normalize("NFD", NAME)),
        in_json, in_checkpoint, in_archive, in_picture, in_name, in_name_in_archive,
    ],
)  # fmt: skip
def test_the_search_finds_a_word_wherever_it_is_planted(tmp_path: Path, plant: Callable[[Path], object]) -> None:
    in_text("utf-8", "Zwolfer")(tmp_path)
    assert words_found(tmp_path, {NAME}) == []
    plant(tmp_path)
    assert {word for _, word in words_found(tmp_path, {NAME, IDENTIFIER})} == {NAME}


def with_header(path: Path, copy: Path) -> Path:
    """Copy a volume with a header that tells who it is of."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    if copy.name.endswith(".nii.gz"):
        image = nibabel.load(path)
        header = image.header
        header["descrip"], header["aux_file"] = f"{NAME} {BIRTH} {CLINIC}".encode("latin-1"), IDENTIFIER.encode()
        header["intent_name"] = NAME.encode("latin-1")
        nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), image.affine, header), copy)
    else:
        volume = SimpleITK.ReadImage(str(path))
        for field, value in (("PatientName", NAME), ("PatientID", IDENTIFIER), ("BirthDate", "1961-03-17")):
            volume.SetMetaData(field, value)
        SimpleITK.WriteImage(volume, str(copy))
    return copy


def drawn_slices(path: Path, copy: Path) -> Path:
    """Copy a label map of which only two slices are drawn."""
    image = SimpleITK.ReadImage(str(path))
    voxels = SimpleITK.GetArrayFromImage(image)
    voxels[:2], voxels[4:] = 0, 0
    drawn = SimpleITK.GetImageFromArray(voxels)
    drawn.CopyInformation(image)
    drawn.SetMetaData("PatientName", NAME)
    SimpleITK.WriteImage(drawn, str(copy))
    return copy


def telling_cases(domains: Any, folder: Path) -> CaseList:
    """The cases of two folders, in files, lists and headers that tell all there is to tell."""

    def copied(path: Path, suffix: str) -> Path:
        return with_header(
            path, folder / path.parent.parent.name / f"{NAME}_{IDENTIFIER}_{BIRTH}_{path.name[:4]}{suffix}"
        )

    segments = (Segment(1, f"Leber {NAME}"), Segment(3, "Milz"))
    source, target = [], []
    for number, path in enumerate(sorted((domains.source / "images").iterdir())):
        volume, labels = copied(path, ".nii.gz"), copied(domains.source / "labels" / path.name, "-L.nii.gz")
        name = f"{NAME}, Anneliese {number}"
        source.append(ListedCase(name, volume, labels, segments=segments, patient_keys=(f"{DIGEST}{number}",)))
    for number, path in enumerate(sorted((domains.target / "images").iterdir())):
        name = f"{IDENTIFIER} {number}"
        target.append(ListedCase(name, copied(path, ".nrrd"), patient_keys=(f"{DIGEST}9{number}",)))
    few = drawn_slices(domains.target / "labels" / "mr_1.nii.gz", folder / f"{NAME}-few.nrrd")
    target[0] = replace(target[0], few_labels=few, segments=segments)
    organs = organs_from_names({"1": "liver", "3": "spleen"})
    mapping = {segment.key: organ.name for segment, organ in zip(segments, organs, strict=True)}
    return CaseList(tuple(source), tuple(target), organs, mapping)


@pytest.fixture(scope="module")
def eventful(larger_domains: Any, tiny_words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that failed twice, was paused, resumed and made a bundle of; its cases tell who they are."""
    place = tmp_path_factory.mktemp("eventful")
    folder = place / CLINIC / f"{NAME} {BIRTH}"
    cases = folder / f"Fälle {NAME}.json"
    listed = telling_cases(larger_domains, folder)
    write_case_list(listed, cases)
    run = place / "results" / "run"
    settings = (
        'schedule={"steps": 6, "checkpoint_every": 2, "metrics_every": 1, "preview_every": 2}',
        "validation.every=2", "networks.generator_blocks=1", "few_labels.weight=1",
    )  # fmt: skip
    words = ["train", f"--run={run}", f"--cases={cases}", "--device=cpu", *tiny_words]
    words += [word for setting in settings for word in ("--set", setting)]
    real, failures = trainer._Keeper.after, []

    def after(keeper: Any, done: int, last: int, values: Any) -> None:
        real(keeper, done, last, values)
        if done == 2 and not failures:
            failures.append(done)
            raise PermissionError(13, "Permission denied", str(listed.source[0].volume))
        if done == 4:
            make_request(run, "pause")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "gethostname", lambda: COMPUTER)
        patch.setattr(platform, "node", lambda: COMPUTER)
        patch.setattr(trainer._Keeper, "after", after)
        volume = listed.target[1].volume
        volume.rename(folder / "elsewhere")
        assert main(words) == USER_CAN_MEND
        assert read_state(run, is_local=True).status is Status.FAILED
        assert words_found(run, secrets_of(place)) == []
        (folder / "elsewhere").rename(volume)
        assert main(words) == USER_CAN_MEND
        assert read_state(run, is_local=True).step == 2
        assert words_found(run, secrets_of(place)) == []
        assert main([*words, "--resume"]) == CANCELLED
        assert read_state(run, is_local=True).status is Status.PAUSED
        assert main([*words, "--resume"]) == 0
        assert main(["bundle", "make", str(run), f"--output={place / 'results' / 'bundle.zip'}"]) == 0
        assert main(["bundle", "make", str(run), f"--output={place / 'results' / 'bundle folder'}"]) == 0
    return place


def test_neither_run_nor_bundle_tells_whose_volumes_they_learned_from(eventful: Path) -> None:
    results = eventful / "results"
    names = {name for name, _ in contents(results)}
    state = read_state(results / "run", is_local=True)
    assert (state.status, state.step) == (Status.DONE, 6)
    for promised in (
        "run/state.json",
        "run/validation.csv",
        "run/events.jsonl",
        "bundle.zip",
        "bundle.zip/manifest.json",
    ):
        assert str(Path(promised)) in names or promised in names
    data = RunFolder(results / "run").read_data()
    assert data is not None
    assert data.held_out_cases == 1
    assert any(data.few_label_fingerprints)
    assert words_found(results, secrets_of(eventful)) == []


def test_all_that_was_planted_is_found_where_it_was_planted(eventful: Path) -> None:
    found = {word for _, word in words_found(eventful / CLINIC, secrets_of(eventful))}
    assert {NAME, IDENTIFIER, BIRTH, "1961-03-17", DIGEST, "nii.gz", ".nrrd"} <= found
    headers = [nibabel.load(path).header for path in (eventful / CLINIC).rglob("*.nii.gz")]  # compressed
    assert len(headers) == 10
    assert all(CLINIC.encode("latin-1") in bytes(header["descrip"]) for header in headers)


def test_a_failure_is_told_in_the_run_without_the_file_that_it_is_about(
    tiny: Callable[..., TrainingConfig], own_domains: Any, tmp_path: Path
) -> None:
    label = own_domains.source / "labels" / "ct_1.nii.gz"
    shutil.copyfile(own_domains.source / "images" / "ct_1.nii.gz", label)
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(Exception, match="ct_1"):
        train(folder, own_domains, tiny())
    assert read_state(folder.path, is_local=True).status is Status.FAILED
    assert words_found(folder.path, {"ct_1", str(tmp_path)}) == []
