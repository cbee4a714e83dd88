"""Processes that outlive whoever started them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cisfa_slicer.detached_process import (
    DetachedProcessError,
    Start,
    is_bound_to_slicer,
    is_running,
    start_detached,
)
from cisfa_slicer.interpreter import Interpreter
from stand_ins import is_alive, python_that_does

WAITS = "print('begun', flush=True)\ntime.sleep(60)\n"


def start(script: str, folder: Path, words: tuple[str, ...] = ("train",)) -> Start:
    return Start(python_that_does(script, folder), words, folder=folder, log=folder / "log.txt")


def wait_until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_says_what_it_says_into_the_log_after_what_is_there(host, tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("before\n", encoding="utf-8")
    process_id = start_detached(
        start("print(sys.argv[1:], Path.cwd().name, 'ä')\nprint('worse', file=sys.stderr)", tmp_path, ("train", "ü"))
    )
    wait_until(lambda: not is_running(process_id))
    lines = (tmp_path / "log.txt").read_text(encoding="utf-8").splitlines()
    assert lines == ["before", f"['train', 'ü'] {tmp_path.name} ä", "worse"]


def test_a_process_runs_until_it_ends(host, tmp_path: Path) -> None:
    process_id = start_detached(start(WAITS, tmp_path))
    assert is_running(process_id)
    os.kill(process_id, signal.SIGTERM)
    wait_until(lambda: not is_running(process_id))


def test_a_number_that_no_process_has_runs_not() -> None:
    assert not is_running(2**22 + 1)


@pytest.mark.skipif(sys.platform == "win32", reason="what ends a session is another thing there")
def test_a_process_survives_the_one_that_started_it_and_its_terminal(host, tmp_path: Path) -> None:
    """A Python of its own starts it, as Slicer does, and is killed with all of its session."""
    how = start(WAITS, tmp_path)
    code = (
        "import sys, types, time; sys.modules['slicer'] = types.ModuleType('slicer')\n"
        "from pathlib import Path\n"
        "from cisfa_slicer.detached_process import Start, start_detached\n"
        "from cisfa_slicer.interpreter import Interpreter\n"
        f"packages = Path({str(how.interpreter.packages)!r})\n"
        f"python = Interpreter(Path({sys.executable!r}), is_slicers=True, packages=packages)\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "print(start_detached(Start(python, ['train'], folder, folder / 'log.txt')), flush=True); time.sleep(60)"
    )
    source = str(Path(sys.modules["cisfa_slicer"].__file__ or "").parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": source},
    ) as parent:
        assert parent.stdout is not None
        process_id = int(parent.stdout.readline())
        os.killpg(parent.pid, signal.SIGTERM)
        parent.wait()
    try:
        wait_until(lambda: "begun" in (tmp_path / "log.txt").read_text(encoding="utf-8"))
        assert is_alive(process_id)
        assert is_running(process_id)
    finally:
        os.kill(process_id, signal.SIGKILL)


def test_a_python_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    python = Interpreter(tmp_path / "no python", is_slicers=True)
    with pytest.raises(DetachedProcessError, match=r"no python cannot be started .* Choose another Python"):
        start_detached(Start(python, ["train"], folder=tmp_path, log=tmp_path / "log.txt"))


def test_a_process_that_may_leave_slicers_job_is_not_bound_to_it(host, tmp_path: Path) -> None:
    process_id = start_detached(start("", tmp_path))
    assert not is_bound_to_slicer(process_id)
    wait_until(lambda: not is_running(process_id))
