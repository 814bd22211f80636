"""Generated scenes: coloured shapes on a textured ground. The same as src/eval/scenes.ts draws, SPEC E-1.2 and E-1.3.

Pixels are computed where they are asked for: training looks at some of a picture's patches.
"""

from dataclasses import dataclass

import numpy
from recipe import GRID, IMAGE_SIZE, MEAN, PATCH_SIZE, PATCHES, STD

SHAPES = ("circle", "square", "triangle", "cross", "ring")
COLORS = ("red", "green", "blue", "yellow", "purple", "white")
COLOR_VALUES = numpy.array(
    [(220, 40, 40), (40, 170, 60), (50, 80, 220), (235, 210, 50), (150, 60, 180), (240, 240, 240)], numpy.float32
)
PLACES = (
    "top left",
    "top",
    "top right",
    "left",
    "center",
    "right",
    "bottom left",
    "bottom",
    "bottom right",
)  # the cells of the 3 x 3 grid, row by row
CELL = IMAGE_SIZE // 3
RADII = (16, 24)
JITTER = 24
NOISE = 6
MOST_OBJECTS = 5
PIXELS = PATCH_SIZE * PATCH_SIZE

# A patch shows an object that covers this much of it; one that covers less than the least is not seen.
SHOWN, UNSEEN = 0.06, 0.004
NOBODY, UNCLEAR = -1, -2  # owners of a patch that are no object


@dataclass(frozen=True)
class Object:
    cell: int
    shape: int  # into SHAPES
    color: int  # into COLORS
    radius: float  # pixels
    x: float  # of the centre, pixels from the left edge
    y: float


@dataclass(frozen=True)
class Wave:
    """A grating: per pixel along the direction, 1/length of a period."""

    x: float
    y: float
    phase: float
    strength: numpy.ndarray  # [3] of the channels


@dataclass(frozen=True)
class Scene:
    objects: tuple[Object, ...]  # by cell, no two in one
    ground: tuple[numpy.ndarray, numpy.ndarray]  # the colours at the two ends
    direction: numpy.ndarray  # [2] of length 1
    waves: tuple[Wave, ...]


def draw_scene(random, radii=RADII, object_count=None):
    """One to five objects on different cells. `radii`: two sizes to choose from, or a function of `random`."""
    values = random.uniform(60, 190, 6)
    values += 0.65 * (values.mean() - values)
    waves = tuple(draw_wave(random) for _ in range(3))
    count = int(random.integers(1, MOST_OBJECTS + 1)) if object_count is None else object_count
    cells = sorted(random.choice(9, count, replace=False).tolist())
    objects = tuple(draw_object(random, cell, radii) for cell in cells)
    ground = (values[:3].astype(numpy.float32), values[3:].astype(numpy.float32))
    return Scene(objects, ground, draw_direction(random), waves)


def draw_direction(random):
    angle = random.uniform(0, 2 * numpy.pi)
    return numpy.array([numpy.cos(angle), numpy.sin(angle)])


def draw_wave(random):
    length, direction = random.uniform(16, 72), draw_direction(random)
    x, y = direction / length
    return Wave(x, y, random.uniform(0, 1), random.uniform(-9, 9, 3).astype(numpy.float32))


def draw_object(random, cell, radii):
    radius = radii(random) if callable(radii) else radii[random.integers(len(radii))] * random.uniform(0.92, 1.08)
    column, row = cell % 3, cell // 3
    reach = min(JITTER, CELL / 2 - 2 - radius)
    return Object(
        cell,
        int(random.integers(len(SHAPES))),
        int(random.integers(len(COLORS))),
        float(radius),
        (column + 0.5) * CELL + random.uniform(-reach, reach),
        (row + 0.5) * CELL + random.uniform(-reach, reach),
    )


def outline_distance(shape, x, y):
    """Signed distance from the outline in radii, negative inside; x and y from the centre in radii, y downwards."""
    ax, ay = numpy.abs(x), numpy.abs(y)
    match SHAPES[shape]:
        case "circle":
            return numpy.sqrt(x * x + y * y) - 1
        case "ring":
            return numpy.abs(numpy.sqrt(x * x + y * y) - 0.78) - 0.22
        case "square":
            return numpy.maximum(ax, ay) - 0.85
        case "triangle":
            return numpy.maximum(y - 0.75, 1.6 * ax - 0.9 * y - 0.675)
        case "cross":
            return numpy.minimum(numpy.maximum(ax - 0.32, ay - 1), numpy.maximum(ay - 0.32, ax - 1))


# --- pixels by patches ---------------------------------------------------------------------------------

_inside = numpy.arange(PIXELS)
_columns, _rows = numpy.arange(PATCHES) % GRID, numpy.arange(PATCHES) // GRID
PIXEL_X = (_columns[:, None] * PATCH_SIZE + _inside % PATCH_SIZE + 0.5).astype(numpy.float32)  # [576, 196]
PIXEL_Y = (_rows[:, None] * PATCH_SIZE + _inside // PATCH_SIZE + 0.5).astype(numpy.float32)  #   [576, 196]
CENTER_X, CENTER_Y = PIXEL_X.mean(1), PIXEL_Y.mean(1)  # [576]


def near(one, patches):
    """Which of `patches` an object can reach."""
    reach = one.radius + PATCH_SIZE / 2 + 1
    return (numpy.abs(CENTER_X[patches] - one.x) < reach) & (numpy.abs(CENTER_Y[patches] - one.y) < reach)


def coverage_of(one, x, y, scale=1):
    """How much of each pixel an object covers; `scale` pixels of the picture are one of x and y."""
    distance = outline_distance(one.shape, (x - one.x) / one.radius, (y - one.y) / one.radius)
    return numpy.clip(0.5 - distance * one.radius * scale, 0, 1)


def owners_of(scene):
    """[576]: the object that each patch shows the most of, NOBODY, or UNCLEAR where too little of one is seen."""
    most, owners = numpy.zeros(PATCHES, numpy.float32), numpy.full(PATCHES, NOBODY)
    for i, one in enumerate(scene.objects):
        patches = numpy.flatnonzero(near(one, slice(None)))
        share = coverage_of(one, PIXEL_X[patches], PIXEL_Y[patches]).mean(1)
        patches, share = patches[share > most[patches]], share[share > most[patches]]
        most[patches] = share
        owners[patches] = numpy.where(share >= SHOWN, i, numpy.where(share > UNSEEN, UNCLEAR, NOBODY))
    return owners


def wave(t):
    """Two parabolas that are nearly a sine of period 1: 4 q (1 - |q|), q = 2 frac(t) - 1."""
    q = 2 * (t - numpy.floor(t)) - 1
    return 4 * q * (1 - numpy.abs(q))


def ground_of(scene, x, y):
    """x, y [n, m] -> what lies below the objects, [n, 3, m]."""
    half = numpy.float32(IMAGE_SIZE / 2)
    dx, dy = scene.direction.astype(numpy.float32)
    reach = half * (abs(dx) + abs(dy))
    heights = [0.5 + ((x - half) * dx + (y - half) * dy) / (2 * reach)]
    heights += [wave(x * numpy.float32(w.x) + y * numpy.float32(w.y) + numpy.float32(w.phase)) for w in scene.waves]
    start, end = scene.ground
    strengths = numpy.stack([end - start, *(one.strength for one in scene.waves)], 1)  # [3, 4]
    return start[:, None] + strengths @ numpy.stack(heights, 1)


def painted(under, one, coverage):
    return under + coverage[:, None] * (COLOR_VALUES[one.color][:, None] - under)


def as_bytes(values):
    return numpy.clip(numpy.floor(values + 0.5), 0, 255)


def render(scene, patches, random):
    """The pixels of `patches` [n], whole numbers of 0 to 255, [n, 3, 196]."""
    values = ground_of(scene, PIXEL_X[patches], PIXEL_Y[patches])
    for one in scene.objects:
        at = numpy.flatnonzero(near(one, patches))
        if len(at) > 0:
            values[at] = painted(values[at], one, coverage_of(one, PIXEL_X[patches[at]], PIXEL_Y[patches[at]]))
    return as_bytes(values + noise_like(values, random))


_bank = numpy.random.default_rng(0).standard_normal(1 << 22, numpy.float32)


def noise_like(values, random):
    """Noise from a fixed bank: drawing it anew would take as long as a step of training."""
    start = int(random.integers(len(_bank) - values.size))
    return numpy.float32(NOISE) * _bank[start : start + values.size].reshape(values.shape)


_scale = 1 / (255 * numpy.float32(STD))[:, None]
_shift = -(numpy.float32(MEAN) / numpy.float32(STD))[:, None]


def normalized(pixels):
    """[n, 3, 196] of 0 to 255 -> what CLIP's convolution sees of a patch, [n, 588] by channel, row, column."""
    return (pixels * _scale + _shift).astype(numpy.float32).reshape(len(pixels), 3 * PIXELS)


def picture_of(scene, random, scale=1):
    """The whole picture, bytes [336 scale, 336 scale, 3]."""
    side = round(IMAGE_SIZE * scale)
    places = ((numpy.arange(side) + 0.5) / scale).astype(numpy.float32)
    x, y = (axis.reshape(1, -1) for axis in numpy.meshgrid(places, places))  # [1, side^2]
    values = ground_of(scene, x, y)
    for one in scene.objects:
        values = painted(values, one, coverage_of(one, x, y, scale))
    values += NOISE * random.standard_normal(values.shape, numpy.float32)
    return as_bytes(values)[0].T.reshape(side, side, 3).astype(numpy.uint8)
