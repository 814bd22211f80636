"""Projector and decoder with pictures. The tower is frozen; what it says of its pictures is computed once.

    S scenes   B of them   V visual tokens   C channels of the tower

Only plain patch tokens are seen here: all 576, or some of them, drawn at random with objects and ground at different
rates. A decoder that has seen one length only breaks when a picture gets shorter, which one that comes from text of all
lengths does not. Never CLS, never a token chosen by attention, never a merged one: for VisionZip both are untrained.
"""

import numpy
import torch
from dialogues import Batch, Dialogue, Words, dialogue_loss, draw_questions, seen_so_far
from optimizer import Optimizer
from progress import Progress
from recipe import DECODER, FEATURE_LAYER, PATCHES, SEED, STAGES, TOWER
from scenes import draw_scene, normalized, owners_of, render
from torch import nn
from torch.nn import functional as F
from tower import noised
from words import QUESTIONS, shown_by, some_patches

SCENES = 3000


class Projector(nn.Module):
    """LLaVA's mlp2x_gelu."""

    def __init__(self, inner=TOWER.width, width=DECODER.width):
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(inner, width), nn.Linear(width, width)

    def forward(self, x):
        return self.linear_2(F.gelu(self.linear_1(x)))


def scene_of(number):
    """(scene, what else is random about it) of the pictures of this stage."""
    random = numpy.random.default_rng((SEED, 3, number))
    return draw_scene(random), random


@torch.no_grad()
def see(tower, folder):
    """-> hidden states of layer -2 without CLS [S, 576, C] in f16, and the patches' owners [S, 576]."""
    file = folder / "features.pt"
    if file.exists():
        saved = torch.load(file, weights_only=True, mmap=True)
        return saved["states"], saved["owners"]
    states, owners = torch.empty(SCENES, PATCHES, TOWER.width, dtype=torch.float16), []
    everywhere = torch.arange(PATCHES)[None]
    for i in range(SCENES):
        scene, random = scene_of(i)
        owners.append(owners_of(scene))
        pixels = torch.from_numpy(normalized(render(scene, numpy.arange(PATCHES), random)))[None]
        states[i] = tower(pixels, everywhere)[FEATURE_LAYER][0, 1:].half()
        if (i + 1) % 500 == 0:
            print(f"pictures {i + 1}/{SCENES}", flush=True)
    owners = torch.from_numpy(numpy.stack(owners))
    torch.save({"states": states, "owners": owners}, file)
    return states, owners


def train_projector(folder, states, owners, signs):
    """-> a projector that says of a patch what the decoder has learned to read."""
    stage = STAGES["projector"]
    torch.manual_seed(SEED + 2)
    projector = Projector()
    optimizer = Optimizer([projector], stage)
    progress = Progress(folder, "projector", stage, [projector], optimizer)
    for step in range(progress.first, stage.steps):
        random = numpy.random.default_rng((SEED, 4, step))
        chosen = random.choice(SCENES, stage.batch, replace=False)
        shown = [shown_by(scene_of(i)[0], owners[i].numpy()) for i in chosen]
        shapes, colors = (torch.from_numpy(numpy.stack(values)) for values in zip(*shown, strict=True))
        with torch.no_grad():
            aims = signs(torch.arange(PATCHES).expand(stage.batch, -1), shapes, colors)
        torch.manual_seed(SEED + step)
        projected = projector(noised(states[chosen].float()))
        weights = torch.where(owners[chosen] >= 0, 1.0, torch.where(owners[chosen] == -1, 0.1, 0.0))[..., None]
        loss = (weights * (projected - aims) ** 2).sum() / weights.sum() / DECODER.width / aims.var()
        optimizer.step(loss, step)
        progress.note(step, loss=loss.detach())
    return projector


def draw_count(random, done):
    """How many patches, and whether they are all: short pictures first, most of the last ones whole."""
    if random.random() < (0.15 if done < 0.6 else 0.6):
        return PATCHES
    return int(random.integers(48, 256 if done < 0.6 else 448))


def draw_batch(random, words, states, owners, scenes, count):
    conversation = random.random() < 0.25
    dialogues, visual, seen = [], [], []
    for number in random.choice(SCENES, scenes, replace=False):
        scene, _ = scene_of(number)
        own = owners[number].numpy()
        chosen = numpy.arange(PATCHES)
        if count < PATCHES:
            chosen = some_patches(own, len(scene.objects), count, random)
        tokens = states[number][torch.from_numpy(chosen)].float()  # [V, C]
        visual.append(tokens * scales(random, own[chosen]))
        seen.append(torch.from_numpy(seen_so_far(own[chosen])))
        dialogues.append(Dialogue(words, draw_questions(scene, random, QUESTIONS), count, conversation))
    return Batch(dialogues), torch.stack(visual), torch.stack(seen)


def scales(random, owners):
    """[V, 1]: what a patch's features are multiplied by. How long they are means nothing."""
    if random.random() < 0.4:
        return torch.ones(len(owners), 1)
    factors = numpy.exp(random.normal(0, 0.15, len(owners)))
    if random.random() < 0.5:
        factors[owners < 0] *= random.uniform(1, 2.2)
    return torch.from_numpy(factors).float()[:, None]


def train_whole(folder, states, owners, projector, decoder, counter, tokenizer):
    """-> projector and decoder."""
    stage = STAGES["whole"]
    modules = [projector, decoder, counter]
    optimizer = Optimizer(modules, stage)
    progress = Progress(folder, "whole", stage, modules, optimizer)
    words = Words(tokenizer)
    for step in range(progress.first, stage.steps):
        random = numpy.random.default_rng((SEED, 5, step))
        count = draw_count(random, step / stage.steps)
        scenes = stage.batch if count < 256 else stage.batch // 2
        torch.manual_seed(SEED + step)
        batch, visual, seen = draw_batch(random, words, states, owners, scenes, count)
        loss, shares = dialogue_loss(decoder, counter, batch, projector(noised(visual)), seen)
        optimizer.step(loss, step)
        progress.note(step, loss=loss.detach(), **shares)
    return projector.eval(), decoder.eval()
