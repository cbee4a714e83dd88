"""A run folder may be sent to others: nothing in it says whose volumes it learned from, or on which computer."""

import getpass
import io
import platform
import socket
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from cisfa.cases.case_folder import labelled_cases, unlabelled_cases
from cisfa.config import TrainingConfig
from cisfa.errors import Cancelled
from cisfa.events import Event, Metric
from cisfa.training.run_folder import RunFolder
from cisfa.training.session import TrainingCases, run_training

PATIENT = "Doe-Jane-1961"
COMPUTER = "RADIOLOGY-PC-17"


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file with its name, and what compressed files hold."""
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            yield str(path.relative_to(folder)), content
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(io.BytesIO(content)) as archive:
                    for name in archive.namelist():
                        yield f"{path.name}/{name}", archive.read(name)


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
    secrets = {PATIENT, PATIENT.upper(), "nii.gz", str(tmp_path), tmp_path.name, COMPUTER}
    # a name such as "root" is in too many words to be looked for
    secrets |= {str(Path.home())} if len(str(Path.home())) > 5 else set()
    secrets |= {getpass.getuser()} if len(getpass.getuser()) > 4 else set()
    found = [
        (name, secret)
        for name, content in contents(run)
        for secret in secrets
        if secret in name or any(secret.encode(encoding) in content for encoding in ("utf-8", "utf-16-le"))
    ]
    assert found == []


def test_a_run_folder_holds_everything_that_is_promised(run: Path) -> None:
    names = {name for name, _ in contents(run)}
    promised = {
        "config.json", "data.json", "environment.json", "events.jsonl", "metrics.csv", "validation.csv", "trained.json",
        str(Path("checkpoints", "step-00000004.pt")), str(Path("checkpoints", "step-00000006.pt")),
        str(Path("checkpoints", "step-00000008.pt")), str(Path("previews", "step-00000001.png")),
        str(Path("previews", "step-00000008.png")),
    }  # fmt: skip
    assert promised <= names
    assert not (run / "checkpoints" / "step-00000002.pt").exists()
    assert len(list((run / "tensorboard").iterdir())) == 2


def test_the_search_would_find_a_name_in_a_checkpoint(run: Path) -> None:
    torch.save({"case": PATIENT}, run / "checkpoints" / "step-00000009.pt")
    assert any(PATIENT.encode() in content for _, content in contents(run))
