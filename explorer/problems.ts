// What has gone wrong, in one sentence of the page.

import { FileError, GpuError } from '../src/tensor/index.ts';

/** The sentence for an error that came while `doing` something. */
export function problemText(error: unknown, doing: string): string {
  const reason = error instanceof Error ? error.message : String(error);
  if (error instanceof GpuError && !('gpu' in navigator)) {
    return 'This browser has no WebGPU, which the model computes with: a current Chrome, Edge, Firefox or Safari has.';
  }
  if (error instanceof GpuError) return sentence(`The graphics device failed while ${doing}: ${reason}`);
  if (error instanceof FileError) return sentence(`A file was refused while ${doing}: ${reason}`);
  return sentence(`Something went wrong while ${doing}: ${reason}`);
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
