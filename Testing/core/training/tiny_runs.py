"""Runs of a few steps on tiny cases, in this very process."""

from collections.abc import Callable
from typing import Any

import torch

from cisfa.cases.case_folder import labelled_cases, unlabelled_cases
from cisfa.config import TrainingConfig
from cisfa.errors import Cancelled
from cisfa.events import Event, Metric
from cisfa.training.run_folder import RunFolder
from cisfa.training.session import TrainingCases, run_training

CPU = torch.device("cpu")


def cases_of(domains: Any) -> TrainingCases:
    return TrainingCases(labelled_cases(domains.source), unlabelled_cases(domains.target))


def train(folder: RunFolder, domains: Any, config: TrainingConfig | None, report: Any = None) -> list[Event]:
    events: list[Event] = []
    run_training(folder, cases_of(domains), config, CPU, report or events.append)
    return events


def cancel_after(step: int) -> Callable[[Event], None]:
    def report(event: Event) -> None:
        if isinstance(event, Metric) and event.step == step:
            raise Cancelled("Stopped on request.")

    return report
