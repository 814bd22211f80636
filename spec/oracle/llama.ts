// SPEC M-5 in f64: the Llama decoder over whole sequences, without a cache, as nested loops over flat, row-major arrays.
// The angles of RoPE are products of f32 numbers (T-17.1).

import { silu } from './activation.ts';
import { linear } from './matmul.ts';
import { rmsNorm } from './normalize.ts';
import { rope } from './rope.ts';

type Numbers = ArrayLike<number>;

interface Weight {
  readonly weight: Numbers; // [N, K]
}

export interface LlamaSizes {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly headCount: number;
  readonly keyValueHeadCount: number;
  readonly headSize: number;
  readonly vocabSize: number;
  readonly normEps: number;
  readonly ropeTheta: number;
  readonly ropeFactor: number; // 1 without scaling
}

export interface LlamaLayer {
  readonly attentionNorm: Numbers;
  readonly query: Weight;
  readonly key: Weight;
  readonly value: Weight;
  readonly output: Weight;
  readonly mlpNorm: Numbers;
  readonly gate: Weight;
  readonly up: Weight;
  readonly down: Weight;
}

export interface Llama {
  readonly config: LlamaSizes;
  readonly tokenEmbedding: Numbers; // [V, C]
  readonly layers: readonly LlamaLayer[];
  readonly norm: Numbers;
  readonly head: Weight;
}

export interface Run {
  readonly logits: Float64Array; // [B, T, V]  of every position
  readonly keys: readonly Float64Array[]; //   of each layer, [B, G, T, D], turned
  readonly values: readonly Float64Array[]; // of each layer, [B, G, T, D]
}

/** inputEmbeds [B, T, C], positions 0 to T − 1 */
export function run(llama: Llama, inputEmbeds: Numbers, B: number, T: number): Run {
  const { hiddenSize: C, vocabSize: V, normEps } = llama.config;
  let x: Float64Array = Float64Array.from(inputEmbeds);
  const keys: Float64Array[] = [];
  const values: Float64Array[] = [];
  for (const weights of llama.layers) {
    const attended = attention(llama.config, weights, x, B, T);
    keys.push(attended.keys);
    values.push(attended.values);
    x = mlp(llama.config, weights, sum(x, attended.output), B * T);
  }
  const normed = rmsNorm(x, llama.norm, normEps, { R: B * T, C });
  return { logits: project(normed, llama.head, B * T, C, V), keys, values };
}

/** M-7.1: the most likely tokens behind inputEmbeds [1, T, C], and how far each stands above the second */
export function greedy(
  llama: Llama,
  inputEmbeds: Numbers,
  count: number,
): { ids: number[]; leads: number[] } {
  const { hiddenSize: C, vocabSize: V } = llama.config;
  const sequence = Array.from(inputEmbeds);
  const ids: number[] = [];
  const leads: number[] = [];
  for (let n = 0; n < count; n++) {
    const T = sequence.length / C;
    const { logits } = run(llama, sequence, 1, T);
    let best = 0;
    for (let v = 1; v < V; v++) if (logit(logits, T, V, v) > logit(logits, T, V, best)) best = v;
    let second = Number.NEGATIVE_INFINITY;
    for (let v = 0; v < V; v++) if (v !== best) second = Math.max(second, logit(logits, T, V, v));
    ids.push(best);
    leads.push(logit(logits, T, V, best) - second);
    for (let c = 0; c < C; c++) sequence.push(llama.tokenEmbedding[best * C + c] as number);
  }
  return { ids, leads };
}

function logit(logits: Float64Array, T: number, V: number, v: number): number {
  return logits[(T - 1) * V + v] as number;
}

function attention(config: LlamaSizes, weights: LlamaLayer, x: Float64Array, B: number, T: number) {
  const { hiddenSize: C, headCount: H, keyValueHeadCount: G, headSize: D, normEps } = config;
  const R = B * T;
  const normed = rmsNorm(x, weights.attentionNorm, normEps, { R, C });
  const turned = (flat: Float64Array, heads: number): Float64Array =>
    rope(byHead(flat, B, T, heads, D), { R: B * heads, T, D }, config.ropeTheta, 0, config.ropeFactor).values;
  const queries = turned(project(normed, weights.query, R, C, H * D), H);
  const keys = turned(project(normed, weights.key, R, C, G * D), G);
  const values = byHead(project(normed, weights.value, R, C, G * D), B, T, G, D);
  const context = new Float64Array(R * H * D);
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < H; h++) {
      const g = Math.floor((h * G) / H); // M-5.2
      for (let t = 0; t < T; t++) {
        const exps: number[] = [];
        let total = 0;
        for (let s = 0; s <= t; s++) {
          // M-5.3
          let score = 0;
          for (let d = 0; d < D; d++) {
            const query = queries[((b * H + h) * T + t) * D + d] as number;
            score += query * (keys[((b * G + g) * T + s) * D + d] as number);
          }
          exps.push(Math.exp(score / Math.sqrt(D)));
          total += exps[s] as number;
        }
        for (let d = 0; d < D; d++) {
          let mean = 0;
          for (let s = 0; s <= t; s++) {
            mean += ((exps[s] as number) / total) * (values[((b * G + g) * T + s) * D + d] as number);
          }
          context[(b * T + t) * H * D + h * D + d] = mean;
        }
      }
    }
  }
  return { output: project(context, weights.output, R, H * D, C), keys, values };
}

/** M-5.1: y + down(silu(gate(rms y)) · up(rms y)) */
function mlp(config: LlamaSizes, weights: LlamaLayer, y: Float64Array, R: number): Float64Array {
  const { hiddenSize: C, intermediateSize: I, normEps } = config;
  const normed = rmsNorm(y, weights.mlpNorm, normEps, { R, C });
  const gate = silu(project(normed, weights.gate, R, C, I));
  const up = project(normed, weights.up, R, C, I);
  const product = gate.map((value, i) => value * (up[i] as number));
  return sum(y, project(product, weights.down, R, I, C));
}

/** [B, T, heads · D] → [B, heads, T, D] */
function byHead(x: Float64Array, B: number, T: number, heads: number, D: number): Float64Array {
  const y = new Float64Array(x.length);
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < heads; h++) {
      for (let t = 0; t < T; t++) {
        for (let d = 0; d < D; d++) {
          y[((b * heads + h) * T + t) * D + d] = x[((b * T + t) * heads + h) * D + d] as number;
        }
      }
    }
  }
  return y;
}

function project(x: Numbers, { weight }: Weight, R: number, K: number, N: number): Float64Array {
  return linear(x, weight, new Float64Array(N), { R, K, N }).values;
}

function sum(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, i) => value + (b[i] as number));
}
