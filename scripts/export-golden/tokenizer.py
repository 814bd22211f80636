"""Writes golden/tokenizer/cases.json: what the Python tokenizers make of the embedded model's vocabulary.

    python -m venv venv && venv/bin/pip install -r scripts/export-golden/requirements-tokenizer.txt
    venv/bin/python scripts/export-golden/tokenizer.py golden/tiny-llava golden/tokenizer/cases.json

Every string is encoded by the slow tokenizer (SentencePiece, legacy=True: what LLaVA uses), by the fast
one, and by SentencePiece alone; the script stops where the first two disagree.

    encode   { text, ids, plainIds }  without BOS; plainIds: special tokens in the text are characters
    prompts  { prompt, before, after }  cut at <image>, each side by itself, BOS once (LLaVA's way)
    decode   { ids, text }            special tokens skipped, one leading space dropped

`--random N` adds N seeded random strings and id sequences, for a check beyond the committed file.
"""

import argparse
import json
import random

import sentencepiece
import tokenizers
import transformers
from transformers import LlamaTokenizer, LlamaTokenizerFast

TEXTS = [
    "", " ", "  ", "   ", "a", " a", "  a", "a ", "a  ", "a b", "a  b", "a   b", "\n", "\n\n", " \n ", "\t", "\r\n",
    "What color is the circle?", " What color is the circle?", "\nWhat color is the circle?", "USER: ", "ASSISTANT:",
    "What shape is the red object?", "How many objects are there?", "Where is the blue ring?", "A red circle",
    "A red circle in the top left, a blue ring in the center.", "Three", "Top left", "Yes", "Nothing",
    "0", "12", "3.14159", "1,000,000", "x=1;y=2", "don't", "it's", "Hello, world!", "HELLO", "hElLo wOrLd",
    "caf\u00e9", "cafe\u0301", "stra\u00dfe", "na\u00efve \u0152uvre", "\u4f60\u597d", "\u3053\u3093\u306b\u3061\u306f \u4e16\u754c",
    "\ud55c\uad6d\uc5b4", "\u0440\u0443\u0441\u0441\u043a\u0438\u0439", "\u0639\u0631\u0628\u064a", "\u05e2\u05d1\u05e8\u05d9\u05ea", "\u0e44\u0e17\u0e22",
    "\U0001f600", "a\U0001f600b", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\u2764\ufe0f",
    "\u0000", "a\u0000b", "\u0001\u0002\u001f", "\u007f", "\u0085", "\u00a0", "\u3000", "\u2003x", "\u200b", "\u2028", "\u2029",
    "\ufeff", "\ufeffx", "x\ufeff", "\ufffd", "\uffff", "\U0010ffff", "\u2581", "\u2581a", "a\u2581b", "\u2581\u2581",
    "<", "<s", "<s>", "</s>", "<unk>", "<pad>", "<image>", "a</s>b", "a </s> b", "</s></s>", "<s>a", "a<image>b", "<image>\na",
    "< s>", "</ s>", "<IMAGE>", "<image", "<0x41>", "<0xE2>", "[INST]", "<|im_start|>", "USER: <image>\nWhat? ASSISTANT:",
    "a\\b", "\"quoted\"", "`code`", "{\"json\": [1, 2]}", "http://example.org/a?b=c#d", "a@b.c", "#hash", "100%", "\u20ac5", "\u00bd",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "the the the the", "circlecirclecircle", " ".join(["red"] * 40),
]

PROMPTS = [
    "USER: <image>\nWhat color is the circle? ASSISTANT:",
    "USER: <image>\nWhat is in the top left? ASSISTANT: A red circle</s>USER: Is there a blue ring? ASSISTANT:",
    "<image>", "<image>a", "a<image>", " <image> ", "\n<image>\n", "a  <image>  b", "</s><image></s>",
    "A chat. USER: <image>\n\u4f60\u597d \U0001f600 ASSISTANT:",
]


def byte_ids(*values):
    return [3 + value for value in values]  # <0x00> is piece 3


def id_sequences(tokenizer):
    space, a = tokenizer.convert_tokens_to_ids("\u2581"), tokenizer.convert_tokens_to_ids("\u2581a")
    euro, smile = byte_ids(0xE2, 0x82, 0xAC), byte_ids(0xF0, 0x9F, 0x98, 0x80)
    return [
        [], [a], [a, a], [1, a, 2], [a, 2, a], euro, smile, [space] + euro, [a] + smile + [a], euro + smile,
        byte_ids(0x41, 0x42), byte_ids(0x0A), byte_ids(0x00), [512, a, 513], [0, a],
        [euro[0], 2] + euro[1:], smile[:2] + [1] + smile[2:],
        byte_ids(0xEF, 0xBB, 0xBF, 0x41), byte_ids(0xE2, 0x82), byte_ids(0xFF), byte_ids(0x80, 0x41), byte_ids(0x41, 0xFF),
        byte_ids(0xC0, 0x80), byte_ids(0xE0, 0x80, 0x80), byte_ids(0xED, 0xA0, 0x80), byte_ids(0xF4, 0x90, 0x80, 0x80),
        byte_ids(0xF8, 0x88, 0x80, 0x80, 0x80), byte_ids(0xE2, 0x41), [euro[0], a, euro[1]], smile[:3] + [a],
        byte_ids(0xC3, 0xC3, 0xA9), byte_ids(0xF0, 0x9F, 0xE2, 0x82, 0xAC), euro[:2] + smile,
    ]


def random_text(rng):
    alphabet = ["a", "b", "e", "t", " ", "  ", "\n", "red ", "circle", "the ", "<image>", "</s>", "<s>", "\u00e9", "\u4f60", "\U0001f600",
                "\u2581", "0", "9", "?", ".", "\t", "\u200b", "\ufeff", "<", ">", "/s>"]
    parts = [rng.choice(alphabet) if rng.random() < 0.8 else chr(rng.choice([rng.randrange(0x20), rng.randrange(0x20, 0x3000)]))
             for _ in range(rng.randrange(1, 24))]
    return "".join(parts)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("out")
    parser.add_argument("--random", type=int, default=0)
    options = parser.parse_args()
    slow = LlamaTokenizer.from_pretrained(options.model, legacy=True)
    fast = LlamaTokenizerFast.from_pretrained(options.model)
    rng = random.Random(20240507)

    def encode(text):
        ids = slow(text).input_ids
        if ids != fast(text).input_ids:
            raise SystemExit(f"slow and fast differ on {text!r}: {ids} and {fast(text).input_ids}")
        return ids[1:]

    def decode(ids):
        # Without the slow tokenizer's own loss of leading spaces: it may drop two.
        text = slow.sp_model.decode([slow.convert_tokens_to_ids("a")] + [i for i in ids if 2 < i < 512])[1:]
        first = next((i for i in ids if 2 < i < 512), None)
        return text[1:] if first is not None and slow.convert_ids_to_tokens(first).startswith("\u2581") else text

    texts = TEXTS + [random_text(rng) for _ in range(options.random)]
    sequences = id_sequences(slow)
    for _ in range(options.random):
        sequences.append([rng.randrange(514) if rng.random() < 0.4 else rng.randrange(3, 259) for _ in range(rng.randrange(12))])
    for ids in sequences:
        # <image> is an added token that only the fast tokenizer counts as special.
        if 512 not in ids and decode(ids).strip() != slow.decode(ids, skip_special_tokens=True).strip():
            raise SystemExit(f"decode differs from the slow tokenizer on {ids}")

    prompts = [dict(prompt=p, before=[1] + encode(p.split("<image>")[0]), after=encode(p.split("<image>")[1])) for p in PROMPTS]
    cases = {
        "description": "Text and token ids of the embedded model's tokenizer",
        "clauses": ["M-3.4", "M-3.5", "M-3.6", "M-3.7", "M-3.11"],
        "provenance": {
            "tokenizer": "golden/tiny-llava",
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
            "sentencepiece": sentencepiece.__version__,
        },
        "encode": [dict(text=t, ids=encode(t), plainIds=slow.sp_model.encode(t)) for t in texts],
        "prompts": prompts,
        "decode": [dict(ids=ids, text=decode(ids)) for ids in sequences],
    }
    with open(options.out, "w", encoding="ascii") as file:
        json.dump(cases, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")
    print(f"{len(texts)} texts, {len(prompts)} prompts, {len(sequences)} sequences")


if __name__ == "__main__":
    main()
