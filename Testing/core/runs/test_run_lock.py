import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from cisfa.runs.run_lock import is_locked
from cisfa.training.run_folder import RunFolder

HOLDS = (
    "import sys; from filelock import FileLock\n"
    "lock = FileLock(sys.argv[1]); lock.acquire(); print('held', flush=True); sys.stdin.read()"
)


def test_a_folder_without_a_lock_is_not_locked(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    assert not is_locked(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_locked_while_it_is_trained_in(tmp_path: Path) -> None:
    with RunFolder(tmp_path).lock():
        assert is_locked(tmp_path)
    assert not is_locked(tmp_path)


def test_a_process_that_is_killed_lets_go(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path / ".lock")], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"held"
        assert is_locked(tmp_path)
        process.kill()
        process.wait()
        assert (tmp_path / ".lock").exists()
        assert not is_locked(tmp_path)


def test_asking_takes_the_lock_from_nobody(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    for _ in range(3):
        assert not is_locked(tmp_path)
    lock = FileLock(tmp_path / ".lock")
    lock.acquire(timeout=0)
    assert is_locked(tmp_path)
    with pytest.raises(Timeout):
        FileLock(tmp_path / ".lock").acquire(timeout=0)
    lock.release()


@pytest.mark.skipif(os.name != "posix", reason="permissions are another thing there")
def test_a_lock_that_may_not_be_opened_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, flags: int) -> int:
        raise PermissionError(13, "Permission denied")

    (tmp_path / ".lock").touch()
    monkeypatch.setattr("cisfa.runs.run_lock.os.open", refuse)
    assert not is_locked(tmp_path)
