"""Settings of the imaging solution, with the reason for each default that is not obvious."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ...shared.config import Settings, TrainingSettings
from ...tflite_export.recipes import DEFAULT_LADDER
from ...tflite_export.settings import ExportSettings

SMALLEST_EDGE = 28


def _zero_or_large_enough(edge: int) -> int:
    if 0 < edge < SMALLEST_EDGE:
        raise ValueError(f"0, or at least {SMALLEST_EDGE} pixels: less shows nothing")
    return edge


Edge = Annotated[int, Field(ge=0, le=512), AfterValidator(_zero_or_large_enough)]


class SyntheticSettings(Settings):
    """Size of the synthetic set; see ``synthesis`` for what it draws.

    Attributes:
        patients: people, each with one to three images.
        size: edge of an image in pixels.
    """

    patients: int = Field(default=600, ge=30)
    size: int = Field(default=48, ge=28, le=224)


class DataSettings(Settings):
    """How images are read and split.

    Attributes:
        size: edge in pixels that images are brought to; 0 takes the set's own, at most ``MAX_AUTO_SIZE``.
        fit: how an oblong image becomes a square: ``pad`` with black keeps all of it, ``crop`` keeps the middle;
            ``auto`` crops where the set was made by cropping (MedMNIST) and pads elsewhere.
        colour: ``grey`` or ``rgb``; ``auto`` looks at the images.
        axis: along which axis a volume is cut into slices (NIfTI: 0 sagittal, 1 coronal, 2 axial).
        normal: the class that means "nothing found"; empty: the one whose name says so, else the first.
        split: ``own`` the set's, ``patient``, or ``group`` of near-duplicates; ``auto`` the first of them there is.
        validation_share, test_share: parts of patients or groups, where there is no split of the set's own.
        skip_bad: whether files that cannot be read are left out and counted, instead of ending the run.
        show_images: whether the report shows test images under their heat maps.
    """

    size: Edge = 0
    fit: Literal["auto", "pad", "crop"] = "auto"
    colour: Literal["auto", "grey", "rgb"] = "auto"
    axis: Literal[0, 1, 2] = 2
    normal: str = ""
    split: Literal["auto", "own", "patient", "group"] = "auto"
    validation_share: float = Field(default=0.15, gt=0, lt=0.5)
    test_share: float = Field(default=0.2, gt=0, lt=0.5)
    skip_bad: bool = False
    show_images: bool = True


class ModelSettings(Settings):
    """Which network, and its size; see ``model`` for what was compared.

    Attributes:
        kind: ``compact`` (a residual network from scratch) or ``backbone`` (one of keras.applications).
        size: edge in pixels inside the network, resized in the graph; 0 keeps that of the data.
        width: channels of the last stage; each stage before has half of them, but at least 16.
        dropout: share of pooled features left out in training.
        backbone: name in keras.applications.
        weights: of the backbone: a local ``.weights.h5`` file, a name that Keras downloads (``imagenet``), or empty.
        frozen: whether the backbone keeps its weights and only the head learns.
    """

    kind: Literal["compact", "backbone"] = "compact"
    size: Edge = 0
    width: int = Field(default=96, ge=4, le=1024)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    backbone: Literal["MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "EfficientNetV2B0"] = "MobileNetV3Small"
    weights: str = ""
    frozen: bool = False


class ImagingTrainingSettings(TrainingSettings):
    """How the network is fitted.

    Attributes:
        keep: the learning rate falls to 0 over all epochs, and on a validation split that a network ranks all but
            perfectly the best epoch is luck; so the last is kept.
        patience: where the best epoch is kept, by validation log loss.
        modality: whose variations the images get in training, see ``augment``.
        class_weights: whether each class counts as much as any other, however rare it is; helps the balanced accuracy
            of rare classes.
        label_smoothing: share of certainty that is taken from the training labels.
        mixup: share of training images blended with another.
        average: momentum of the running average of the weights that is kept; 0 keeps the weights themselves.
    """

    epochs: int = Field(default=60, ge=1)
    patience: int = Field(default=20, ge=1)
    keep: Literal["best", "last"] = "last"
    batch_size: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=3e-3, gt=0)
    modality: Literal["xray", "ct", "mr", "ultrasound", "pathology"] = "xray"
    class_weights: bool = False
    label_smoothing: float = Field(default=0.05, ge=0, lt=1)
    mixup: float = Field(default=0.0, ge=0, le=1)
    average: float = Field(default=0.0, ge=0, lt=1)


class DecisionSettings(Settings):
    """What is told about an image, and when nothing is.

    Attributes:
        target_sensitivity: share of the images with a finding that the threshold must flag on validation.
        coverage: share of images whose conformal set must hold the true label.
        false_refusals: share of validation images that may be refused as not of this kind.
    """

    target_sensitivity: float = Field(default=0.95, gt=0, le=1)
    coverage: float = Field(default=0.95, gt=0, lt=1)
    false_refusals: float = Field(default=0.01, gt=0, lt=0.5)


class ImagingExportSettings(ExportSettings):
    """As everywhere, and the rung of convolutional networks, whose weights and activations take 8 bits well."""

    recipes: tuple[str, ...] = Field(default=(*DEFAULT_LADDER, "static_int8"), min_length=1)


class ImagingConfig(Settings):
    """All settings of a run of ``healthcare_imaging``."""

    synthetic: SyntheticSettings = SyntheticSettings()
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    training: ImagingTrainingSettings = ImagingTrainingSettings()
    decision: DecisionSettings = DecisionSettings()
    export: ImagingExportSettings = ImagingExportSettings()

    @model_validator(mode="after")
    def _shares_leave_room(self) -> ImagingConfig:
        if self.data.validation_share + self.data.test_share >= 0.8:
            raise ValueError("data.validation_share and data.test_share together leave too little to train on")
        return self
