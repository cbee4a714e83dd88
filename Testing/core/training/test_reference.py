"""What a run saw of its cases goes into its bundle, and no label of the target is looked at."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cisfa.bundle.bundle_folder import open_bundle
from cisfa.cases.case_folder import labelled_cases, unlabelled_cases
from cisfa.config import PreprocessingConfig
from cisfa.evaluation.overlap import acquisition_axis
from cisfa.imaging.organ_solidity import solidities
from cisfa.imaging.organs import organs_from_names
from cisfa.imaging.volume import LabelMap
from cisfa.imaging.volume_files import read_label_map
from cisfa.runs.run_data import RunData
from cisfa.training.export import make_bundle
from cisfa.training.reference import training_reference
from cisfa.training.run_folder import RunFolder
from cisfa.training.slice_dataset import DomainSlices, read_slices
from tiny_runs import train

ORGANS = organs_from_names({"1": "liver", "3": "spleen"})


def read(cases: list[Any]) -> DomainSlices:
    return read_slices(
        cases, PreprocessingConfig(size=32), modality=None, organs=ORGANS, on_case=lambda done, count: None
    )


def whole_volumes(label_maps: list[LabelMap], label: int) -> list[float]:
    """Of an organ in the label maps in which it is there and all six outer layers of voxels are free of it."""
    volumes = []
    for label_map in label_maps:
        mask = label_map.voxels == label
        if mask.any() and mask.sum() == mask[1:-1, 1:-1, 1:-1].sum():
            volumes.append(mask.sum() * label_map.geometry.voxel_volume_ml)
    return volumes


def test_volumes_are_those_of_the_sources_label_maps(larger_domains: Any) -> None:
    cases = labelled_cases(larger_domains.source)
    found = training_reference(read(cases), read(unlabelled_cases(larger_domains.target)), ORGANS)
    label_maps = [read_label_map(case.labels) for case in cases]
    volumes = {organ.name: whole_volumes(label_maps, organ.label) for organ in ORGANS}
    expected = {name for name, values in volumes.items() if len(values) >= 5}
    assert expected == {"liver", "spleen"}
    assert set(found.volumes_ml) == expected
    for name in expected:
        one = found.volumes_ml[name]
        assert one.cases == len(volumes[name])
        usual = np.percentile(volumes[name], (10, 50, 90))
        assert (one.low_ml, one.median_ml, one.high_ml) == pytest.approx(tuple(usual), rel=1e-6)


def test_solidity_is_that_of_the_organs_that_are_whole(larger_domains: Any) -> None:
    cases = labelled_cases(larger_domains.source)
    found = training_reference(read(cases), read(unlabelled_cases(larger_domains.target)), ORGANS)
    assert {name: one.cases for name, one in found.solidity.items()} == {
        name: one.cases for name, one in found.volumes_ml.items()
    }
    label_maps = [read_label_map(case.labels) for case in cases]
    for organ in ORGANS:
        whole = [one for one in label_maps if whole_volumes([one], organ.label)]
        values = [solidities(one, acquisition_axis(one.geometry))[organ.label] for one in whole]
        one = found.solidity[organ.name]
        assert (one.low, one.median, one.high) == pytest.approx(tuple(np.percentile(values, (10, 50, 90))))


def test_an_organ_that_is_whole_in_a_few_cases_has_no_volumes(domains: Any) -> None:
    livers = [{1: 100.0 * number} for number in range(1, 6)]
    for volume in livers[:4]:
        volume[3] = 50.0
    source = replace(read(labelled_cases(domains.source)), volumes_ml=(*livers, {}))
    found = training_reference(source, source, ORGANS)
    assert list(found.volumes_ml) == ["liver"]  # and no spleen, which is whole in four
    assert (found.volumes_ml["liver"].cases, found.volumes_ml["liver"].median_ml) == (5, 300)
    assert found.volumes_ml["liver"].low_ml == pytest.approx(140)
    assert found.volumes_ml["liver"].high_ml == pytest.approx(460)


def test_what_is_nowhere_whole_leaves_no_volumes_at_all(domains: Any) -> None:
    source = replace(read(labelled_cases(domains.source)), volumes_ml=({}, {}, {}))
    assert training_reference(source, source, ORGANS).volumes_ml == {}


def test_intensities_are_those_of_the_target(domains: Any) -> None:
    source, target = read(labelled_cases(domains.source)), read(unlabelled_cases(domains.target))
    found = training_reference(source, target, ORGANS)
    assert found.intensity is not None
    assert found.intensity.cases == len(domains_of(target))
    values = [np.quantile(case[:, 0, ::3, ::3], 0.9) for case in domains_of(target)]
    assert found.intensity.quantiles[6] == pytest.approx(np.mean(values), abs=0.01)
    assert found.intensity.quantiles != training_reference(source, source, ORGANS).intensity


def domains_of(slices: DomainSlices) -> list[np.ndarray]:
    return [case.float().numpy() for case in slices.voxels.split(list(slices.slices_of_cases))]


def test_a_run_writes_its_reference_down_and_its_bundle_holds_it(
    larger_domains: Any, tiny: Any, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    train(folder, larger_domains, tiny("method=source-only", "schedule.steps=1"))
    data = folder.read_data()
    assert data is not None
    assert data.reference is not None
    assert data.reference.intensity is not None
    assert "liver" in data.reference.volumes_ml
    make_bundle(folder.path, tmp_path / "b.zip", name=None, description=None, licence=None, overwrite=False)
    manifest = open_bundle(tmp_path / "b.zip").manifest
    assert manifest.schema_version == 2
    assert manifest.reference == data.reference


def test_a_run_of_before_there_was_a_reference_goes_on_and_makes_a_bundle(
    domains: Any, tiny: Any, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    train(folder, domains, tiny("method=source-only", "schedule.steps=1"))
    path = folder.path / "data.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    del values["reference"]
    path.write_text(json.dumps(values), encoding="utf-8")
    data = folder.read_data()
    assert isinstance(data, RunData)
    assert data.reference is None
    make_bundle(folder.path, tmp_path / "b.zip", name=None, description=None, licence=None, overwrite=False)
    assert open_bundle(tmp_path / "b.zip").manifest.reference is None
    train(folder, domains, tiny("method=source-only", "schedule.steps=2"))
    assert folder.read_data().reference is not None
