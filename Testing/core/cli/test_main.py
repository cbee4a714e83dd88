import argparse
import errno
import io
import subprocess
import sys
import time
from collections.abc import Callable
from types import ModuleType

import pytest

from cisfa.cli import main as cli
from cisfa.cli.cancellation import Cancellation
from cisfa.errors import Cancelled, CaseError
from cisfa.events import Failed, Finished, Metric, Notice, Progress, Report, from_json_line

Work = Callable[[argparse.Namespace, Report], None]


@pytest.fixture
def run_command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run a command named ``trial`` that does the given work."""

    def run(work: Work, *words: str, is_job: bool = True) -> int:
        module = ModuleType("cisfa.cli.trial")
        module.HELP = "Try something."
        module.add_arguments = lambda parser: parser.add_argument("--depth", type=int, default=1)
        module.run = work
        monkeypatch.setitem(sys.modules, "cisfa.cli.trial", module)
        monkeypatch.setitem(cli.COMMANDS, "trial", cli.Entry("try something", is_job=is_job))
        return cli.main(["trial", *words])

    return run


def raising(error: BaseException) -> Work:
    def work(arguments: argparse.Namespace, report: Report) -> None:
        raise error

    return work


def test_a_command_gets_its_own_options(run_command: Callable[..., int]) -> None:
    seen = []
    assert run_command(lambda arguments, report: seen.append(arguments.depth), "--depth", "3") == 0
    assert seen == [3]


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--help"])
    assert end.value.code == 0
    listing = capsys.readouterr().out
    assert all(name in listing and entry.summary in listing for name, entry in cli.COMMANDS.items())


@pytest.mark.parametrize("words", [[], ["nonsense"], ["doctor", "--nonsense"], ["doctor", "--js"]])
def test_bad_usage_is_one_sentence_and_says_where_help_is(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("cisfa: error: ")
    assert "--help" in complaint
    assert "Traceback" not in complaint


def test_only_jobs_offer_events(run_command: Callable[..., int]) -> None:
    assert run_command(lambda arguments, report: None, "--events", is_job=True) == 0
    assert run_command(lambda arguments, report: None, "--events", is_job=False) == 2


def test_with_events_standard_output_is_one_ascii_json_line_per_event(
    run_command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    events = [Progress("segmenting", 0.5), Metric(1, {"dice": 0.25}), Notice("größer"), Finished(("a.nii.gz",))]

    def work(arguments: argparse.Namespace, report: Report) -> None:
        for event in events:
            report(event)

    assert run_command(work, "--events") == 0
    said = capsys.readouterr().out
    assert said.isascii()
    assert [from_json_line(line) for line in said.splitlines()] == events


def test_a_job_that_does_not_say_that_it_finished_is_said_to_have(
    run_command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    run_command(lambda arguments, report: None, "--events")
    assert from_json_line(capsys.readouterr().out) == Finished()


def test_without_events_standard_output_belongs_to_the_command(
    run_command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(lambda arguments, report: report(Notice("a thing to know"))) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "a thing to know\n"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (CaseError("ct_07 has no labels."), "ct_07 has no labels."),
        (MemoryError(), "memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "memory"),
        (OSError(errno.ENOSPC, "No space left on device", "label.nii.gz"), "disk is full (label.nii.gz)"),
        (PermissionError(errno.EACCES, "Permission denied", "label.nii.gz"), "label.nii.gz cannot be opened"),
        (ModuleNotFoundError("No module named 'monai.losses'", name="monai.losses"), "package monai is not installed"),
    ],
)
def test_what_a_user_can_mend_is_a_sentence(
    error: Exception, words: str, run_command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(raising(error), "--events") == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("cisfa: error: ")
    assert words in captured.err
    assert "Traceback" not in captured.err
    failed = from_json_line(captured.out)
    assert isinstance(failed, Failed)
    assert words in failed.message


@pytest.mark.parametrize("error", [ZeroDivisionError("1 / 0"), ModuleNotFoundError("no", name="cisfa.absent")])
def test_a_bug_keeps_its_traceback(
    error: Exception, run_command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(raising(error), "--events") == 1
    captured = capsys.readouterr()
    assert "Traceback" in captured.err
    failed = from_json_line(captured.out)
    assert isinstance(failed, Failed)
    assert failed.message.startswith(f"Internal error ({type(error).__name__}")


def test_bad_usage_of_a_job_reaches_the_program_that_follows_it(
    run_command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(lambda arguments, report: None, "--events", "--depth", "deep") == 2
    assert isinstance(from_json_line(capsys.readouterr().out), Failed)


def test_a_cancelled_job_says_what_the_library_said(
    run_command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(raising(Cancelled("Stopped after step 40; resume it.")), "--events") == 3
    captured = capsys.readouterr()
    assert from_json_line(captured.out) == Notice("Stopped after step 40; resume it.")
    assert "Traceback" not in captured.err


def test_a_cancellation_takes_effect_at_progress_but_lets_notices_through() -> None:
    heard = []
    cancellation = Cancellation()
    report = cancellation.guard(heard.append)
    report(Progress("training", 0.1))
    cancellation.request()
    for event in (Progress("training", 0.2), Metric(2, {})):
        with pytest.raises(Cancelled):
            report(event)
    report(Notice("checkpoint saved"))
    assert heard == [Progress("training", 0.1), Notice("checkpoint saved")]


def test_events_whose_reader_is_gone_cancel_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    class ClosedPipe(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.EINVAL, "Invalid argument")  # as Windows says it

    cancellation = Cancellation()
    events = cli.EventLines(cancellation)
    monkeypatch.setattr(sys, "stdout", ClosedPipe())
    events(Progress("training", 0.1))
    events(Progress("training", 0.2))
    assert cancellation.requested


# a job in a process of its own: reports every 50 ms that it is not done, and says so when it is cancelled
JOB = """
import sys, time, types
from cisfa.cli import main as cli
from cisfa.errors import Cancelled
from cisfa.events import Notice, Progress

def run(arguments, report):
    try:
        for step in range(400):
            report(Progress("waiting", step / 400))
            time.sleep(0.05)
    except Cancelled:
        report(Notice("saved"))
        raise

sys.modules["cisfa.cli.trial"] = module = types.ModuleType("cisfa.cli.trial")
module.HELP, module.add_arguments, module.run = "Wait.", lambda parser: None, run
cli.COMMANDS["trial"] = cli.Entry("wait", is_job=True)
sys.exit(cli.main(["trial", "--events", *sys.argv[1:]]))
"""


def start_job(*words: str) -> subprocess.Popen[str]:
    job = subprocess.Popen(
        [sys.executable, "-c", JOB, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    assert job.stdout is not None
    assert from_json_line(job.stdout.readline()) == Progress("waiting", 0.0)
    return job


def test_closing_standard_input_cancels_a_job_in_order() -> None:
    with start_job("--cancel-when-stdin-closes") as job:
        time.sleep(0.2)
        assert job.poll() is None
        said, complaint = job.communicate(timeout=20)  # closes its standard input
    assert job.returncode == 3
    assert Notice("saved") in [from_json_line(line) for line in said.splitlines()]
    assert complaint == "cisfa: cancelled: Stopped on request.\n"


def test_what_is_written_to_standard_input_does_not_cancel() -> None:
    with start_job("--cancel-when-stdin-closes") as job:
        assert job.stdin is not None
        assert job.stdout is not None
        job.stdin.write("anything\n")
        job.stdin.flush()
        events = [from_json_line(job.stdout.readline()) for _ in range(5)]
        job.stdin.close()
        job.stdin = None
        job.communicate(timeout=20)
    assert all(isinstance(event, Progress) for event in events)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send this signal to one process alone")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_interrupt_or_a_closed_terminal_cancels_a_job_in_order(name: str) -> None:
    import signal

    if name == "SIGHUP":  # which the tests may have been told not to mind, with nohup
        before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with start_job() as job:
        if name == "SIGHUP":
            signal.signal(signal.SIGHUP, before)
        job.send_signal(getattr(signal, name))
        said, complaint = job.communicate(timeout=20)
    assert job.returncode == 3
    assert Notice("saved") in [from_json_line(line) for line in said.splitlines()]
    assert "Traceback" not in complaint


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send this signal to one process alone")
def test_a_second_interrupt_stops_work_that_reports_nothing() -> None:
    import signal

    with subprocess.Popen(
        [sys.executable, "-c", JOB.replace("range(400)", "range(1)").replace("0.05", "60")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as job:
        assert job.stdout is not None
        job.stdout.readline()
        job.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert job.poll() is None
        job.send_signal(signal.SIGINT)
        job.communicate(timeout=20)
    assert job.returncode == 3


def test_a_reader_that_leaves_ends_the_work_without_a_word() -> None:
    code = JOB.replace('report(Progress("waiting", step / 400))', 'print("x" * 10000)').replace('"--events", ', "")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as job:
        assert job.stdout is not None
        assert job.stderr is not None
        job.stdout.readline()
        job.stdout.close()
        assert job.wait(timeout=20) == 3
        assert job.stderr.read() == b""
