// The help of the commands.

export const usage: Readonly<Record<string, string>> = {
  '': `visionzip: LLaVA with few visual tokens, on WebGPU

  visionzip ask IMAGE "QUESTION"...   answer questions about a picture
  visionzip chat IMAGE                talk about a picture
  visionzip zip IMAGE                 show what VisionZip keeps of a picture
  visionzip zip --tensors FILE        what VisionZip makes of tensors of your own
  visionzip eval                      how often the model is right, at each budget
  visionzip bench                     how long each stage takes, at each budget
  visionzip demo                      what npm start shows
  visionzip doctor                    what this machine has, and what is missing

  visionzip COMMAND --help            the options of a command
  visionzip --version
  --verbose                           with any command: a stack trace behind an error

A picture is a JPEG or PNG of at most 50 megapixels and 32 MB. Errors end with exit code 2.
`,
  ask: `visionzip ask IMAGE "QUESTION"... [options]

Answers each question, a conversation of its own. With one question and one budget, the answer is all that is printed.

  --budget LIST          64, 128, 192 or 576 visual tokens, several with commas between; default 64
                         (54 + 10, 108 + 20, 162 + 30; 576 means all patches, unzipped)
  --dominant N --contextual M   another budget: N dominant tokens, CLS included, and M contextual ones
  --no-zip               all patches
  --model DIR            a LLaVA-1.5, laid out as llava-hf's or its authors' (safetensors); default: the package's own
  --vision-tower DIR     the CLIP that an authors' LLaVA-1.5 takes; default: beside the model, or the Hugging Face cache
  --dtype f32|f16        matrices on the device; default: f16 where the file stores F16, otherwise f32
  --max-memory SIZE      on the device, such as 6GiB; refused before loading if the weights need more
  --image-mode MODE      pad: the whole picture on a square; crop: the centre square; default: as the model was made
  --template NAME        the form of the prompt: vicuna_v1, llava_llama_2, plain, hf; default: vicuna_v1 for an authors'
                         LLaVA-1.5, hf for others
  --chat-template        the form that the checkpoint's own Jinja template gives it (chat_template.jinja, chat_template.json
                         or tokenizer_config.json), rendered in a worker; not with --template
  --raw-prompt           QUESTION is the whole prompt and contains <image> once
  --max-new-tokens N     default 64
  --json                 one JSON object on stdout, nothing else
  --trace FILE           the named intermediates of the first answer, as safetensors
  --profile              the time of each kernel, on stderr; it slows down the run
`,
  chat: `visionzip chat IMAGE [options]

A conversation about one picture: a line, an answer; the picture is encoded once. Lines may come through a pipe; the exit
code is then 2 if one of them failed. Ctrl-C stops an answer, Ctrl-D or a Ctrl-C at the prompt ends.

  /budget N, /budget K+M   zip the picture anew and go on
  /kept                    the patches that are kept
  /save FILE               write the conversation as JSON
  /help, /quit

  --budget N             64, 128, 192 or 576 visual tokens; default 64
  --dominant N --contextual M   another budget
  --no-zip               all patches
  --temperature T        draw each token from the softmax of logits / T; default 0: the most likely one
  --top-p P              of the likeliest tokens that have P of the probability together; default 1
  --seed S               default 0
  --max-new-tokens N     default 64
  --model, --vision-tower, --dtype, --max-memory, --image-mode, --template, --chat-template   as for ask
`,
  zip: `visionzip zip IMAGE [options]
       visionzip zip --tensors FILE --dominant N --contextual M [--merge MODE] [--out DIR] [--json]

Prints a table and writes tokens.safetensors and overlay.png: kept patches bright, the rest dimmed and tinted by the
token they were merged into, whose own patch is framed.

  --dominant N           dominant tokens, CLS included; default 54
  --contextual M         contextual tokens; default 10
  --model DIR            a LLaVA-1.5, laid out as llava-hf's or its authors' (safetensors); default: the package's own
  --vision-tower DIR     the CLIP that an authors' LLaVA-1.5 takes; default: beside the model, or the Hugging Face cache
  --dtype f32|f16        matrices on the device; default: f16 where the file stores F16, otherwise f32
  --max-memory SIZE      on the device, such as 6GiB; refused before loading if the weights need more
  --image-mode MODE      pad: the whole picture on a square; crop: the centre square; default: as the model was made
  --out DIR              where to write; default visionzip-out/
  --profile              the time of each kernel, on stderr; it slows down the run
  --json                 one JSON object on stdout, nothing else

With --tensors no picture and no model are needed: FILE is a safetensors file (F32, F16, BF16; a file of ask --trace is one) with
hiddenStates [B, N, C], clsAttention [B, H, N] or attentionProbs [B, H, N, N], and keys [B, H, N, D] or meanKeys [B, N, D].
Writes tokens.safetensors: tokens, the indices kept, targets and sources, assignment, counts, scores, margins, cutScores.

  --merge MODE           target-plus-mean: as the authors' code (default); paper-average: as the paper says
`,
  eval: `visionzip eval [options]

Asks the model in the package generated questions about generated scenes, at each budget, and prints the share of right
answers for each type of question with its 95 % interval: for VisionZip with both ways of merging, for CLS top-k without
merging, for random and for evenly spread patches, and for all 576 patches. Writes accuracy.svg. Ctrl-C prints what has
been counted so far.

  --budget LIST          of 64, 128, 192; default all of them. 576 is always run
  --questions N          default 560
  --seed S               which scenes and questions, 0 to 999999999; default 1
  --out DIR              where to write; default visionzip-out/
  --json                 one JSON object on stdout, nothing else
`,
  bench: `visionzip bench [options]

Measures preprocessing, encoding, select + merge, projection, prefill and decoding: with all visual tokens, and at each
budget; then how many times faster each budget is. Every stage waits for the device; medians of several runs.

  --config NAME          tiny: the package's own model (default); or a model of random weights, made on the device:
                         clip-l-336 (the encoder alone), llava-1.5-7b, llava-1.5-13b, llava-next-7b (five crops)
  --model DIR            a checkpoint instead
  --budget LIST          of 64, 128, 192 (llava-next-7b: 160, 320, 640); default all of them. All patches are always run
  --layers N             only the first N layers of the decoder, or of the encoder where there is no decoder
  --repeat N             measured runs, behind one that is not counted; default 3
  --tokens N             new tokens, for the time of each; default 16
  --subgroup-matrix      products with f16 weights on tensor cores, where the adapter has them and they pass a test; never
                         tried on hardware so far
  --profile              the time of each kernel, on stderr; it slows down the run
  --json                 one JSON object on stdout, nothing else
  --vision-tower, --dtype, --max-memory   as for ask; random weights are f16 by default

What is known not to fit is refused before anything is made, with the layers that would. Ctrl-C ends behind the budget at hand.
`,
  demo: `visionzip demo [--out DIR]

Three questions about a picture that comes with the package, with 576, 192, 128 and 64 visual tokens.
`,
  doctor: `visionzip doctor [--json] [--driver-folder DIR]

Operating system, Node, adapter, driver, features and limits; what is missing and how to mend it. Exit code 2 if no
adapter works.
`,
};
