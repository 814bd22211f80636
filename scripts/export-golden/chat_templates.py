"""Writes golden/tokenizer/chat-templates.json: chat templates as transformers renders them, by Jinja2.

    venv/bin/python scripts/export-golden/chat_templates.py golden/tiny-llava golden/tokenizer/chat-templates.json

    templates  { name, form, source, cases: [{ texts, rendered, before, after }] }

`texts` are a question, an answer, a question and so on, ending with a question; `form` says whether a content is a list of
typed parts or a string. `before` and `after` are the ids on both sides of <image>, BOS once, given for one question.
"""

import argparse
import json

import jinja2
import transformers
from transformers import LlamaTokenizerFast

HEAD = "{% for part in message['content'] %}"
TEMPLATES = [
    ("turns", "list",
     "{% for message in messages %}{{ message['role'] | upper + ': ' }}"
     "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\\n' }}{% endfor %}"
     "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] + ' ' }}{% endfor %}"
     "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"),
    ("typed", "list",
     "{{ bos_token }}A talk about a picture.\n{% for message in messages %}\n"
     "    {%- if message.role == 'user' %}\nUSER: {% else %}\nASSISTANT: {% endif %}\n"
     + HEAD + "{% if part.type == 'image' %}<image>{{ '\\n' }}{% elif part.type == 'text' %}{{ part.text | trim }}{% endif %}{% endfor %}\n"
     "    {%- if message.role == 'assistant' %}{{ eos_token }}{% else %} {% endif %}\n{%- endfor %}\n"
     "{%- if add_generation_prompt %}ASSISTANT:{% endif %}"),
    ("chatml", "string",
     "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endfor %}"
     "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"),
    ("llama-2", "string",
     "{% set system = 'Be brief.' %}{% for message in messages %}"
     "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
     "{% set text = message['content'] %}"
     "{% if loop.first %}{% set text = '<<SYS>>\\n' ~ system ~ '\\n<</SYS>>\\n\\n' ~ text %}{% endif %}"
     "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + text + ' [/INST]' }}"
     "{% else %}{{ ' ' + text + ' ' + eos_token }}{% endif %}{% endfor %}"),
    ("mistral", "string",
     "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}[INST] {{ message['content'].strip() }} [/INST]"
     "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}"
     "{% else %}{{ raise_exception('unknown role') }}{% endif %}{% endfor %}"),
    ("bars", "string",
     "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\\n' + message['content'] + eos_token }}\n"
     "{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\\n' + message['content'] + eos_token }}\n{% endif %}\n"
     "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>\\n' }}\n{% endif %}\n{% endfor %}"),
]
CONVERSATIONS = [
    ["What is it?"], ["How many objects are there?"], [" two  spaces "], ["line one\nline two"], ["\n\tblank first"],
    ["n\u00e9 \U0001f600 \u4f60\u597d"], ["[INST] no [/INST]"], ["{{ messages }} {% if %}"], ["'quoted' \"twice\" \\n"],
    ["What?", "A circle", "Where?"], ["One?", "Two", " Three? ", "Four", "Five?"], ["a", "b c", "d\ne"],
]


def messages_of(texts, form):
    messages = []
    for i, text in enumerate(texts):
        if form == "list":
            content = ([{"type": "image"}] if i == 0 else []) + [{"type": "text", "text": text}]
        else:
            content = ("<image>\n" if i == 0 else "") + text
        messages.append({"role": "user" if i % 2 == 0 else "assistant", "content": content})
    return messages


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("out")
    options = parser.parse_args()
    tokenizer = LlamaTokenizerFast.from_pretrained(options.model)

    def ids(text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    templates = []
    for name, form, source in TEMPLATES:
        cases = []
        for texts in CONVERSATIONS:
            rendered = tokenizer.apply_chat_template(
                messages_of(texts, form), chat_template=source, add_generation_prompt=True, tokenize=False)
            case = {"texts": texts, "rendered": rendered}
            if len(texts) == 1:
                before, after = rendered.split("<image>")
                head = ids(before)
                bos = tokenizer.bos_token_id
                case["before"] = head if head[:1] == [bos] else [bos] + head
                case["after"] = ids(after)
            cases.append(case)
        templates.append({"name": name, "form": form, "source": source, "cases": cases})
    provenance = {"transformers": transformers.__version__, "jinja2": jinja2.__version__, "model": "golden/tiny-llava"}
    table = {"description": "chat templates, rendered", "clauses": ["M-3.17", "M-3.19", "M-3.20"],
             "provenance": provenance, "templates": templates}
    with open(options.out, "w", encoding="utf-8") as file:
        json.dump(table, file, ensure_ascii=True, indent=1)
        file.write("\n")
    print(f"{sum(len(t['cases']) for t in templates)} renderings of {len(templates)} templates")


if __name__ == "__main__":
    main()
