"""Many short-lived processes of the command ``cisfa``, without the seconds that each would need to import torch.

Run as a program, it imports once and forks a child for each command. Where a system has no fork, each command is a
Python of its own.

    with Nursery() as nursery:
        child = nursery.start(["train", ...], log)
        child.kill()
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

# every child would import these itself
IMPORTED = (
    "torch", "torch._dynamo", "matplotlib.image", "monai.losses", "nibabel", "SimpleITK",
    "tensorboardX.proto.event_pb2", "tensorboardX.record_writer", "tensorboardX.summary", "cisfa.cli.train",
    "cisfa.training.session", "cisfa.training.join_processes", "cisfa.cases.training_files",
)  # fmt: skip
_POLL_S = 0.002


class Child:
    """One process of the command."""

    def __init__(self, ask: Callable[..., Any], number: int, log: Path) -> None:
        self._ask, self._number, self.log = ask, number, log

    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        found: int | None = self._ask(do="poll", child=self._number)
        return found

    def wait(self) -> int:
        """Wait for its end; its exit code."""
        found: int = self._ask(do="wait", child=self._number)
        return found

    def kill(self) -> int:
        """End it without giving it any chance to clean up; its exit code, which is 0 when it was done before."""
        self._ask(do="kill", child=self._number)
        return self.wait()

    def watch(self, is_so: Callable[[], bool], *, timeout_s: float = 60.0) -> bool:
        """Wait until something is so; False when the process ends before.

        Raises:
            TimeoutError: Neither happens.
        """
        end = time.monotonic() + timeout_s
        while not is_so():
            if self.code() is not None:
                return is_so()
            if time.monotonic() > end:
                raise TimeoutError(self.said())
            time.sleep(_POLL_S)
        return True

    def said(self) -> str:
        """All that it has written on both of its streams."""
        return self.log.read_text(encoding="utf-8", errors="replace")


class Nursery:
    """Starts processes of the command."""

    def __enter__(self) -> Self:
        pipe = subprocess.PIPE
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=pipe, stdout=pipe, encoding="utf-8", env=environment
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def start(self, words: Sequence[str], log: Path) -> Child:
        """Start ``cisfa`` with these words; what it writes goes into a file."""
        return Child(self._ask, self._ask(do="start", words=list(words), log=str(log)), log)

    def _ask(self, **question: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(question), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


class _Forked:
    """A child that has all that was imported here."""

    def __init__(self, words: list[str], log: Path) -> None:
        self.returncode: int | None = None
        self._id = os.fork() if hasattr(os, "fork") else 0
        if not self._id:
            _become(words, log)

    def poll(self) -> int | None:
        return self._look(os.WNOHANG if hasattr(os, "WNOHANG") else 0)

    def wait(self) -> int | None:
        return self._look(0)

    def kill(self) -> None:
        if self.poll() is None and hasattr(signal, "SIGKILL"):
            os.kill(self._id, signal.SIGKILL)

    def _look(self, how: int) -> int | None:
        if self.returncode is None:
            ended, status = os.waitpid(self._id, how)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def _become(words: list[str], log: Path) -> None:
    """Be the command, and nothing of the nursery any more."""
    code = 1
    try:
        for number, stream in enumerate((open(os.devnull, "rb"), log.open("ab"))):  # noqa: SIM115, PTH123
            os.dup2(stream.fileno(), number)
        os.dup2(1, 2)
        from cisfa.cli.main import main

        code = main(words)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _spawn(words: list[str], log: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "cisfa", *words]
    with log.open("ab") as file:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)


def _tend() -> None:
    """Do what is asked, line by line, until nobody asks any more; then no child is left."""
    children: list[Any] = []
    can_fork = hasattr(os, "fork")
    if can_fork:
        for name in IMPORTED:
            importlib.import_module(name)
        importlib.import_module("torch").set_num_threads(1)
    for line in sys.stdin:
        question = json.loads(line)
        if question["do"] == "start":
            children.append((_Forked if can_fork else _spawn)(question["words"], Path(question["log"])))
            answer = len(children) - 1
        else:
            answer = getattr(children[question["child"]], question["do"])()
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for child in children:
        with suppress(OSError):
            child.kill()
        child.wait()


if __name__ == "__main__":
    _tend()
