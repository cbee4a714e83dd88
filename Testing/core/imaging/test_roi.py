import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cisfa.errors import ConfigError, GeometryError
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.roi import Roi, parse_roi

MakeGeometry = Callable[..., Geometry]
STRAIGHT = Geometry.from_axes((20, 30, 40), spacing_mm=(3.0, 2.0, 1.0), origin_lps_mm=(-10.0, 5.0, 100.0))


def markup(path: Path, **changes: object) -> str:
    """Write a markups file as 3D Slicer does."""
    values = {
        "type": "ROI",
        "coordinateSystem": "LPS",
        "roiType": "Box",
        "center": [10.0, 25.0, 130.0],
        "orientation": [1, 0, 0, 0, 1, 0, 0, 0, 1],
        "size": [20.0, 16.0, 30.0],
        **changes,
    }
    values = {name: value for name, value in values.items() if value is not None}
    path.write_text(json.dumps({"@schema": "markups", "markups": [values]}), encoding="utf-8")
    return str(path)


def bounds(text: str, geometry: Geometry = STRAIGHT) -> list[tuple[int, int]]:
    return [(part.start, part.stop) for part in parse_roi(text).index_box(geometry)]


def test_six_numbers_are_left_posterior_superior_low_and_high() -> None:
    # x of voxel j is -10 + j, y is 5 + 2j, z is 100 + 3j
    assert bounds("0.2,9.9,17.1,32.9,115.5,145.2") == [(5, 16), (6, 15), (10, 21)]


def test_spaces_and_exponents_are_numbers_too() -> None:
    assert bounds(" 0.2, 0.99e1 ,17.1,32.9,115.5,145.2") == [(5, 16), (6, 15), (10, 21)]


def test_a_voxel_belongs_to_the_box_when_any_part_of_it_does() -> None:
    assert bounds("-0.49,-0.4,5,6,100,101") == [(0, 1), (0, 1), (10, 11)]
    assert bounds("-0.51,-0.4,5,6,100,101") == [(0, 1), (0, 1), (9, 11)]


def test_a_box_along_the_borders_of_voxels_gets_none_beyond_them() -> None:
    assert bounds("-0.5,9.5,18,32,116.5,143.5") == [(6, 15), (7, 14), (10, 20)]


def test_a_box_on_an_oblique_grid_along_its_voxels_is_exact(oblique: MakeGeometry) -> None:
    geometry = oblique((8, 9, 10), order=(1, 2, 0), signs=(-1, 1, -1))
    ends = np.array(np.meshgrid((1.5, 6.5), (-0.5, 3.5), (3.5, 7.5))).reshape(3, 8).T
    assert Roi(geometry.to_lps(ends)).index_box(geometry) == (slice(2, 7), slice(0, 4), slice(4, 8))


def test_a_box_larger_than_the_volume_is_the_volume() -> None:
    assert bounds("-1e300,1e300,-1e9,1e9,-1e9,1e9") == [(0, 20), (0, 30), (0, 40)]


def test_a_box_smaller_than_a_voxel_is_that_voxel() -> None:
    assert bounds("0.1,0.2,17.1,17.2,115.1,115.2") == [(5, 6), (6, 7), (10, 11)]
    assert bounds("0.4999,0.5001,17.9999,18.0001,116.4999,116.5001") == [(6, 7), (7, 8), (11, 12)]


@pytest.mark.parametrize("text", ["31,40,10,20,110,120", "0,9,-90,4.0,110,120", "0,9,10,20,158.6,170"])
def test_a_box_beside_the_volume_is_refused_with_its_centre(text: str) -> None:
    with pytest.raises(GeometryError, match=r"centre \[.*\] mm, LPS\) lies outside the volume"):
        bounds(text)


@pytest.mark.parametrize(
    "text", ["", "1,2,3,4,5", "1,2,3,4,5,6,7", "a,b,c,d,e,f", "1;2;3;4;5;6", "5,1,1,5,1,5", "1,1,1,5,1,5"]
)
def test_nonsense_is_refused_and_repeated(text: str) -> None:
    with pytest.raises(ConfigError, match=f"--roi {text}"):
        parse_roi(text)


@pytest.mark.parametrize("text", ["nan,2,1,2,1,2", "1,inf,1,2,1,2"])
def test_what_is_no_finite_number_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--roi"):
        parse_roi(text)


@pytest.mark.parametrize("name", ["box.mrk.json", "Leber & Größe 肝.MRK.JSON"])
def test_a_markups_file_says_the_same_as_six_numbers(tmp_path: Path, name: str) -> None:
    assert bounds(markup(tmp_path / name)) == bounds("0,20,17,33,115,145")


@pytest.mark.parametrize("system", ["RAS", "0", 0])
def test_coordinates_to_the_right_and_anterior_are_turned_round(tmp_path: Path, system: object) -> None:
    mirrored = markup(tmp_path / "r.mrk.json", coordinateSystem=system, center=[-10.0, -25.0, 130.0])
    assert bounds(mirrored) == bounds("0,20,17,33,115,145")


def test_left_posterior_superior_is_what_slicer_takes_when_nothing_is_said(tmp_path: Path) -> None:
    silent = markup(tmp_path / "r.mrk.json", coordinateSystem=None, orientation=None)
    assert bounds(silent) == bounds("0,20,17,33,115,145")


@pytest.mark.parametrize("system", ["LPS", "RAS"])
def test_an_oblique_box_lies_where_slicer_shows_it(tmp_path: Path, oblique: MakeGeometry, system: str) -> None:
    geometry = oblique((12, 13, 14))
    # the columns of Slicer's matrix are the directions of the box's own edges
    columns = np.stack([geometry.axes_lps[2], geometry.axes_lps[1], geometry.axes_lps[0]], axis=1)
    to_system = np.diag([-1, -1, 1]) if system == "RAS" else np.eye(3)
    text = markup(
        tmp_path / "oblique.mrk.json",
        coordinateSystem=system,
        center=(to_system @ geometry.to_lps([(5, 6, 7)])[0]).tolist(),
        orientation=(to_system @ columns).ravel().tolist(),
        size=[3 * 0.7, 5 * 0.9, 7 * 3.1],
    )
    assert bounds(text, geometry) == [(2, 9), (4, 9), (6, 9)]


def test_an_oblique_box_on_a_straight_grid_gets_all_it_touches(tmp_path: Path) -> None:
    half = np.sqrt(0.5)
    turned = markup(
        tmp_path / "t.mrk.json",
        center=[10.0, 25.0, 130.0],
        size=[20.0, 20.0, 9.0],
        orientation=[half, -half, 0, half, half, 0, 0, 0, 1],
    )
    reach = 10 * np.sqrt(2)
    assert bounds(turned) == bounds(f"{10 - reach},{10 + reach},{25 - reach},{25 + reach},125.5,134.5")


def test_the_first_box_is_found_among_other_markups(tmp_path: Path) -> None:
    path = tmp_path / "several.mrk.json"
    box = json.loads(Path(markup(path)).read_text(encoding="utf-8"))["markups"][0]
    points = {"type": "Fiducial", "controlPoints": []}
    path.write_text(json.dumps({"markups": [points, box]}), encoding="utf-8")
    assert bounds(str(path)) == bounds("0,20,17,33,115,145")


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "3", "\0\1", '{"other": 1}', '{"markups": []}', '{"markups": [null]}'),
        *('{"markups": {"type": "ROI"}}', '{"markups": [{"type": "ROI"}]}'),
        '{"markups": [{"type": "Plane", "center": [0, 0, 0], "size": [1, 1, 1]}]}',
        '{"markups": [{"type": "ROI", "center": [0, 0], "size": [1, 1, 1]}]}',
        '{"markups": [{"type": "ROI", "center": "abc", "size": [1, 1, 1]}]}',
        '{"markups": [{"type": "ROI", "center": [0, 0, 0], "size": [1, 1, 1], "orientation": [1, 2]}]}',
    ],
)
def test_a_file_without_a_box_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "no roi.mrk.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"no roi\.mrk\.json holds no ROI markup"):
        parse_roi(str(path))


@pytest.mark.parametrize("changes", [{"size": [0, 1, 1]}, {"center": [float("nan")] * 3}, {"orientation": [0] * 9}])
def test_a_box_that_was_never_drawn_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"r\.mrk\.json holds an ROI that was not placed"):
        parse_roi(markup(tmp_path / "r.mrk.json", **changes))


def test_a_file_in_another_encoding_is_no_markup(tmp_path: Path) -> None:
    path = tmp_path / "latin.json"
    path.write_bytes(b'{"markups": [{"name": "\xfc"}]}')
    with pytest.raises(ConfigError, match=r"latin\.json holds no ROI markup"):
        parse_roi(str(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.mrk\.json cannot be read: No such file"):
        parse_roi(str(tmp_path / "gone.mrk.json"))
