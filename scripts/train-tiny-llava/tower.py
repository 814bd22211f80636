"""The vision tower: CLIP's encoder (transformers' names), and how it learns to see.

    B scenes   n patches of them   C channels

CLS is asked what is in the picture: which pairs of colour and shape, in which cells, how many. That alone does not begin
to learn, so each patch is asked what it shows of what, and where it is. Patches of the background are mostly left out.
"""

import numpy
import torch
from optimizer import Optimizer
from progress import Progress
from recipe import FEATURE_LAYER, GRID, PATCH_SIZE, PATCHES, SEED, STAGES, TOWER
from scenes import COLORS, NOBODY, RADII, SHAPES, UNCLEAR, draw_scene, normalized, owners_of, render
from torch import nn
from torch.nn import functional as F

PAIRS = len(COLORS) * len(SHAPES)
IGNORED = -100
TRUTHS = ("pair", "shape", "color", "pairs", "cells", "kinds", "number")


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x):
        B, N, C = x.shape
        q, k, v = (
            project(x).view(B, N, self.heads, C // self.heads).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )  # [B, H, N, D]
        return self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, N, C))


class Mlp(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x):
        return self.fc2(F.silu(1.702 * self.fc1(x)) / 1.702)  # quick_gelu


class Layer(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.self_attn, self.mlp = Attention(shape.width, shape.heads), Mlp(shape.width, shape.mlp)

    def forward(self, x):
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Tower(nn.Module):
    def __init__(self, shape=TOWER):
        super().__init__()
        width = shape.width
        self.class_embedding = nn.Parameter(torch.randn(width) * 0.3)
        self.patch_embedding = nn.Linear(3 * PATCH_SIZE**2, width, bias=False)
        positions = torch.cat([torch.zeros(1, width), grid_codes(width)])
        self.position_embedding = nn.Parameter(positions)  # [N, C]
        self.pre_layrnorm, self.post_layernorm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))

    def forward(self, pixels, patches, forget=None):
        """pixels [B, n, 588], patches [B, n] -> the hidden states behind each layer, [B, 1 + n, C]. Where `forget` [B] is true,
        CLS enters layer -2 as it entered the first one: what it is asked for, it has to find there."""
        x = self.patch_embedding(pixels) + self.position_embedding[1 + patches]
        start = (self.class_embedding + self.position_embedding[0]).expand(len(x), 1, -1)
        x = self.pre_layrnorm(torch.cat([start, x], 1))
        first, states = x[:, :1], []
        for i, layer in enumerate(self.layers):
            if forget is not None and i == len(self.layers) + FEATURE_LAYER:
                x = torch.cat([torch.where(forget[:, None, None], first, x[:, :1]), x[:, 1:]], 1)
            x = layer(x)
            states.append(x)
        return states


def grid_codes(width):
    """Sines of row and column for the start of the position embedding, [576, C]."""
    rates = torch.pi * 2.0 ** torch.linspace(-1, 3.5, width // 4)
    place = (torch.arange(GRID) + 0.5)[:, None] / GRID * rates
    codes = torch.cat([place.sin(), place.cos()], 1)  # [24, C/2]
    rows, columns = torch.arange(PATCHES) // GRID, torch.arange(PATCHES) % GRID
    return 0.5 * torch.cat([codes[rows], codes[columns]], 1)


def ground_counts(weight):
    """Weights of the pairs, and of the ground, of which there is much."""
    return torch.tensor([1.0] * PAIRS + [weight])


class PatchQuestions(nn.Module):
    """What a patch shows, and where it is."""

    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.pair, self.shape, self.color = (nn.Linear(width, n) for n in (PAIRS + 1, len(SHAPES), len(COLORS)))
        self.row, self.column = nn.Linear(width, GRID), nn.Linear(width, GRID)

    def loss(self, states, truth):
        x = self.norm(states)
        pair = F.cross_entropy(self.pair(x).mT, truth["pair"], ground_counts(0.15))
        shape = F.cross_entropy(self.shape(x).mT, truth["shape"])
        color = F.cross_entropy(self.color(x).mT, truth["color"])
        near = torch.where(truth["shape"] >= 0, 1.0, 0.1)
        place = sum(
            (F.cross_entropy(head(x).mT, truth[name], reduction="none") * near).sum() / near.sum()
            for name, head in (("row", self.row), ("column", self.column))
        )
        return pair + shape + 0.5 * color + 0.25 * place

    @torch.no_grad()
    def accuracy(self, states, truth):
        x, seen = self.norm(states), truth["shape"] >= 0
        right = (self.shape(x).argmax(-1) == truth["shape"])[seen].float().mean()
        place = (self.row(x).argmax(-1) == truth["row"]) & (self.column(x).argmax(-1) == truth["column"])
        guess = self.pair(x).argmax(-1)
        return {
            "shape": right,
            "pair": (guess == truth["pair"])[seen].float().mean(),
            "ground": (guess == truth["pair"])[truth["pair"] == PAIRS].float().mean(),
            "place": place[seen].float().mean(),
        }


class PictureQuestions(nn.Module):
    """What CLS knows: the pairs, the cells, the number."""

    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.pairs, self.cells, self.number = nn.Linear(width, PAIRS), nn.Linear(width, 9), nn.Linear(width, 6)

    def loss(self, cls, truth):
        x = self.norm(cls)
        pairs = F.binary_cross_entropy_with_logits(self.pairs(x), truth["pairs"], pos_weight=torch.tensor(4.0))
        cells = F.binary_cross_entropy_with_logits(self.cells(x), truth["cells"], pos_weight=torch.tensor(2.0))
        return 3 * pairs + cells + 0.2 * F.cross_entropy(self.number(x), truth["number"])

    @torch.no_grad()
    def accuracy(self, cls, truth):
        guess, there = self.pairs(self.norm(cls)) > 0, truth["pairs"] > 0
        both = (guess & there).sum()
        return {"recall": both / there.sum(), "precision": both / guess.sum().clamp(min=1)}


class CellQuestions(nn.Module):
    """What is in each cell, the colour and the shape together. CLS cannot know it without looking at every object."""

    def __init__(self, width):
        super().__init__()
        self.norm, self.kinds = nn.LayerNorm(width), nn.Linear(width, 9 * (PAIRS + 1))

    def forward(self, cls):
        return self.kinds(self.norm(cls)).view(len(cls), 9, PAIRS + 1)

    def loss(self, cls, truth):
        return F.cross_entropy(self(cls).mT, truth["kinds"], ground_counts(0.3))

    @torch.no_grad()
    def accuracy(self, cls, truth):
        guess = self(cls).argmax(-1)
        return {"cells": (guess == truth["kinds"])[truth["kinds"] < PAIRS].float().mean()}


class Readers(nn.Module):
    """What a projector might make of a token: small networks that learn from patches, noised, what is shown, and nothing of
    CLS. Where they see an object in CLS, CLS has to change: a decoder counts what its projector shows it."""

    def __init__(self, width, count=4):
        super().__init__()
        self.readers = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, PAIRS + 1)) for _ in range(count)
        )

    def loss(self, states, truth):
        weight = ground_counts(0.15)
        cls, patches = states[:, 0], noised(states[:, 1:].detach())
        ground = torch.full((len(cls),), PAIRS)
        loss = 0.0
        for reader in self.readers:
            fixed = {name: x.detach() for name, x in reader.named_parameters()}
            loss = loss + F.cross_entropy(reader(patches).mT, truth["pair"], weight)
            loss = loss + F.cross_entropy(torch.func.functional_call(reader, fixed, (cls,)), ground)
        return loss / len(self.readers)


def noised(states):
    """What varies from patch to patch stays; directions in which patches do not differ say nothing any more."""
    return states + 0.25 * states.std() * torch.randn_like(states)


def any_radius(random):
    return random.uniform(14, 30)


def draw_batch(random, scenes, count, radii):
    """Scenes as `count` patches each: those of objects, and some of the background. Objects have at most `count`."""
    pixels, patches, truth = [], [], {name: [] for name in TRUTHS}
    for _ in range(scenes):
        scene = draw_scene(random, radii)
        owners = owners_of(scene)
        order = random.permutation(PATCHES)
        if count < PATCHES:
            order = order[numpy.argsort(owners[order] < 0, kind="stable")]
        chosen = numpy.sort(order[:count])
        pixels.append(normalized(render(scene, chosen, random)))
        patches.append(chosen)
        objects, owner = scene.objects, owners[chosen]
        shapes = numpy.array([one.shape for one in objects] + [IGNORED] * 2)  # NOBODY and UNCLEAR read from the end
        colors = numpy.array([one.color for one in objects] + [IGNORED] * 2)
        kinds = numpy.array([one.color * len(SHAPES) + one.shape for one in objects] + [IGNORED, PAIRS])
        for name, values in (("shape", shapes), ("color", colors), ("pair", kinds)):
            truth[name].append(values[owner])
        pairs, cells = numpy.zeros(PAIRS, numpy.float32), numpy.full(9, PAIRS)
        pairs[kinds[: len(objects)]] = 1
        cells[[one.cell for one in objects]] = kinds[: len(objects)]
        truth["pairs"].append(pairs)
        truth["kinds"].append(cells)
        truth["cells"].append((cells < PAIRS).astype(numpy.float32))
        truth["number"].append(len(objects))
    assert (NOBODY, UNCLEAR) == (-1, -2)
    patches = torch.from_numpy(numpy.stack(patches))
    truth = {name: torch.from_numpy(numpy.array(values)) for name, values in truth.items()}
    truth["row"], truth["column"] = patches // GRID, patches % GRID
    return torch.from_numpy(numpy.stack(pixels)), patches, truth


def base_loss(states, cls, final, truth, early, late, seen, last):
    """Layer -2 is what LLaVA reads; CLS is asked there too, because its attention there is what VisionZip reads. `cls`, `final`: CLS behind layers -2 and -1."""
    loss = late.loss(states[-2][:, 1:], truth) + 0.3 * early.loss(states[2][:, 1:], truth)
    return loss + seen.loss(cls, truth) + last.loss(final, truth)


def train_tower(folder):
    """-> the tower and what it has been asked, from its checkpoint if it has been trained."""
    stage = STAGES["tower"]
    torch.manual_seed(SEED)
    tower = Tower()
    early, late = PatchQuestions(TOWER.width), PatchQuestions(TOWER.width)
    seen, last = PictureQuestions(TOWER.width), PictureQuestions(TOWER.width)
    modules = tower, early, late, seen, last
    optimizer = Optimizer(modules, stage)
    progress = Progress(folder, "tower", stage, modules, optimizer)
    for step in range(progress.first, stage.steps):
        random = numpy.random.default_rng((SEED, 1, step))
        done = step / stage.steps
        # Large and small objects first, then those of the scenes; the background whole at the end.
        radii = any_radius if done < 0.75 else RADII
        count, scenes = (112, stage.batch) if done < 0.75 else (224, stage.batch) if done < 0.93 else (PATCHES, stage.batch // 2)
        pixels, patches, truth = draw_batch(random, scenes, count, radii)
        states = tower(pixels, patches)
        cls, final = states[-2][:, 0], states[-1][:, 0]
        loss = base_loss(states, cls, final, truth, early, late, seen, last)
        optimizer.step(loss, step)
        found = {**late.accuracy(states[-2][:, 1:], truth), **seen.accuracy(cls, truth)}
        progress.note(step, loss=loss.detach(), **found)
    return modules


def train_gaze(folder, tower, early, late, seen, last):
    """-> the tower, whose CLS looks at every object in layer -2. Nobody tells it where to look: it is asked what is in each
    cell, of whole pictures, and six times of ten it must begin there."""
    stage = STAGES["gaze"]
    torch.manual_seed(SEED + 3)
    cells, cells_last = CellQuestions(TOWER.width), CellQuestions(TOWER.width)
    readers = Readers(TOWER.width)
    modules = tower, early, late, seen, last, cells, cells_last, readers
    optimizer = Optimizer(modules, stage)
    progress = Progress(folder, "gaze", stage, modules, optimizer)
    for step in range(progress.first, stage.steps):
        random = numpy.random.default_rng((SEED, 6, step))
        torch.manual_seed(SEED + step)
        pixels, patches, truth = draw_batch(random, stage.batch, PATCHES, RADII)
        forget = torch.from_numpy(random.random(stage.batch) < 0.6)
        states = tower(pixels, patches, forget)
        cls, final = states[-2][:, 0], states[-1][:, 0]
        loss = base_loss(states, cls, final, truth, early, late, seen, last)
        loss = loss + cells.loss(cls, truth) + 0.5 * cells_last.loss(final, truth)
        loss = loss + readers.loss(states[-2], truth)
        optimizer.step(loss, step)
        found = {**late.accuracy(states[-2][:, 1:], truth), **seen.accuracy(cls, truth), **cells.accuracy(cls, truth)}
        progress.note(step, loss=loss.detach(), **found)
    return tower.eval().requires_grad_(False)
