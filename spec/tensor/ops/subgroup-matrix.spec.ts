import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { dawnFlags } from '../../../src/tensor/dawn-options.ts';
import { hasSubgroupMatrix, type SubgroupMatrixFacts } from '../../../src/tensor/gpu.ts';
import { linear, openGpu, permute, reshape, scale, type Tensor, tidy } from '../../../src/tensor/index.ts';
import { subgroupMatrixKernel } from '../../../src/tensor/ops/subgroup-matrix-product.ts';
import {
  bySubgroupMatrix,
  productIsRight,
  type TestedProduct,
} from '../../../src/tensor/ops/subgroup-matrix-test.ts';
import { testGpu } from '../../support/gpu.ts';

const SCRIPT = new URL('../../support/check-wgsl.mjs', import.meta.url).pathname;

/** What Dawn's null backend says of a text. */
function messagesOf(code: string): readonly string[] {
  const { stdout, stderr, status } = spawnSync(process.execPath, [SCRIPT], { input: code, encoding: 'utf8' });
  if (status !== 0) throw new Error(`check-wgsl: expected exit 0, got ${status}: ${stderr}`);
  return JSON.parse(stdout.split('\n').findLast((line) => line.startsWith('[')) ?? 'null');
}

const good: SubgroupMatrixFacts = {
  features: new Set(['chromium-experimental-subgroup-matrix', 'shader-f16', 'subgroups']),
  subgroupMinSize: 32,
  subgroupMaxSize: 32,
  workgroupBytes: 24 * 1024,
  configs: [{ componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 }],
};

describe('T-28 products by subgroup matrices', () => {
  it('T-28.1 the kernel has the types that the language asks for', () => {
    expect(messagesOf(subgroupMatrixKernel.code)).toEqual([]);
  });

  it('T-28.1 a kernel with a wrong operand does not', () => {
    const swapped = subgroupMatrixKernel.code.replace('Accumulate(left, right,', 'Accumulate(right, left,');
    expect(swapped).not.toBe(subgroupMatrixKernel.code);
    expect(messagesOf(swapped).join()).toMatch(/subgroupMatrixMultiplyAccumulate/);
  });

  it('T-28.1 an adapter that lacks anything does without', () => {
    expect(hasSubgroupMatrix(good)).toBe(true);
    for (const name of good.features as Set<string>) {
      const features = new Set([...(good.features as Set<string>)].filter((other) => other !== name));
      expect(hasSubgroupMatrix({ ...good, features }), name).toBe(false);
    }
    expect(hasSubgroupMatrix({ ...good, subgroupMinSize: 16 })).toBe(false);
    expect(hasSubgroupMatrix({ ...good, subgroupMaxSize: 64 })).toBe(false);
    expect(hasSubgroupMatrix({ ...good, workgroupBytes: 16 * 1024 })).toBe(false);
    const config = { componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 };
    for (const change of [
      { componentType: 'f32' },
      { resultComponentType: 'f16' },
      { M: 8 },
      { N: 8 },
      { K: 8 },
    ])
      expect(hasSubgroupMatrix({ ...good, configs: [{ ...config, ...change }] })).toBe(false);
    expect(hasSubgroupMatrix({ ...good, configs: [] })).toBe(false);
  });

  it('T-28.1 it is off unless asked for, and absent where the adapter has none', async () => {
    expect((await testGpu()).subgroupMatrix).toBe('off');
    const asked = await openGpu({ subgroupMatrix: true });
    const has = asked.features.has('chromium-experimental-subgroup-matrix');
    expect(has ? ['passed', 'failed', 'absent'] : ['absent']).toContain(asked.subgroupMatrix);
    asked.close();
    expect(dawnFlags({ toggles: ['allow_unsafe_apis'] })[0]).toBe(
      'enable-dawn-features=vulkan_enable_f16_on_nvidia,allow_unsafe_apis',
    );
  });

  it('T-28.2 the test passes a right product and no wrong one', async () => {
    const gpu = await testGpu();
    expect(await productIsRight(gpu, (x, weight, bias) => linear(x, { weight, bias }))).toBe(true);
    expect(await productIsRight(gpu, (x, weight) => linear(x, { weight }))).toBe(false);
    const wrong = (change: (y: Tensor) => Tensor): TestedProduct => {
      return (x, weight, bias) => tidy(gpu, () => change(linear(x, { weight, bias })));
    };
    expect(
      await productIsRight(
        gpu,
        wrong((y) => scale(y, 1 + 2 ** -12)),
      ),
    ).toBe(false);
    expect(
      await productIsRight(
        gpu,
        wrong((y) => reshape(permute(y, [1, 0]), y.shape)),
      ),
    ).toBe(false);
    expect(
      await productIsRight(
        gpu,
        wrong((y) => scale(y, Number.NaN)),
      ),
    ).toBe(false);
  });

  it('T-28.2 a kernel that does not compile fails the test, and the device goes on', async () => {
    const gpu = await testGpu();
    if (gpu.features.has('chromium-experimental-subgroup-matrix')) return;
    expect(await productIsRight(gpu, bySubgroupMatrix)).toBe(false);
    expect(await productIsRight(gpu, (x, weight, bias) => linear(x, { weight, bias }))).toBe(true);
  });
});
