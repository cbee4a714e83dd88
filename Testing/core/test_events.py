import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisfa.events import Event, Failed, Finished, Metric, Notice, Progress, from_json_line, ignore, to_json_line

numbers = st.floats(allow_nan=False)
finite = st.floats(allow_nan=False, allow_infinity=False)
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Progress, st.text(), finite, st.none() | finite),
    st.builds(Metric, st.integers(0), st.dictionaries(st.text(), numbers)),
    st.builds(Notice, st.text()),
    st.builds(Failed, st.text()),
    st.builds(Finished, st.lists(st.text()).map(tuple)),
)


@given(events)
def test_an_event_survives_its_line(event: Event) -> None:
    line = to_json_line(event)
    assert from_json_line(line) == event
    assert line.isascii()  # whatever encoding a pipe has
    assert "\n" not in line
    assert "\r" not in line


def test_a_line_is_what_the_documentation_says() -> None:
    assert json.loads(to_json_line(Progress("segmenting", 0.5, 3.0))) == {
        "event": "progress",
        "stage": "segmenting",
        "fraction": 0.5,
        "remaining_s": 3.0,
    }
    assert json.loads(to_json_line(Finished(("a", "b")))) == {"event": "finished", "outputs": ["a", "b"]}


@given(st.text())
def test_any_other_line_is_no_event(line: str) -> None:
    assert from_json_line(line) is None or '"event"' in line


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Downloading: 100%",
        "3",
        "null",
        "[]",
        '"progress"',
        "{}",
        '{"event": "unheard of"}',
        '{"event": ["progress"]}',
        '{"event": "progress"}',
        '{"event": "progress", "stage": "a", "fraction": 1, "more": 2}',
        '{"event": "metr',
        '{"event": "finished", "outputs": 3}',
        '{"event": "finished", "outputs": null}',
        '{"event": "finished", "outputs": [3]}',
        '{"event": "failed", "message": null}',
        '{"event": "progress", "stage": null, "fraction": 0.5}',
        '{"event": "progress", "stage": "a", "fraction": "half"}',
        '{"event": "progress", "stage": "a", "fraction": NaN}',
        '{"event": "progress", "stage": "a", "fraction": 0.5, "remaining_s": "soon"}',
        '{"event": "metric", "step": "1", "values": {}}',
        '{"event": "metric", "step": 1, "values": ["dice"]}',
    ],
)
def test_what_libraries_print_and_cut_lines_are_no_events(line: str) -> None:
    assert from_json_line(line) is None


def test_nobody_needs_to_listen() -> None:
    assert ignore(Notice("")) is None  # type: ignore[func-returns-value]
