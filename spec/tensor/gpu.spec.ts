import { describe, expect, it } from 'vitest';
import {
  add,
  dispose,
  finish,
  GpuError,
  matmul,
  openGpu,
  read,
  tensor,
  tidy,
} from '../../src/tensor/index.ts';
import { testGpu } from '../support/gpu.ts';
import { mainThreadMs } from '../support/processor-time.ts';

const gpu = await testGpu();

describe('T-3.4 the device', () => {
  it('T-3.4 a lost device is thrown by the next read', async () => {
    const own = await openGpu();
    const x = tensor(own, new Float32Array(4), [4]);
    expect(await read(x)).toEqual(new Float32Array(4));
    own.device.destroy();
    await own.device.lost;
    await expect(read(x)).rejects.toThrow(GpuError);
    await expect(read(x)).rejects.toThrow('the device was lost');
    await expect(finish(own)).rejects.toThrow(GpuError);
    own.close();
  });

  it('T-3.4 a closed device can be closed again, and reading from it is rejected', async () => {
    const own = await openGpu();
    const x = tensor(own, new Float32Array(4), [4]);
    own.close();
    own.close();
    await expect(read(x)).rejects.toThrow(/expected an open device, got a closed one/);
    await expect(finish(own)).rejects.toThrow(GpuError);
  });

  it('T-3.4 one device being lost does not disturb another', async () => {
    const own = await openGpu();
    own.device.destroy();
    await own.device.lost;
    own.close();
    const x = tensor(gpu, Float32Array.of(1), [1]);
    const y = add(x, x);
    expect(await read(y)).toEqual(Float32Array.of(2));
    dispose(x, y);
  });

  it('T-1.1 the summary names the adapter, and all its limits are used', () => {
    expect(gpu.adapter.description + gpu.adapter.device + gpu.adapter.vendor).not.toBe('');
    expect(typeof gpu.adapter.software).toBe('boolean');
    expect(gpu.device.limits.maxStorageBufferBindingSize).toBeGreaterThanOrEqual(2 ** 27);
  });
});

describe('T-3.1 waiting', () => {
  it('T-3.1 waiting for the device leaves the core to others', async () => {
    const size = 1024;
    const x = tensor(gpu, new Float32Array(size * size).fill(1 / size), [1, size, size]);
    const work = (): void => {
      tidy(gpu, () => {
        for (let i = 0; i < 4; i++) matmul(x, x);
      });
    };
    work();
    await finish(gpu);
    work();
    let turns = 0;
    let counting = true;
    const count = (): void => {
      turns++;
      if (counting) setImmediate(count);
    };
    count();
    const [wallBefore, cpuBefore] = [performance.now(), mainThreadMs()];
    await finish(gpu);
    const [wall, cpu] = [performance.now() - wallBefore, mainThreadMs() - cpuBefore];
    counting = false;
    dispose(x);
    if (wall < 50) return; // a fast adapter: there was nothing to wait for
    expect(turns, 'turns of the event loop').toBeLessThan(1000 + wall / 0.4); // it spins for 2 ms, then naps
    expect(cpu / wall, 'share of the main thread').toBeLessThan(0.15);
  });
});
