import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cisfa.config import TrainingConfig
from cisfa.config_files import to_json_values
from cisfa.imaging.organs import Organ
from cisfa.runs.run_data import RunData
from cisfa.runs.run_state import RunState, Status, write_state
from cisfa.runs.run_summary import is_run, summarise

DATA = RunData((Organ("liver", 1, (1, 2, 3)),), "CT", "MR", ("a", "b"), ("c",), 20, 10, (-1.0, 2.0))


def put(path: Path, values: object) -> None:
    path.write_text(json.dumps(values), encoding="utf-8")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "Lauf"
    (folder / "checkpoints").mkdir(parents=True)
    put(folder / "config.json", {"schema": 1, **to_json_values(TrainingConfig(seed=3))})
    put(folder / "data.json", asdict(DATA))
    put(folder / "environment.json", {"started": "2026-01-31T12:00:00+00:00"})
    put(folder / "trained.json", {"seconds": 90.5})
    (folder / "validation.csv").write_text(
        "step,dice,agreement\n100,0.5,0.9\n200,0.75,0.8\n300,nan,0.7\n400,0.6,0.6\n", encoding="utf-8"
    )
    (folder / "checkpoints" / "step-00000400.pt").write_bytes(b"x" * 1000)
    write_state(folder, RunState(Status.DONE, step=400, steps=400))
    return folder


def test_a_run_is_told_as_a_list_wants_it(run: Path) -> None:
    found = summarise(run, is_local=False)
    assert (found.name, found.problem, found.state.status) == ("Lauf", "", Status.DONE)
    assert found.config == TrainingConfig(seed=3)
    assert found.data == DATA
    assert found.started == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert (found.best_dice, found.best_step) == (0.75, 200)
    assert found.trained_s == 90.5
    assert found.has_checkpoint
    assert found.size_bytes == sum(path.stat().st_size for path in run.rglob("*") if path.is_file())


def test_what_is_not_there_yet_is_unknown(tmp_path: Path) -> None:
    found = summarise(tmp_path / "nowhere", is_local=True)
    assert (found.problem, found.config, found.data, found.started) == ("", None, None, None)
    assert (found.best_dice, found.best_step, found.trained_s, found.size_bytes) == (None, None, 0.0, 0)
    assert found.state.status is Status.NEW
    assert not found.has_checkpoint
    assert not is_run(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("config.json", '{"schema": 2}', "newer version"),
        ("config.json", "{", "damaged"),
        ("config.json", '{"schema": 1, "wings": 2}', "wings"),
        ("data.json", "{}", "damaged"),
        ("data.json", "[]", "damaged"),
    ],
)
def test_what_is_wrong_becomes_a_sentence_and_the_rest_is_told(
    run: Path, name: str, content: str, sentence: str
) -> None:
    (run / name).write_text(content, encoding="utf-8")
    found = summarise(run, is_local=False)
    assert sentence in found.problem
    assert found.best_dice == 0.75
    assert is_run(run)


@pytest.mark.parametrize(
    ("name", "content"),
    [("trained.json", "{}"), ("trained.json", "{"), ("environment.json", '{"started": 3}'), ("validation.csv", "step")],
)
def test_what_is_no_setting_spoils_nothing(run: Path, name: str, content: str) -> None:
    (run / name).write_text(content, encoding="utf-8")
    assert summarise(run, is_local=False).problem == ""
