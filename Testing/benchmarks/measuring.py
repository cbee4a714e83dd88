"""Running a program and measuring it, and showing what came out: shared by the benchmarks of this folder."""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]


def measure(command: Sequence[str]) -> dict[str, float]:
    """Run a program to its end; seconds from start to end, and the most memory its process tree held, in GiB.

    Raises:
        subprocess.CalledProcessError: It failed; its error output is shown.
    """
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8") as child:
        peak = 0
        process = psutil.Process(child.pid)
        while child.poll() is None:
            peak = max(peak, _memory_of(process))
            time.sleep(0.02)
        seconds = time.perf_counter() - started
        errors = child.stderr.read() if child.stderr else ""
    if child.returncode:
        print(errors, file=sys.stderr)
        raise subprocess.CalledProcessError(child.returncode, list(command))
    return {"seconds": round(seconds, 2), "peak_gib": round(peak / 2**30, 2)}


def _memory_of(process: psutil.Process) -> int:
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.Error:  # it ended meanwhile
        pass
    return total


def show(title: str, rows: Sequence[dict[str, Any]], arguments: argparse.Namespace) -> None:
    """Print rows as a table, and write them with the hardware as JSON when asked to."""
    print(f"\n{title}, on {hardware()}")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [columns, *([str(row.get(name, "")) for name in columns] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    for line in cells:
        print("  " + "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)))
    if arguments.json:
        record = {"benchmark": title, "hardware": hardware(), "rows": list(rows)}
        arguments.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def hardware() -> str:
    """Processor and memory in words, without the machine's name."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB"


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with what every benchmark takes."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--json", type=Path, help="file to write the numbers to")
    return made
