"""What is told of a run, in the user's words: its state, its data, times and sizes."""

import time

from slicer.i18n import tr as _

from cisfa.runs.run_state import Request, RunState, Status
from cisfa_slicer.detached_process import is_bound_to_slicer
from cisfa_slicer.run_companion import RunCompanion
from cisfa_slicer.run_library import Run
from CISFATrainingLib.methods import method_choices

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400
_MIB = 1 << 20


def state_word(run: Run) -> str:
    """For the list: a word or two."""
    if run.summary.problem:
        return _("Unusable")
    words = {
        Status.NEW: _("New"),
        Status.STARTING: _("Starting"),
        Status.READING: _("Reading"),
        Status.TRAINING: _("Training"),
        Status.PAUSED: _("Paused"),
        Status.STOPPED: _("Stopped"),
        Status.DONE: _("Done"),
        Status.FAILED: _("Failed"),
        Status.INTERRUPTED: _("Interrupted"),
    }
    return words[run.state.status]


def state_sentence(run: Run, request: Request | None) -> str:
    """For the chosen run: what it does, or why it does nothing.

    Args:
        run: As it is now.
        request: What somebody asked it for and it has not done yet.
    """
    if run.summary.problem:
        return run.summary.problem
    state = run.state
    if request is not None and state.status in (Status.READING, Status.TRAINING):
        return _("Stopping after the next step …") if request == "stop" else _("Pausing after the next step …")
    if state.status is Status.FAILED:
        return _("Failed: {reason}").format(reason=run.trouble or state.reason or _("nobody knows why."))
    if state.status is Status.READING:
        return _("Reading the cases: {stage}").format(stage=_(state.stage)) if state.stage else _("Reading the cases …")
    sentences = {
        Status.NEW: _("Nothing has happened yet."),
        Status.STARTING: _("Starting: PyTorch is being loaded, which takes some seconds …"),
        Status.TRAINING: _training(run),
        Status.PAUSED: _("Paused."),
        Status.STOPPED: _("Stopped before its time."),
        Status.DONE: _("Done."),
        Status.INTERRUPTED: _("Interrupted: its process is gone. It was killed, or the computer went down."),
    }
    return sentences[state.status] + _what_resuming_does(run)


def _training(run: Run) -> str:
    if not run.is_local:
        return _("Training elsewhere.")
    if is_bound_to_slicer(RunCompanion(run.path).read_launch().process_id):
        return _("Training; it ends when Slicer is closed. Pause it before that.")
    return _("Training; it goes on when Slicer is closed.")


def _what_resuming_does(run: Run) -> str:
    if run.state.status not in (Status.PAUSED, Status.STOPPED, Status.INTERRUPTED):
        return ""
    if not run.is_local:
        return " " + _("Resume it where it was started.")
    if run.summary.has_checkpoint:
        return " " + _("Resume goes on from the newest checkpoint.")
    return " " + _("Resume begins anew, since there is no checkpoint yet.")


def figures(state: RunState) -> str:
    """Step, speed, time left and memory, as far as they are known."""
    words = []
    if state.steps:
        words.append(_("step {step} of {steps}").format(step=_thousands(state.step), steps=_thousands(state.steps)))
    if state.status is Status.TRAINING and state.steps_per_s:
        words.append(_speed(state.steps_per_s))
    if state.status.is_active and state.remaining_s is not None:
        words.append(_("about {time} left").format(time=duration(state.remaining_s)))
    if state.status.is_active and state.memory_mb:
        words.append(_("{size} memory").format(size=size(round(state.memory_mb * _MIB))))
    return " · ".join(words)


def fraction(state: RunState) -> float:
    """How far it is, 0 to 1."""
    if state.status is Status.READING:  # one that is resumed has done steps, which are not what it does now
        return state.fraction
    return min(1.0, state.step / state.steps) if state.steps else 0.0


def percent(state: RunState) -> str:
    """How far it is: "25 %"; 100 only when nothing is left."""
    return f"{int(100 * fraction(state) + 1e-9)} %"


def data_words(run: Run) -> str:
    """What it learns from: "12 CT → 8 MR, 4 organs"; empty while unknown."""
    data, config = run.summary.data, run.summary.config
    if data is None:
        return ""
    words = f"{len(data.source_fingerprints)} {data.source_modality}"
    choice = next((each for each in method_choices() if config and each.name == config.method), None)
    if choice is None or choice.has_target:
        words += f" → {len(data.target_fingerprints)} {data.target_modality}"
    count = len(data.organs)
    return f"{words}, " + (_("1 organ") if count == 1 else _("{count} organs").format(count=count))


def age(begun: float) -> str:
    """How long ago: "3 h ago"; empty while unknown."""
    if not begun:
        return ""
    passed = time.time() - begun
    if passed < _MINUTE_S:
        return _("just now")
    if passed < _HOUR_S:
        return _("{count} min ago").format(count=int(passed / _MINUTE_S))
    if passed < _DAY_S:
        return _("{count} h ago").format(count=int(passed / _HOUR_S))
    return _("{count} d ago").format(count=int(passed / _DAY_S))


def duration(seconds: float) -> str:
    """A time for people: "2 h 10 min"."""
    if seconds < 1.5 * _MINUTE_S:
        return _("{count} s").format(count=max(1, round(seconds)))
    minutes = round(seconds / _MINUTE_S)
    if minutes < 60:
        return _("{count} min").format(count=minutes)
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return _("{hours} h {minutes} min").format(hours=hours, minutes=minutes)
    days, hours = divmod(hours, 24)
    return _("{days} d {hours} h").format(days=days, hours=hours)


def size(count: int) -> str:
    """A number of bytes for people."""
    value = float(count)
    for unit in ("B", "KB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def _speed(steps_per_s: float) -> str:
    if steps_per_s >= 1:
        return _("{count} steps/s").format(count=f"{steps_per_s:.1f}")
    return _("{count} s per step").format(count=f"{1 / steps_per_s:.1f}")


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")
