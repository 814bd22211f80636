"""golden/clip-tiny and golden/clip-large: whole CLIP vision towers, patched by the authors' visionzip().

The tower is transformers' CLIPVisionModel in LLaVA's CLIPVisionTower. Stages between are seen by hooks on the modules.
For towers of other than 24 layers the list `r`, which says at which layer the keys are kept, is set after the patching.
"""

from types import SimpleNamespace

import numpy
import torch
from authors_code import Watch, default_dtype, host, margins, zip_stages
from ensemble import DTYPES, evaluations
from formula_weights import fill, formula_input
from golden_files import Group
from transformers import CLIPVisionConfig, CLIPVisionModel

LAYER_KINDS = {
    "embeddings": ("real", "rms"),
    "layers.*.attentionIn": ("real", "rms"),
    "layers.*.attentionOut": ("real", "rms"),
    "layers.*.keys": ("real", "rms"),
    "layers.*.hiddenStates": ("real", "rms"),
    "keys": ("real", "rms"),
    "clsAttention": ("real", "rms"),
    "hiddenStates": ("real", "rms"),
}
ZIP_KINDS = {
    "scores": ("real", "element"),
    "keptTokenIndices": ("topk_set", None),
    "targetTokenIndices": ("index", None),
    "similarity": ("real", "one"),
    "assignment": ("argmax", None),
    "counts": ("index", None),
    "tokens": ("real", "rms"),
}
AUTHORS_LAYERS = 24


def build(authors, config, dtype):
    """LLaVA's tower around an empty CLIP, without its loader from files."""
    with default_dtype(dtype):
        clip = CLIPVisionModel(CLIPVisionConfig(**config, attention_dropout=0.0)).eval().to(dtype)
    tower = authors.tower_class.__new__(authors.tower_class)
    torch.nn.Module.__init__(tower)
    tower.vision_tower = clip
    tower.is_loaded = True
    return tower


def patch(authors, tower, K, M):
    """The authors' public call. For another tower than theirs the list `r` has to be set."""
    tower.vision_tower.__class__ = CLIPVisionModel  # visionzip() would make a class of the class of the last time
    authors.visionzip(SimpleNamespace(model=SimpleNamespace(vision_tower=tower)), dominant=K, contextual=M)
    layer_count = len(tower.vision_tower.vision_model.encoder.layers)
    if layer_count != AUTHORS_LAYERS:
        tower.vision_tower.r = [0] * (layer_count - 2) + [1, 0]


def watch_modules(tower):
    """Hooks that note what passes; returns the notes."""
    notes = {}

    def note(name, pick):
        return lambda module, inputs, output: notes.__setitem__(name, pick(output))

    tower.vision_tower.register_forward_hook(note("model", lambda output: output))
    for i, layer in enumerate(tower.vision_tower.vision_model.encoder.layers):
        layer.layer_norm1.register_forward_hook(note((i, "attentionIn"), lambda output: output))
        layer.self_attn.k_proj.register_forward_hook(note((i, "keys"), lambda output: output))
        layer.self_attn.register_forward_hook(note((i, "attentionOut"), lambda output: output[0]))
    return notes


def split_heads(x, head_count):
    B, N, C = x.shape
    return x.reshape(B, N, head_count, C // head_count).transpose(0, 2, 1, 3)


def check_metric(tower, notes, config):
    """What the authors' attention keeps as `metric` is the mean over the heads of the keys that a hook has seen."""
    used = config["num_hidden_layers"] - 2
    keys = split_heads(host(notes[(used, "keys")]), config["num_attention_heads"])
    metric = tower.vision_tower.vision_model.encoder.layers[used].metric
    assert numpy.allclose(host(metric), keys.mean(1), rtol=0, atol=8 * torch.finfo(metric.dtype).eps * numpy.abs(keys).max())


def layer_stages(notes, config):
    """All stages up to the second-to-last layer, which is the one that VisionZip reads."""
    output = notes["model"]
    used = config["num_hidden_layers"] - 2
    stages = {"embeddings": host(output.hidden_states[0])}
    for i in range(used + 1):
        keys = split_heads(host(notes[(i, "keys")]), config["num_attention_heads"])
        stages[f"layers.{i}.attentionIn"] = host(notes[(i, "attentionIn")])
        stages["keys" if i == used else f"layers.{i}.keys"] = keys
        if i == used:
            stages["clsAttention"] = host(output.attentions[used][:, :, 0])
        stages[f"layers.{i}.attentionOut"] = host(notes[(i, "attentionOut")])
        stages["hiddenStates" if i == used else f"layers.{i}.hiddenStates"] = host(output.hidden_states[i + 1])
    return stages


def run(authors, tower, notes, pixels, budgets, dtype):
    """Every stage of one tower, and the decisions at each budget."""
    zips = {}
    for K, M in budgets:
        patch(authors, tower, K, M)
        with default_dtype(dtype), Watch() as watch, torch.no_grad():
            tokens, all_indices = tower(torch.tensor(pixels, dtype=dtype))
        check_metric(tower, notes, tower.vision_tower.config.to_dict())
        zips[f"{K}+{M}"] = zip_stages(watch, tokens, all_indices, notes["model"].hidden_states[0].shape[1])
    return layer_stages(notes, tower.vision_tower.config.to_dict()), zips


def agreeing(stages, zips, exact_zips):
    """What can be compared of a run: all before its first decision that is not that of float64."""
    result = dict(stages)
    for budget, other in zips.items():
        exact = exact_zips[budget]
        result[f"scores@{budget}"] = other["scores"]
        same_kept = numpy.array_equal(exact["keptTokenIndices"], other["keptTokenIndices"])
        if same_kept:
            result[f"similarity@{budget}"] = other["similarity"]
        if same_kept and numpy.array_equal(exact["assignment"], other["assignment"]):
            result[f"tokens@{budget}"] = other["tokens"]
    return result


def add_tower(group, authors, model_id, config, budgets, batch=1, shifts=None, flags=(), shorten=lambda stages: stages, evaluated=None):
    """`evaluated`: how many of the budgets the tolerances come from, by default all."""
    shape = (batch, 3, config["image_size"], config["image_size"])
    record, pixels = formula_input(f"{model_id}:pixelValues", shape, 1)
    towers, weights = {}, None
    for dtype in (torch.float64, *DTYPES.values()):
        tower = build(authors, config, dtype)
        weights = fill(model_id, tower.vision_tower, shifts)
        towers[dtype] = (tower, watch_modules(tower))
    exact, zips = run(authors, *towers[torch.float64], pixels, budgets, torch.float64)
    expected = dict(exact)
    for budget, stages in zips.items():
        expected.update({f"{name}@{budget}": stages[name] for name in ZIP_KINDS})
    legitimate = {}
    for one in group.evaluations:
        with one.arithmetic():
            stages = run(authors, *towers[one.dtype], pixels, budgets[:evaluated], one.dtype)
        legitimate[one] = shorten(agreeing(*stages, zips))
    group.weights[model_id] = {"config": config, "tensors": weights}
    group.add(
        model_id,
        {"pixelValues": record},
        shorten(expected),
        legitimate,
        params={"B": batch, "budgets": [[K, M] for K, M in budgets], "rOverridden": config["num_hidden_layers"] != AUTHORS_LAYERS},
        flags=sorted(flags),
        margins={budget: margins(stages) for budget, stages in zips.items()},
    )


def config(hidden, mlp, layers, heads, image, patch_size, activation="quick_gelu"):
    return {
        "hidden_size": hidden,
        "intermediate_size": mlp,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "image_size": image,
        "patch_size": patch_size,
        "hidden_act": activation,
        "layer_norm_eps": 1e-5,
    }


def clip_tiny(authors):
    group = Group(
        "clip-tiny",
        "Small CLIP towers with formula weights, patched by the authors' visionzip(): every stage from pixels to tokens.",
        ["M-4", "VZ-2", "VZ-3", "VZ-4"],
        {**LAYER_KINDS, **ZIP_KINDS},
        evaluations(),
    )
    add_tower(group, authors, "tiny-plain", config(32, 64, 4, 4, 40, 8), [(6, 3), (10, 4), (1, 5)])
    add_tower(group, authors, "tiny-odd-grid", config(30, 45, 3, 3, 49, 7), [(9, 5), (20, 7)], flags=["OddSizes"])
    add_tower(group, authors, "tiny-batch", config(24, 48, 4, 2, 30, 6), [(5, 4)], batch=3, flags=["Batch"])
    quiet = {"embedding": -8}
    add_tower(
        group, authors, "tiny-low-variance", config(32, 64, 4, 4, 24, 6), [(5, 3)], shifts=quiet, flags=["LowVariance"]
    )
    add_tower(group, authors, "tiny-one-head", config(16, 40, 3, 1, 36, 6, "gelu"), [(8, 4)], flags=["ExactGelu"])
    loud = {".bias": 2}
    add_tower(group, authors, "tiny-loud-biases", config(32, 64, 4, 8, 35, 7), [(7, 4)], shifts=loud, flags=["LoudBiases"])
    add_tower(group, authors, "tiny-24-layers", config(16, 32, 24, 2, 20, 5), [(4, 3)], flags=["PatchedAsIs"])
    return group


# The wide tower: hidden states between the layers as a few rows and the length of every row.
WIDE_ROWS = (0, 1, 2, 97, 288, 289, 433, 576)
WIDE_BUDGETS = ((54, 10), (108, 20), (162, 30))


def shorten_wide(stages):
    """What is stored of the wide tower. Keys are their mean over the heads, tokens the contextual ones."""
    result = {}
    for name, x in stages.items():
        if name == "embeddings" or name.endswith((".attentionIn", ".hiddenStates")):
            result[f"{name}.rows"] = x[:, list(WIDE_ROWS)]
            result[f"{name}.lengths"] = numpy.linalg.norm(x, axis=-1)
        elif name.endswith((".keys", ".attentionOut")):
            continue
        elif name == "keys":
            result["meanKeys"] = x.mean(1)
        elif name.startswith("tokens@"):
            dominant = int(name.split("@")[1].split("+")[0])
            result[name.replace("tokens", "contextualTokens")] = x[:, dominant:]
        else:
            result[name] = x
    return result


def wide(authors, name, description, model_id, layer_count, flags=(), evaluated=None):
    ends = [f"{stage}.{part}" for stage in ("embeddings", *LAYER_KINDS) for part in ("rows", "lengths")]
    kinds = {stage: ("real", "rms") for stage in (*ends, "meanKeys", "contextualTokens")}
    group = Group(name, description, ["M-4", "VZ-2", "VZ-3", "VZ-4.3"], {**kinds, **LAYER_KINDS, **ZIP_KINDS}, evaluations(with_held_out=False))
    sizes = config(1024, 4096, layer_count, 16, 336, 14)
    add_tower(group, authors, model_id, sizes, list(WIDE_BUDGETS), flags=flags, shorten=shorten_wide, evaluated=evaluated)
    group.cases[-1]["params"]["rows"] = list(WIDE_ROWS)
    return group


def clip_large(authors):
    description = "The width of CLIP-L/14 at 336 pixels, 3 layers of which 2 are used, with formula weights, at the paper's budgets."
    return wide(authors, "clip-large", description, "clip-l-336", 3)


def clip_full(authors):
    description = "CLIP-L/14 at 336 pixels in full, 24 layers of which 23 are used, with formula weights, at the paper's budgets."
    return wide(authors, "clip-full", description, "clip-l-336-full", AUTHORS_LAYERS, flags=["PatchedAsIs"], evaluated=1)
