// Bugs of the tokenizer, of prompts and of chat templates, that the tests of clauses catch.

const detokenize = 'src/models/tokenizer/detokenize.ts';
const files = 'src/models/tokenizer/tokenizer-files.ts';
const prompt = 'src/models/tokenizer/prompt.ts';
const sentencePiece = 'src/models/tokenizer/sentencepiece.ts';
const template = 'src/models/tokenizer/chat-template.ts';
const tokenizer = 'src/models/tokenizer/tokenizer.ts';

const byTokenizer = [
  {
    id: 2301,
    bug: 'merges that are written as pairs are refused',
    file: files,
    edits: [['const asPairs = Array.isArray(merges[0]);', 'const asPairs = false;']],
    clauses: ['M-3.1'],
  },
  {
    id: 2302,
    bug: 'a merge may give what is no piece',
    file: files,
    edits: [["[...parts, parts.join('')].find(", '[...parts].find(']],
    clauses: ['M-3.2'],
  },
  {
    id: 2303,
    bug: 'an EOS that the file wants added is left out without a word',
    file: 'src/models/tokenizer/tokenizer-config.ts',
    edits: [['add_eos_token: v.nullish(only(false))', 'add_eos_token: v.nullish(v.boolean())']],
    clauses: ['M-3.3'],
  },
  {
    id: 2304,
    bug: 'special tokens in a prompt are read as text',
    file: tokenizer,
    edits: [['encode: (text) => encodeWith(honouring, text)', 'encode: (text) => encodeWith(plain, text)']],
    clauses: ['M-3.4'],
  },
  {
    id: 2305,
    bug: 'text becomes special tokens',
    quick: true,
    file: tokenizer,
    edits: [
      [
        'encodePlain: (text) => encodeWith(plain, text)',
        'encodePlain: (text) => encodeWith(honouring, text)',
      ],
    ],
    clauses: ['M-3.5'],
  },
  {
    id: 2306,
    bug: 'the first space is kept',
    file: detokenize,
    edits: [["const text = first && piece.startsWith(' ') ? piece.slice(1) : piece;", 'const text = piece;']],
    clauses: ['M-3.6'],
  },
  {
    id: 2307,
    bug: 'an id beyond the vocabulary is shown',
    file: tokenizer,
    edits: [["return texts[tokenId] ?? '';", "return texts[tokenId] ?? '\\ufffd';"]],
    clauses: ['M-3.7'],
  },
  {
    id: 2308,
    bug: 'the first byte of a character of two comes out alone',
    file: detokenize,
    edits: [
      [
        'if (incomplete && trailsAreValid && !isLast) return text;',
        'if (incomplete && trailsAreValid && !isLast && length > 2) return text;',
      ],
    ],
    clauses: ['M-3.8'],
  },
].map((mutant) => ({ ...mutant, specs: ['spec/models/tokenizer/tokenizer.spec.ts'] }));

const byPrompt = [
  {
    id: 2309,
    bug: 'a prompt ends in a space',
    edits: [
      ["hf: { before: 'USER: ', end: ' ASSISTANT:' }", "hf: { before: 'USER: ', end: ' ASSISTANT: ' }"],
    ],
    clauses: ['M-3.9'],
  },
  {
    id: 2310,
    bug: 'special tokens in a question are honoured',
    edits: [['after: tokenizer.encodePlain(after),', 'after: tokenizer.encode(after),']],
    clauses: ['M-3.10'],
  },
  {
    id: 2311,
    bug: 'BOS stands twice where the prompt writes it',
    edits: [['ids[0] === tokenizer.bosTokenId ? ids : [tokenizer', 'ids.length === 0 ? ids : [tokenizer']],
    clauses: ['M-3.11'],
  },
  {
    id: 2312,
    bug: 'what follows a second picture is cut off',
    edits: [['after === undefined || chunks.length !== 2) {', 'after === undefined || chunks.length < 2) {']],
    clauses: ['M-3.12'],
  },
  {
    id: 2315,
    bug: 'a comma is missing in the system prompt',
    edits: [['helpful, detailed, and polite', 'helpful, detailed and polite']],
    clauses: ['M-3.15'],
  },
].map((mutant) => ({ ...mutant, file: prompt, specs: ['spec/models/tokenizer/prompt.spec.ts'] }));

const bySentencePiece = [
  {
    id: 2313,
    bug: 'of several cuts of a piece the one of the higher ids goes first',
    edits: [['pairs.sort((a, b) => a.ids[0] - b.ids[0] ||', 'pairs.sort((a, b) => b.ids[0] - a.ids[0] ||']],
    clauses: ['M-3.13'],
    tests: 'a piece that can be cut',
  },
  {
    id: 2314,
    bug: 'user-defined pieces are taken for normal ones',
    edits: [
      ['v.picklist([NORMAL, UNKNOWN, CONTROL, BYTE])', 'v.picklist([NORMAL, UNKNOWN, CONTROL, 4, BYTE])'],
    ],
    clauses: ['M-3.14'],
    tests: 'is refused',
  },
].map((mutant) => ({
  ...mutant,
  file: sentencePiece,
  specs: ['spec/models/tokenizer/sentencepiece.spec.ts'],
}));

// The worker that renders is that of dist/.
const byTemplate = [
  {
    id: 2317,
    bug: 'tokenizer_config.json goes before chat_template.json',
    file: template,
    edits: [
      [
        "of ['chat_template.json', 'tokenizer_config.json']",
        "of ['tokenizer_config.json', 'chat_template.json']",
      ],
    ],
    clauses: ['M-3.17'],
  },
  {
    id: 2318,
    bug: 'a template may show the picture twice',
    file: template,
    edits: [['if (count !== 1) return { error:', 'if (count < 1) return { error:']],
    clauses: ['M-3.18'],
    tests: '(shows no picture|shows two pictures)',
  },
  {
    id: 2319,
    bug: 'special tokens in a question count like those of the template',
    file: 'src/models/tokenizer/behind.ts',
    edits: [
      ['part.isUsers ? [part.text] : tokenizer.splitSpecial(part.text)', 'tokenizer.splitSpecial(part.text)'],
    ],
    clauses: ['M-3.19'],
  },
  {
    id: 2320,
    bug: 'turns that are numbered are taken for alike',
    file: template,
    edits: [['endA === endB && turnA === turnB && endC', 'endA === endB && turnB !== undefined && endC']],
    clauses: ['M-3.20'],
  },
].map((mutant) => ({ ...mutant, build: true, specs: ['spec/models/tokenizer/chat-template.spec.ts'] }));

export const textClauseMutants = [
  ...byTokenizer,
  ...byPrompt,
  ...bySentencePiece,
  {
    id: 2316,
    bug: "the authors' checkpoints are asked as those of llava-hf",
    file: 'src/models/checkpoint/llava-sources.ts',
    edits: [["template: 'vicuna_v1',", "template: 'hf',"]],
    clauses: ['M-3.16'],
    specs: ['spec/models/llava/checkpoint-forms.spec.ts'],
  },
  ...byTemplate,
];
