// One TensorFlow context on one device: what a thread needs to compute.
import { availableParallelism } from 'node:os';
import type { Pointer, TensorFlowApi } from '../native/declarations.ts';
import type { Device, ListedDevice } from './device.ts';
import { EngineError } from '../errors.ts';
import { forgetWholeGpus, GPU_REMEDY, takeGpu } from './gpu-shares.ts';
import { agreeOn, Place } from '../native/process-state.ts';
import { check } from '../native/status.ts';

export interface Context {
  readonly api: TensorFlowApi;
  readonly handle: Pointer;
  /** A status for synchronous calls; an asynchronous one brings its own. */
  readonly status: Pointer;
  /** TensorFlow's full name, `/job:localhost/replica:0/task:0/device:CPU:0`. */
  readonly device: string;
  /** Every device this context can see, by full name. */
  readonly devices: readonly string[];
  /** Where this context got something else than it asked for, one line each. */
  readonly notes: readonly string[];
  /** Calls that other threads run now. */
  readonly running: Set<Promise<unknown>>;
  /** Nothing may be run any more, and what runs now gives no result. */
  stopped: boolean;
  /** What must be freed before the context: functions, and the tensors they keep. */
  readonly kept: Set<() => void>;
  /** Throws if the last synchronous call failed. */
  check(doing: string | (() => string)): void;
  /** Only when nothing runs. */
  close(): void;
}

/**
 * Opens a context.
 * @throws EngineError 'device' when TensorFlow has no such device, or not as it was asked for.
 */
export function openContext(api: TensorFlowApi, device: Device): Context {
  if (device.kind === 'cpu' && device.memoryLimit !== undefined) {
    throw new EngineError('device', 'memoryLimit is for GPUs, and this engine computes on a CPU', {
      remedy: 'leave it out; the memory of a CPU member is the process’s',
    });
  }
  const notes = threadNotes(device);
  const gpu = device.kind === 'gpu' ? takeGpu(device) : undefined;
  try {
    const { status, handle } = newContext(api, configProto(device, gpu?.shares));
    const devices = deviceList({ api, handle, status }).map(({ fullName }) => fullName);
    const kept = new Set<() => void>();
    const close = () => {
      for (const free of kept) free();
      api.TFE_DeleteContext(handle);
      api.TF_DeleteStatus(status);
      gpu?.release();
    };
    const suffix = `:${device.kind.toUpperCase()}:${gpu?.index ?? device.index}`;
    const name = devices.find((candidate) => candidate.endsWith(suffix));
    if (name === undefined) {
      close();
      if (!devices.some((candidate) => candidate.includes(':GPU:'))) forgetWholeGpus();
      throw new EngineError(
        'device',
        `TensorFlow sees no device ${device.kind}:${device.index}, only ${devices.join(', ')}`,
        { remedy: device.kind === 'gpu' ? GPU_REMEDY : 'name a device that exists' },
      );
    }
    return {
      api,
      handle,
      status,
      device: name,
      devices,
      notes,
      running: new Set(),
      stopped: false,
      kept,
      check: (doing) => check(api, status, doing),
      close,
    };
  } catch (error) {
    gpu?.release();
    throw error;
  }
}

/** The devices of a context of their own. In a process that computes, its settings would hold for all that follow. */
export function contextDevices(api: TensorFlowApi): ListedDevice[] {
  const context = newContext(api, configProto({ kind: 'gpu', index: 0 }));
  try {
    return deviceList({ api, ...context });
  } finally {
    api.TFE_DeleteContext(context.handle);
    api.TF_DeleteStatus(context.status);
  }
}

function newContext(api: TensorFlowApi, config: Uint8Array): { handle: Pointer; status: Pointer } {
  const status = api.TF_NewStatus();
  const options = api.TFE_NewContextOptions();
  try {
    api.TFE_ContextOptionsSetConfig(options, config, config.length, status);
    check(api, status, 'configure the context');
    const handle = api.TFE_NewContext(options, status);
    check(api, status, 'open a context');
    return { handle, status };
  } catch (error) {
    api.TF_DeleteStatus(status);
    throw error;
  } finally {
    api.TFE_DeleteContextOptions(options);
  }
}

function deviceList(context: { api: TensorFlowApi; handle: Pointer; status: Pointer }): ListedDevice[] {
  const { api, handle, status } = context;
  const list = api.TFE_ContextListDevices(handle, status);
  check(api, status, 'list the devices');
  const devices = Array.from({ length: api.TF_DeviceListCount(list) }, (_, i) => ({
    fullName: api.TF_DeviceListName(list, i, status),
    memory: Number(api.TF_DeviceListMemoryBytes(list, i, status)),
  }));
  api.TF_DeleteDeviceList(list);
  return devices;
}

function threadNotes({ threads }: Device): string[] {
  const wanted = threads ?? availableParallelism();
  const held = agreeOn(Place.THREADS, wanted);
  if (held === wanted || threads === undefined) return [];
  return [
    `asked for ${wanted} CPU threads and computes with ${held}: TensorFlow's pool belongs to the process, and its first ` +
      'engine asked for that; engines with different numbers need processes of their own',
  ];
}

/**
 * A serialised tensorflow.ConfigProto (config.proto): the few fields that matter here. `shares`: MiB of each share of
 * each GPU.
 */
export function configProto(device: Device, shares?: readonly (readonly number[])[]): Uint8Array {
  const deviceCount = (kind: string, count: number) =>
    message(1, [...message(1, [...Buffer.from(kind)]), 0x10, count]); // map device_count
  const cpus = device.kind === 'cpu' ? device.index + 1 : 1;
  // field 9: experimental, field 1: virtual_devices, field 1: memory_limit_mb
  const divided = (shares ?? []).flatMap((limits) =>
    message(1, message(1, [...new Uint8Array(Float32Array.from(limits).buffer)])),
  );
  const growth = [0x20, 1]; // field 4: allow_growth
  const gpuOptions = message(6, shares ? [...growth, ...message(9, divided)] : growth);
  return Uint8Array.from([
    ...deviceCount('CPU', cpus),
    ...(device.kind === 'cpu' ? deviceCount('GPU', 0) : gpuOptions),
    ...(device.threads === undefined ? [] : [0x10, ...varint(device.threads)]), // field 2: intra_op threads
    // Two ops at a time where there are two threads: the two gradients of a convolution need not wait for one another.
    ...[0x28, device.threads === 1 ? 1 : 2], // field 5: inter_op threads
    ...message(16, [0x48, 1]), // experimental.disable_thread_spinning: idle threads leave the cores to others
  ]);
}

/** A field of bytes: a string, a message, or packed numbers. */
function message(field: number, bytes: number[]): number[] {
  return [...varint(field * 8 + 2), ...varint(bytes.length), ...bytes];
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}
