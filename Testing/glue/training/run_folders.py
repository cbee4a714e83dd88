"""Run folders as trainings leave them, made in a moment; and the tab that shows them."""

import json
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import mean, median, stdev
from types import SimpleNamespace
from typing import Any

import slicer

from cisfa.cases.case_list import CaseList, ListedCase
from cisfa.config import TrainingConfig
from cisfa.config_files import to_json_values
from cisfa.evaluation.score_file import LeftOut, OrganOfCase, OrganOverCases, ScoredModel, ScoreFile, Spread
from cisfa.imaging.organs import Organ
from cisfa.runs.run_data import RunData
from cisfa.runs.run_state import RunState, Status, write_state
from cisfa_slicer.model_library import ModelLibrary
from cisfa_slicer.run_companion import RunCompanion
from cisfa_slicer.run_files import write_plan
from cisfa_slicer.run_launcher import RunLauncher
from cisfa_slicer.run_library import RunLibrary

ORGANS = (
    Organ("liver", 1, (221, 130, 101)),
    Organ("spleen", 2, (157, 108, 162)),
    Organ("right kidney", 3, (185, 102, 83)),
)
LOSSES = ("generator adversary", "patch contrast", "dice", "gradient of generator", "gradient of segmenter")
STEPS = 400


def make_run(
    folder: Path, status: Status = Status.DONE, *, step: int = STEPS, method: str = "cisfa", **state: Any
) -> Path:
    """A run of half an hour that was brought back from elsewhere, with curves, pictures and a checkpoint."""
    folder.mkdir(parents=True)
    config = TrainingConfig(method=method)
    write_json(folder / "config.json", {"schema": 1, **to_json_values(config)})
    write_json(folder / "data.json", asdict(data_of(12, 8)))
    write_json(folder / "environment.json", {"started": "2026-01-31T12:00:00+00:00"})
    write_json(folder / "trained.json", {"seconds": 1800.0})
    write_state(folder, RunState(status, step=step, steps=STEPS, **state))
    add_metrics(folder, range(10, step + 1, 10))
    add_validation(folder, range(100, step + 1, 100))
    add_previews(folder, [1, *range(100, step + 1, 100)])
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / f"step-{step:08d}.pt").write_bytes(b"weights" * 1000)
    return folder


def make_local(folder: Path, log: str = "cisfa train\n") -> RunCompanion:
    """What a run has beside its folder when it was started on this computer."""
    companion = RunCompanion(folder)
    companion.make()
    write_plan(case_list(folder.parent), TrainingConfig(seed=7), companion.path)
    companion.log.write_text(log, encoding="utf-8")
    return companion


def case_list(place: Path) -> CaseList:
    source = tuple(
        ListedCase(f"DOE^JANE {number}", place / f"{number}.nrrd", place / f"l{number}.nrrd") for number in (1, 2)
    )
    return CaseList(source=source, target=(ListedCase("ROE^RICHARD", place / "mr.nrrd"),), organs=ORGANS)


def data_of(source: int, target: int) -> RunData:
    digests = tuple(f"{number:064x}" for number in range(max(source, target)))
    return RunData(ORGANS, "CT", "MR", digests[:source], digests[:target], 480, 320, (-1.0, 3.0))


def add_metrics(folder: Path, steps: Sequence[int]) -> None:
    """Losses that fall, with some noise."""
    rows = [[step, *(f"{loss_at(step, place):.6g}" for place in range(len(LOSSES)))] for step in steps]
    append_rows(folder / "metrics.csv", ("step", *LOSSES), rows)


def loss_at(step: int, place: int) -> float:
    noise = (step * 7919 // 10 + place) % 13 - 6
    return (place + 1) * (0.3 + 60 / (step + 60)) * (1 + 0.025 * noise)


def add_validation(folder: Path, steps: Sequence[int]) -> None:
    """Scores that rise."""
    names = ("step", "dice", "agreement", *(f"dice {organ.name}" for organ in ORGANS))
    rows = [
        [step, *(f"{0.9 - 0.05 * place - 50 / (step + 80):.6g}" for place in range(len(names) - 1))] for step in steps
    ]
    append_rows(folder / "validation.csv", names, rows)


def append_rows(path: Path, names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    if not rows:
        return
    lines = ["" if path.exists() else ",".join(names), *(",".join(map(str, row)) for row in rows)]
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write("".join(f"{line}\r\n" for line in lines if line))


def add_previews(folder: Path, steps: Sequence[int]) -> None:
    """Pictures of 3 × 2 slices; the shade of grey is that of the step."""
    (folder / "previews").mkdir(exist_ok=True)
    for step in steps:
        (folder / "previews" / f"step-{step:08d}.png").write_bytes(png(180, 120, step % 200 + 40))


def png(width: int, height: int, grey: int) -> bytes:
    rows = b"".join(
        b"\0" + bytes(0 if column % 60 == 0 or row % 60 == 0 else (grey + column // 2) % 256 for column in range(width))
        for row in range(height)
    )
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def scores_of(cases: int = 5, *, left_out: int = 0) -> ScoreFile:
    """Scores of three organs, of which the last one is missed in the first case."""
    entries = []
    for number in range(cases):
        for place, organ in enumerate(ORGANS):
            missed = number == 0 and organ is ORGANS[-1]
            dice = 0.0 if missed else 0.93 - 0.04 * place - 0.01 * number
            assd = None if missed else 0.8 + 0.6 * place + 0.2 * number
            remark = "prediction empty" if missed else ""
            entries.append(
                OrganOfCase(
                    case=f"DOE^JANE {number}", organ=organ.name, label=organ.label, dice=dice, dice_organ_slices=dice,
                    assd_mm=assd, hd95_mm=assd, remark=remark,
                )
            )  # fmt: skip
    model = ScoredModel(name="m", version="1.0", method="cisfa", steps=STEPS, weights_sha256="0" * 64, checksum=None)
    organs = tuple(over_cases(organ.name, [each for each in entries if each.organ == organ.name]) for organ in ORGANS)
    return ScoreFile(
        cisfa_version="0.1.0", model=model, cases=tuple(entries), organs=organs,
        over_organs=over_cases("mean over organs", entries),
        left_out=tuple(LeftOut(f"ROE^RICHARD {number}", "Its label map is empty.") for number in range(left_out)),
        remarks=("Not scored, since the labels do not name it: stomach.",),
    )  # fmt: skip


def over_cases(organ: str, entries: Sequence[OrganOfCase]) -> OrganOverCases:
    dice, assd = spread([each.dice for each in entries]), spread([each.assd_mm for each in entries])
    return OrganOverCases(
        organ=organ, dice=dice, dice_organ_slices=dice, assd_mm=assd, hd95_mm=assd,
        predictions_empty=sum(each.remark == "prediction empty" for each in entries), truths_empty=0, both_empty=0,
    )  # fmt: skip


def spread(values: Sequence[float | None]) -> Spread:
    there = [value for value in values if value is not None]
    return Spread(n=len(there), mean=mean(there), sd=stdev(there) if len(there) > 1 else None, median=median(there))


def write_json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values), encoding="utf-8")


@dataclass
class OpenTab:
    """The tab as a test holds it.

    Attributes:
        ui: Its widgets by name.
        section: What binds them.
        widget: All of it.
        log: What was said to the log of the panel.
    """

    ui: Any
    section: Any
    widget: Any
    library: RunLibrary
    log: list[str] = field(default_factory=list)

    def has(self, *words: str) -> bool:
        """True when the sentence of the tab holds these words."""
        return all(word in self.ui.runMessageLabel.text for word in words)

    @property
    def names(self) -> list[str]:
        return [self.cell(row, 0).split("\n")[0] for row in range(self.ui.runTable.rowCount)]

    def cell(self, row: int, column: int) -> str:
        return self.ui.runTable.item(row, column).text()

    def choose(self, *names: str) -> None:
        """What clicks with Ctrl do."""
        self.ui.runTable.clearSelection()
        for row, name in enumerate(self.names):
            for column in range(5 if name in names else 0):
                self.ui.runTable.item(row, column).setSelected(True)


def open_tab(
    root: Path, folder: Path, require_installed: Callable[[], object] = lambda: None, launcher: Any = None
) -> OpenTab:
    """The tab on a run folder; not entered yet.

    Args:
        root: Of the repository.
        folder: Where runs and models go.
        require_installed: As the panel's.
        launcher: Instead of the real one.
    """
    from CISFATrainingLib.run_section import RunSection, RunServices

    slicer.app.userSettings().setValue("CISFA/RunFolder", str(folder / "runs"))
    slicer.app.userSettings().setValue("CISFA/ModelFolder", str(folder / "models"))
    widget = slicer.util.loadUI(str(root / "CISFATraining" / "Resources" / "UI" / "CISFATrainingRuns.ui"))
    ui = SimpleNamespace(**vars(slicer.util.childWidgetVariables(widget)))
    library, log = RunLibrary(), []
    services = RunServices(
        library, launcher or RunLauncher(library), ModelLibrary(Path(), Path()), log.append, require_installed
    )
    return OpenTab(ui, RunSection(ui, services), widget, library, log)


def rewrite_state(folder: Path, status: Status, **changes: Any) -> None:
    state = RunState(status, step=STEPS, steps=STEPS)
    write_state(folder, replace(state, **changes))
