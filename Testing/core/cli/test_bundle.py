import argparse
import hashlib
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from cisfa.bundle.bundle_folder import open_bundle, write_bundle
from cisfa.bundle.manifest import Domain, Manifest, SegmenterSpec, TrainingSummary
from cisfa.cli import bundle as command
from cisfa.cli.main import main
from cisfa.config import PreprocessingConfig
from cisfa.errors import BundleError
from cisfa.events import Failed, Finished, Progress, from_json_line, ignore
from cisfa.imaging.organs import parse_organs


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    manifest = Manifest(
        name="Lëber",
        version="1.0",
        description="Two organs.",
        created="2026-01-31T12:00:00Z",
        organs=parse_organs("1=liver,2=left kidney"),
        source=Domain(name="phantom CT", modality="CT", cases=2),
        target=Domain(name="phantom MR", modality="MR", cases=2),
        preprocessing=PreprocessingConfig(),
        segmenter=SegmenterSpec(width=4, classes=3),
        method="cisfa",
        training=TrainingSummary(
            steps=1, epochs=1, seed=0, batch_size=1, source_cases=2, target_cases=2, minutes=0.1, hardware="CPU"
        ),
        licence="CC-BY-4.0",
        versions={"cisfa": "0.1.0"},
    )
    return write_bundle(manifest, save({"w": np.zeros(3, np.float32)}), tmp_path / "my models" / "Lëber.zip")


def run(*words: str | Path) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args([str(word) for word in words]), ignore)


def test_show_tells_a_person_what_the_model_does(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("show", bundle)

    shown = capsys.readouterr().out
    assert "Lëber" in shown
    assert "left kidney" in shown
    assert "Research only" in shown
    assert open_bundle(bundle).checksum in shown


def test_show_gives_programs_json(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("show", bundle, "--json")

    text = capsys.readouterr().out
    assert text.isascii()
    shown = json.loads(text)
    assert shown["checksum"] == open_bundle(bundle).checksum
    assert shown["manifest"]["name"] == "Lëber"
    assert shown["manifest"]["organs"][1]["laterality"]["value"] == "7771000"


def test_verify_lists_what_was_checked(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("verify", bundle)

    shown = capsys.readouterr().out
    for text in ("manifest.json", "weights.safetensors", "MODEL_CARD.md", "The bundle is whole."):
        assert text in shown


@pytest.mark.parametrize("action", ["show", "verify"])
def test_a_damaged_bundle_is_not_shown_as_whole(bundle: Path, action: str, capsys: pytest.CaptureFixture[str]) -> None:
    bundle.write_bytes(bundle.read_bytes()[:-40])

    with pytest.raises(BundleError, match=r"Lëber\.zip"):
        run(action, bundle)

    assert capsys.readouterr().out == ""


def downloading(bundle: Path, output: Path) -> list[str]:
    content = bundle.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    words = ["bundle", "download", bundle.as_uri(), "--sha256", digest, "--size", str(len(content))]
    return [*words, "--output", str(output)]


def test_download_is_a_job(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "downloaded.zip"
    assert main([*downloading(bundle, output), "--events"]) == 0

    events = [from_json_line(line) for line in capsys.readouterr().out.splitlines()]
    assert events[0] == Progress("downloading", 0.0)
    assert Progress("downloading", 1.0, 0.0) in events
    assert events[-1] == Finished((str(output),))
    assert open_bundle(output).checksum == open_bundle(bundle).checksum


def test_a_download_that_failed_says_why_in_its_last_event(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = downloading(bundle, tmp_path / "downloaded.zip")
    bundle.write_bytes(bundle.read_bytes()[::-1])
    assert main([*words, "--events"]) == 2

    failed = from_json_line(capsys.readouterr().out.splitlines()[-1])
    assert isinstance(failed, Failed)
    assert "is not what was expected" in failed.message


def test_a_download_stops_in_order_when_standard_input_closes(bundle: Path, tmp_path: Path) -> None:
    output = tmp_path / "downloaded.zip"
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and after a few bytes says nothing more
        words = downloading(bundle, output)
        words[2] = f"http://127.0.0.1:{server.getsockname()[1]}/model.zip"
        words = [sys.executable, "-m", "cisfa", *words, "--events", "--cancel-when-stdin-closes"]
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
        ) as job:
            connection, _ = server.accept()
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + bundle.read_bytes()[:300])
            part = output.with_name("downloaded.zip.part")
            while not (part.exists() and part.stat().st_size == 300):
                time.sleep(0.02)
            assert job.stdin is not None
            job.stdin.close()
            job.stdin = None
            time.sleep(0.3)
            connection.close()
            said, complaint = job.communicate(timeout=30)
    assert job.returncode == 3, complaint
    assert [path.name for path in tmp_path.glob("*downloaded*")] == [part.name]
    assert not any(isinstance(from_json_line(line), Finished | Failed) for line in said.splitlines())


@pytest.mark.parametrize("action", ["show", "verify"])
def test_only_download_is_a_job(bundle: Path, action: str) -> None:
    assert main(["bundle", action, str(bundle), "--events"]) == 2


def test_make_needs_to_know_where_to_write() -> None:
    with pytest.raises(SystemExit):
        run("make", "a run")
