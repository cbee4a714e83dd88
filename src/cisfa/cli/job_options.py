"""The options by which another program follows a job and stops it in order."""

import argparse


def add_job_options(parser: argparse.ArgumentParser) -> None:
    """Declare ``--events`` and ``--cancel-when-stdin-closes``, which :mod:`cisfa.cli.main` heeds."""
    group = parser.add_argument_group("options for programs that start this command")
    group.add_argument("--events", action="store_true", help="write one JSON event per line to standard output")
    group.add_argument("--cancel-when-stdin-closes", action="store_true", help="stop in order when standard input ends")
