"""Segmenting several volumes one after another; one that fails does not cost the others."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import slicer
from slicer import vtkMRMLScalarVolumeNode

from cisfa_slicer.error_display import sentence_of
from cisfa_slicer.job import Outcome
from cisfa_slicer.signal import Signal
from CISFASegmentationLib.segmentation_logic import SegmentationLogic
from CISFASegmentationLib.segmentation_run import Options, RunEnd, SegmentationRun


class Batch:
    """A queue of volumes.

    Attributes:
        volume_started: Called with a volume's place in the queue, from 0, and its name.
        volume_ended: Called with the name and a :class:`RunEnd`.
        ended: Called once with a sentence, and whether all went well.
    """

    def __init__(self, logic: SegmentationLogic, bundle: Path, roi: Any, options: Options) -> None:
        """Prepare a batch with one bundle and one region of interest, or None, for all."""
        self.volume_started: Signal[[int, str]] = Signal()
        self.volume_ended: Signal[[str, RunEnd]] = Signal()
        self.ended: Signal[[str, bool]] = Signal()
        self._logic, self._bundle, self._roi_id, self._options = logic, bundle, roi.GetID() if roi else "", options
        self._ids: tuple[str, ...] = ()
        self._names: tuple[str, ...] = ()
        self._place, self._is_cancelled = -1, False
        self._failed: list[str] = []
        self._run: SegmentationRun | None = None
        self._follow: Callable[[SegmentationRun], object] = lambda run: None

    def start(self, volumes: Sequence[vtkMRMLScalarVolumeNode], follow: Callable[[SegmentationRun], object]) -> None:
        """Start with the first volume.

        Args:
            volumes: To segment, in this order.
            follow: Called with each run that starts, to connect to its signals.
        """
        self._ids = tuple(volume.GetID() for volume in volumes)
        self._names = tuple(volume.GetName() for volume in volumes)
        self._follow = follow
        self._next()

    def cancel(self) -> None:
        """Stop the present volume; those that come after it are not begun, those before it stay."""
        self._is_cancelled = True
        if self._run is not None:
            self._run.cancel()

    def _next(self) -> None:
        self._place += 1
        if self._is_cancelled or self._place == len(self._ids):
            self._end()
            return
        name = self._names[self._place]
        self.volume_started(self._place, name)
        volume = slicer.mrmlScene.GetNodeByID(self._ids[self._place])
        try:
            roi = slicer.mrmlScene.GetNodeByID(self._roi_id) if self._roi_id else None
            self._run = self._logic.start(volume, self._bundle, roi=roi, options=self._options)
        except Exception as error:
            self._on_run_ended(RunEnd(Outcome.FAILED, sentence_of(error)))
            return
        self._run.ended.connect(self._on_run_ended)
        self._follow(self._run)

    def _on_run_ended(self, end: RunEnd) -> None:
        name = self._names[self._place]
        if end.outcome is Outcome.FAILED:
            self._failed.append(name)
        self._is_cancelled |= end.outcome is Outcome.CANCELLED
        try:
            self.volume_ended(name, end)
        finally:  # whatever happens while one is shown, the others have their turn
            self._next()

    def _end(self) -> None:
        total = len(self._ids)
        done = self._place - len(self._failed) - (1 if self._is_cancelled else 0)
        sentence = f"{max(0, done)} of {total} volumes segmented."
        if self._failed:
            sentence += f" Failed: {', '.join(self._failed)}; the log says why."
        if self._is_cancelled:
            sentence = f"Stopped. {sentence}"
        self.ended(sentence, not self._failed and not self._is_cancelled)
