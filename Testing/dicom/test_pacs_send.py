"""``cisfa send``, as another program starts it."""

import os
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

pytest.importorskip("dicomweb_client")

from cisfa.cli.main import main
from cisfa.events import Event, Failed, Finished, Notice, Progress, from_json_line
from orthanc import Orthanc

DONE, USER_CAN_MEND = 0, 2


def send(*words: object) -> tuple[int, list[Event | None], str]:
    """Run the command in a process of its own: exit code, events, standard error."""
    ended = subprocess.run(
        [sys.executable, "-m", "cisfa", "send", *map(str, words), "--events"],
        env=dict(os.environ), capture_output=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip
    return ended.returncode, [from_json_line(line) for line in ended.stdout.splitlines()], ended.stderr


def test_files_are_sent_over_dicomweb_and_by_c_store(orthanc: Orthanc, ct_series: list[Path]) -> None:
    code, events, err = send(*ct_series[:3], "--to", orthanc.address)
    assert (code, err) == (DONE, "")
    assert events[-1] == Finished()
    assert all(isinstance(event, Progress) for event in events[:-2])
    header = pydicom.dcmread(ct_series[0])
    place = orthanc.address.split("/")[2]
    assert events[-2] == Notice(
        f"Stored series {header.SeriesInstanceUID} in the study {header.StudyInstanceUID} of {place}."
    )
    assert len(orthanc.instances()) == 3
    code, events, err = send(*ct_series, "--to", orthanc.node)
    assert (code, err) == (DONE, "")
    assert sorted(orthanc.instances()) == sorted(pydicom.dcmread(path).SOPInstanceUID for path in ct_series)


def test_the_address_of_a_series_stands_for_its_service(orthanc: Orthanc, ct_series: list[Path]) -> None:
    code, _, _ = send(ct_series[0], "--to", f"{orthanc.address}/studies/1.2/series/1.3")
    assert code == DONE
    code, events, _ = send(ct_series[0], "--to", orthanc.address)
    assert code == DONE
    assert len(orthanc.instances()) == 1
    assert [event for event in events if isinstance(event, Notice) and "already" in event.message]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", "ftp://pacs.example.org/rs"], "no address of a PACS"),
        (["--to", "dicomweb://anna:hidden@pacs.example.org/rs"], "credentials belong in the environment"),
        (["--to", "dimse://127.0.0.1:9/A"], "cannot be reached"),
        (["--to", "dimse://127.0.0.1:9/A", "--timeout", "0"], "--timeout is 0"),
        (["--to", "dimse://127.0.0.1:9/A", "--timeout", "inf"], "--timeout is inf"),
        (["--to", "none"], "--to none would send the files nowhere"),
        (["--to", "https://pacs.example.org/rs"], "Write dicomweb://pacs.example.org/rs instead"),
        ([], "--to"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    words: list[str], said: str, ct_series: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["send", str(ct_series[0]), *words]) == USER_CAN_MEND
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err
    assert "hidden" not in err


def test_what_is_no_dicom_is_refused(orthanc: Orthanc, ct_series: list[Path], tmp_path: Path) -> None:
    (tmp_path / "volume.nii").write_bytes(bytes(400))
    code, events, err = send(ct_series[0], tmp_path / "volume.nii", "--to", orthanc.address)
    assert code == USER_CAN_MEND
    assert isinstance(events[-1], Failed)
    assert "volume.nii is no DICOM file" in events[-1].message
    assert "is no DICOM file" in err
    assert orthanc.instances() == []
