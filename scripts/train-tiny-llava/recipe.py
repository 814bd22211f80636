"""Every number of the model and of its training, in one place."""

from dataclasses import dataclass

SEED = 2026

IMAGE_SIZE = 336
PATCH_SIZE = 14
GRID = IMAGE_SIZE // PATCH_SIZE  # patches a side
PATCHES = GRID * GRID
MEAN = (0.48145466, 0.4578275, 0.40821073)  # of CLIP's image processor
STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class TowerShape:
    width: int = 128
    layers: int = 6
    heads: int = 4
    mlp: int = 512


@dataclass(frozen=True)
class DecoderShape:
    width: int = 128
    layers: int = 4
    heads: int = 4
    mlp: int = 352
    rope_theta: float = 500_000.0  # of 16 pairs of channels, 10,000 leaves four that turn slowly enough to match contents
    rms_norm_eps: float = 1e-5


TOWER = TowerShape()
DECODER = DecoderShape()
FEATURE_LAYER = -2  # LLaVA reads the hidden states before the last layer

PIECES = 512  # of the tokenizer; <image> and <pad> come behind
IMAGE_TOKEN = 512
PAD_TOKEN = 513
VOCABULARY = 514


@dataclass(frozen=True)
class Stage:
    """Steps of `batch` scenes at a learning rate that rises to its peak and falls to nothing."""

    steps: int
    batch: int
    matrix_rate: float  # of Muon, for the matrices inside the layers
    other_rate: float  # of AdamW, for everything else


STAGES = {
    "tower": Stage(steps=4000, batch=24, matrix_rate=0.01, other_rate=1.5e-3),
    "gaze": Stage(steps=400, batch=10, matrix_rate=0.006, other_rate=8e-4),
    "words": Stage(steps=3600, batch=16, matrix_rate=0.01, other_rate=2e-3),
    "projector": Stage(steps=300, batch=24, matrix_rate=0, other_rate=3e-3),
    "whole": Stage(steps=500, batch=16, matrix_rate=0.004, other_rate=8e-4),
}
