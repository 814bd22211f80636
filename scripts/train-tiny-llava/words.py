"""The decoder learns what to do with a picture before it sees one: its visual tokens are sums of words for what a patch
shows and where it is. Such a step costs a fifth of one with a picture, and the tower need not have been trained.

    B scenes   V visual tokens   C channels
"""

import numpy
import torch
from decoder import Decoder
from dialogues import Batch, Counter, Dialogue, Words, dialogue_loss, draw_questions, seen_so_far
from optimizer import Optimizer
from progress import Progress
from recipe import DECODER, GRID, PATCHES, SEED, STAGES
from scenes import CENTER_X, CENTER_Y, COLORS, NOBODY, SHAPES, draw_scene
from torch import nn

QUESTIONS = 8  # about each scene


class Signs(nn.Module):
    """What a decoder takes for a patch: the sum of what it shows and where it is. The projector will aim at these."""

    def __init__(self, width):
        super().__init__()
        self.shape, self.color = nn.Embedding(len(SHAPES), width), nn.Embedding(len(COLORS), width)
        self.row, self.column = nn.Embedding(GRID, width), nn.Embedding(GRID, width)
        self.object, self.ground = nn.Parameter(torch.randn(width) * 0.3), nn.Parameter(torch.randn(width) * 0.3)
        for table in (self.shape, self.color, self.row, self.column):
            nn.init.normal_(table.weight, std=0.3)
        with torch.no_grad():  # rows and columns of the same third begin alike
            for table in (self.row, self.column):
                thirds = torch.randn(3, width) * 0.3
                table.weight.mul_(0.5).add_(thirds[torch.arange(GRID) * 3 // GRID])

    def forward(self, patches, shapes, colors):
        """patches, shapes, colors [B, V]; of the ground both are -1 -> [B, V, C]."""
        shown = self.object + self.shape(shapes.clamp(min=0)) + self.color(colors.clamp(min=0))
        what = torch.where((shapes >= 0)[..., None], shown, self.ground)
        return what + self.row(patches // GRID) + self.column(patches % GRID)


def rough_owners(scene):
    """[576]: the object in whose circle a patch's centre lies, or NOBODY."""
    owners = numpy.full(PATCHES, NOBODY)
    for i, one in enumerate(scene.objects):
        owners[(CENTER_X - one.x) ** 2 + (CENTER_Y - one.y) ** 2 < max(one.radius, 11) ** 2] = i
    return owners


def shown_by(scene, owners):
    """The shapes and colours of patches, -1 for the ground and where little is seen."""
    shapes = numpy.array([one.shape for one in scene.objects] + [-1, -1])
    colors = numpy.array([one.color for one in scene.objects] + [-1, -1])
    return shapes[owners], colors[owners]


def some_patches(owners, objects, count, random):
    """`count` patches: some of each object, at least one, and some of the ground. Objects are given up at a rate that is
    drawn for each picture, so that the share of their patches says nothing about their number."""
    rate = random.uniform(0, 1)
    kept = []
    for i in range(objects):
        own = random.permutation(numpy.flatnonzero(owners == i))
        kept += own[: max(1, round(rate * len(own)))].tolist()
    if len(kept) > count:
        kept = [int(random.choice(numpy.flatnonzero(owners == i))) for i in range(objects)]
    ground = random.permutation(numpy.flatnonzero(owners < 0))[: count - len(kept)].tolist()
    chosen = kept + ground
    if len(chosen) < count:  # nearly the whole picture: what was given up comes back
        left = numpy.setdiff1d(numpy.arange(PATCHES), chosen)
        chosen += random.permutation(left)[: count - len(chosen)].tolist()
    return numpy.sort(numpy.array(chosen))


def draw_words_batch(random, words, scenes):
    conversation = random.random() < 0.25
    count = int(random.choice([16, 24, 40, 64]))
    dialogues, patches, shapes, colors, seen = [], [], [], [], []
    for _ in range(scenes):
        scene = draw_scene(random)
        owners = rough_owners(scene)
        chosen = some_patches(owners, len(scene.objects), count, random)
        patches.append(chosen)
        for values, of_patches in zip((shapes, colors), shown_by(scene, owners[chosen]), strict=True):
            values.append(of_patches)
        seen.append(seen_so_far(owners[chosen]))
        dialogues.append(Dialogue(words, draw_questions(scene, random, QUESTIONS), count, conversation))
    return Batch(dialogues), *(torch.from_numpy(numpy.stack(values)) for values in (seen, patches, shapes, colors))


def train_words(folder, tokenizer):
    """-> (decoder, signs, counter), from their checkpoint if they have been trained."""
    stage = STAGES["words"]
    torch.manual_seed(SEED + 1)
    modules = decoder, signs, counter = Decoder(), Signs(DECODER.width), Counter(DECODER.width)
    optimizer = Optimizer(modules, stage)
    progress = Progress(folder, "words", stage, modules, optimizer)
    words = Words(tokenizer)
    for step in range(progress.first, stage.steps):
        random = numpy.random.default_rng((SEED, 2, step))
        torch.manual_seed(SEED + step)
        batch, seen, *shown = draw_words_batch(random, words, stage.batch)
        visual = signs(*shown)
        noise = torch.randn_like(visual) * visual.detach().std() * 0.3
        loss, shares = dialogue_loss(decoder, counter, batch, visual + noise, seen)
        optimizer.step(loss, step)
        progress.note(step, loss=loss.detach(), **shares)
    return modules
