// The help of the commands.

export const usage: Readonly<Record<string, string>> = {
  '': `visionzip: LLaVA with few visual tokens, on WebGPU

  visionzip ask IMAGE "QUESTION"...   answer questions about a picture
  visionzip zip IMAGE                 show what VisionZip keeps of a picture
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
  --model DIR            a LLaVA-1.5 in the llava-hf layout (safetensors); default: the one in the package
  --image-mode MODE      pad: the whole picture on a square (default); crop: the centre square
  --raw-prompt           QUESTION is the whole prompt and contains <image> once
  --max-new-tokens N     default 64
  --json                 one JSON object on stdout, nothing else
  --trace FILE           the named intermediates of the first answer, as safetensors
`,
  zip: `visionzip zip IMAGE [options]

Prints a table and writes tokens.safetensors and overlay.png: kept patches bright, the rest dimmed and tinted by the
token they were merged into, whose own patch is framed.

  --dominant N           dominant tokens, CLS included; default 54
  --contextual M         contextual tokens; default 10
  --model DIR            a LLaVA-1.5 in the llava-hf layout (safetensors); default: the one in the package
  --image-mode MODE      pad: the whole picture on a square (default); crop: the centre square
  --out DIR              where to write; default visionzip-out/
  --json                 one JSON object on stdout, nothing else
`,
  demo: `visionzip demo [--out DIR]

Three questions about a picture that comes with the package, with 576, 192, 128 and 64 visual tokens.
`,
  doctor: `visionzip doctor [--json] [--driver-folder DIR]

Operating system, Node, adapter, driver, features and limits; what is missing and how to mend it. Exit code 2 if no
adapter works.
`,
};
