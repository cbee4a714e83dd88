import os
import subprocess
import sys
import time

import pytest

from cisfa_slicer.process_tree import descendants, kill_process_tree

# starts a child that starts a grandchild; both ignore being asked to stop, and the grandchild says that it is there
STUBBORN = """
import signal, subprocess, sys, time
if sys.platform != "win32":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
depth = int(sys.argv[1])
if depth:
    subprocess.Popen([sys.executable, "-c", sys.argv[2], str(depth - 1), sys.argv[2]])
else:
    print("here", flush=True)
time.sleep(600)
"""


@pytest.fixture
def family():
    """A process with a child and a grandchild."""
    process = subprocess.Popen([sys.executable, "-c", STUBBORN, "2", STUBBORN], stdout=subprocess.PIPE)
    assert process.stdout.readline().strip() == b"here"
    yield process
    kill_process_tree(process.pid)
    process.wait(10)
    process.stdout.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows' own taskkill knows the tree")
def test_all_descendants_are_found(family: subprocess.Popen) -> None:
    assert len(descendants(family.pid)) == 2


def test_nothing_of_the_family_is_left(family: subprocess.Popen) -> None:
    kill_process_tree(family.pid)
    assert family.wait(10) != 0
    # its pipe closes when the last of those who hold it is gone
    started = time.monotonic()
    assert family.stdout.read() == b""
    assert time.monotonic() - started < 5


def test_a_process_that_has_ended_is_no_error() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(30)
    kill_process_tree(process.pid)
