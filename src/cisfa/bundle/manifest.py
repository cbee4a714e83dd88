"""What a bundle says about itself: ``manifest.json`` as frozen dataclasses (docs/bundle-format.md).

Free of torch and numpy, since 3D Slicer's own process reads manifests to list the models.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field, fields
from datetime import UTC, datetime

from cisfa.bundle import strict_json
from cisfa.bundle.stored_files import is_plain_name
from cisfa.config import Modality, PreprocessingConfig
from cisfa.config_files import from_json_values, to_json_values
from cisfa.errors import BundleError, ConfigError
from cisfa.imaging.organs import HIGHEST_LABEL, Organ
from cisfa.imaging.training_reference import TrainingReference

SCHEMA_VERSION = 2
# the first to have a reference, coordinates and a largest component
_WITH_REFERENCE = 2
MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
MODEL_CARD = "MODEL_CARD.md"

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ABSOLUTE_PATH = re.compile(r"(?:^|[\s\"'(=:])(?:~[\\/]|\\\\|[A-Za-z]:[\\/]|/(?:[^\s/]+/)+|file:)")
# control characters, lone surrogates, line and paragraph separators
_NO_TEXT = frozenset({"Cc", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, kw_only=True)
class Domain:
    """Where a kind of training volumes came from.

    Attributes:
        name: "abdominal CT": of a collection, never of a patient.
        modality: CT or MR.
        cases: How many cases there were.
        intensity: Statistics of the volumes' intensities before preprocessing ("mean", "percentile_99_5"), in HU for
            CT; empty when not measured.
    """

    name: str
    modality: Modality
    cases: int
    intensity: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_lines((self.name, *self.intensity), "domain")
        _require(self.cases >= 0, "domain.cases", self.cases, "at least 0")


@dataclass(frozen=True, kw_only=True)
class SegmenterSpec:
    """How to build the network that the weights belong to.

    Attributes:
        width: Channels of its first layer.
        classes: Channels of its output: background, then the manifest's organs in their order.
        input_channels: Channels of a slice.
        coordinates: Whether the network is told where in the slice each pixel lies.
    """

    width: int
    classes: int
    input_channels: int = 1
    coordinates: bool = False

    def __post_init__(self) -> None:
        _require(self.width >= 1, "segmenter.width", self.width, "at least 1")
        _require(self.classes >= 2, "segmenter.classes", self.classes, "at least 2")
        _require(self.input_channels >= 1, "segmenter.input_channels", self.input_channels, "at least 1")


@dataclass(frozen=True, kw_only=True)
class TrainingSummary:
    """How the weights came to be.

    Attributes:
        steps: Optimiser updates.
        epochs: Passes over the slices.
        seed: Of all random choices.
        batch_size: Slices in a step.
        source_cases: Cases of the source that it learned from; the domain's others were held out.
        target_cases: Cases of the target that it learned from.
        minutes: Time that training took.
        hardware: "2-core CPU", "NVIDIA H200": never a computer's name.
        losses: The last values by name.
    """

    steps: int
    epochs: int
    seed: int
    batch_size: int
    source_cases: int
    target_cases: int
    minutes: float
    hardware: str
    losses: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("steps", "epochs", "source_cases", "target_cases", "minutes"):
            _require(getattr(self, name) >= 0, f"training.{name}", getattr(self, name), "at least 0")
        _require(self.batch_size >= 1, "training.batch_size", self.batch_size, "at least 1")
        _require_lines((self.hardware, *self.losses), "training")


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How well the model did on cases that it had not seen.

    Attributes:
        cases: How many cases were scored.
        scored_on: What they were: "target cases held out of training".
        organs: Organ to measure to mean over the cases: ``{"liver": {"dice": 0.91, "assd_mm": 1.4}}``.
    """

    cases: int
    scored_on: str
    organs: Mapping[str, Mapping[str, float]]

    def __post_init__(self) -> None:
        _require(self.cases >= 1, "scores.cases", self.cases, "at least 1")
        measures = {measure for values in self.organs.values() for measure in values}
        _require_lines((self.scored_on, *self.organs, *sorted(measures)), "scores")


@dataclass(frozen=True)
class FileDigest:
    """What a file of the bundle must be.

    Attributes:
        sha256: 64 lower-case hexadecimal digits.
        size_bytes: Its length.
    """

    sha256: str
    size_bytes: int

    def __post_init__(self) -> None:
        _require(_SHA256.fullmatch(self.sha256) is not None, "files.sha256", self.sha256, "64 digits from 0 to f")
        _require(self.size_bytes >= 0, "files.size_bytes", self.size_bytes, "at least 0")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything a bundle says about itself. Holds no path and no name of a patient or a computer.

    Attributes:
        schema_version: Of this format; 1 for what was written before there was a reference.
        name: For people, one line.
        version: Of the model, the maker's choice ("1.0").
        description: For people, may have several lines.
        created: ISO 8601 in UTC, to the second: "2026-01-31T12:00:00Z".
        organs: By rising label; the segmenter's channel k, from 1, is the k-th of them.
        source: The annotated domain.
        target: The domain that the model is for.
        preprocessing: How volumes become slices, as in training.
        segmenter: How to build the network.
        method: The training recipe's name.
        training: How the weights came to be.
        licence: An SPDX identifier, or a line of text.
        versions: Program or library to its version, when the bundle was made.
        files: Every other file of the bundle; empty only until the bundle is written.
        body_region: "abdomen"; None when not stated.
        scores: None when the model was not scored.
        largest_component: Whether only the largest connected part of each organ is to be kept.
        reference: What training saw, which a result's quality is judged by; None when it was not measured.
    """

    schema_version: int = SCHEMA_VERSION
    name: str
    version: str
    description: str
    created: str
    organs: tuple[Organ, ...]
    source: Domain
    target: Domain
    preprocessing: PreprocessingConfig
    segmenter: SegmenterSpec
    method: str
    training: TrainingSummary
    licence: str
    versions: Mapping[str, str]
    files: Mapping[str, FileDigest] = field(default_factory=dict)
    body_region: str | None = None
    scores: Scores | None = None
    largest_component: bool = False
    reference: TrainingReference | None = None

    def __post_init__(self) -> None:
        version = self.schema_version
        _require(1 <= version <= SCHEMA_VERSION, "schema_version", version, f"from 1 to {SCHEMA_VERSION}")
        for name in ("name", "version", "method", "licence"):
            _require_lines([getattr(self, name)], name)
        _require_text(self.description, "description")
        _require(_is_time(self.created), "created", self.created, "a UTC time such as 2026-01-31T12:00:00Z")
        _require_lines((*self.versions, *self.versions.values()), "versions")
        _require_lines([] if self.body_region is None else [self.body_region], "body_region")
        self._check_organs()
        self._check_cases()
        self._check_reference()
        for name in self.files:
            _require(is_plain_name(name), "files", name, "plain file names")
            _require(name.casefold() != MANIFEST, "files", name, "without the manifest itself")

    def _check_organs(self) -> None:
        labels = [organ.label for organ in self.organs]
        _require(len(labels) > 0, "organs", labels, "at least one")
        rising = all(lower < higher for lower, higher in zip([0, *labels], labels, strict=False))
        _require(rising and labels[-1] <= HIGHEST_LABEL, "organs", labels, f"labels rising from 1 to {HIGHEST_LABEL}")
        for organ in self.organs:
            codes = [code for code in (organ.category, organ.type, organ.laterality) if code is not None]
            _require_lines([organ.name, *(text for code in codes for text in astuple(code))], "organs")
            in_range = all(0 <= part <= 255 for part in organ.colour)
            _require(in_range, f"organs.{organ.name}.colour", organ.colour, "three values from 0 to 255")
        classes, expected = self.segmenter.classes, len(labels) + 1
        _require(classes == expected, "segmenter.classes", classes, f"{expected}: the organs and the background")

    def _check_reference(self) -> None:
        if self.largest_component or self.segmenter.coordinates:
            what = f"{_WITH_REFERENCE} with largest_component or segmenter.coordinates"
            _require(self.schema_version >= _WITH_REFERENCE, "schema_version", self.schema_version, what)
        if self.reference is None:
            return
        version, names = self.schema_version, [organ.name for organ in self.organs]
        _require(version >= _WITH_REFERENCE, "schema_version", version, f"{_WITH_REFERENCE} with a reference")
        for field_name in ("volumes_ml", "solidity"):
            for name in getattr(self.reference, field_name):
                _require(name in names, f"reference.{field_name}", name, "the name of an organ")

    def _check_cases(self) -> None:
        training = self.training
        for name, used, there in (
            ("source_cases", training.source_cases, self.source.cases),
            ("target_cases", training.target_cases, self.target.cases),
        ):
            _require(used <= there, f"training.{name}", used, f"at most the {there} cases of the domain")


def utc_now() -> str:
    """The present time as manifests write it."""
    return datetime.now(UTC).strftime(_TIME)


def to_json(manifest: Manifest) -> bytes:
    """The bytes of ``manifest.json``: UTF-8, the same for the same manifest."""
    values = to_json_values(manifest)
    if manifest.schema_version < _WITH_REFERENCE:
        # readers of that schema refuse what they do not know
        del values["reference"], values["largest_component"], values["segmenter"]["coordinates"]
    return (json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def from_json(content: bytes, *, where: str) -> Manifest:
    """Read the bytes of ``manifest.json``.

    Args:
        content: The file's bytes.
        where: The bundle, for messages.

    Raises:
        BundleError: It is no JSON, made by a newer version, or a field is missing, unknown or wrong.
    """
    try:
        values = strict_json.parse(content)
    except ValueError as error:
        raise BundleError(f"{MANIFEST} of {where} is no valid JSON ({error}). Get the bundle again.") from error
    version = values.get("schema_version") if isinstance(values, dict) else None
    if not isinstance(values, dict) or not isinstance(version, int):
        raise BundleError(f"{where} is no model bundle: its {MANIFEST} has no schema_version.")
    if version > SCHEMA_VERSION:
        raise BundleError(
            f"{where} was made by a newer version of CISFA (bundle schema {version}; this one reads up to"
            f" {SCHEMA_VERSION}). Update CISFA to use it."
        )
    try:
        _require_every_setting(values.get("preprocessing"))
        manifest = from_json_values(Manifest, values)
        _require(WEIGHTS in manifest.files, "files", sorted(manifest.files), f"with {WEIGHTS}")
    except (ConfigError, BundleError) as error:
        raise BundleError(
            f"{MANIFEST} of {where} is not valid. {_shortened(str(error))} Get the bundle again."
        ) from error
    return manifest


def _require_every_setting(preprocessing: object) -> None:
    """A default may change with a later version; what a model was trained with must not change with it."""
    given = preprocessing if isinstance(preprocessing, dict) else {}
    for setting in fields(PreprocessingConfig):
        if setting.name not in given:
            raise ConfigError(f"The setting preprocessing.{setting.name} is missing.")


def _is_time(text: str) -> bool:
    try:
        return datetime.strptime(text, _TIME).strftime(_TIME) == text
    except ValueError:
        return False


def _require_lines(texts: Iterable[str], name: str) -> None:
    for text in texts:
        one_line = bool(text.strip()) and "\n" not in text and len(text) <= 200
        _require(one_line, name, text, "a line of 1 to 200 characters")
        _require_text(text, name)


def _require_text(text: str, name: str) -> None:
    printable = all(character == "\n" or unicodedata.category(character) not in _NO_TEXT for character in text)
    _require(printable, name, text, "without control characters")
    _require(_ABSOLUTE_PATH.search(text) is None, name, text, "without a path, which may name a person or a computer")


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise BundleError(f"The field {name} is {_shortened(repr(value))}; it must be {expected}.")


def _shortened(text: str) -> str:
    return text if len(text) <= 500 else f"{text[:500]}..."
