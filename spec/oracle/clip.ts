// SPEC M-4 in f64: the CLIP vision encoder as nested loops over flat, row-major arrays.

import { gelu, quickGelu } from './activation.ts';
import { linear } from './matmul.ts';
import { layerNorm } from './normalize.ts';
import { patches } from './patches.ts';

type Numbers = ArrayLike<number>;

interface Affine {
  readonly weight: Numbers; // [N, K], or [C] of a norm
  readonly bias?: Numbers;
}

export interface ClipSizes {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly headCount: number;
  readonly imageSize: number;
  readonly patchSize: number;
  readonly normEps: number;
  readonly activation: 'quick_gelu' | 'gelu';
}

export interface ClipLayer {
  readonly attentionNorm: Affine;
  readonly attention: Readonly<Record<'query' | 'key' | 'value' | 'output', Affine>>;
  readonly mlpNorm: Affine;
  readonly mlpIn: Affine;
  readonly mlpOut: Affine;
}

export interface Clip {
  readonly config: ClipSizes;
  readonly patchEmbedding: Affine; //     weight [C, 3 · p · p]
  readonly classEmbedding: Numbers; //    [C]
  readonly positionEmbedding: Numbers; // [N, C]
  readonly preNorm: Affine;
  readonly layers: readonly ClipLayer[];
}

export interface Encoding {
  readonly hiddenStates: Float64Array; // [B, N, C]
  readonly clsAttention: Float64Array; // [B, H, N]
  readonly keys: Float64Array; //         [B, H, N, D]
}

export function tokensOf({ imageSize, patchSize }: ClipSizes): number {
  return 1 + Math.floor(imageSize / patchSize) ** 2;
}

/** M-4.1: pixels [B, 3, S, S] → [B, N, C] */
export function embed(clip: Clip, pixels: Numbers, B: number): Float64Array {
  const { hiddenSize: C, imageSize: S, patchSize: p, normEps } = clip.config;
  const N = tokensOf(clip.config);
  const flat = patches(pixels, { B, channels: 3, height: S, width: S, p });
  const K = 3 * p * p;
  const x = new Float64Array(B * N * C);
  for (let b = 0; b < B; b++) {
    for (let n = 0; n < N; n++) {
      for (let c = 0; c < C; c++) {
        let sum = clip.positionEmbedding[n * C + c] as number;
        if (n === 0) sum += clip.classEmbedding[c] as number;
        else {
          for (let k = 0; k < K; k++) {
            const pixel = flat[(b * (N - 1) + n - 1) * K + k] as number;
            sum += pixel * (clip.patchEmbedding.weight[c * K + k] as number);
          }
        }
        x[(b * N + n) * C + c] = sum;
      }
    }
  }
  return norm(x, clip.preNorm, normEps, B * N, C);
}

/** M-4.2 to M-4.5: all layers, and what the last of them is asked for */
export function encode(clip: Clip, pixels: Numbers, B: number): Encoding {
  let hiddenStates = embed(clip, pixels, B);
  let clsAttention: Float64Array = new Float64Array(0);
  let keys: Float64Array = new Float64Array(0);
  for (const weights of clip.layers) {
    ({ hiddenStates, clsAttention, keys } = layer(clip.config, weights, hiddenStates, B));
  }
  return { hiddenStates, clsAttention, keys };
}

function layer(config: ClipSizes, weights: ClipLayer, x: Float64Array, B: number): Encoding {
  const { hiddenSize: C, intermediateSize: I, normEps, activation } = config;
  const rows = B * tokensOf(config);
  const attended = attention(config, weights, norm(x, weights.attentionNorm, normEps, rows, C), B);
  const y = sum(x, attended.output);
  const wide = affine(norm(y, weights.mlpNorm, normEps, rows, C), weights.mlpIn, rows, C, I);
  const bent = activation === 'gelu' ? gelu(wide) : quickGelu(wide);
  const hiddenStates = sum(y, affine(bent, weights.mlpOut, rows, I, C));
  return { hiddenStates, clsAttention: attended.clsAttention, keys: attended.keys };
}

function attention(config: ClipSizes, { attention: weights }: ClipLayer, x: Float64Array, B: number) {
  const { hiddenSize: C, headCount: H } = config;
  const N = tokensOf(config);
  const D = C / H;
  const queries = affine(x, weights.query, B * N, C, C);
  const biasedKeys = affine(x, weights.key, B * N, C, C);
  const values = affine(x, weights.value, B * N, C, C);
  const context = new Float64Array(B * N * C);
  const clsAttention = new Float64Array(B * H * N);
  const keys = new Float64Array(B * H * N * D);
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < H; h++) {
      const at = (n: number, d: number): number => (b * N + n) * C + h * D + d; // M-4.3
      for (let n = 0; n < N; n++) {
        for (let d = 0; d < D; d++) keys[((b * H + h) * N + n) * D + d] = biasedKeys[at(n, d)] as number;
        const exps = new Float64Array(N);
        let total = 0;
        for (let m = 0; m < N; m++) {
          let score = 0;
          for (let d = 0; d < D; d++) {
            score += ((queries[at(n, d)] as number) / Math.sqrt(D)) * (biasedKeys[at(m, d)] as number);
          }
          exps[m] = Math.exp(score);
          total += exps[m] as number;
        }
        for (let m = 0; m < N; m++) {
          const prob = (exps[m] as number) / total;
          if (n === 0) clsAttention[(b * H + h) * N + m] = prob;
          for (let d = 0; d < D; d++)
            context[at(n, d)] = (context[at(n, d)] as number) + prob * (values[at(m, d)] as number);
        }
      }
    }
  }
  return { output: affine(context, weights.output, B * N, C, C), clsAttention, keys };
}

function norm(x: Numbers, { weight, bias }: Affine, eps: number, R: number, C: number): Float64Array {
  return layerNorm(x, weight, bias ?? [], eps, { R, C });
}

function affine(x: Numbers, { weight, bias }: Affine, R: number, K: number, N: number): Float64Array {
  return linear(x, weight, bias ?? new Float64Array(N), { R, K, N }).values;
}

function sum(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, i) => value + (b[i] as number));
}
