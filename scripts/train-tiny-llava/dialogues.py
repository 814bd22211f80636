"""Questions about scenes as sequences of tokens: `USER: <image>\\nQUESTION ASSISTANT: ANSWER</s>`.

A scene gets its picture once and several questions behind it: either each sees the picture and itself only, at the
positions it would have alone, or they follow one another as a conversation.
"""

import functools

import numpy
import torch
from questions import TYPES, draw_question
from recipe import IMAGE_TOKEN, PAD_TOKEN
from scenes import MOST_OBJECTS
from torch import nn
from torch.nn import functional as F

BOS, EOS = 1, 2
# Looking something up by shape, by colour, by place is what takes longest to learn.
OFTEN = {"color": 3, "shape": 2, "where": 3, "what": 2, "yesno": 3, "count": 2, "ncolor": 2, "caption": 1}


class Words:
    """The tokenizer, remembering what it has encoded: there are few sentences."""

    def __init__(self, tokenizer):
        self.ids = functools.lru_cache(1 << 16)(lambda text: tuple(tokenizer.encode(text)))


def draw_questions(scene, random, count):
    weights = numpy.array([OFTEN[kind] for kind in TYPES], float)
    drawn = []
    while len(drawn) < count:
        kind = TYPES[random.choice(len(TYPES), p=weights / weights.sum())]
        asked = draw_question(kind, scene, random)
        if asked is not None:
            drawn.append((kind, *asked))
    return drawn


class Dialogue:
    """One scene's sequence: ids [T], positions [T], block [T] (0: picture and what is before it; k: question k),
    target [T] (the id to predict there, or -100), weight [T], kind [T] (index into TYPES)."""

    def __init__(self, words, questions, visual, conversation):
        ids = [BOS, *words.ids("USER: "), *[IMAGE_TOKEN] * visual]
        self.image_at = len(ids) - visual
        start = position = len(ids)
        positions, block = list(range(start)), [0] * start
        target, weight, kinds = [-100] * start, [0.0] * start, [-1] * start
        for k, (kind, question, answer) in enumerate(questions):
            first = k == 0 or not conversation
            asked = words.ids(f"\n{question} ASSISTANT:" if first else f"USER: {question} ASSISTANT:")
            said = [*words.ids(answer), EOS]
            position = position if conversation else start
            sequence = [*asked, *said]
            ids += sequence
            positions += range(position, position + len(sequence))
            position += len(sequence)
            block += [k + 1] * len(sequence)
            # What stands before an answer's token predicts it; the last token predicts nothing that is asked.
            target += [-100] * (len(asked) - 1) + said + [-100]
            share = len(said) ** -0.5
            weight += [0.0] * (len(asked) - 1) + [share] * len(said) + [0.0]
            kinds += [-1] * (len(asked) - 1) + [TYPES.index(kind)] * len(said) + [-1]
        self.rows = (ids, positions, block, target, weight, kinds)
        self.conversation = conversation


class Batch:
    """Dialogues side by side, padded at the end; all have their pictures at the same place."""

    def __init__(self, dialogues):
        length = max(len(one.rows[0]) for one in dialogues)
        padding = (PAD_TOKEN, 0, -1, -100, 0.0, -1)
        self.ids, self.positions, block, self.targets, self.weights, self.kinds = (
            torch.tensor([one.rows[i] + [padding[i]] * (length - len(one.rows[i])) for one in dialogues])
            for i in range(6)
        )  # each [B, T]
        self.image_at = dialogues[0].image_at
        together = torch.tensor([one.conversation for one in dialogues])[:, None, None]
        same = (block[:, :, None] == block[:, None, :]) | (block[:, None, :] == 0) | together
        self.mask = (same & torch.ones(length, length, dtype=torch.bool).tril())[:, None]  # [B, 1, T, T]

    def embeds(self, decoder, visual):
        """visual [B, V, C] in the place of the picture -> [B, T, C]."""
        words = decoder.embed_tokens(self.ids)
        start, end = self.image_at, self.image_at + visual.shape[1]
        return torch.cat([words[:, :start], visual, words[:, end:]], 1)


class Counter(nn.Module):
    """Asks each visual token behind the second layer how many objects have been seen up to it: a decoder that is asked for
    the sum alone takes long to find that patches of one object count once. It is not part of the model."""

    LAYER = 1

    def __init__(self, width):
        super().__init__()
        self.norm, self.number = nn.LayerNorm(width), nn.Linear(width, MOST_OBJECTS + 1)

    def loss(self, states, seen):
        return F.cross_entropy(self.number(self.norm(states)).mT, seen)


def seen_so_far(owners):
    """The owners of a picture's tokens [V], below 0 for none -> how many different ones there are up to each, [V]."""
    firsts = numpy.zeros(len(owners), int)
    firsts[numpy.unique(owners, return_index=True)[1]] = 1
    return (firsts * (owners >= 0)).cumsum()


def dialogue_loss(decoder, counter, batch, visual, seen):
    """visual [B, V, C], seen [B, V] -> the loss, and the shares of answers that are right to the last token, by kind."""
    states = decoder(batch.embeds(decoder, visual), batch.positions, batch.mask)
    at = batch.targets >= 0
    logits, targets, weights = decoder.logits(states[-1][at]), batch.targets[at], batch.weights[at]
    losses = F.cross_entropy(logits, targets, reduction="none")
    pictures = states[counter.LAYER][:, batch.image_at : batch.image_at + visual.shape[1]]
    counted = counter.loss(pictures, seen)
    loss = (losses * weights).sum() / weights.sum() + 0.3 * counted
    right = (logits.detach().argmax(-1) == targets).float()
    ends = targets == EOS
    numbers = torch.cat([torch.zeros(1, dtype=torch.long), ends.cumsum(0)[:-1]])  # of the answer that a token is in
    whole = torch.ones(int(ends.sum())).scatter_reduce(0, numbers, right, "amin")
    kinds = batch.kinds[at][ends]
    shares = {name: whole[kinds == i].mean() for i, name in enumerate(TYPES) if (kinds == i).any()}
    return loss, {"counted": counted.detach(), **shares}
