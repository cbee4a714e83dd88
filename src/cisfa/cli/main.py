"""The ``cisfa`` command: find the command that was asked for, run it, and turn what happens into an exit code.

Exit codes: 0 done; 1 a bug of ours, with its traceback; 2 something the user can mend, in a sentence; 3 cancelled.
Only the chosen command's module is imported, and what is heavy only when it runs, so that ``cisfa --help`` is instant.
"""

import argparse
import errno
import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn, Protocol, cast

import cisfa
from cisfa.cli.cancellation import Cancellation
from cisfa.cli.job_options import add_job_options
from cisfa.cli.terminal import TerminalView
from cisfa.errors import Cancelled, CisfaError
from cisfa.events import Event, Failed, Finished, Notice, Report, to_json_line

DONE, BUG, USER_CAN_MEND, CANCELLED = 0, 1, 2, 3


class CommandModule(Protocol):
    """What a module in :mod:`cisfa.cli` offers to be a command."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's own options."""

    def run(self, arguments: argparse.Namespace, report: Report) -> None:
        """Do the work."""


class Entry(NamedTuple):
    """One line of ``cisfa --help``."""

    summary: str
    is_job: bool = False
    # a job can be followed and cancelled by another program, so it gets --events and --cancel-when-stdin-closes;
    # a command of which only some actions are jobs gives these their options itself


COMMANDS = {
    "segment": Entry("segment volumes with a model bundle", is_job=True),
    "export-seg": Entry("write a label map as a DICOM segmentation", is_job=True),
    "send": Entry("send DICOM files to a PACS", is_job=True),
    "train": Entry("adapt a model to an unlabelled target domain", is_job=True),
    "check": Entry("say what is wrong with cases and settings before a training", is_job=True),
    "crossval": Entry("train and score a table of methods over folds of patients", is_job=True),
    "evaluate": Entry("score label maps against expert ones, and write a report"),
    "score": Entry("segment labelled cases with a run or bundle, and score it", is_job=True),
    "bundle": Entry("show, check, download or make a model bundle"),
    "prepare": Entry("turn a public data set into cases that training reads", is_job=True),
    "phantom": Entry("make synthetic cases to try things out with"),
    "doctor": Entry("say what this computer has and what is missing", is_job=True),
}


class UsageError(CisfaError):
    """The command line makes no sense."""


class _Parser(argparse.ArgumentParser):
    def __init__(self, **settings: Any) -> None:
        # an abbreviation that works today becomes ambiguous with tomorrow's option
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\nTry: {self.prog} --help")


class EventLines:
    """Writes each event as a line of JSON on standard output, for the program that started this one.

    When that program is gone nobody is left to want the result: the work is cancelled, so that it can end in order.
    """

    def __init__(self, cancellation: Cancellation) -> None:
        self._cancellation = cancellation
        self._reader_is_gone = False
        self.has_finished = False

    def __call__(self, event: Event) -> None:
        """Write one event."""
        self.has_finished |= isinstance(event, Finished)
        if self._reader_is_gone:
            return
        try:
            print(to_json_line(event), flush=True)
        except OSError:  # a BrokenPipeError, which Windows reports as an invalid argument
            self._reader_is_gone = True
            self._cancellation.request()
            _discard_standard_output()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The words after ``cisfa``; by default those that this process was started with.

    Returns:
        The exit code.

    Raises:
        SystemExit: After ``--help`` and ``--version``, as argparse does.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    # threads that wait by spinning starve each other on a busy computer: segmenting took 150 s instead of 40 s beside
    # two other jobs on two cores. Must be set before torch loads its OpenMP.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    cancellation = Cancellation()
    events = EventLines(cancellation) if "--events" in words else None
    view = TerminalView(sys.stderr)
    try:
        _run(words, cancellation, events or view)
        if events and not events.has_finished:
            events(Finished())
        sys.stdout.flush()
    except SystemExit:  # --help and --version have printed what was asked
        raise
    except BaseException as error:
        view.close()
        return _explain(error, events)
    view.close()
    return DONE


def build_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """The parser, knowing the options of the chosen command alone.

    Args:
        chosen: One of :data:`COMMANDS`; None where only the list of commands is wanted.
    """
    parser = _Parser(prog="cisfa", description="Adapt a segmentation model to an unlabelled target domain, and use it.")
    parser.add_argument("--version", action="version", version=f"cisfa {cisfa.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", title="commands")
    for name, entry in COMMANDS.items():
        if name == chosen:
            module = _command_module(name)
            command = commands.add_parser(name, help=entry.summary, description=module.HELP)
            module.add_arguments(command)
            if entry.is_job:
                add_job_options(command)
        else:
            commands.add_parser(name, help=entry.summary)
    return parser


def _run(words: list[str], cancellation: Cancellation, show: Report) -> None:
    chosen = words[0] if words and words[0] in COMMANDS else None
    parser = build_parser(chosen)
    arguments = parser.parse_args(words)
    if chosen is None:
        raise UsageError(f"name a command: {', '.join(COMMANDS)}\nTry: cisfa --help")
    if getattr(arguments, "cancel_when_stdin_closes", False):
        cancellation.listen_to_stdin()
    with cancellation.listening_to_signals():
        _command_module(chosen).run(arguments, cancellation.guard(show))


def _command_module(name: str) -> CommandModule:
    return cast(CommandModule, importlib.import_module(f"cisfa.cli.{name.replace('-', '_')}"))


def _explain(error: BaseException, events: EventLines | None) -> int:
    """Tell the user, and the program that follows the events, how the work ended.

    Returns:
        The exit code.
    """
    if isinstance(error, Cancelled | KeyboardInterrupt):
        outcome = str(error) or "Interrupted."
        if events:
            events(Notice(outcome))
        print(f"cisfa: cancelled: {outcome}", file=sys.stderr)
        return CANCELLED
    if isinstance(error, BrokenPipeError):  # whoever read standard output, such as head, has seen enough
        _discard_standard_output()
        return CANCELLED
    message = what_to_do(error)
    if message is None:
        if events:
            events(Failed(f"Internal error ({type(error).__name__}: {error}). Please report it with the log."))
        traceback.print_exception(error)
        print("cisfa: internal error: please report it with the lines above.", file=sys.stderr)
        return BUG
    if events:
        events(Failed(message))
    print(f"cisfa: error: {message}", file=sys.stderr)
    return USER_CAN_MEND


def what_to_do(error: BaseException) -> str | None:
    """A sentence that says how to mend what went wrong; None where only we can mend it."""
    match error:
        case CisfaError():
            return str(error)
        case ModuleNotFoundError(name=str(name)) if name.partition(".")[0] != "cisfa":
            return (
                f"The Python package {name.partition('.')[0]} is not installed. Install what is missing with:"
                ' python -m pip install "cisfa[training]"'
            )
        case MemoryError():
            return _OUT_OF_MEMORY
        case RuntimeError() if "DefaultCPUAllocator" in str(error):  # torch's way of saying MemoryError
            return _OUT_OF_MEMORY
        case RuntimeError() if type(error).__name__ == "OutOfMemoryError":  # torch's, which we must not import for this
            return "The graphics card has too little memory for this. Choose a smaller batch, or the device cpu."
        case PermissionError():
            return (
                f"{error.filename or 'A file'} cannot be opened: {error.strerror or error}. Choose a place that you may"
                " read and write, and close other programs that have it open."
            )
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):  # a full disk, a used-up quota
            return f"The disk is full{_of(error)}. Free some space, or choose another folder for the output."
    return None


_OUT_OF_MEMORY = (
    "This computer has too little memory (RAM) for this. Close other programs, or work on less at once: a smaller"
    " batch, a coarser spacing, a region of interest."
)


def _of(error: OSError) -> str:
    return f" ({error.filename})" if error.filename else ""


def _discard_standard_output() -> None:
    """Send what is still buffered nowhere, lest Python complain about it when it exits."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
