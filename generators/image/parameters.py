"""Parameters of the networks, which stand beside `generator:` in a recipe. Light: a recipe is checked without torch."""

from typing import Literal, Self

from pydantic import Field, model_validator

from leaven.generators.contract import Parameters

GROUP = 16  # channels normalised together: widths are multiples of it
LEAST_BATCH = 4  # images below which a batch that does not fit into memory is not halved


class NetworkParameters(Parameters):
    """Parameters of every network."""

    steps: int = Field(20_000, ge=1, le=10_000_000, description="batches to learn from at most")
    batch: int = Field(64, ge=LEAST_BATCH, le=4096, description="images in a batch")
    rate: float = Field(1e-3, gt=0, le=1, description="learning rate")
    devices: int = Field(
        1,
        ge=1,
        le=64,
        description="GPUs that share every batch (on a CPU: processes); 1 is enough for small images",
    )
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="auto: bfloat16 where the processor multiplies it in hardware"
    )

    @model_validator(mode="after")
    def _shared_evenly(self) -> Self:
        if self.batch % self.devices:
            raise ValueError(
                f"a batch of {self.batch} images cannot be shared evenly by {self.devices} devices"
            )
        return self


class DiffusionParameters(NetworkParameters):
    """Parameters of diffusion."""

    width: int = Field(64, ge=GROUP, le=1024, multiple_of=GROUP, description="channels of the network")
    blocks: int = Field(2, ge=1, le=8, description="residual blocks of each level, on the way down and up")
    augment: float = Field(
        0.2, ge=0, le=1, description="chance of each change of a train image, which the network is told"
    )
    evaluations: int = Field(
        10, ge=3, le=1000, description="times that the network is asked for an image, twice in a guided step"
    )
    compile: bool = Field(
        False,
        description="compile the network first: a minute or two; slower on a CPU, for long fits on a GPU",
    )
    guidance_scale: float = Field(
        1.0, ge=0, le=20, description="above 1: more typical of its class and less diverse, for the eye"
    )


class VAEParameters(NetworkParameters):
    """Parameters of vae."""

    width: int = Field(48, ge=GROUP, le=1024, multiple_of=GROUP, description="channels of the network")
    latent: int = Field(64, ge=2, le=4096, description="numbers in a code")
    divergence: float = Field(
        0.5, ge=0, le=100, description="weight of the codes' divergence from a normal distribution"
    )
    features: float = Field(1.0, ge=0, le=100, description="weight of a classifier's features in the error")
    augment: float = Field(
        0.2, ge=0, le=1, description="chance of each change of a train image, which the network is told"
    )
    interpolate: bool = Field(
        False, description="make each image out of two train images of its class, between their codes"
    )


class GanParameters(NetworkParameters):
    """Parameters of gan."""

    steps: int = Field(30_000, ge=1, le=10_000_000, description="batches to learn from at most")
    rate: float = Field(3e-4, gt=0, le=1, description="learning rate of both networks")
    width: int = Field(48, ge=4, le=512, description="channels of the finest level")
    latent: int = Field(64, ge=2, le=1024, description="numbers of noise that an image is made from")
    penalty: float = Field(
        2.0, ge=0, le=1000, description="weight of the penalties on the discriminator's gradients"
    )
    lazy: int = Field(4, ge=1, le=64, description="steps from one penalty to the next, which weighs as many")
    augment: float | None = Field(
        None,
        ge=0,
        le=1,
        description="chance of each change before the discriminator sees an image; left out: by the number of images",
    )
    ramp: int = Field(
        300,
        ge=0,
        le=1_000_000,
        description="steps over which it comes to matter whether images are of their class",
    )
    average: float = Field(
        0.998, ge=0, lt=1, description="how slowly the average of the generator's weights moves"
    )
    every: int = Field(250, ge=1, le=1_000_000, description="steps between two looks at the images")
    devices: int = Field(1, ge=1, le=1, description="both networks learn on one device")


class AutoregressiveParameters(NetworkParameters):
    """Parameters of autoregressive."""

    numbers: int = Field(8, ge=1, le=64, description="whole numbers in the code of a place")
    levels: int = Field(6, ge=2, le=256, description="values that each of them takes")
    width: int = Field(128, ge=32, le=2048, multiple_of=32, description="channels of the transformer")
    depth: int = Field(4, ge=1, le=48, description="layers of the transformer")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of its activations left out while learning")
    coder_width: int = Field(64, ge=16, le=1024, description="channels of the autoencoder")
    coder_steps: int = Field(
        1500, ge=1, le=10_000_000, description="batches after which the autoencoder stands still"
    )
    temperature: float = Field(
        1.0, gt=0, le=4, description="below 1: likelier images, and more alike; above: rarer ones"
    )
    augment: float = Field(
        0.2, ge=0, le=1, description="chance of each change of a train image, which the network is told"
    )


class DistillationParameters(Parameters):
    """Parameters of distillation."""

    networks: int = Field(2, ge=1, le=50, description="classifiers in the ensemble")
    steps: int = Field(1_000, ge=10, le=1_000_000, description="batches of 64 that each of them learns from")
    flip: bool | None = Field(
        None,
        description="whether mirrored images are of the same class, and learned from; left out: tried on a third",
    )
    same: float = Field(0.5, ge=0, le=1, description="share of mixes of two images of one class, at least")
    overlay: float = Field(
        0.5, ge=0, le=1, description="share of images with a piece of another laid over; the rest are blends"
    )
    least: float = Field(
        0.75, ge=0, le=1, description="share of the image that most of a mix is of, at least"
    )
    temperature: float = Field(
        0.3, ge=0.01, le=10, description="below 1 labels are surer than the ensemble is, above 1 less sure"
    )
