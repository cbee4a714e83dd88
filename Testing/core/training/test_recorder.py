import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from tensorboardX.proto.event_pb2 import Event as CurveEvent

from cisfa.events import Event, Metric, Progress, from_json_line
from cisfa.imaging.organs import Organ, parse_organs
from cisfa.runs.run_files import VALIDATION
from cisfa.training.curves import CurveFile
from cisfa.training.method import Preview
from cisfa.training.recorder import Recorder, draw_preview
from cisfa.training.run_folder import RunFolder

ORGANS: tuple[Organ, ...] = parse_organs("1=liver,3=spleen")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "run")
    run.prepare()
    return run


def record(
    folder: RunFolder, steps: range, *, from_step: int | None = None, names: tuple[str, ...] = ("a", "b")
) -> None:
    start = steps.start - 1 if from_step is None else from_step
    with Recorder(folder, from_step=start, organs=ORGANS, report=lambda event: None) as recorder:
        for step in steps:
            recorder.progress(Progress("training", step / 100))
            recorder.metrics(step, {name: step + index / 10 for index, name in enumerate(names)})


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def metric_steps(folder: RunFolder) -> list[int]:
    events = [from_json_line(line) for line in lines(folder.events)]
    return [event.step for event in events if isinstance(event, Metric)]


def curve_events(folder: RunFolder) -> list[CurveEvent]:
    """Every record of every file, in order of names, read without the writer's help."""
    found = []
    for path in sorted(folder.tensorboard.iterdir()):
        content, at = path.read_bytes(), 0
        while at < len(content):
            length = int.from_bytes(content[at : at + 8], "little")
            found.append(CurveEvent.FromString(content[at + 12 : at + 12 + length]))
            at += length + 16
    return found


def test_metrics_stand_in_a_table_with_all_their_digits(folder: RunFolder) -> None:
    with Recorder(folder, from_step=0, organs=ORGANS, report=lambda event: None) as recorder:
        recorder.metrics(10, {"dice": 0.123456789, "gradient, of all": 1e-12})
    assert lines(folder.metrics) == ['step,dice,"gradient, of all"', "10,0.123456789,1e-12"]


def test_events_are_passed_on_and_written_down(folder: RunFolder) -> None:
    heard: list[Event] = []
    with Recorder(folder, from_step=0, organs=ORGANS, report=heard.append) as recorder:
        recorder.progress(Progress("training", 0.5, 7.0))
        recorder.metrics(3, {"dice": 0.25})
    assert heard == [Progress("training", 0.5, 7.0), Metric(3, {"dice": 0.25})]
    assert [from_json_line(line) for line in lines(folder.events)] == heard


def test_what_came_after_the_checkpoint_is_dropped_when_going_on(folder: RunFolder) -> None:
    record(folder, range(1, 8))
    record(folder, range(5, 10))
    assert [line.partition(",")[0] for line in lines(folder.metrics)] == ["step", *map(str, range(1, 10))]
    assert metric_steps(folder) == list(range(1, 10))


def test_rows_and_events_that_a_kill_cut_short_are_dropped(folder: RunFolder) -> None:
    record(folder, range(1, 4))
    for path, cut in ((folder.metrics, "4,4.0,4"), (folder.events, '{"event": "metric", "step": 4, "val')):
        with path.open("a", encoding="utf-8", newline="") as file:
            file.write(cut)
    record(folder, range(4, 6), from_step=4)  # from 4, so that only the missing end of the line tells
    assert [line.partition(",")[0] for line in lines(folder.metrics)] == ["step", "1", "2", "3", "4", "5"]
    assert lines(folder.metrics)[4] == "4,4,4.1"
    assert metric_steps(folder) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("rubbish", [b"\0" * 700, b"\xff\xfe,,\n1\n", b"step\n\n\n", b"x,y\r\n,,\r\n", b""])
def test_files_that_a_power_cut_left_in_ruins_are_begun_anew(folder: RunFolder, rubbish: bytes) -> None:
    folder.metrics.write_bytes(rubbish)
    folder.events.write_bytes(rubbish)
    record(folder, range(3, 5))
    assert lines(folder.metrics) == ["step,a,b", "3,3,3.1", "4,4,4.1"]
    assert metric_steps(folder) == [3, 4]


def test_starting_over_leaves_no_row_of_before(folder: RunFolder) -> None:
    record(folder, range(1, 4))
    record(folder, range(1, 3), names=("other", "columns"))
    assert lines(folder.metrics) == ["step,other,columns", "1,1,1.1", "2,2,2.1"]


def test_losses_and_scores_of_one_step_are_one_event_in_two_tables(folder: RunFolder) -> None:
    heard: list[Event] = []
    with Recorder(folder, from_step=0, organs=ORGANS, report=heard.append) as recorder:
        recorder.metrics(1, {"dice": 0.5}, {})
        recorder.metrics(2, {"dice": 0.25}, {"dice": 0.75, "dice liver, left": 0.5})
        recorder.metrics(3, {}, {"dice": 0.875, "dice liver, left": 0.625})
        recorder.metrics(4, {}, {})
    scores = folder.path / VALIDATION
    assert lines(folder.metrics) == ["step,dice", "1,0.5", "2,0.25"]
    assert lines(scores) == ['step,dice,"dice liver, left"', "2,0.75,0.5", "3,0.875,0.625"]
    values = [event.values for event in heard if isinstance(event, Metric)]
    both = {"dice": 0.25, "validation dice": 0.75, "validation dice liver, left": 0.5}
    assert values == [{"dice": 0.5}, both, {"validation dice": 0.875, "validation dice liver, left": 0.625}]
    tags = {(event.step, value.tag) for event in curve_events(folder) for value in event.summary.value}
    assert (3, "validation_dice") in tags


def test_scores_after_the_checkpoint_are_dropped_on_resuming(folder: RunFolder) -> None:
    for first in (0, 2):
        with Recorder(folder, from_step=first, organs=ORGANS, report=lambda event: None) as recorder:
            for step in range(first + 1, 5):
                recorder.metrics(step, {"a": step}, {"dice": step + first / 10})
    assert lines(folder.path / VALIDATION) == ["step,dice", "1,1", "2,2", "3,3.2", "4,4.2"]


def test_whoever_hears_of_a_step_finds_it_in_both_tables(folder: RunFolder) -> None:
    found: list[list[str]] = []

    def look(event: Event) -> None:
        found.extend([lines(folder.metrics), lines(folder.path / VALIDATION)])

    with Recorder(folder, from_step=0, organs=ORGANS, report=look) as recorder:
        recorder.metrics(7, {"a": 1.0}, {"dice": 2.0})
    assert found == [["step,a", "7,1"], ["step,dice", "7,2"]]


def test_the_columns_stay_those_a_run_began_with(folder: RunFolder) -> None:
    record(folder, range(1, 2), names=("a", "b"))
    record(folder, range(2, 3), names=("new", "b"))
    assert lines(folder.metrics) == ["step,a,b", "1,1,1.1", "2,,2.1"]


def test_curves_hold_the_same_values_as_the_table(folder: RunFolder) -> None:
    record(folder, range(1, 4), names=("patch contrast", "dice"))
    points = {
        (event.step, value.tag): value.simple_value for event in curve_events(folder) for value in event.summary.value
    }
    assert set(points) == {(step, tag) for step in (1, 2, 3) for tag in ("patch_contrast", "dice")}
    np.testing.assert_allclose(points[2, "dice"], 2.1, rtol=1e-6)


def test_curves_are_told_from_where_a_resumed_run_goes_on(folder: RunFolder) -> None:
    record(folder, range(1, 8))
    record(folder, range(5, 7))
    starts = [event.step for event in curve_events(folder) if event.session_log.status]
    assert starts == [1, 5]


def test_the_records_are_what_tensorboard_checks(folder: RunFolder) -> None:
    """Length and content each carry a masked CRC-32C."""
    from tensorboardX.record_writer import masked_crc32c

    curves = CurveFile(folder.tensorboard, from_step=0)
    curves.scalar("dice", 0.5, step=1)
    curves.close()
    (path,) = folder.tensorboard.iterdir()
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert int.from_bytes(content[8:12], "little") == masked_crc32c(content[:8])
    assert int.from_bytes(content[12 + length : 16 + length], "little") == masked_crc32c(content[12 : 12 + length])
    assert CurveEvent.FromString(content[12 : 12 + length]).file_version == "brain.Event:2"


def test_curve_files_never_meet_and_bear_no_computers_name(folder: RunFolder) -> None:
    for _ in range(3):
        CurveFile(folder.tensorboard, from_step=0).close()
    names = [path.name for path in folder.tensorboard.iterdir()]
    assert len(names) == 3
    assert all("tfevents" in name for name in names)  # by which TensorBoard knows them
    assert not any(socket.gethostname() in name for name in names)


def some_preview() -> Preview:
    slices = torch.zeros(6, 16, 20)
    classes = torch.zeros(6, 16, 20, dtype=torch.int64)
    slices[:, :, 10:], classes[:, 4:10, 5:12] = 9.0, 2
    return Preview({"source": slices, "synthetic": slices - 9}, {"source": classes})


def test_a_preview_is_a_picture_of_slices_with_outlines_in_the_organs_colours(folder: RunFolder) -> None:
    colours = np.array([(0, 0, 0), *(organ.colour for organ in ORGANS)], np.float32)
    picture = draw_preview(some_preview(), colours)
    assert picture.shape == (4 * 18, 2 * 22, 3)  # four slices, a frame of one pixel around each
    first = picture[1:17, 1:21]
    np.testing.assert_array_equal(first[4, 5], ORGANS[1].colour)  # the second organ, label 3
    np.testing.assert_array_equal(first[9, 11], ORGANS[1].colour)
    np.testing.assert_array_equal(first[6, 8], [85] * 3)  # inside, the slice stays visible
    np.testing.assert_array_equal(first[15, 19], [255] * 3)
    assert not (picture[:, 22:] == ORGANS[1].colour).all(axis=-1).any()


def test_previews_are_written_as_files_and_beside_the_curves(folder: RunFolder) -> None:
    with Recorder(folder, from_step=0, organs=ORGANS, report=lambda event: None) as recorder:
        recorder.preview(500, some_preview())
    picture = imread(folder.previews / "step-00000500.png")
    assert picture.shape[:2] == (72, 44)
    images = [value.image for event in curve_events(folder) for value in event.summary.value if value.tag == "preview"]
    assert [(image.height, image.width) for image in images] == [(72, 44)]


def test_where_an_organ_leaves_the_slice_it_has_no_outline() -> None:
    classes = torch.zeros(1, 8, 8, dtype=torch.int64)
    classes[:, :4, :] = 1
    colours = np.array([(0, 0, 0), (255, 0, 0)], np.float32)
    picture = draw_preview(Preview({"source": torch.zeros(1, 8, 8)}, {"source": classes}), colours)[1:-1, 1:-1]
    red = (picture == (255, 0, 0)).all(axis=-1)
    assert red[3].all()
    assert not red[:3].any()
