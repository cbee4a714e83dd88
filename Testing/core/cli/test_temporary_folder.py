import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cisfa.cli.temporary_folder import sweep, temporary_folder
from cisfa.events import ignore

HOLD = """
import sys, time
from cisfa.cli.temporary_folder import temporary_folder
from cisfa.events import ignore
with temporary_folder(ignore) as folder:
    (folder / "patient.dcm").write_bytes(b"1")
    print(folder, flush=True)
    time.sleep(60)
"""


def aged(folder: Path) -> None:
    long_ago = time.time() - 3600
    os.utime(folder, (long_ago, long_ago))


@pytest.fixture
def held(tmp_path: Path):
    """A folder, and the process that works in it."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "TEMP": str(tmp_path), "TMP": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, encoding="utf-8", env=environment)
    assert process.stdout is not None
    yield Path(process.stdout.readline().strip()).parent, process
    process.kill()
    process.wait(timeout=30)
    process.stdout.close()


def test_nothing_stays_whatever_happens_inside() -> None:
    places = []

    def work(number: int) -> float:
        with temporary_folder(ignore) as folder:
            places.append(folder)
            (folder / "image.dcm").write_bytes(b"1")
            return 1 / number

    work(1)
    with pytest.raises(ZeroDivisionError):
        work(0)
    assert [place.parent.exists() for place in places] == [False, False]


def test_what_a_killed_process_left_is_swept_up_and_what_a_living_one_needs_stays(held, tmp_path: Path) -> None:
    folder, process = held
    aged(folder)
    sweep(tmp_path)
    assert (folder / "work" / "patient.dcm").exists()
    process.kill()
    process.wait(timeout=30)
    sweep(tmp_path)
    assert not folder.exists()


def test_a_folder_that_is_just_being_made_stays(tmp_path: Path) -> None:
    (tmp_path / "cisfa-pacs-new").mkdir()
    sweep(tmp_path)
    assert (tmp_path / "cisfa-pacs-new").exists()
    aged(tmp_path / "cisfa-pacs-new")
    sweep(tmp_path)
    assert not (tmp_path / "cisfa-pacs-new").exists()
