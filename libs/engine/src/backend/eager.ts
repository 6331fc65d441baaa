// Eager execution of one TensorFlow op or one captured function.
import { setAttribute } from '../native/attributes.ts';
import type { Context } from '../devices/context.ts';
import type { Pointer } from '../native/declarations.ts';
import { stoppedError } from '../errors.ts';
import { labelled } from './op-name.ts';
import { check } from '../native/status.ts';
import { describe, type EagerTensor } from '../native/tensors.ts';
import type { Attribute } from '../native/types.ts';

export interface Call {
  /** Name of a TensorFlow op or of a captured function. */
  name: string;
  attributes: readonly Attribute[];
  inputs: readonly EagerTensor[];
  /** Maximum number of outputs. */
  outputs: number;
}

/** Runs a call synchronously. @throws EngineError with the op's name if TensorFlow reports an error. */
export function execute(context: Context, call: Call): EagerTensor[] {
  const { api, status } = context;
  const op = prepare(context, call);
  const { handles, count } = outputBuffers(call.outputs);
  api.TFE_Execute(op, handles, count, status);
  api.TFE_DeleteOp(op);
  context.check(() => labelled(call.name));
  return takeOutputs(context, handles, count);
}

/**
 * Runs a call on another thread without blocking this one.
 * @throws EngineError 'stopped' if the engine is closed meanwhile.
 */
export function executeAsync(context: Context, call: Call): Promise<EagerTensor[]> {
  const result = executeOnOtherThread(context, call);
  context.running.add(result);
  return result.finally(() => context.running.delete(result));
}

async function executeOnOtherThread(context: Context, call: Call): Promise<EagerTensor[]> {
  const { api } = context;
  const op = prepare(context, call);
  const { handles, count } = outputBuffers(call.outputs);
  const status = api.TF_NewStatus();
  try {
    await api.executeAsync(op, handles, count, status);
    check(api, status, call.name);
  } finally {
    api.TFE_DeleteOp(op);
    api.TF_DeleteStatus(status);
  }
  const results = takeOutputs(context, handles, count);
  if (!context.stopped) return results;
  for (const { handle } of results) api.TFE_DeleteTensorHandle(handle);
  throw stoppedError();
}

function prepare(context: Context, call: Call): Pointer {
  const { api, status } = context;
  const op = api.TFE_NewOp(context.handle, call.name, status);
  context.check(() => labelled(call.name));
  try {
    api.TFE_OpSetDevice(op, context.device, status);
    context.check(() => labelled(call.name));
    for (const input of call.inputs) {
      api.TFE_OpAddInput(op, input.handle, status);
      context.check(() => labelled(call.name));
    }
    for (const attribute of call.attributes) {
      setAttribute(context, { family: 'TFE_Op', pointer: op }, attribute);
      context.check(() => labelled(call.name));
    }
    return op;
  } catch (error) {
    api.TFE_DeleteOp(op);
    throw error;
  }
}

function outputBuffers(outputs: number) {
  return { handles: new BigUint64Array(Math.max(outputs, 1)), count: Int32Array.of(outputs) };
}

function takeOutputs(context: Context, handles: BigUint64Array, count: Int32Array): EagerTensor[] {
  return Array.from(handles.subarray(0, count[0]), (handle) => describe(context, handle));
}
