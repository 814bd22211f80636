// The public names, nothing else. The tensor operations have an entry point of their own, visionzip-webgpu/tensor.

export * from './models/index.ts';
export {
  dispose,
  FileError,
  finish,
  type Gpu,
  GpuError,
  type GpuOptions,
  openGpu,
  read,
  ShapeError,
  tidy,
} from './tensor/index.ts';
export * from './visionzip/index.ts';
