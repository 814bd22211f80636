"""Loads the model as transformers does and asks it cases.json at 576 visual tokens: python check_transformers.py golden/tiny-llava

The answers there are those of the authors' code, and of src (spec/visionzip/cases.spec.ts). Ends with 1 if one differs.
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from PIL import Image
from transformers import CLIPImageProcessor, LlamaTokenizerFast, LlavaForConditionalGeneration


def answer(model, tokenizer, pixels, question):
    ids = tokenizer(f"USER: <image>\n{question} ASSISTANT:", return_tensors="pt").input_ids
    if hasattr(model.config, "image_seq_length"):  # later versions: the processor repeats the placeholder, here this line
        place = int((ids[0] == model.config.image_token_index).nonzero())
        image = torch.full((1, 576), model.config.image_token_index)
        ids = torch.cat([ids[:, :place], image, ids[:, place + 1 :]], 1)
    said = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        pixel_values=pixels,
        do_sample=False,
        max_new_tokens=64,
        eos_token_id=tokenizer.eos_token_id,
    )
    return tokenizer.decode(said[0, ids.shape[1] :], skip_special_tokens=True).strip()


def main():
    folder = Path(sys.argv[1])
    model = LlavaForConditionalGeneration.from_pretrained(folder, torch_dtype=torch.float32).eval()
    tokenizer = LlamaTokenizerFast.from_pretrained(folder, legacy=True)
    processor = CLIPImageProcessor.from_pretrained(folder)
    asked = wrong = 0
    for case in json.loads((folder / "cases.json").read_text())["cases"]:
        pixels = processor(Image.open(folder / case["image"]).convert("RGB"), return_tensors="pt").pixel_values
        for one in case["questions"]:
            got, wanted = answer(model, tokenizer, pixels, one["question"]), one["answers"]["576"]["text"]
            asked += 1
            if got != wanted:
                wrong += 1
                print(f"{case['image']}, {one['question']}: expected {wanted}, got {got}")
    print(f"transformers {transformers.__version__}: {asked - wrong} of {asked} answers are the same")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
