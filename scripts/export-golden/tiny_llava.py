"""golden/embedded: the embedded model, golden/tiny-llava, run by the authors' code from pictures to answers and conversations.

The model is LLaVA's own LlavaLlamaForCausalLM, filled in memory with the weights of the checkpoint, whose names are those of
Hugging Face's layout. Answers of all patches come from the methods as the checkouts have them, the others after the
authors' visionzip(). The tower has six layers, so the list `r` is set after the patching.
"""

import hashlib
import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import clip_towers
import numpy
import torch
from authors_code import Watch, default_dtype, host, margins, zip_stages
from ensemble import DTYPES, evaluations
from golden_files import Group, tensor_hash
from llama_cases import FLOAT32_INSIDE
from PIL import Image
from safetensors.torch import load_file
from transformers import CLIPImageProcessor, CLIPVisionModel, LlamaTokenizer

MODEL = Path(__file__).resolve().parents[2] / "golden" / "tiny-llava"
BUDGETS = {"162+30": (162, 30), "108+20": (108, 20), "54+10": (54, 10)}
ALL = "576"
STEPS = 12  # of an answer at most
TOKEN_ROWS = (0, 1, 31, 53, 54, 63)
LAYERS_OF = ("scene-0", "scene-2", "scene-3")  # of whose first question the decoder's layers are stored, and who are run in every way
WHOLE = ("scene-0", "54+10")  # whole tensors instead of rows

# Which of the questions of cases.json, by type.
QUESTIONS = {
    "scene-0": ("what", "ncolor", "caption"),
    "scene-1": ("color", "where", "yesno"),
    "scene-2": ("where", "shape", "count"),
    "scene-3": ("what", "where", "caption"),
    "scene-4": ("count", "where", "yesno"),
    "scene-5": ("color", "what", "count"),
}
# Conversations: picture, budgets, template, and three questions.
CHATS = (
    ("scene-0", (ALL, "54+10"), "hf", ("what", "ncolor", "caption")),
    ("scene-1", (ALL, "108+20"), "hf", ("color", "where", "yesno")),
    ("scene-3", ("162+30", "54+10"), "hf", ("shape", "what", "count")),
    ("scene-5", (ALL, "54+10"), "vicuna_v1", ("shape", "where", "yesno")),
)

CLIP_FIELDS = tuple(clip_towers.config(1, 1, 1, 1, 1, 1))
VISION_DEFAULTS = {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}
BUFFERS = ("inv_freq", "position_ids")  # of the modules, not in the checkpoint

REAL = ("real", "rms")
KINDS = {
    **{f"{stage}.{part}": REAL for stage in ("embeddings", *clip_towers.LAYER_KINDS) for part in ("rows", "lengths")},
    "meanKeys": REAL,
    **clip_towers.LAYER_KINDS,
    **clip_towers.ZIP_KINDS,
    "contextualTokens": REAL,
    "projectedTokens.rows": REAL,
    "projectedTokens.lengths": REAL,
    "prompt.before": ("index", None),
    "prompt.after": ("index", None),
    "inputEmbeds": REAL,
    "inputEmbeds.rows": REAL,
    "inputEmbeds.lengths": REAL,
    **{f"layers.*.{stage}{part}": REAL for stage in ("keys", "values") for part in (".rows", ".lengths")},
    "layers.*.values": REAL,
    "logits": REAL,
    "greedyLogits": REAL,
    "greedyIds": ("argmax", None),
    "turns.*.prompt.after": ("index", None),
    "turns.*.greedyLogits": REAL,
    "turns.*.greedyIds": ("argmax", None),
}
PATCHED = (
    ("transformers.models.clip.modeling_clip", "CLIPEncoderLayer", "forward"),
    ("transformers.models.clip.modeling_clip", "CLIPAttention", "forward"),
    ("llava.model.multimodal_encoder.clip_encoder", "CLIPVisionTower", "forward"),
    ("llava.model.llava_arch", "LlavaMetaForCausalLM", "prepare_inputs_labels_for_multimodal"),
)


def unpatch():
    """Puts back what visionzip() has replaced, from a second reading of the modules' files."""
    for module_name, class_name, method in PATCHED:
        spec = importlib.util.find_spec(module_name)
        again = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(again)
        setattr(getattr(sys.modules[module_name], class_name), method, getattr(getattr(again, class_name), method))


# --- the model ----------------------------------------------------------------------------------------


def build(authors, raw, dtype):
    """LLaVA with the checkpoint's weights. Every weight has its place, and every place its weight."""
    from llava.model.language_model.llava_llama import LlavaConfig, LlavaLlamaForCausalLM
    from llava.model.multimodal_projector.builder import build_vision_projector

    text, vision = raw["text_config"], {**VISION_DEFAULTS, **raw["vision_config"]}
    config = LlavaConfig(**text, mm_hidden_size=vision["hidden_size"], mm_projector_type="mlp2x_gelu")
    config._attn_implementation = "eager"
    tower = clip_towers.build(authors, {name: vision[name] for name in CLIP_FIELDS}, dtype)
    tower.select_layer, tower.select_feature = raw["vision_feature_layer"], "patch"
    with default_dtype(dtype):
        model = LlavaLlamaForCausalLM(config)
        model.model.vision_tower = tower
        model.model.mm_projector = build_vision_projector(config)
    model = model.eval().to(dtype)
    weights = {own_name(name): x.to(dtype) for name, x in load_file(MODEL / "model.safetensors").items()}
    found = model.load_state_dict(weights, strict=False)
    assert not found.unexpected_keys and all(name.endswith(BUFFERS) for name in found.missing_keys), found
    return model


def own_name(name):
    """Hugging Face's name of a weight -> the one in the authors' model."""
    for theirs, own in (
        ("language_model.model.", "model."),
        ("language_model.lm_head.", "lm_head."),
        ("vision_tower.", "model.vision_tower.vision_tower."),
        ("multi_modal_projector.linear_1.", "model.mm_projector.0."),
        ("multi_modal_projector.linear_2.", "model.mm_projector.2."),
    ):
        if name.startswith(theirs):
            return own + name[len(theirs) :]
    raise AssertionError(name)


def set_budget(authors, model, budget):
    """The authors' public call, or the methods as they were."""
    if budget == ALL:
        unpatch()
        return
    K, M = BUDGETS[budget]
    tower = model.get_vision_tower().vision_tower
    tower.__class__ = CLIPVisionModel  # visionzip() would make a class of the class of the last time
    authors.visionzip(model, dominant=K, contextual=M)
    tower.r = [0] * (len(tower.vision_model.encoder.layers) - 2) + [1, 0]


# --- runs ---------------------------------------------------------------------------------------------


def encode(model, pixels, dtype):
    """The visual tokens of a picture before and behind the projector, and what was decided, at the budget that is set."""
    tower = model.get_vision_tower()
    images = torch.tensor(pixels, dtype=dtype)
    with Watch() as watch, torch.no_grad():
        output = tower(images)
        tokens, all_indices = output if isinstance(output, tuple) else (output, None)
        projected = model.model.mm_projector(tokens)
    zipped = None if all_indices is None else zip_stages(watch, tokens, all_indices, tower.num_patches + 1)
    return host(tokens), host(projected), zipped


def start_of(model, token_ids, pixels, dtype):
    """The prompt with the picture in it [1, T, E], as the authors' model makes it."""
    ids, images = torch.tensor([token_ids]), torch.tensor(pixels, dtype=dtype)
    return model.prepare_inputs_labels_for_multimodal(ids, None, None, None, None, images)[4]


def generate(model, token_ids, pixels, dtype, steps=STEPS):
    """The ids of the authors' generate(), EOS included."""
    with default_dtype(dtype), torch.no_grad():
        ids = model.generate(
            torch.tensor([token_ids]),
            images=torch.tensor(pixels, dtype=dtype),
            do_sample=False,
            max_new_tokens=steps,
            pad_token_id=model.config.pad_token_id,
            use_cache=True,
        )[0].tolist()
    return ids[1:] if ids[0] == model.config.bos_token_id else ids


def answer(model, token_ids, pixels, chosen, dtype):
    """The stages of the prompt, and the logits [1, steps, V] of an answer whose tokens are `chosen`."""
    outputs = [[] for _ in model.model.layers]
    hooks = [
        layer.register_forward_hook(lambda module, inputs, output, i=i: outputs[i].append(output[0]))
        for i, layer in enumerate(model.model.layers)
    ]
    logits = []  # as the head gives them: the model rounds its own to float32
    hooks.append(model.lm_head.register_forward_hook(lambda module, inputs, output: logits.append(output[:, -1])))
    with default_dtype(dtype), torch.no_grad():
        embeds = start_of(model, token_ids, pixels, dtype)
        step = model(inputs_embeds=embeds, use_cache=True)
        stages = {"inputEmbeds": host(embeds)}
        for i, (keys, values) in enumerate(step.past_key_values):
            stages[f"layers.{i}.keys"], stages[f"layers.{i}.values"] = host(keys), host(values)
            stages[f"layers.{i}.hiddenStates"] = host(outputs[i][0])
        stages["logits"] = host(logits[0])
        for token in chosen[:-1]:
            step = model(torch.tensor([[token]]), past_key_values=step.past_key_values, use_cache=True)
    for hook in hooks:
        hook.remove()
    return {**stages, "greedyLogits": host(torch.stack(logits, 1)), "greedyIds": numpy.array([chosen])}


def leads(logits):
    """How far the chosen token stands above the next one, step by step."""
    ordered = numpy.sort(logits, axis=-1)
    return (ordered[..., -1] - ordered[..., -2]).tolist()


# --- prompts ------------------------------------------------------------------------------------------


def prompt_ids(tokenizer, template, questions, answers):
    """The ids of a conversation up to the answer that is asked for, -200 in the place of the picture. `hf` is the authors'
    vicuna_v1 without its system sentence and the separator behind it."""
    from llava.conversation import conv_templates
    from llava.mm_utils import tokenizer_image_token

    conversation = conv_templates["vicuna_v1"].copy()
    for i, question in enumerate(questions):
        conversation.append_message(conversation.roles[0], f"<image>\n{question}" if i == 0 else question)
        conversation.append_message(conversation.roles[1], answers[i] if i < len(answers) else None)
    text = conversation.get_prompt()
    if template == "hf":
        text = text.removeprefix(conversation.system + conversation.sep)
    return tokenizer_image_token(text, tokenizer)


def sides(token_ids):
    from llava.constants import IMAGE_TOKEN_INDEX

    place = token_ids.index(IMAGE_TOKEN_INDEX)
    return numpy.array([token_ids[:place]]), numpy.array([token_ids[place + 1 :]])


# --- what is stored -----------------------------------------------------------------------------------


def rows_and_lengths(name, x, rows):
    """Some rows of the second-to-last axis, and the length of every row."""
    return {f"{name}.rows": x[..., list(rows), :], f"{name}.lengths": numpy.linalg.norm(x, axis=-1)}


def shorten(stages, rows):
    """The decoder's stages as rows; hidden states are seen in the keys and values of the next layer."""
    result = {}
    for name, x in stages.items():
        if name.endswith(".hiddenStates"):
            continue
        if name == "inputEmbeds" or name.endswith((".keys", ".values")):
            result.update(rows_and_lengths(name, x, rows))
        else:
            result[name] = x
    return result


def copied(stages, names):
    return {name: stages[name] for name in names}


def questions_about(name, kinds):
    """The questions of some types about a picture, from cases.json."""
    cases = json.loads((MODEL / "cases.json").read_text())["cases"]
    asked = next(case["questions"] for case in cases if case["image"].startswith(f"{name}."))
    return tuple(next(one["question"] for one in asked if one["type"] == kind) for kind in kinds)


class Pictures:
    """The model at each precision, and what is the same for all questions about a picture."""

    def __init__(self, authors):
        from llava.mm_utils import process_images

        self.authors = authors
        self.raw = json.loads((MODEL / "config.json").read_text())
        self.tokenizer = LlamaTokenizer.from_pretrained(MODEL)
        self.process = lambda picture: process_images(
            [picture], CLIPImageProcessor.from_pretrained(MODEL), SimpleNamespace(image_aspect_ratio="pad")
        )
        self.models = {dtype: build(authors, self.raw, dtype) for dtype in (torch.float64, *DTYPES.values())}
        self.same = set()  # (evaluation, picture, budget) whose decisions are those of float64

    def pixels(self, name):
        file = next(MODEL.glob(f"{name}.*"))
        pixels = self.process(Image.open(file).convert("RGB")).numpy()
        assert pixels.dtype == numpy.float32
        record = {"picture": f"../tiny-llava/{file.name}", "mode": "pad", "shape": list(pixels.shape)}
        return {**record, "sha256": tensor_hash(pixels)}, pixels

    def encoded(self, pixels, dtype):
        """All stages of a picture at one precision, and of each budget the decisions."""
        model = self.models[dtype]
        tower = model.get_vision_tower()
        clip = {**VISION_DEFAULTS, **self.raw["vision_config"]}
        zips, projected = {}, {}
        with default_dtype(dtype):
            set_budget(self.authors, model, ALL)
            patches, projected[ALL], _ = encode(model, pixels, dtype)
            notes = clip_towers.watch_modules(tower)
            for budget in BUDGETS:
                set_budget(self.authors, model, budget)
                _, projected[budget], zips[budget] = encode(model, pixels, dtype)
                clip_towers.check_metric(tower, notes, clip)
        stages = clip_towers.layer_stages(notes, clip)
        drop_hooks(tower)
        close = 64 * torch.finfo(dtype).eps * numpy.abs(patches).max()
        assert numpy.allclose(stages["hiddenStates"][:, 1:], patches, rtol=0, atol=close)
        return clip_towers.shorten_wide(stages), zips, projected


def drop_hooks(tower):
    for module in tower.vision_tower.modules():
        module._forward_hooks.clear()


# --- cases --------------------------------------------------------------------------------------------


def add_picture(group, pictures, name):
    record, pixels = pictures.pixels(name)
    expected, zips, projected = pictures.encoded(pixels, torch.float64)
    expected["scores"] = zips["54+10"]["scores"]
    legitimate = {}
    for one in ways_for(group, name):
        with one.arithmetic():
            run = pictures.encoded(pixels, one.dtype)
        legitimate[one] = {}
        for budget in (ALL, *BUDGETS):
            stages, is_same = agreeing(*run, zips, budget)
            legitimate[one].update(stages)
            if is_same:
                pictures.same.add((one, name, budget))
    for budget in (ALL, *BUDGETS):
        if budget != ALL:
            stages, (K, _) = zips[budget], BUDGETS[budget]
            assert numpy.array_equal(stages["scores"], expected["scores"])
            for stage in ("keptTokenIndices", "targetTokenIndices", "similarity", "assignment", "counts"):
                expected[f"{stage}@{budget}"] = stages[stage]
            expected[f"contextualTokens@{budget}"] = stages["tokens"][:, K:]
        expected.update(projected_stages(projected, budget))
    params = {"kind": "picture", "budgets": [list(counts) for counts in BUDGETS.values()], "rOverridden": True}
    params.update(rows=list(clip_towers.WIDE_ROWS), tokenRows=list(TOKEN_ROWS))
    found = {budget: margins(stages) for budget, stages in zips.items()}
    group.add(name, {"pixelValues": record}, expected, legitimate, params=params, flags=[], margins=found)


def ways_for(group, name):
    """A run of all pictures in all ways takes an hour: three are run in all, the others as torch computes."""
    return [one for one in group.evaluations if name in LAYERS_OF or one.name == "library"]


def projected_stages(projected, budget):
    return {f"{stage}@{budget}": x for stage, x in rows_and_lengths("projectedTokens", projected[budget], TOKEN_ROWS).items()}


def agreeing(stages, zips, projected, exact_zips, budget):
    """What can be compared of a run at a budget: all before its first decision that is not that of float64. And whether it has none."""
    if budget == ALL:
        return {**stages, **projected_stages(projected, budget)}, True
    exact, other, (K, _) = exact_zips[budget], zips[budget], BUDGETS[budget]
    result = {"scores": other["scores"]}
    same_kept = numpy.array_equal(exact["keptTokenIndices"], other["keptTokenIndices"])
    if same_kept:
        result[f"similarity@{budget}"] = other["similarity"]
    is_same = same_kept and numpy.array_equal(exact["assignment"], other["assignment"])
    if is_same:
        result[f"contextualTokens@{budget}"] = other["tokens"][:, K:]
        result.update(projected_stages(projected, budget))
    return result, is_same


def evaluated(group, pictures, name, budget, token_ids, pixels, chosen):
    """The stages of an answer by every evaluation that has decided as float64 did."""
    result = {}
    for one in ways_for(group, name):
        if (one, name, budget) in pictures.same:
            with one.arithmetic():
                result[one] = answer(pictures.models[one.dtype], token_ids, pixels, chosen, one.dtype)
    return result


def add_question(group, pictures, name, number, budget):
    _, pixels = pictures.pixels(name)
    question = questions_about(name, QUESTIONS[name])[number]
    token_ids = prompt_ids(pictures.tokenizer, "hf", [question], [])
    before, after = sides(token_ids)
    for model in pictures.models.values():
        set_budget(pictures.authors, model, budget)
    exact = pictures.models[torch.float64]
    chosen = generate(exact, token_ids, pixels, torch.float64)
    stages = answer(exact, token_ids, pixels, chosen, torch.float64)
    assert numpy.array_equal(stages["greedyLogits"].argmax(-1), stages["greedyIds"])
    gaps = leads(stages["greedyLogits"])
    # The tolerances come from one question about each picture.
    runs = evaluated(group, pictures, name, budget, token_ids, pixels, chosen) if number == 0 else {}
    params = {"kind": "question", "picture": name, "budget": budget, "template": "hf", "question": question}
    params["answer"] = pictures.tokenizer.decode(chosen, skip_special_tokens=True).strip()
    keep = lambda stages: stages
    if number > 0 or name not in LAYERS_OF:
        keep = lambda stages: copied(stages, ("greedyLogits", "greedyIds"))
    elif (name, budget) != WHOLE:
        visual = before.shape[1]
        params["rows"] = [0, visual, visual + 63, stages["inputEmbeds"].shape[1] - 1]
        keep = lambda stages: shorten(stages, params["rows"])
    group.add(
        f"{name}-{number}-{budget}",
        {},
        {"prompt.before": before, "prompt.after": after, **keep(stages)},
        {one: {stage: x for stage, x in keep(run).items() if stage != "greedyIds"} for one, run in runs.items()},
        params=params,
        flags=[],
        margins={"greedy": gaps},
    )


def add_chat(group, pictures, name, budget, template, questions):
    """Each turn from nothing, with the text of all turns before it, as the authors' code does it."""
    _, pixels = pictures.pixels(name)
    for model in pictures.models.values():
        set_budget(pictures.authors, model, budget)
    exact = pictures.models[torch.float64]
    answers, expected, gaps = [], {}, []
    legitimate = {one: {} for one in group.evaluations}
    for i in range(len(questions)):
        token_ids = prompt_ids(pictures.tokenizer, template, questions[: i + 1], answers)
        before, after = sides(token_ids)
        chosen = generate(exact, token_ids, pixels, torch.float64)
        answers.append(pictures.tokenizer.decode(chosen, skip_special_tokens=True).strip())
        stages = answer(exact, token_ids, pixels, chosen, torch.float64)
        assert numpy.array_equal(stages["greedyLogits"].argmax(-1), stages["greedyIds"])
        if i == 0:
            expected["prompt.before"] = before
        expected[f"turns.{i}.prompt.after"] = after
        for stage in ("greedyLogits", "greedyIds"):
            expected[f"turns.{i}.{stage}"] = stages[stage]
        # The tolerances come from the first conversation.
        if name == CHATS[0][0]:
            for one, run in evaluated(group, pictures, name, budget, token_ids, pixels, chosen).items():
                legitimate[one][f"turns.{i}.greedyLogits"] = run["greedyLogits"]
        gaps.append(leads(stages["greedyLogits"]))
    params = {"kind": "chat", "picture": name, "budget": budget, "template": template}
    params.update(questions=list(questions), answers=answers)
    case_id = f"{name}-chat-{template}-{budget}"
    group.add(case_id, {}, expected, legitimate, params=params, flags=[], margins={"turns": gaps})


def embedded(authors):
    group = Group(
        "embedded",
        "The embedded model on its pictures, at 576, 192, 128 and 64 visual tokens: every stage, answers, conversations.",
        ["M-1", "M-3", "M-4", "M-5", "M-6", "M-7", "M-8", "VZ-2", "VZ-3", "VZ-4"],
        KINDS,
        evaluations(with_held_out=False),
        FLOAT32_INSIDE,
    )
    pictures = Pictures(authors)
    file = MODEL / "model.safetensors"
    source = {"file": f"../tiny-llava/{file.name}", "fileSha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    group.weights["tiny-llava"] = {"config": {**source, **pictures.raw}, "tensors": {}}
    for name, questions in QUESTIONS.items():
        add_picture(group, pictures, name)
        for budget in (ALL, *BUDGETS):
            for number in range(len(questions)):
                add_question(group, pictures, name, number, budget)
    for name, budgets, template, questions in CHATS:
        for budget in budgets:
            add_chat(group, pictures, name, budget, template, questions_about(name, questions))
    unpatch()
    return group
