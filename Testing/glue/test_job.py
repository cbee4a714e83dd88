import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cisfa.events import Event, Failed, Finished, Notice, Progress
from cisfa_slicer.interpreter import Interpreter, find_interpreter
from cisfa_slicer.job import Job, JobEnd, Outcome
from stand_ins import is_alive, python_that_does

CANCEL_WITHIN_S = 10


@dataclass
class Heard:
    """Everything that a job says."""

    job: Job
    events: list[Event] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    ends: list[JobEnd] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.job.event.connect(self.events.append)
        self.job.log.connect(self.log.append)
        self.job.ended.connect(self.ends.append)


@pytest.fixture
def started(host, tmp_path: Path):
    """Start a job that runs a script."""
    heard = []

    def start(script: str, **choices: object) -> Heard:
        heard.append(Heard(Job(python_that_does(script, tmp_path), **choices)))
        heard[-1].job.start(["anything"])
        return heard[-1]

    yield start
    for each in heard:
        each.job.end_now()


def ended(host, heard: Heard) -> JobEnd:
    host.spin_until(lambda: heard.ends)
    assert len(heard.ends) == 1
    assert not heard.job.is_running
    return heard.ends[0]


def test_a_job_gets_variables_that_are_on_no_command_line(host, started) -> None:
    heard = started("print(os.environ['CISFA_TEST_WORD'], sys.argv[1:])", variables={"CISFA_TEST_WORD": "Schlüssel"})
    ended(host, heard)
    assert heard.log == ["Schlüssel ['anything', '--events', '--cancel-when-stdin-closes']"]
    assert "CISFA_TEST_WORD" not in os.environ


def test_the_real_command_is_followed_to_its_end(host, tmp_path: Path) -> None:
    heard = Heard(Job(find_interpreter()))
    heard.job.start(["bundle", "download", "ftp://nowhere", "--sha256", "a" * 64, "--size", "1", "--output", "x.zip"])
    end = ended(host, heard)
    assert end.outcome is Outcome.FAILED
    assert "is no address that bundles are downloaded from" in end.message
    assert isinstance(heard.events[-1], Failed)


def test_events_and_text_arrive_apart_and_in_order(host, started) -> None:
    heard = started("""
say("progress", stage="Schritt ü 肝", fraction=0.25, remaining_s=3)
print("ordinary text: ü", flush=True)
print("to the error stream: ü", file=sys.stderr, flush=True)
say("notice", message="careful")
say("finished", outputs=["ä.nrrd"])
""")
    end = ended(host, heard)
    assert heard.events == [Progress("Schritt ü 肝", 0.25, 3), Notice("careful"), Finished(("ä.nrrd",))]
    assert sorted(heard.log) == ["ordinary text: ü", "to the error stream: ü"]
    assert end == JobEnd(Outcome.DONE, outputs=("ä.nrrd",))


def test_an_event_that_comes_in_pieces_is_put_together(host, started) -> None:
    heard = started("""
line = json.dumps({"event": "notice", "message": "ü" * 20}) + "\\r\\n" + json.dumps({"event": "finished"})
for byte in line.encode():
    os.write(1, bytes([byte]))
    if byte % 16 == 0:
        time.sleep(0.002)
""")
    assert ended(host, heard).outcome is Outcome.DONE
    assert heard.events == [Notice("ü" * 20), Finished()]


def test_garbage_goes_to_the_log_and_harms_nothing(host, started) -> None:
    heard = started("""
os.write(1, bytes(range(256)) + b"\\n")
os.write(1, b'{"event": "progress", "stage": null, "fraction": "x"}\\n[1, 2]\\n{"event": "unknown"}\\n')
for _ in range(40):
    os.write(1, b"x" * 65536)
os.write(1, b"\\n")
say("finished", outputs=[])
""")
    assert ended(host, heard).outcome is Outcome.DONE
    assert heard.events == [Finished()]
    assert '{"event": "unknown"}' in heard.log
    assert sum(line.count("x") for line in heard.log if set(line) == {"x"}) == 40 * 65536
    assert max(map(len, heard.log)) < 2 << 20


def test_the_jobs_own_sentence_says_why_it_failed(host, started) -> None:
    heard = started("""
say("failed", message="Choose another volume.")
sys.exit(2)
""")
    assert ended(host, heard) == JobEnd(Outcome.FAILED, "Choose another volume.")


@pytest.mark.parametrize(
    ("script", "how"),
    [
        ("os._exit(5)", "ended with exit code 5"),
        ("pass", "ended with exit code 0"),
        ("say('finished', outputs=[]); os._exit(1)", "ended with exit code 1"),
        ("raise ValueError('a bug')", "ended with exit code 1"),
    ],
)
def test_an_end_without_a_word_is_explained(script: str, how: str, host, started) -> None:
    end = ended(host, started(script))
    assert end.outcome is Outcome.FAILED
    assert how in end.message
    assert "The log says more" in end.message


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no such signal")
def test_a_crash_is_explained(host, started) -> None:
    heard = started("say('progress', stage='a', fraction=0.5)\nos.kill(os.getpid(), 11)")
    end = ended(host, heard)
    assert end.outcome is Outcome.FAILED
    assert "was ended by the system" in end.message


def test_a_python_that_cannot_be_started_is_explained(host, tmp_path: Path) -> None:
    heard = Heard(Job(Interpreter(tmp_path / "no python", is_slicers=True)))
    heard.job.start(["doctor"])
    end = ended(host, heard)
    assert end.outcome is Outcome.FAILED
    assert "cannot be started" in end.message


def test_a_job_that_listens_stops_at_once_when_cancelled(host, started) -> None:
    heard = started("""
say("progress", stage="a", fraction=0)
wait_for_stdin_to_close()
say("notice", message="Stopped on request.")
sys.exit(3)
""")
    host.spin_until(lambda: heard.events)
    before = time.monotonic()
    heard.job.cancel()
    heard.job.cancel()  # a second click changes nothing
    assert ended(host, heard) == JobEnd(Outcome.CANCELLED, "Stopped on request.")
    assert time.monotonic() - before < 3


@pytest.mark.parametrize("how", ["cancel", "end_now"])
def test_a_job_that_is_cancelled_at_once_is_never_begun(how: str, host, started) -> None:
    heard = started("say('finished', outputs=[])")
    assert heard.job.is_running
    getattr(heard.job, how)()
    assert ended(host, heard).outcome is Outcome.CANCELLED
    assert heard.events == []


def test_a_result_that_comes_after_the_cancel_is_not_taken(host, started) -> None:
    heard = started("""
say("progress", stage="a", fraction=0)
wait_for_stdin_to_close()
say("finished", outputs=[])
""")
    host.spin_until(lambda: heard.events)
    heard.job.cancel()
    assert ended(host, heard).outcome is Outcome.CANCELLED


DEAF = """
import subprocess
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
say("notice", message=str(os.getpid()))
say("notice", message=str(child.pid))
time.sleep(600)
"""


@pytest.mark.skipif(os.name == "nt", reason="looks at processes as Linux shows them")
@pytest.mark.parametrize("how", ["cancel", "end_now"])
def test_a_deaf_job_is_killed_with_all_that_it_started(how: str, host, started) -> None:
    heard = started(DEAF)
    host.spin_until(lambda: len(heard.events) == 2)
    processes = [int(event.message) for event in heard.events]
    assert all(map(is_alive, processes))
    before = time.monotonic()
    getattr(heard.job, how)()
    assert ended(host, heard).outcome is Outcome.CANCELLED
    host.spin_until(lambda: not any(map(is_alive, processes)))
    assert time.monotonic() - before < CANCEL_WITHIN_S


@pytest.mark.skipif(os.name == "nt", reason="the launcher is a shell script")
@pytest.mark.parametrize("listens", [True, False])
def test_what_a_launcher_started_ends_too(listens: bool, host, tmp_path: Path) -> None:
    """As PythonSlicer: a program that starts Python, hands its streams on and waits."""
    script = DEAF if not listens else "say('notice', message=str(os.getpid()))\nwait_for_stdin_to_close()\nsys.exit(3)"
    python = python_that_does(script, tmp_path)
    launcher = tmp_path / "Python Slicer"
    # job control gives the child a process group of its own; its streams are handed on
    launcher.write_text(f'#!/bin/bash\nset -m\n"{sys.executable}" "$@" <&0 &\nwait $!\nexit $?\n', encoding="utf-8")
    launcher.chmod(0o755)
    heard = Heard(Job(Interpreter(launcher, is_slicers=True, packages=python.packages), grace_s=2))
    heard.job.start(["anything"])
    host.spin_until(lambda: len(heard.events) == (1 if listens else 2))
    processes = [int(event.message) for event in heard.events]
    heard.job.cancel()
    assert ended(host, heard).outcome is Outcome.CANCELLED
    host.spin_until(lambda: not any(map(is_alive, processes)))


def test_a_job_that_was_never_started_can_be_ended(host, tmp_path: Path) -> None:
    heard = Heard(Job(python_that_does("", tmp_path)))
    heard.job.cancel()
    heard.job.end_now()
    assert heard.ends == []
    assert not heard.job.is_running


def test_a_launcher_that_sets_python_path_and_a_folder_full_of_traps_change_nothing(
    host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PythonSlicer sets its own PYTHONPATH, and Slicer may run in any folder."""
    (tmp_path / "cisfa.py").write_text("raise RuntimeError('imported from the present folder')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("ITK_AUTOLOAD_PATH", "Slicer's plugins")
    heard = Heard(
        Job(
            python_that_does(
                "say('notice', message=str(os.environ.get('ITK_AUTOLOAD_PATH')))\n"
                "say('finished', outputs=sys.argv[1:])",
                tmp_path,
            )
        )
    )
    heard.job.start(["a b", "ä"])
    end = ended(host, heard)
    assert end.outputs == ("a b", "ä", "--events", "--cancel-when-stdin-closes")
    assert heard.events[0] == Notice("None")
