"""golden/select-merge: the authors' selection and merge on prepared hidden states, attention and keys.

B images, N tokens, H heads, D channels per head, C channels, K dominant tokens with CLS, M contextual tokens.

The authors' forward runs on a stand-in for the tower that hands it these tensors. Of the attention only the row of CLS is
given; all other rows are NaN, which would show if they were read.
"""

from types import SimpleNamespace

import numpy
import torch
from authors_code import Watch, default_dtype, margins, zip_stages
from ensemble import evaluations
from golden_files import Group
from grid8 import draw, grid8, values

KINDS = {
    "scores": ("real", "element"),
    "keptTokenIndices": ("topk_set", None),
    "targetTokenIndices": ("index", None),
    "similarity": ("real", "one"),
    "assignment": ("argmax", None),
    "counts": ("index", None),
    "tokens": ("real", "rms"),
}
RANDOM_CASES = 520


def run(authors, inputs, K, M, dtype):
    """One run of the authors' forward; `inputs` in float64."""
    hidden, attention, keys = (torch.tensor(inputs[name], dtype=dtype) for name in ("hiddenStates", "clsAttention", "keys"))
    B, N, _ = hidden.shape
    probs = torch.full((B, attention.shape[1], N, N), float("nan"), dtype=dtype)
    probs[:, :, 0, :] = attention
    last_but_one = SimpleNamespace(metric=keys.mean(1))

    class Tower:
        _info = {"dominant": K - 1, "contextual": M}
        vision_model = SimpleNamespace(encoder=SimpleNamespace(layers=[last_but_one, None]))

        def __call__(self, images, output_hidden_states, output_attentions):
            return SimpleNamespace(attentions=[probs, None], hidden_states=[hidden, None])

    tower = SimpleNamespace(vision_tower=Tower(), device="cpu", dtype=dtype)
    with default_dtype(dtype), Watch() as watch:
        tokens, all_indices = authors.select(tower, torch.zeros(B, 3, 1, 1, dtype=dtype))
    return zip_stages(watch, tokens, all_indices, N)


def agreeing(stages, exact):
    """What can be compared of a run: all before its first decision that is not that of float64."""
    result = {"scores": stages["scores"]}
    same_kept = numpy.array_equal(exact["keptTokenIndices"], stages["keptTokenIndices"])
    if same_kept:
        result["similarity"] = stages["similarity"]
    if same_kept and numpy.array_equal(exact["assignment"], stages["assignment"]):
        result["tokens"] = stages["tokens"]
    return result


def can_store(inputs, dtype):
    """Whether every tensor keeps its values in a precision, but for a rounding."""
    tensors = [torch.tensor(x) for x in inputs.values()]
    return all((x.to(dtype).double() - x).abs().max() <= torch.finfo(dtype).eps * x.abs().max() for x in tensors)


def add_case(group, authors, case_id, inputs, K, M, flags=()):
    exact = run(authors, inputs, K, M, torch.float64)
    assert all(numpy.isfinite(exact[name]).all() for name in KINDS), case_id
    legitimate = {}
    for one in group.evaluations:
        if not can_store(inputs, one.dtype):
            continue
        with one.arithmetic():
            legitimate[one] = agreeing(run(authors, inputs, K, M, one.dtype), exact)
    found = margins(exact)
    tied = ["TieAtCut"] if any(gap == 0 for gap in found["cut"]) else []
    if found["assignment"] is not None and found["assignment"] < 1e-12:
        tied.append("TieInAssignment")
    B, N, C = inputs["hiddenStates"].shape
    _, H, _, D = inputs["keys"].shape
    sizes = {"B": B, "N": N, "H": H, "D": D, "C": C, "dominantCount": K, "contextualCount": M}
    expected = {name: exact[name] for name in KINDS}
    group.add(case_id, inputs, expected, legitimate, params=sizes, flags=sorted({*flags, *tied}), margins=found)


# --- random cases -----------------------------------------------------------------------------------

ATTENTION = ("uneven", "uneven", "uneven", "uneven", "few_levels", "one_loud_head")
KEYS = ("grid", "grid", "grid", "few_rows", "anti_parallel", "spread_lengths")
HIDDEN = ("grid", "grid", "spread_lengths", "tiny_variance")


def rows(name, kind, shape):
    """An array of which the last axis is a row, or for attention of which the second axis is the head."""
    x = values(name, shape, 0)
    if kind == "uneven":
        x *= 2.0 ** (grid8(f"{name}:exponents", x.size) % 5).reshape(shape)
    if kind == "few_levels":
        return numpy.sign(x) * numpy.floor(numpy.abs(x) * 4) / 4
    if kind == "one_loud_head":
        x[:, 0] *= 64
    if kind == "few_rows":
        picks = grid8(f"{name}:picks", shape[-2]) % 3
        x = x[..., picks % shape[-2], :]
    if kind == "anti_parallel":
        signs = numpy.where(grid8(f"{name}:signs", shape[-2]) > 0, 1.0, -1.0)
        x = x[..., :1, :] * signs[:, None] + x * 2.0**-4
    if kind == "spread_lengths":
        x *= 2.0 ** (grid8(f"{name}:lengths", shape[-2]) % 13 - 6)[:, None]
    if kind == "tiny_variance":
        x = 1 + x * 2.0**-12
    return x


def random_inputs(name, B, N, H, D, C):
    pick = lambda what, kinds: kinds[draw(f"{name}:{what}", 0, len(kinds) - 1)]
    attention = numpy.abs(rows(f"{name}:attention", pick("attention kind", ATTENTION), (B, H, N))) / 64
    return {
        "hiddenStates": rows(f"{name}:hidden", pick("hidden kind", HIDDEN), (B, N, C)),
        "clsAttention": attention,
        "keys": rows(f"{name}:keys", pick("keys kind", KEYS), (B, H, N, D)),
    }


def random_sizes(name):
    n = lambda what, low, high: draw(f"{name}:{what}", low, high)
    B, N, H, D, C = n("B", 1, 3), n("N", 3, 28), n("H", 1, 4), n("D", 2, 8), n("C", 1, 6)
    K = n("K", 1, N - 2)
    rest = N - K
    kind = n("budget", 0, 9)
    # The original fails where nothing is left to merge into an argmax over no targets, but not where rest == M.
    M = {0: 1, 1: rest, 2: rest - 1}.get(kind, n("M", 1, rest))
    return (B, N, H, D, C), (1 if kind == 3 else K), max(1, M)


def add_random(group, authors):
    for i in range(RANDOM_CASES):
        name = f"select-merge:{i}"
        sizes, K, M = random_sizes(name)
        inputs = random_inputs(name, *sizes)
        # A mean key of length zero makes the original's cosine 0 / 0 (VZ-3.8); such a key is moved.
        zero = numpy.linalg.norm(inputs["keys"].mean(1), axis=-1) == 0
        inputs["keys"][:, 0][zero] += 1
        add_case(group, authors, f"random-{i:03}", inputs, K, M)


# --- made for one thing each ------------------------------------------------------------------------


def plain(name, B=1, N=17, H=2, D=4, C=3):
    return {
        "hiddenStates": values(f"{name}:hidden", (B, N, C), 1),
        "clsAttention": numpy.abs(values(f"{name}:attention", (B, H, N), -2)),
        "keys": values(f"{name}:keys", (B, H, N, D), 0),
    }


def with_scores(name, scores, **sizes):
    """One head whose attention is `scores` behind that of CLS to itself."""
    scores = numpy.asarray(scores, dtype=numpy.float64)
    inputs = plain(name, N=len(scores) + 1, H=1, **sizes)
    inputs["clsAttention"] = numpy.concatenate([[0.5], scores])[None, None]
    return inputs


def selection_cases():
    ramp = numpy.arange(1, 17) / 64
    yield "scores-rising", with_scores("rising", ramp), 5, 3, ()
    yield "scores-falling", with_scores("falling", ramp[::-1]), 5, 3, ()
    yield "scores-constant", with_scores("constant", numpy.full(16, 0.25)), 5, 3, ()
    yield "tie-inside-the-kept", with_scores("inside", [0.5, 0.5, 0.5, *ramp[:13] / 2]), 4, 3, ()
    yield "tie-across-the-cut", with_scores("across", [0.1, 0.5, 0.25, 0.25, 0.25, *numpy.full(11, 0.125)]), 4, 3, ()
    for bits in (10, 16, 20, 23):
        scores = [*numpy.full(4, 0.5), 0.25 * (1 + 2.0**-bits), 0.25, *numpy.full(10, 0.125)]
        yield f"near-tie-2-to-minus-{bits}", with_scores(f"near {bits}", scores), 6, 3, ("NearTie",)
    yield "winner-first-patch", with_scores("first", [1, *ramp[1:] / 4]), 2, 3, ()
    yield "winner-last-patch", with_scores("last", [*ramp[:-1] / 4, 1]), 2, 3, ()
    loud_cls = plain("loud cls")
    loud_cls["clsAttention"][:, :, 0] = 8
    yield "cls-attends-to-itself", loud_cls, 6, 3, ()
    loud_head = plain("loud head", H=4)
    loud_head["clsAttention"][:, 2] *= 64
    yield "loud-head", loud_head, 6, 3, ()
    quiet = plain("max is not sum", H=3)
    quiet["clsAttention"] = numpy.full((1, 3, 17), 2.0**-6)
    quiet["clsAttention"][:, 0, 5], quiet["clsAttention"][:, :, 9] = 0.5, 0.25
    quiet["clsAttention"][:, :, 12] += numpy.array([0.125, 0.0625, 0.03125])
    yield "largest-sum-is-not-largest-head", quiet, 2, 3, ()
    apart = plain("disjoint", B=3, H=1)
    apart["clsAttention"] = numpy.stack([numpy.roll(numpy.concatenate([[0.5], ramp]), 5 * b) for b in range(3)])[:, None]
    yield "batch-with-disjoint-winners", apart, 5, 3, ()
    yield "cls-only", plain("cls only"), 1, 4, ()
    yield "all-but-one-kept", plain("all but one"), 16, 1, ()
    for K, M in ((27, 5), (54, 10), (108, 20), (162, 30), (191, 30)):
        inputs = with_scores(f"paper {K}", (grid8(f"paper {K}", 577)[1:] * 577 + numpy.arange(576)) * 2.0**-18 + 1, D=8, C=4)
        yield f"paper-{K}-{M}", inputs, K, M, ()


def merge_cases():
    yield "remainder-not-divisible", plain("not divisible", N=19), 5, 4, ()  # 14 left over, stride 3
    yield "stride-leaves-a-tail", plain("tail", N=25), 6, 10, ()  # 19 left over, stride 1
    yield "rest-equals-contextual", plain("rest equals"), 9, 8, ()
    yield "rest-is-one-more", plain("one more"), 8, 8, ()
    yield "one-target", plain("one target"), 5, 1, ()
    lonely = plain("lonely", H=1)
    lonely["keys"][:, :, :, 0] = 4
    lonely["keys"][:, :, 5] = [-4, 0, 1, 0]  # a target that nobody joins
    lonely["clsAttention"][:, :, 13:] = 1
    yield "empty-cluster", lonely, 5, 3, ()
    anti = plain("anti", H=1)
    anti["keys"][0, 0, 1::2] = -anti["keys"][0, 0, ::2][:8] + 2.0**-4
    yield "anti-parallel-keys", anti, 4, 4, ()
    lengths = plain("lengths", N=33, D=6)
    lengths["keys"] *= 2.0 ** (numpy.arange(33) % 13 - 6)[:, None]
    yield "key-lengths-from-2-to-minus-6-to-2-to-6", lengths, 7, 5, ()
    doubles = plain("doubles", H=1)
    doubles["keys"][0, 0, 9:] = doubles["keys"][0, 0, 1:9]
    yield "duplicate-keys", doubles, 4, 4, ()
    crowd = plain("crowd", N=400, H=1, D=3)
    crowd["keys"][:, :, :, 0] = 2
    crowd["keys"][:, :, 200:, 0] = numpy.where(numpy.arange(200) % 8 == 0, -2, 2)
    yield "more-than-256-members", crowd, 4, 2, ()
    for exponent in (-40, -12, 12, 40):
        scaled = plain(f"hidden {exponent}")
        scaled["hiddenStates"] *= 2.0**exponent
        yield f"hidden-states-times-2-to-{exponent}".replace("to--", "to-minus-"), scaled, 5, 3, ()
    heads = plain("heads cancel", H=4)
    heads["keys"][:, 0] = -heads["keys"][:, 1]
    yield "heads-that-cancel", heads, 5, 3, ()
    bias = plain("bias")
    bias["keys"] += numpy.array([1.0, -2.0, 0.5, 0.25])
    yield "keys-with-a-common-bias", bias, 5, 4, ()


def select_merge(authors):
    group = Group(
        "select-merge",
        "The authors' selection and merge alone, on small tensors: random ones, and sets made for one thing each.",
        ["VZ-2", "VZ-3", "VZ-4.1", "VZ-4.2"],
        KINDS,
        evaluations(),
    )
    for case_id, inputs, K, M, flags in (*selection_cases(), *merge_cases()):
        add_case(group, authors, case_id, inputs, K, M, flags)
    add_random(group, authors)
    return group
