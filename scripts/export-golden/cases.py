"""golden/tiny-llava/scene-*.{png,jpg} and cases.json: pictures that the embedded model has not seen, and what the authors' code
answers about them with its weights, at 576, 192, 128 and 64 visual tokens.

    VENV/bin/python scripts/export-golden/cases.py --visionzip DIR --llava DIR [--pictures] golden/tiny-llava

Pictures are drawn as training draws them, from another stream of random numbers; --pictures draws them anew.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")

import numpy
import torch
import transformers
from authors_code import commit_of, import_authors
from PIL import Image
from tiny_llava import ALL, BUDGETS, build, encode, generate, prompt_ids, set_budget, start_of
from transformers import CLIPImageProcessor, LlamaTokenizer

sys.path.append(str(Path(__file__).resolve().parents[1] / "train-tiny-llava"))

from questions import TYPES, draw_question
from recipe import SEED
from scenes import COLORS, SHAPES, draw_scene, picture_of

HELD_OUT = 9  # the stream of random numbers; training uses 0 to 5
# Name, pixels of the picture to one of the scene, number of objects.
PICTURES = (
    ("scene-0.png", 1, 2),
    ("scene-1.png", 1, 3),
    ("scene-2.png", 1.5, 4),
    ("scene-3.jpg", 2, 5),
    ("scene-4.png", 1, 3),
    ("scene-5.png", 1, 4),
)
LONGEST = 64
CLEAR_CUT, CLEAR_LEAD = 2e-3, 0.05  # decisions that float32 takes alike everywhere


class Authors:
    def __init__(self, authors, folder):
        self.authors = authors
        raw = json.loads((folder / "config.json").read_text())
        self.model = build(authors, raw, torch.float32)
        self.tokenizer = LlamaTokenizer.from_pretrained(folder)
        self.processor = CLIPImageProcessor.from_pretrained(folder)

    def answers(self, picture, questions):
        """For each question, by number of visual tokens, what cases.json says."""
        from llava.mm_utils import process_images

        pixels = process_images([picture], self.processor, SimpleNamespace(image_aspect_ratio="pad")).numpy()
        found = [{} for _ in questions]
        for budget in (ALL, *BUDGETS):
            set_budget(self.authors, self.model, budget)
            _, _, zipped = encode(self.model, pixels, torch.float32)
            sets = {} if zipped is None else decisions(zipped)
            name = ALL if budget == ALL else str(sum(BUDGETS[budget]))
            for question, answers in zip(questions, found, strict=True):
                answers[name] = {**self.answer(question, pixels), **sets}
        return found

    def answer(self, question, pixels):
        token_ids = prompt_ids(self.tokenizer, "hf", [question], [])
        chosen = generate(self.model, token_ids, pixels, torch.float32, LONGEST)
        logits = self.logits(token_ids, pixels, chosen)
        first, leads = logits[0].topk(5), logits.topk(2).values
        said = [token for token in chosen if token != self.tokenizer.eos_token_id]
        return {
            "text": self.tokenizer.decode(said).strip(),
            "tokenIds": said,
            "logitMargin": rounded(leads[:, 0] - leads[:, 1]).min().item(),
            "firstLogits": {"ids": first.indices.tolist(), "values": rounded(first.values).tolist()},
        }

    @torch.no_grad()
    def logits(self, token_ids, pixels, chosen):
        """Of each step of an answer [steps, V]."""
        embeds = start_of(self.model, token_ids, pixels, torch.float32)
        said = self.model.model.embed_tokens(torch.tensor([chosen[:-1]], dtype=torch.long))
        logits = self.model(inputs_embeds=torch.cat([embeds, said], 1)).logits[0]
        return logits[embeds.shape[1] - 1 :]


def rounded(x):
    return torch.round(x.double(), decimals=6)


def decisions(zipped):
    scores, kept = zipped["scores"][0], zipped["keptTokenIndices"][0]
    inside = numpy.zeros(len(scores), dtype=bool)
    inside[kept[1:] - 1] = True
    least, most = scores[inside].min(), scores[~inside].max()
    return {
        "kept": kept.tolist(),
        "targets": zipped["targetTokenIndices"][0].tolist(),
        "cutMargin": round(float((least - most) / least), 7),
    }


def candidates(number):
    """Scenes that allow every type of question, with the questions."""
    _, _, objects = PICTURES[number]
    for i in range(1000):
        random = numpy.random.default_rng((SEED, HELD_OUT, number, i))
        scene = draw_scene(random, object_count=objects)
        drawn = [(kind, draw_question(kind, scene, random)) for kind in TYPES]
        if all(asked is not None for _, asked in drawn):
            yield scene, [(kind, *asked) for kind, asked in drawn], random


def is_clear(case):
    ways = [way for question in case["questions"] for way in question["answers"].values()]
    return all(way.get("cutMargin", 1) >= CLEAR_CUT and way["logitMargin"] >= CLEAR_LEAD for way in ways)


def answered(authors, folder, case):
    """A case with the answers of the authors' code to its questions."""
    picture = Image.open(folder / case["image"]).convert("RGB")
    questions = case["questions"]
    found = authors.answers(picture, [one["question"] for one in questions])
    return {**case, "questions": [{**one, "answers": answers} for one, answers in zip(questions, found, strict=True)]}


def draw_pictures(authors, folder):
    """Draws each picture until every decision about it is clear. -> the cases."""
    for number, (name, scale, _) in enumerate(PICTURES):
        for scene, questions, random in candidates(number):
            picture = Image.fromarray(picture_of(scene, random, scale))
            picture.save(folder / name, **({"quality": 92} if name.endswith(".jpg") else {"optimize": True}))
            case = answered(authors, folder, unanswered(name, scene, questions))
            if is_clear(case):
                yield case
                break
            print(f"{name}: another one", flush=True)


def unanswered(name, scene, questions):
    return {
        "image": name,
        "objects": [
            {"cell": one.cell, "shape": SHAPES[one.shape], "color": COLORS[one.color], "radius": round(one.radius, 2)}
            for one in scene.objects
        ],
        "questions": [{"type": kind, "question": text, "truth": truth} for kind, text, truth in questions],
    }


def main():
    parser = argparse.ArgumentParser(description="Writes cases.json from the authors' own code.")
    parser.add_argument("--visionzip", required=True, help="a checkout of dvlab-research/VisionZip at 3151f6d")
    parser.add_argument("--llava", required=True, help="a checkout of haotian-liu/LLaVA at c121f04")
    parser.add_argument("--pictures", action="store_true", help="draws the pictures anew")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(True)
    authors = Authors(import_authors(arguments.visionzip, arguments.llava), arguments.folder)
    file = arguments.folder / "cases.json"
    if arguments.pictures:
        cases = list(draw_pictures(authors, arguments.folder))
    else:
        cases = [answered(authors, arguments.folder, case) for case in json.loads(file.read_text())["cases"]]
    record = {
        "model": "tiny-llava",
        "versions": {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "llava": commit_of(arguments.llava)[:7],
            "visionzip": commit_of(arguments.visionzip)[:7],
        },
        "cases": cases,
    }
    file.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
