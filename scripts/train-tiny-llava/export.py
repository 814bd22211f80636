"""The trained model as a folder in the layout of Hugging Face, in f16."""

import json
import shutil

from recipe import (
    DECODER,
    FEATURE_LAYER,
    IMAGE_SIZE,
    IMAGE_TOKEN,
    MEAN,
    PAD_TOKEN,
    PATCH_SIZE,
    STD,
    TOWER,
    VOCABULARY,
)
from safetensors.torch import save_file
from transformers import AddedToken, LlamaTokenizer, LlamaTokenizerFast

CHAT_TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'user' %}USER: {% for c in m['content'] %}{% if c['type'] == 'image' %}"
    "<image>\n{% else %}{{ c['text'] }}{% endif %}{% endfor %} ASSISTANT:{% else %} {{ m['content'][0]['text'] }}</s>"
    "{% endif %}{% endfor %}"
)


def config():
    return {
        "architectures": ["LlavaForConditionalGeneration"],
        "ignore_index": -100,
        "image_token_index": IMAGE_TOKEN,
        "model_type": "llava",
        "projector_hidden_act": "gelu",
        "text_config": {
            "hidden_size": DECODER.width,
            "intermediate_size": DECODER.mlp,
            "model_type": "llama",
            "num_attention_heads": DECODER.heads,
            "num_hidden_layers": DECODER.layers,
            "num_key_value_heads": DECODER.heads,
            "pad_token_id": PAD_TOKEN,
            "rms_norm_eps": DECODER.rms_norm_eps,
            "rope_theta": DECODER.rope_theta,
            "vocab_size": VOCABULARY,
        },
        "torch_dtype": "float16",
        "transformers_version": "4.37.2",
        "vision_config": {
            "hidden_size": TOWER.width,
            "image_size": IMAGE_SIZE,
            "intermediate_size": TOWER.mlp,
            "model_type": "clip_vision_model",
            "num_attention_heads": TOWER.heads,
            "num_hidden_layers": TOWER.layers,
            "patch_size": PATCH_SIZE,
            "projection_dim": TOWER.width,
        },
        "vision_feature_layer": FEATURE_LAYER,
        "vision_feature_select_strategy": "default",
        "vocab_size": VOCABULARY,
    }


def preprocessor_config():
    return {
        "crop_size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": MEAN,
        "image_processor_type": "CLIPImageProcessor",
        "image_std": STD,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"shortest_edge": IMAGE_SIZE},
    }


def weights(tower, projector, decoder):
    tensors = {}
    for name, x in tower.state_dict().items():
        match name.split(".")[0]:
            case "class_embedding":
                name = f"embeddings.{name}"
            case "patch_embedding":
                x = x.view(TOWER.width, 3, PATCH_SIZE, PATCH_SIZE)
                name = f"embeddings.{name}"
            case "position_embedding":
                name = "embeddings.position_embedding.weight"
            case "layers":
                name = f"encoder.{name}"
        tensors[f"vision_tower.vision_model.{name}"] = x
    for name, x in projector.state_dict().items():
        tensors[f"multi_modal_projector.{name}"] = x
    for name, x in decoder.state_dict().items():
        tensors[f"language_model.{name}" if name.startswith("lm_head") else f"language_model.model.{name}"] = x
    return {name: x.half().contiguous() for name, x in tensors.items()}


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def export(folder, tokenizer_model, tower, projector, decoder):
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "model.safetensors"
    save_file(weights(tower, projector, decoder), file, metadata={"format": "pt"})
    file.chmod(0o644)
    write_json(folder / "config.json", config())
    write_json(folder / "preprocessor_config.json", preprocessor_config())
    shutil.copy(tokenizer_model, folder / "tokenizer.model")
    settings = {"legacy": True, "add_bos_token": True, "add_eos_token": False, "chat_template": CHAT_TEMPLATE}
    tokenizer = LlamaTokenizer(str(tokenizer_model), **settings)
    tokenizer.add_tokens([AddedToken("<image>", normalized=False, special=True)])
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    assert tokenizer.convert_tokens_to_ids(["<image>", "<pad>"]) == [IMAGE_TOKEN, PAD_TOKEN]
    tokenizer.save_pretrained(folder)
    LlamaTokenizerFast.from_pretrained(folder, legacy=True).backend_tokenizer.save(str(folder / "tokenizer.json"))
