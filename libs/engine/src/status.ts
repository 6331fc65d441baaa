// TensorFlow's status codes as errors.
import type { Pointer, TensorFlowApi } from './declarations.ts';
import { EngineError } from './errors.ts';

const RESOURCE_EXHAUSTED = 8;

/** Throws when the status is not OK. `doing` says what was tried: an op's name, most of the time. */
export function check(api: TensorFlowApi, status: Pointer, doing: string): void {
  const code = api.TF_GetCode(status);
  if (code === 0) return;
  const message = api.TF_Message(status);
  if (code === RESOURCE_EXHAUSTED) {
    throw new EngineError('out-of-memory', `${doing}: ${message}`, {
      remedy: 'use a smaller batch, fewer members at once, or a device with more memory',
    });
  }
  throw new EngineError('tensorflow', `${doing}: ${message}`);
}
