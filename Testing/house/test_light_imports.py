"""What must stay light: 3D Slicer's own process imports some of the package, and ``cisfa --help`` must be instant."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "monai", "numpy", "scipy", "SimpleITK", "nibabel", "matplotlib", "pydicom")


def heavy_modules_after(code: str) -> list[str]:
    """Which heavy packages a fresh Python holds after running the code."""
    question = f"import sys\n{code}\nprint('loaded:', *[name for name in {HEAVY} if name in sys.modules])"
    answer = subprocess.run(
        [sys.executable, "-c", question], capture_output=True, check=True, text=True, encoding="utf-8", timeout=120
    )
    return answer.stdout.splitlines()[-1].split()[1:]


@pytest.mark.parametrize(
    "module",
    [
        "cisfa",
        "cisfa.config",
        "cisfa.config_files",
        "cisfa.config_fields",
        "cisfa.events",
        "cisfa.errors",
        "cisfa.bundle.manifest_file",
        "cisfa.cases.case_list",
        "cisfa.cases.check_report",
        "cisfa.cases.discovery",
        "cisfa.cases.organ_mapping",
        "cisfa.evaluation.score_file",
        "cisfa.imaging.dicom_places",
        "cisfa.imaging.organs",
        "cisfa.imaging.segmentation_header",
        "cisfa.runs.run_summary",
        "cisfa.runs.selection",
        "cisfa.runs.slurm",
    ],
)
def test_slicers_process_can_import_it_without_anything_heavy(module: str) -> None:
    assert heavy_modules_after(f"import {module}") == []


def test_telling_ct_from_mr_needs_numpy_alone() -> None:
    assert heavy_modules_after("import cisfa.imaging.intensity") == ["numpy"]


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["doctor", "--help"]])
def test_help_needs_nothing_heavy(words: list[str]) -> None:
    code = f"from cisfa.cli.main import main\ntry: main({words})\nexcept SystemExit: pass"
    assert heavy_modules_after(code) == []


def test_every_command_says_its_help_without_anything_heavy() -> None:
    code = (
        "from cisfa.cli.main import COMMANDS, main\n"
        "for name in COMMANDS:\n"
        "    try: sys.exit(main([name, '--help']) or 1)\n"
        "    except SystemExit as end:\n"
        "        if end.code: raise"
    )
    assert heavy_modules_after(code) == []


def test_a_heavy_import_is_noticed() -> None:
    assert heavy_modules_after("import numpy") == ["numpy"]
