"""Every setting of a training run, as frozen dataclasses that go to JSON and back; defaults are the paper's scale."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from cisfa.errors import ConfigError

Modality = Literal["CT", "MR"]
PlaneChoice = Literal["axial", "coronal", "sagittal", "auto"]


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise ConfigError(f"The setting {name} is {value!r}; it must be {expected}.")


@dataclass(frozen=True)
class PreprocessingConfig:
    """How a volume becomes slices that a network reads; training and inference share it."""

    plane: PlaneChoice = "axial"
    # axial for the abdomen, coronal for the heart, as in the paper; auto takes the plane the scanner acquired
    size: int = 196
    # rows and columns of a slice; the paper's 196 for the abdomen, 160 for the heart
    crop_to_body: bool = True
    # the paper crops to a "ROI"; ours comes from intensities, never from labels; off when volumes are already cut
    ct_window_hu: tuple[float, float] = (-125.0, 275.0)
    # soft tissue; min-max over raw HU would leave the organs a few grey values
    mr_clip_percentile: float = 99.5
    # MR has no unit, and a few bright vessels would otherwise set the scale

    def __post_init__(self) -> None:
        _require(self.size >= 32, "preprocessing.size", self.size, "at least 32")
        _require(self.ct_window_hu[0] < self.ct_window_hu[1], "preprocessing.ct_window_hu", self.ct_window_hu, "rising")
        percentile = self.mr_clip_percentile
        _require(50 < percentile <= 100, "preprocessing.mr_clip_percentile", percentile, "above 50, up to 100")


@dataclass(frozen=True)
class NetworksConfig:
    """Widths and depths; the defaults are the paper's."""

    generator_width: int = 64
    # channels of the first layer; the network that translates slices grows with its square
    generator_blocks: int = 9
    # residual blocks between its down- and upsampling
    segmenter_width: int = 64
    # channels of the first stage of the network that goes into the bundle
    discriminator_width: int = 64
    # channels of the first layer of both discriminators, which serve training alone

    def __post_init__(self) -> None:
        for name in ("generator_width", "generator_blocks", "segmenter_width", "discriminator_width"):
            _require(getattr(self, name) >= 1, f"networks.{name}", getattr(self, name), "at least 1")


@dataclass(frozen=True)
class PatchContrastConfig:
    """The weighted patch-wise contrastive loss, eq (2)-(4)."""

    enabled: bool = True
    # off for the ablation
    organ_weight: float = 2.0
    # w of eq (3); 1 gives "CISFA (no weight)"
    temperature: float = 0.2
    # the paper's; the authors' code uses 0.07
    patches: int = 256
    # sampled places in a layer

    def __post_init__(self) -> None:
        _require(self.organ_weight > 0, "patch_contrast.organ_weight", self.organ_weight, "above 0")
        _require(self.temperature > 0, "patch_contrast.temperature", self.temperature, "above 0")
        _require(self.patches >= 2, "patch_contrast.patches", self.patches, "at least 2")


@dataclass(frozen=True)
class FeatureContrastConfig:
    """The contrastive loss on the segmenter's global features, eq (5)."""

    combination: Literal["sum", "sequential", "off"] = "sum"
    # sum adds it to the segmenter's other losses; sequential updates the encoder with it first (paper, table 3)
    temperature: float = 0.2
    # tau of eq (5)

    def __post_init__(self) -> None:
        _require(self.temperature > 0, "feature_contrast.temperature", self.temperature, "above 0")


@dataclass(frozen=True)
class SegmentationAdversaryConfig:
    """The adversary on predictions, eq (6) and (7)."""

    pushes: Literal["synthetic", "target"] = "synthetic"
    # synthetic: predictions of synthetic slices are pushed to look like the target's (paper);
    # target: the target's are pushed to look like the synthetic's (as AdaptSegNet and SIFA do)
    weight: float = 0.01
    # the paper adds it as it is, but at 1 its gradient drowns that of Dice and nothing is learned (docs/method.md)

    def __post_init__(self) -> None:
        _require(self.weight >= 0, "segmentation_adversary.weight", self.weight, "at least 0")


@dataclass(frozen=True)
class OptimiserConfig:
    """Adam, the same for all networks."""

    learning_rate: float = 2e-4
    # the paper's; small networks bear twice as much
    cooldown: float = 0.0
    # part of the steps, at the end, in which the rate falls linearly to zero; the paper's rate is constant
    betas: tuple[float, float] = (0.5, 0.999)
    # of Adam; 0.5 is usual where networks play against each other
    batch_size: int = 4
    # slices of each domain in a step, of all processes together
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    # of the networks' forward and backward passes, where the hardware multiplies it; losses and weights stay float32

    def __post_init__(self) -> None:
        _require(self.learning_rate > 0, "optimiser.learning_rate", self.learning_rate, "above 0")
        _require(0 <= self.cooldown <= 1, "optimiser.cooldown", self.cooldown, "from 0 to 1")
        _require(all(0 <= beta < 1 for beta in self.betas), "optimiser.betas", self.betas, "from 0 to below 1")
        _require(self.batch_size >= 1, "optimiser.batch_size", self.batch_size, "at least 1")


@dataclass(frozen=True)
class AugmentationConfig:
    """Random changes of slices and their labels in training; all zero turns them off."""

    rotation_degrees: float = 6.0
    # about the authors' 0.1 rad; no mirroring, since it would swap left and right organs
    scaling: float = 0.15
    # slices are scaled by 1 - x to 1 + x; the authors' 0.5 to 1.9 makes bodies no patient has
    shift: float = 0.05
    # of the slice's edge length
    gamma: float = 0.0
    # contrast: intensities go through a power of 1/(1+x) to 1+x; off, since the paper adapts contrast by translation
    elastic: float = 0.0
    # smooth displacement, of the slice's edge length; off, since the paper has none

    def __post_init__(self) -> None:
        for name in ("rotation_degrees", "shift", "gamma", "elastic"):
            _require(getattr(self, name) >= 0, f"augmentation.{name}", getattr(self, name), "at least 0")
        _require(0 <= self.scaling < 1, "augmentation.scaling", self.scaling, "from 0 to below 1")


@dataclass(frozen=True)
class AppearanceConfig:
    """Random looks of the slices that CISFA+ learns the organs from; organs stay where they are."""

    random_convolution: float = 1.0
    # how much of a slice may be replaced by itself after random convolutions, at most; 0 turns them off
    gamma: float = 0.5
    # contrast: intensities go through a power of 1/(1+x) to 1+x
    bias_field: float = 0.3
    # a smooth field of brightness, as coils make it: factors of 1 - x to 1 + x

    def __post_init__(self) -> None:
        fraction = "from 0 to 1"
        _require(0 <= self.random_convolution <= 1, "appearance.random_convolution", self.random_convolution, fraction)
        _require(self.gamma >= 0, "appearance.gamma", self.gamma, "at least 0")
        _require(0 <= self.bias_field < 1, "appearance.bias_field", self.bias_field, "from 0 to below 1")


@dataclass(frozen=True)
class TranslationConfig:
    """How CISFA+ uses translated slices; the translation itself is CISFA's."""

    share: float = 0.5
    # of the source slices that are translated before the segmenter learns from them; 0 leaves the generator out
    structure_weight: float = 1.0
    # of the difference in self-similarity between a source slice and its translation; 0 for the paper's losses alone

    def __post_init__(self) -> None:
        _require(0 <= self.share <= 1, "translation.share", self.share, "from 0 to 1")
        _require(self.structure_weight >= 0, "translation.structure_weight", self.structure_weight, "at least 0")


@dataclass(frozen=True)
class TeacherConfig:
    """What CISFA+ learns from target slices: labels by a moving average of the segmenter, where they can be trusted."""

    weight: float = 1.0
    # of that loss beside the one on source slices; 0 leaves the teacher out
    begin: float = 0.6
    # part of the steps before it: whatever the first labels have wrong is learned from them and stays
    ramp_up: float = 0.05
    # part of the steps from there until the weight is reached
    decay: float = 0.99
    # of the moving average, for each step
    confidence: float = 0.8
    # pixels of which the teacher is less sure are not learned from
    filtered: bool = True
    # whether labels are dropped, too, where no source case has that organ, or more of it than any has
    least_dice: float = 0.5
    # on source slices, below which an organ is not learned yet, so that nothing is taught where it may lie

    def __post_init__(self) -> None:
        _require(self.weight >= 0, "teacher.weight", self.weight, "at least 0")
        for name in ("begin", "ramp_up", "least_dice"):
            _require(0 <= getattr(self, name) <= 1, f"teacher.{name}", getattr(self, name), "from 0 to 1")
        for name in ("decay", "confidence"):
            _require(0 <= getattr(self, name) < 1, f"teacher.{name}", getattr(self, name), "from 0 to below 1")


@dataclass(frozen=True)
class SupervisionConfig:
    """What CISFA+ learns from labels of source slices."""

    cross_entropy: float = 1.0
    # of the cross-entropy beside the Dice; 0 leaves the paper's Dice alone
    learning_rate: float = 1e-3
    # of its segmenter, which plays against nobody and so bears more than CISFA's; small networks bear twice as much
    cooldown: float = 1.0
    # part of the steps, at the end, in which its rate falls linearly to zero; at a constant one the last steps decide
    largest_component: bool = True
    # whether its bundle keeps only the largest connected part of each organ
    coordinates: bool = False
    # whether its segmenter is told where in the body a pixel lies: it tells left from right sooner, but views differ

    def __post_init__(self) -> None:
        _require(self.learning_rate > 0, "supervision.learning_rate", self.learning_rate, "above 0")
        _require(0 <= self.cooldown <= 1, "supervision.cooldown", self.cooldown, "from 0 to 1")
        _require(self.cross_entropy >= 0, "supervision.cross_entropy", self.cross_entropy, "at least 0")


@dataclass(frozen=True)
class ScheduleConfig:
    """How long to train and how often to save and show."""

    epochs: int = 200
    # passes over the larger domain
    steps: int | None = None
    # counts instead of epochs where it is given
    checkpoint_every: int = 500
    # steps; what a kill can cost at most
    keep_checkpoints: int = 3
    # the newest ones; each takes about twelve bytes a weight
    metrics_every: int = 10
    # steps between two rows of losses
    preview_every: int = 500
    # steps between two pictures

    def __post_init__(self) -> None:
        for name in ("epochs", "checkpoint_every", "keep_checkpoints", "metrics_every", "preview_every"):
            _require(getattr(self, name) >= 1, f"schedule.{name}", getattr(self, name), "at least 1")
        _require(self.steps is None or self.steps >= 1, "schedule.steps", self.steps, "at least 1")


@dataclass(frozen=True)
class ValidationConfig:
    """Scores along the way that need no target label."""

    every: int = 500
    # steps; a measurement costs about as much as ten steps
    held_out: float = 0.1
    # part of the source cases (never of their slices) that is kept from training to be segmented after translation

    def __post_init__(self) -> None:
        _require(self.every >= 1, "validation.every", self.every, "at least 1")
        _require(0 <= self.held_out <= 0.5, "validation.held_out", self.held_out, "from 0 to 0.5")


@dataclass(frozen=True)
class SelectionConfig:
    """Which of a run's weights go into the bundle; no target label has a say."""

    by: Literal["last", "rank"] = "last"
    # last: those of the last step; rank: those with the best mean rank over the scores of validation.csv
    keep: int = 12
    # candidates that are kept for it, each four bytes a weight of the segmenter; 0 keeps none
    skip: float = 0.25
    # part of the schedule before there are candidates: early on, networks score well by chance

    def __post_init__(self) -> None:
        _require(self.keep == 0 or self.keep >= 2, "selection.keep", self.keep, "0, or at least 2")
        _require(0 <= self.skip < 1, "selection.skip", self.skip, "from 0 to below 1")


@dataclass(frozen=True)
class FewLabelsConfig:
    """Sparse supervision: label maps of which the user drew a few slices of target cases, for training on purpose."""

    weight: float = 0.0
    # of their Dice beside that of the translated source slices; 0 leaves the files unopened

    def __post_init__(self) -> None:
        _require(self.weight >= 0, "few_labels.weight", self.weight, "at least 0")


ABDOMEN: Mapping[str, str] = {"1": "liver", "2": "right kidney", "3": "left kidney", "4": "spleen"}


@dataclass(frozen=True)
class TrainingConfig:
    """One training run."""

    method: str = "cisfa"
    # cisfa and cisfa-plus adapt; source-only and supervised are what they are compared with
    seed: int = 0
    # of everything that is left to chance; the same seed gives the same run, on a CPU bit for bit
    organs: Mapping[str, str] = field(default_factory=lambda: dict(ABDOMEN))
    # label value to organ name; a dataset.json beside the source's folders takes precedence
    source_modality: Literal["auto", "CT", "MR"] = "auto"
    # CT is windowed in HU, MR clipped at a percentile
    target_modality: Literal["auto", "CT", "MR"] = "auto"
    # auto: volumes with negative intensities are CT in HU, others MR
    preprocessing: PreprocessingConfig = PreprocessingConfig()
    networks: NetworksConfig = NetworksConfig()
    patch_contrast: PatchContrastConfig = PatchContrastConfig()
    feature_contrast: FeatureContrastConfig = FeatureContrastConfig()
    segmentation_adversary: SegmentationAdversaryConfig = SegmentationAdversaryConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    appearance: AppearanceConfig = AppearanceConfig()
    translation: TranslationConfig = TranslationConfig()
    teacher: TeacherConfig = TeacherConfig()
    supervision: SupervisionConfig = SupervisionConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    validation: ValidationConfig = ValidationConfig()
    selection: SelectionConfig = SelectionConfig()
    few_labels: FewLabelsConfig = FewLabelsConfig()

    def __post_init__(self) -> None:
        _require(0 <= self.seed < 2**63, "seed", self.seed, "from 0 to 2^63 - 1")
        for label in self.organs:
            valid = label.isascii() and label.isdigit() and 1 <= int(label) <= 65535
            _require(valid, "organs", label, "label values from 1 to 65535")
