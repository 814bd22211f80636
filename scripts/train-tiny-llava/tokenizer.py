"""The tokenizer: SentencePiece BPE of 512 pieces with byte fallback and Llama's settings, from the text of the questions."""

import io

import numpy
import sentencepiece
from questions import TYPES, draw_question
from recipe import PIECES, SEED
from scenes import draw_scene

SYSTEM = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)  # of vicuna_v1, in whose template the model may be asked too


def corpus(scenes=1500):
    random = numpy.random.default_rng((SEED, 0))
    for i in range(scenes):
        scene = draw_scene(random)
        for kind in TYPES:
            drawn = draw_question(kind, scene, random)
            if drawn is not None:
                yield f"USER: {drawn[0]} ASSISTANT: {drawn[1]}"
                yield drawn[1]
        if i % 10 == 0:
            yield SYSTEM


def train_tokenizer(path):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=corpus(),
        model_writer=model,
        model_type="bpe",
        vocab_size=PIECES,
        hard_vocab_limit=True,
        byte_fallback=True,
        split_digits=True,
        character_coverage=1.0,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=True,
        allow_whitespace_only_pieces=True,
        unk_surface=" \u2047 ",
        num_threads=1,
        minloglevel=1,
    )
    path.write_bytes(model.getvalue())


def read_tokenizer(path):
    return sentencepiece.SentencePieceProcessor(model_file=str(path))
