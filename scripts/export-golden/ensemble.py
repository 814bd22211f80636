"""Legitimate ways of computing the same thing: the authors' code as it is, with another arithmetic under it. SPEC G-1.5.

An `Evaluation` says in which order sums are added, how norms and softmax are computed, how exact the functions are, and in which
precision results are stored. While its `arithmetic()` is active, torch's operators compute in that way; the program that calls
them does not notice. Sums are always added in float32, which is what a port does that stores float16, too.
"""

import functools
import random
from dataclasses import dataclass

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten

DTYPES = {"f32": torch.float32, "f16": torch.float16}
HELD_OUT = 24  # evaluations that the tolerances do not come from
MOST_PARTS = 64  # one after the other, where a sum is longer each part has several elements
LAST_PLACE = 2.0**-23


@dataclass(frozen=True)
class Evaluation:
    name: str
    precision: str = "f32"
    order: str = "library"  # how sums are split into parts, or `float64`: rounded once
    norm: str = "library"  # or two-pass: the mean first; one-pass: mean of squares minus square of mean
    softmax: str = "library"  # or online: largest and sum at once, rescaled
    coarse: bool = False  # functions and divisions are off by up to two units in the last place
    toward_zero: bool = False  # where float16 is stored
    is_held_out: bool = False

    @property
    def dtype(self):
        return DTYPES[self.precision]

    def arithmetic(self):
        return Arithmetic(self)


def ensemble(precision):
    """The evaluations that tolerances come from."""
    orders = ("float64", "reversed", "shuffled", "one by one", "chunks of 8", "chunks of 16", "chunks of 32", "chunks of 128", "pairwise")
    ways = [
        {},
        *({"order": order} for order in orders),
        {"norm": "two-pass"},
        {"norm": "one-pass"},
        {"softmax": "online"},
        {"coarse": True},
        {"order": "chunks of 32", "norm": "one-pass", "softmax": "online", "coarse": True},
        {"order": "pairwise", "norm": "two-pass", "softmax": "online", "coarse": True},
        {"order": "shuffled", "norm": "one-pass", "coarse": True},
        {"order": "reversed", "norm": "two-pass", "softmax": "online"},
    ]
    if precision == "f16":
        ways += [{"toward_zero": True}, {"order": "chunks of 32", "coarse": True, "toward_zero": True}]
    return [Evaluation(name_of(way), precision, **way) for way in ways]


def held_out(precision):
    """Evaluations that are drawn, and have to lie within the tolerances."""
    result = []
    for i in range(HELD_OUT):
        draw = random.Random(f"{precision} {i}")
        way = {
            "order": draw.choice(("reversed", "shuffled", f"chunks of {draw.randint(2, 200)}", "pairwise", "one by one")),
            "norm": draw.choice(("library", "two-pass", "one-pass")),
            "softmax": draw.choice(("library", "online")),
            "coarse": draw.random() < 0.5,
            "toward_zero": precision == "f16" and draw.random() < 0.2,
        }
        result.append(Evaluation(f"{i}: {name_of(way)}", precision, **way, is_held_out=True))
    return result


def evaluations(with_held_out=True):
    """Of all precisions. Those held out cost as much again and more: the small groups have them."""
    return [one for precision in DTYPES for one in (*ensemble(precision), *(held_out(precision) if with_held_out else ()))]


def name_of(way):
    chosen = {key: value for key, value in way.items() if value not in (False, "library")}
    words = [key.replace("_", " ") if value is True else f"{key} {value}" for key, value in chosen.items()]
    return ", ".join(words) or "library"


# --- sums ---------------------------------------------------------------------------------------------


def parts_of(order, length):
    """The indices of each part of a sum, in the order in which the parts are added."""
    if order in ("library", "float64") or length < 2:
        return [slice(None)]
    if order == "reversed":
        return [torch.arange(length - 1, -1, -1)]
    if order == "shuffled":
        return [torch.randperm(length, generator=torch.Generator().manual_seed(length))]
    if order.startswith("chunks of "):
        size = int(order.removeprefix("chunks of "))
    else:
        size = -(-length // (16 if order == "pairwise" else MOST_PARTS))
    return [slice(begin, begin + size) for begin in range(0, length, size)]


def reduced(order, length, part):
    """A sum over an axis of `length`: `part(indices)` is what some of its elements come to."""
    sums = [part(indices) for indices in parts_of(order, length)]
    if order != "pairwise":
        return functools.reduce(torch.add, sums)
    while len(sums) > 1:
        sums = [torch.add(*sums[i : i + 2]) if i + 1 < len(sums) else sums[i] for i in range(0, len(sums), 2)]
    return sums[0]


def widened(order, *tensors):
    return [x.double() for x in tensors] if order == "float64" else tensors


def product(how, a, b):
    """[..., M, K] times [..., K, N]."""
    a, b = widened(how.order, a, b)
    return reduced(how.order, a.shape[-1], lambda k: a[..., :, k] @ b[..., k, :]).float()


def total(how, x):
    """The sum over the last axis, which stays with length 1."""
    (x,) = widened(how.order, x)
    return reduced(how.order, x.shape[-1], lambda k: x[..., k].sum(-1, keepdim=True)).float()


def coarse(how, x):
    if not how.coarse:
        return x
    generator = torch.Generator().manual_seed(x.numel())
    places = torch.randint(-2, 3, x.shape, generator=generator)
    return x * (1 + places * LAST_PLACE)


# --- torch's operators, on float32 ----------------------------------------------------------------------


def addmm(how, bias, a, b):
    return product(how, a, b) + bias


def convolution(how, x, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    """Of patches that do not overlap."""
    side = weight.shape[-1]
    assert bias is None and list(stride) == [side, side] and not any(padding) and not transposed and groups == 1
    patches = torch.nn.functional.unfold(x, side, stride=side)  # [B, C side side, N]
    return product(how, weight.flatten(1), patches).unflatten(2, (x.shape[2] // side, x.shape[3] // side))


def sum_over(how, x, dim, keepdim=False, dtype=None):
    (axis,) = dim
    result = total(how, x.movedim(axis, -1)).movedim(-1, axis)
    return result if keepdim else result.squeeze(axis)


def mean_over(how, x, dim, keepdim=False, dtype=None):
    return sum_over(how, x, dim, keepdim) / x.shape[dim[0]]


def length_over(how, x, order=2, dim=None, keepdim=False, dtype=None):
    assert order == 2
    return coarse(how, sum_over(how, x * x, dim, keepdim).sqrt())


def layer_norm(how, x, shape, weight, bias, eps):
    if how.norm == "library":
        return aten.native_layer_norm.default(x, shape, weight, bias, eps)
    mean = total(how, x) / x.shape[-1]
    if how.norm == "two-pass":
        variance = total(how, (x - mean) ** 2) / x.shape[-1]
    else:
        variance = (total(how, x * x) / x.shape[-1] - mean * mean).clamp(min=0)
    scale = coarse(how, torch.rsqrt(variance + eps))
    return (x - mean) * scale * weight + bias, mean, scale


def softmax(how, x, dim, half_to_float):
    if how.softmax == "library" and how.order == "library" and not how.coarse:
        return aten._softmax.default(x, dim, False)
    x = x.movedim(dim, -1)
    if how.softmax == "online":
        largest, sums = torch.full_like(x[..., :1], -torch.inf), torch.zeros_like(x[..., :1])
        for chunk in x.split(16, -1):
            larger = torch.maximum(largest, chunk.amax(-1, keepdim=True))
            sums = sums * torch.exp(largest - larger) + torch.exp(chunk - larger).sum(-1, keepdim=True)
            largest = larger
    else:
        largest = x.amax(-1, keepdim=True)
        sums = total(how, torch.exp(x - largest))
    return coarse(how, torch.exp(x - largest) / sums).movedim(-1, dim)


def function(operator):
    return lambda how, *args, **kwargs: coarse(how, operator(*args, **kwargs))


def exactly(operator):
    return lambda how, *args, **kwargs: operator(*args, **kwargs)


FUNCTIONS = (aten.sigmoid, aten.silu, aten.gelu, aten.tanh, aten.exp, aten.rsqrt)
ELEMENTWISE = (aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.pow.Tensor_Scalar)
OPERATORS = {
    aten.mm.default: product,
    aten.bmm.default: product,
    aten.addmm.default: addmm,
    aten.convolution.default: convolution,
    aten.sum.dim_IntList: sum_over,
    aten.mean.dim: mean_over,
    aten.linalg_vector_norm.default: length_over,
    aten.native_layer_norm.default: layer_norm,
    aten._softmax.default: softmax,
    aten.div.Tensor: function(aten.div.Tensor),
    **{one.default: function(one.default) for one in FUNCTIONS},
    **{one: exactly(one) for one in ELEMENTWISE},
}


class Arithmetic(TorchDispatchMode):
    """Torch's operators compute as an evaluation says. What moves data without computing is torch's own."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        reals = [x for x in args if isinstance(x, torch.Tensor) and x.is_floating_point()]
        if operator not in OPERATORS or not reals or any(x.dtype == torch.float64 for x in reals):
            return operator(*args, **kwargs)
        low = all(x.dtype == torch.float16 for x in reals)
        if low:
            args = [x.float() if isinstance(x, torch.Tensor) and x.is_floating_point() else x for x in args]
        result = OPERATORS[operator](self.how, *args, **kwargs)
        stored = self.stored if low else lambda x: x
        return tuple(stored(x) for x in result) if isinstance(result, tuple) else stored(result)

    def stored(self, x):
        """In float16. WGSL leaves it open in which direction."""
        half = x.half()
        if not self.how.toward_zero:
            return half
        bits = half.view(torch.int16)  # of which one less is the next smaller magnitude
        return torch.where(half.float().abs() > x.abs(), bits - 1, bits).view(torch.float16)
