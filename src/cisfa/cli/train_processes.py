"""Training in several processes of this computer: starts them, and is to the outside as if it were the first of them.

Not torchrun: it gives its processes no standard input of their own, by closing which they are stopped in order on
every system (and stop by themselves when whoever started them dies), and its exit code does not say how they ended.
For them it looks the same: they find each other by the same variables.
"""

import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from cisfa.errors import Cancelled, RunError
from cisfa.events import Failed, Report, from_json_line

# as Slicer starts its jobs: found whatever became of PYTHONPATH, and without the present folder, where -c looks first
_RUN = (
    "import runpy, sys; sys.path[0] = sys.argv.pop(1); runpy.run_module('cisfa', run_name='__main__', alter_sys=True)"
)
_PACKAGES = Path(__file__).resolve().parents[2]
_LOOK_EVERY_S = 0.2
# when one has died, the others notice within a moment, or wait for it in vain
_GRACE_S = 20.0
_DONE, _BUG, _USER_CAN_MEND, _CANCELLED = 0, 1, 2, 3  # as in cisfa.cli.main, which imports this


def train_in_processes(words: Sequence[str], count: int, report: Report, *, tells_failure: bool) -> None:
    """Train until all processes have ended.

    Args:
        words: What follows ``cisfa train`` in each of them.
        count: How many.
        report: Hears the events of the first; what it raises stops all in order.
        tells_failure: Whether it is to hear of a failure too, which stands on standard error already.

    Raises:
        RunError: A process ended without a word.
        SystemExit: They ended otherwise than well, and said why.
    """
    environment = _environment(count)
    workers: list[subprocess.Popen[str]] = []
    try:
        for rank in range(count):
            workers.append(_start(words, rank, environment))
        _relay(workers, report, tells_failure=tells_failure)
        code = _outcome(workers)
    finally:
        for worker in workers:
            _end(worker)
    if code != _DONE:
        raise SystemExit(code)


def _environment(count: int) -> dict[str, str]:
    variables = {
        **os.environ,
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "PYTHONUNBUFFERED": "1",
    }
    # or each would use all cores, and they would wait for one another
    variables.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    # gloo would look up the computer's own name, which not every network knows
    loopback = {"linux": "lo", "darwin": "lo0"}.get(sys.platform)
    if loopback:
        variables.setdefault("GLOO_SOCKET_IFNAME", loopback)
    if sys.platform == "win32":
        variables.setdefault("USE_LIBUV", "0")  # PyTorch for Windows may be built without it
    return variables


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(words: Sequence[str], rank: int, environment: dict[str, str]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", _RUN, str(_PACKAGES), "train", *words, "--cancel-when-stdin-closes"]
    return subprocess.Popen(
        [*command, "--events"] if rank == 0 else command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE if rank == 0 else subprocess.DEVNULL,
        env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        text=True,
        encoding="utf-8",
        errors="backslashreplace",
    )


def _relay(workers: "Sequence[subprocess.Popen[str]]", report: Report, *, tells_failure: bool) -> None:
    """Pass on what the first process says until it ends; stop all when ``report`` says so."""
    first, *others = workers
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(first.stdout, lines), name="events", daemon=True).start()
    patience_ends: float | None = None
    while True:
        try:
            line = lines.get(timeout=_LOOK_EVERY_S)
        except queue.Empty:
            line = ""
        if line is None:
            return
        try:
            _pass_on(line, report, tells_failure=tells_failure)
        except Cancelled:
            for worker in workers:
                _close(worker)
        if patience_ends is None and any(other.poll() not in (None, _DONE) for other in others):
            patience_ends = time.monotonic() + _GRACE_S
        if patience_ends is not None and time.monotonic() > patience_ends:
            first.kill()


def _read(stream: IO[str] | None, lines: "queue.SimpleQueue[str | None]") -> None:
    for line in stream or ():
        lines.put(line)
    lines.put(None)


def _pass_on(line: str, report: Report, *, tells_failure: bool) -> None:
    event = from_json_line(line)
    if event is None:
        print(line, end="", file=sys.stderr)  # a library's own words
    elif tells_failure or not isinstance(event, Failed):
        report(event)


def _outcome(workers: "Sequence[subprocess.Popen[str]]") -> int:
    """How they ended, as an exit code."""
    first, *others = workers
    code = first.wait()
    if code in (_DONE, _CANCELLED):
        return code
    codes = [code, *(other.returncode for other in others if other.poll() is not None)]
    # the first one may just have heard that another was gone
    for known in (_BUG, _USER_CAN_MEND):
        if known in codes:
            return known
    raise RunError(
        f"A process of this training was ended from outside (exit codes {', '.join(map(str, codes))}); perhaps memory"
        " ran out. The last checkpoint stays usable: go on with --resume, with fewer processes or a smaller batch."
    )


def _close(worker: "subprocess.Popen[str]") -> None:
    if worker.stdin is not None and not worker.stdin.closed:
        worker.stdin.close()


def _end(worker: "subprocess.Popen[str]") -> None:
    """Make sure that it is gone."""
    _close(worker)
    try:
        worker.wait(timeout=0 if sys.exc_info()[0] is KeyboardInterrupt else _GRACE_S)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()
    if worker.stdout is not None:
        worker.stdout.close()
