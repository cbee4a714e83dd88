"""``cisfa score``: a run or a bundle and labelled cases in, label maps and their scores out."""

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cisfa.events import Event, Finished, Notice, Progress, Report

if TYPE_CHECKING:
    from cisfa.bundle.bundle_folder import Bundle
    from cisfa.cases.case_folder import CaseFiles
    from cisfa.evaluation.contours import ContourCase
    from cisfa.evaluation.score_case import CaseScores
    from cisfa.evaluation.score_file import LeftOut, ScoredModel
    from cisfa.evaluation.shared_organs import SharedOrgans
    from cisfa.imaging.volume import LabelMap, Volume
    from cisfa.inference.predictor import Predictor

HELP = (
    "segment labelled cases with a run's newest checkpoint or with a bundle, and score what it finds; labels of the"
    " target domain serve this final score alone, never the training or a choice between checkpoints"
)
PREDICTIONS = "predictions"
_LOADING = "loading the model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "model", type=Path, metavar="RUN_OR_BUNDLE", help="a run's folder, or a bundle (folder or .zip)"
    )
    parser.add_argument(
        "--cases", type=Path, required=True, metavar="DIR",
        help="folder with images/ and labels/ (or imagesTr/ and labelsTr/); a dataset.json names the labels' values,"
        " which without one are the model's",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR",
        help=f"folder for the report, scores.json and the label maps ({PREDICTIONS}/)",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument("--batch-size", type=int, default=8, metavar="N", help="slices at a time (default 8)")
    parser.add_argument(
        "--modality", choices=["CT", "MR"], help="what the volumes are, when their intensities look otherwise"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the scores that are in the output folder")


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Run the command.

    Raises:
        CisfaError: Model or cases cannot be used, the output is not free, or a case could not be scored; in the last
            case the scores of the others have been written.
    """
    from cisfa.cases.case_folder import labelled_cases
    from cisfa.cli.segment_plan import plan_outputs
    from cisfa.errors import ConfigError
    from cisfa.evaluation.report import require_free_folder

    if arguments.batch_size < 1:
        raise ConfigError(f"--batch-size is {arguments.batch_size}; it must be at least 1.")
    _require_apart(arguments.output, arguments.model)
    require_free_folder(arguments.output, overwrite=arguments.overwrite)
    cases = labelled_cases(arguments.cases)
    predictions = arguments.output / PREDICTIONS
    if predictions.resolve() in (_labels_of(case).parent.resolve() for case in cases):
        raise ConfigError(f"{predictions} is the folder of the labels. Choose another output.")
    planned = plan_outputs([case.volume for case in cases], predictions, overwrite=arguments.overwrite)
    # torch takes seconds to import, so what can go wrong without it has been looked at before
    report(Progress(_LOADING, 0.0))
    counted = _Counted(report, len(cases))
    work = _Work(arguments.output, planned, counted, *_load(arguments, cases, counted))
    report(Progress(_LOADING, 1.0))
    for remark in work.meaning.remarks():
        report(Notice(remark))
    work.score_all(cases)
    report(Progress("writing the report", 0.0))
    written = work.write(arguments.cases)
    if not getattr(arguments, "events", False):
        work.show()
    work.require_all(cases)
    report(Finished(tuple(str(path) for path in (*written, predictions))))


class _Counted:
    """Says in every progress event which of the cases it is about: "segmenting 3 of 12"."""

    def __init__(self, report: Report, count: int) -> None:
        self.number = 0  # 0 before the first case
        self._report, self._count = report, count

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress) and self.number:
            event = replace(event, stage=f"{event.stage} {self.number} of {self._count}")
        self._report(event)


def _load(
    arguments: argparse.Namespace, cases: "Sequence[CaseFiles]", report: Report
) -> "tuple[ScoredModel, SharedOrgans, Predictor]":
    """What is scored, on which organs, and the model itself, on its device."""
    from cisfa.cases.case_folder import organs_beside
    from cisfa.errors import BundleError
    from cisfa.evaluation.case_files import organs_of_dataset
    from cisfa.evaluation.shared_organs import shared_organs

    with _bundle_of(arguments.model) as bundle:
        manifest = bundle.manifest
        wanted = manifest.target.modality
        if arguments.modality not in (None, wanted):
            raise BundleError(
                f"The model {manifest.name!r} segments {wanted}, but the volumes are {arguments.modality}. Choose a"
                f" model whose target is {arguments.modality}."
            )
        of_labels = organs_of_dataset(_labels_of(cases[0]).parent) or organs_beside(arguments.cases)
        meaning = shared_organs(manifest.organs, of_labels)
        # what the report needs at its end is missed now, and not after an hour of segmenting
        import matplotlib.figure  # noqa: F401

        from cisfa.inference.device import choose_device
        from cisfa.inference.predictor import PredictionOptions, Predictor

        options = PredictionOptions(batch_size=arguments.batch_size, trust_modality=arguments.modality is not None)
        predictor = Predictor(bundle, choose_device(arguments.device, report), options, report)
        return _scored_model(bundle, of_run=bundle.path != arguments.model), meaning, predictor


@contextmanager
def _bundle_of(model: Path) -> "Iterator[Bundle]":
    """The bundle itself, or one made of a run, which is gone afterwards."""
    from cisfa.bundle.bundle_folder import open_bundle
    from cisfa.bundle.manifest import MANIFEST
    from cisfa.errors import RunError
    from cisfa.training.run_folder import RunFolder

    if not RunFolder(model).exists:
        if not model.exists() or (model.is_dir() and not (model / MANIFEST).is_file()):
            raise RunError(
                f"{model} is neither a training run (a folder with config.json) nor a model bundle (a .zip file, or a"
                f" folder with {MANIFEST}). Choose one of these."
            )
        yield open_bundle(model)
        return
    from cisfa.training.export import make_bundle

    with tempfile.TemporaryDirectory(prefix="cisfa-score-", ignore_cleanup_errors=True) as folder:
        output = Path(folder) / "model.zip"
        made = make_bundle(model, output, name=None, description=None, licence=None, overwrite=False)
        yield open_bundle(made)


def _scored_model(bundle: "Bundle", *, of_run: bool) -> "ScoredModel":
    from cisfa.bundle.manifest import WEIGHTS
    from cisfa.evaluation.score_file import ScoredModel

    manifest = bundle.manifest
    return ScoredModel(
        name=manifest.name,
        version=manifest.version,
        method=manifest.method,
        steps=manifest.training.steps,
        weights_sha256=manifest.files[WEIGHTS].sha256,
        checksum=None if of_run else bundle.checksum,
    )


@dataclass
class _Work:
    output: Path
    planned: Mapping[Path, Path]  # volume to the place of its label map
    report: _Counted
    model: "ScoredModel"
    meaning: "SharedOrgans"
    predictor: "Predictor"
    scores: "list[CaseScores]" = field(default_factory=list)
    scored: "dict[str, CaseFiles]" = field(default_factory=dict)
    left_out: "list[LeftOut]" = field(default_factory=list)

    def score_all(self, cases: "Sequence[CaseFiles]") -> None:
        """Segment and score every case that can be, and keep its label map.

        Raises:
            CisfaError: None can be scored, or a label map cannot be written.
        """
        from cisfa.errors import Cancelled, CaseError, CisfaError
        from cisfa.evaluation.score_file import LeftOut

        for number, case in enumerate(cases, start=1):
            self.report.number = number
            try:
                found, scores = self._score(case)
            except Cancelled:
                raise
            except CisfaError as error:
                if len(cases) == 1:
                    raise
                self.left_out.append(LeftOut(case.name, str(error)))
                self.report(Notice(f"{case.name} is left out: {error}"))
                continue
            self._keep(found, case, scores)
        self.report.number = 0
        if not self.scores:
            raise CaseError(
                f"None of the {len(cases)} cases could be scored. {self.left_out[0].case}: {self.left_out[0].reason}"
            )

    def write(self, folder: Path) -> tuple[Path, ...]:
        """Write report and scores, without the name of the cases' folder, and say which files these are."""
        from cisfa.evaluation.report import REPORT, write_report
        from cisfa.evaluation.score_file import SCORE_FILE, write_scores
        from cisfa.evaluation.score_summary import score_file
        from cisfa.whole_files import write_text

        inside = str(folder / "x")[:-1]
        left_out = [replace(case, reason=case.reason.replace(inside, "")) for case in self.left_out]
        written = write_report({self.model.name: self.scores}, self.output, contours=self._contours, overwrite=True)
        remarks = self.meaning.remarks()
        if listed := [*remarks, *(f"{case.case} is left out: {case.reason}" for case in left_out)]:
            text = (self.output / REPORT).read_text(encoding="utf-8")
            write_text(self.output / REPORT, text + "\n## Remarks\n\n" + "".join(f"- {line}\n" for line in listed))
        scores = score_file(self.scores, self.model, left_out=left_out, remarks=remarks)
        write_scores(scores, self.output / SCORE_FILE)
        return (*written, self.output / SCORE_FILE)

    def show(self) -> None:
        """Print a table for people."""
        from cisfa.evaluation.statistics import ASSD, DICE, summarise
        from cisfa.evaluation.tables import organs_table

        print(f"{self.model.name}:\n{organs_table(summarise(self.scores), (DICE, ASSD))}")

    def require_all(self, cases: "Sequence[CaseFiles]") -> None:
        """Raise when cases were left out.

        Raises:
            CaseError: As said; it names them.
        """
        from cisfa.errors import CaseError

        if self.left_out:
            raise CaseError(
                f"{len(self.left_out)} of {len(cases)} cases could not be scored, for the reasons above:"
                f" {', '.join(case.case for case in self.left_out)}. The scores of the other {len(self.scores)} are in"
                f" {self.output}."
            )

    def _score(self, case: "CaseFiles") -> "tuple[LabelMap, CaseScores]":
        from cisfa.evaluation.score_case import score_case

        volume, truth = self._read(case)
        found = self.predictor.segment(volume)
        self.report(Progress("scoring", 0.0))
        scores = score_case(self.meaning.prediction(found), truth, self.meaning.organs, case=case.name)
        self.report(Progress("scoring", 1.0))
        return found, scores

    def _read(self, case: "CaseFiles") -> "tuple[Volume, LabelMap]":
        """A case's volume and its label map in the model's numbering; what is wrong is found before the segmenting."""
        from cisfa.imaging.volume_files import read_label_map, read_volume

        volume, truth = read_volume(case.volume), self.meaning.truth(read_label_map(_labels_of(case)))
        truth.geometry.require_same_grid(
            volume.geometry, ours=f"The label map {truth.name}", theirs=f"the volume {volume.name}"
        )
        return volume, truth

    def _keep(self, found: "LabelMap", case: "CaseFiles", scores: "CaseScores") -> None:
        """Write a label map; before the first, older ones go with their report, lest they pass for this model's."""
        from cisfa.evaluation.report import CONTOURS, REPORT, SCORES, SUMMARY
        from cisfa.evaluation.score_file import SCORE_FILE
        from cisfa.imaging.volume import LabelMap
        from cisfa.imaging.volume_files import write_label_map

        if not self.scores:
            older = [self.output / name for name in (SCORE_FILE, CONTOURS, REPORT, SUMMARY, SCORES)]
            for path in (*older, *self.planned.values()):
                path.unlink(missing_ok=True)
        place = self.planned[case.volume]
        write_label_map(LabelMap(found.voxels, found.geometry, place.name), place, like=case.volume)
        self.scores.append(scores)
        self.scored[case.name] = case

    def _contours(self, name: str) -> "ContourCase":
        from cisfa.evaluation.contours import ContourCase
        from cisfa.imaging.volume_files import read_label_map

        case = self.scored[name]
        volume, truth = self._read(case)
        return ContourCase(name, truth, self.meaning.prediction(read_label_map(self.planned[case.volume])), volume)


def _labels_of(case: "CaseFiles") -> Path:
    from cisfa.errors import CaseError

    if case.labels is None:
        raise CaseError(f"{case.name} has no label map to be scored against.")
    return case.labels


def _require_apart(output: Path, model: Path) -> None:
    """A run folder and a bundle hold no name of a case, so that they can be given away."""
    from cisfa.errors import ConfigError

    if output.resolve().is_relative_to(model.resolve()):
        raise ConfigError(
            f"{output} lies in {model}, and scores name cases, which must not get into a run or a bundle. Choose an"
            " output beside it."
        )
