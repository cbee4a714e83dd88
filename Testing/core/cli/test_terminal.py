import io

import pytest

from cisfa.cli.terminal import TerminalView, duration_text
from cisfa.events import Failed, Finished, Metric, Notice, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    @property
    def screen(self) -> list[str]:
        """What a person sees: each carriage return writes over what stood in the line."""
        shown = []
        for line in self.getvalue().split("\n"):
            cells: list[str] = []
            for part in line.split("\r"):
                cells[: len(part)] = part
            shown.append("".join(cells).rstrip())
        return shown


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_terminal_shows_one_bar_that_overwrites_itself(clock: Clock) -> None:
    terminal = Terminal()
    view = TerminalView(terminal, clock=clock)
    for percent in range(0, 101, 10):
        clock.now_s += 1
        view(Progress("segmenting", percent / 100, remaining_s=100.0 - percent))
    view.close()
    assert terminal.screen == ["segmenting [########################] 100%", ""]


def test_the_bar_says_how_long_it_will_take(clock: Clock) -> None:
    terminal = Terminal()
    TerminalView(terminal, clock=clock)(Progress("segmenting", 0.25, remaining_s=754))
    assert terminal.screen == ["segmenting [######..................]  25%  12:34 left"]


def test_an_estimate_is_made_when_the_library_gives_none(clock: Clock) -> None:
    terminal = Terminal()
    view = TerminalView(terminal, clock=clock)
    view(Progress("segmenting", 0.0))
    assert "left" not in terminal.screen[0]
    clock.now_s += 30
    view(Progress("segmenting", 0.25))
    assert terminal.screen[0].endswith("1:30 left")


def test_a_terminal_is_not_redrawn_for_every_event(clock: Clock) -> None:
    terminal = Terminal()
    view = TerminalView(terminal, clock=clock)
    for step in range(1000):
        view(Progress("training", step / 2000))
    assert terminal.getvalue().count("\r") == 1


def test_a_notice_leaves_nothing_of_the_bar_in_its_line(clock: Clock) -> None:
    terminal = Terminal()
    view = TerminalView(terminal, clock=clock)
    view(Progress("segmenting", 0.5))
    view(Notice("small"))
    view(Failed("broken"))
    view(Finished(("a.nii.gz", "b.nii.gz")))
    assert terminal.screen == ["small", "broken", "Wrote a.nii.gz", "Wrote b.nii.gz", ""]


def test_a_new_stage_gets_a_bar_of_its_own(clock: Clock) -> None:
    terminal = Terminal()
    view = TerminalView(terminal, clock=clock)
    view(Progress("reading", 1.0))
    view(Progress("segmenting", 0.0))
    assert [line.split(" ")[0] for line in terminal.screen] == ["reading", "segmenting"]


def test_metrics_stand_beside_the_bar_and_nowhere_else(clock: Clock) -> None:
    terminal = Terminal()
    view = TerminalView(terminal, clock=clock)
    view(Metric(1, {"dice": 0.51234}))
    assert terminal.getvalue() == ""
    view(Progress("training", 0.1))
    view(Metric(2, {"dice": 0.51234}))
    clock.now_s += 1
    view(Progress("training", 0.2))
    assert terminal.screen[0].endswith("20%  dice 0.512")


def test_a_narrow_terminal_gets_a_line_that_does_not_wrap(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    terminal = Terminal()
    TerminalView(terminal, clock=clock)(Progress("segmenting", 0.5, remaining_s=10))
    assert len(terminal.screen[0]) <= 29


def test_a_log_gets_few_lines_and_no_control_characters(clock: Clock) -> None:
    log = io.StringIO()
    view = TerminalView(log, clock=clock)
    for second in range(101):
        clock.now_s += 1
        view(Progress("training", second / 100, remaining_s=100.0 - second))
    view(Progress("training", 1.0))
    view.close()
    assert log.getvalue().splitlines() == [
        "training: 0%, 1:40 left",
        "training: 30%, 1:10 left",
        "training: 60%, 0:40 left",
        "training: 90%, 0:10 left",
        "training: 100%",
    ]


@pytest.mark.parametrize(("seconds", "text"), [(-3, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (11100, "3:05:00")])
def test_durations_read_like_a_clock(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
