"""golden/llava-layouts: one small random LLaVA, run whole by the authors' code, with formula weights.

The weights have the names of the authors' LlavaLlamaForCausalLM. The same weights in transformers'
LlavaForConditionalGeneration, under the names of llava-hf, have to give the same logits without VisionZip; that is checked
here, so that one golden judges a checkpoint in either layout. Positions are scaled linearly.
"""

import clip_towers
import numpy
import torch
from authors_code import default_dtype, margins
from ensemble import DTYPES, evaluations
from formula_weights import fill, formula_input
from golden_files import Group
from grid8 import splitmix64
from llama_cases import FLOAT32_INSIDE
from tiny_llava import answer, encode, generate, leads, own_name, unpatch
from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlavaForConditionalGeneration
from transformers import LlavaConfig as HubConfig

MODEL_ID = "llava-small"
BUDGETS = {"all": None, "5+3": (5, 3)}
PICTURES = ("0", "1")
IMAGE_TOKEN = 512  # of llava-hf's layout, where the picture has a token
VISION = clip_towers.config(24, 40, 4, 3, 20, 4)
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 56,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 514,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "rope_scaling": {"type": "linear", "factor": 2.5},
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
REAL = ("real", "rms")
KINDS = {
    "keptTokenIndices": ("index", None),
    "targetTokenIndices": ("index", None),
    "assignment": ("index", None),
    "visualTokens": REAL,
    "projectedTokens": REAL,
    "inputEmbeds": REAL,
    "logits": REAL,
    "greedyLogits": REAL,
    "greedyIds": ("argmax", None),
}
DECISIONS = ("keptTokenIndices", "targetTokenIndices", "assignment")
CLEAR = 1e-3  # the least margin of any decision: none is open


def build(authors, dtype):
    """The authors' model around LLaVA's tower, and how its weights are made."""
    from llava.model.language_model.llava_llama import LlavaConfig, LlavaLlamaForCausalLM
    from llava.model.multimodal_projector.builder import build_vision_projector

    config = LlavaConfig(**TEXT, mm_hidden_size=VISION["hidden_size"], mm_projector_type="mlp2x_gelu")
    config._attn_implementation = "eager"
    tower = clip_towers.build(authors, VISION, dtype)
    tower.select_layer, tower.select_feature = -2, "patch"
    with default_dtype(dtype):
        model = LlavaLlamaForCausalLM(config)
        model.model.vision_tower = tower
        model.model.mm_projector = build_vision_projector(config)
    model = model.eval().to(dtype)
    return model, fill(MODEL_ID, model)


def hub_model(model):
    """The same weights in transformers' own LLaVA. Every weight has its place, and every place its weight."""
    config = HubConfig(CLIPVisionConfig(**VISION), LlamaConfig(**TEXT), image_token_index=IMAGE_TOKEN, pad_token_id=0)
    config._attn_implementation = config.text_config._attn_implementation = "eager"
    with default_dtype(torch.float64):
        hub = LlavaForConditionalGeneration(config).eval().double()
    weights = model.state_dict()
    found = hub.load_state_dict({name: weights[own_name(name)] for name in hub.state_dict()}, strict=True)
    assert not found.missing_keys and not found.unexpected_keys
    assert {own_name(name) for name, _ in hub.named_parameters()} == {name for name, _ in model.named_parameters()}
    return hub


def check_hub(hub, before, after, pixels, chosen, expected):
    """In float64, transformers' LLaVA gives the logits [1, steps, V] that the authors' gives, from the whole sequence at once."""
    logits = []
    hook = hub.language_model.lm_head.register_forward_hook(lambda module, inputs, output: logits.append(output))
    ids = torch.tensor([[*before, IMAGE_TOKEN, *after, *chosen[:-1]]])
    with default_dtype(torch.float64), torch.no_grad():
        hub(ids, torch.tensor(pixels), attention_mask=torch.ones_like(ids))
    hook.remove()
    got = logits[0][:, -len(chosen) :].numpy()
    assert got.shape == expected.shape
    worst = numpy.abs(got - expected).max() / numpy.abs(expected).max()
    assert worst < 1e-6, worst  # RMSNorm is in float32 even here


def set_budget(authors, model, budget):
    unpatch()
    if budget is None:
        return
    tower = model.get_vision_tower()
    tower.vision_tower.__class__ = CLIPVisionModel
    authors.visionzip(model, dominant=budget[0], contextual=budget[1])
    tower.vision_tower.r = [0] * (VISION["num_hidden_layers"] - 2) + [1, 0]


def drawn_ids(name, count):
    """Ids that are neither special nor the picture's."""
    return [3 + int(q) % 500 for q in splitmix64(f"{MODEL_ID}:{name}", count) >> numpy.uint64(11)]


def run(authors, model, before, after, pixels, budget, dtype, chosen=None):
    set_budget(authors, model, budget)
    with default_dtype(dtype):
        tokens, projected, zipped = encode(model, pixels, dtype)
    prompt = [*before, -200, *after]
    chosen = chosen or generate(model, prompt, pixels, dtype)
    stages = answer(model, prompt, pixels, chosen, dtype)
    kept = {"visualTokens": tokens, "projectedTokens": projected}
    kept.update({name: stages[name] for name in ("inputEmbeds", "logits", "greedyLogits", "greedyIds")})
    return kept, zipped, chosen


def add_case(group, authors, models, hub, picture, name):
    budget = BUDGETS[name]
    case_id = f"picture-{picture}-{name}"
    record, pixels = formula_input(f"{MODEL_ID}:pixelValues.{picture}", (1, 3, VISION["image_size"], VISION["image_size"]), 1)
    before, after = [1, *drawn_ids(f"before.{picture}", 4)], drawn_ids(f"after.{picture}", 6)
    exact, zipped, chosen = run(authors, models[torch.float64], before, after, pixels, budget, torch.float64)
    assert numpy.array_equal(exact["greedyLogits"].argmax(-1), exact["greedyIds"])
    found = {"greedy": leads(exact["greedyLogits"])}
    params = {"budget": None if budget is None else list(budget), "rOverridden": budget is not None}
    decisions = {}
    if budget is None:
        check_hub(hub, before, after, pixels, chosen, exact["greedyLogits"])
    else:
        decisions = {stage: zipped[stage] for stage in DECISIONS}
        found.update(margins(zipped))
        assert min(*found["cut"], found["assignment"]) > CLEAR, found
    inputs = {"pixelValues": record, "prompt.before": numpy.array([before]), "prompt.after": numpy.array([after])}
    legitimate = {}
    for one in group.evaluations:
        with one.arithmetic():
            stages, other, _ = run(authors, models[one.dtype], before, after, pixels, budget, one.dtype, chosen)
        same = all(numpy.array_equal(x, other[stage]) for stage, x in decisions.items())
        assert same or one.precision != "f32", one.name
        legitimate[one] = {stage: x for stage, x in stages.items() if same and stage != "greedyIds"}
    group.add(case_id, inputs, {**decisions, **exact}, legitimate, params=params, flags=["LinearScaling"], margins=found)


def llava_layouts(authors):
    group = Group(
        "llava-layouts",
        "One small random LLaVA, whose checkpoint the reader makes in either layout: visual tokens to greedy ids.",
        ["M-2.29", "M-5", "M-6", "M-7.1", "VZ-4"],
        KINDS,
        evaluations(),
        FLOAT32_INSIDE,
    )
    models = {}
    for dtype in (*DTYPES.values(), torch.float64):
        models[dtype], weights = build(authors, dtype)
    hub = hub_model(models[torch.float64])
    group.weights[MODEL_ID] = {"config": {"text": TEXT, "vision": VISION, "image_token_index": IMAGE_TOKEN}, "tensors": weights}
    for picture in PICTURES:
        for name in BUDGETS:
            add_case(group, authors, models, hub, picture, name)
    unpatch()
    return group
