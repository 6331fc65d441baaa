// A TensorFlow eager context on one device. Every engine has one of its own.
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
  /** TF_Status for synchronous calls; each asynchronous call uses a status of its own. */
  readonly status: Pointer;
  /** TensorFlow's full name, `/job:localhost/replica:0/task:0/device:CPU:0`. */
  readonly device: string;
  /** Every device this context can see, by full name. */
  readonly devices: readonly string[];
  /** One line for each setting that differs from the requested one. */
  readonly notes: readonly string[];
  /** Calls currently running on other threads. */
  readonly running: Set<Promise<unknown>>;
  /** True once the engine is closed: no call may start, and running calls must not return a result. */
  stopped: boolean;
  /** Functions to call before the context is deleted; they free captured functions and the tensors those hold. */
  readonly cleanups: Set<() => void>;
  /** Throws EngineError if the last synchronous call failed. `doing` names what was attempted. */
  check(doing: string | (() => string)): void;
  /** Frees the context. Must not be called while `running` has calls. */
  close(): void;
}

/**
 * Opens a context on the device.
 * @throws EngineError 'device' if TensorFlow has no such device, or cannot open it with the requested memory limit.
 */
export function openContext(api: TensorFlowApi, device: Device): Context {
  if (device.kind === 'cpu' && device.memoryLimit !== undefined) {
    throw new EngineError('device', 'memoryLimit is for GPUs, and this engine computes on a CPU', {
      remedy: 'leave it out; engines on a CPU share the memory of the process',
    });
  }
  const notes = threadNotes(device);
  const gpu = device.kind === 'gpu' ? takeGpu(device) : undefined;
  try {
    const { status, handle } = newContext(api, configProto(device, gpu?.shares));
    const devices = deviceList({ api, handle, status }).map(({ fullName }) => fullName);
    const cleanups = new Set<() => void>();
    const close = () => {
      for (const free of cleanups) free();
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
      cleanups,
      check: (doing) => check(api, status, doing),
      close,
    };
  } catch (error) {
    gpu?.release();
    throw error;
  }
}

/**
 * Lists the devices in a temporary context. Call it only in a process that computes nothing else: the settings of this
 * context (threads, division of GPUs) would apply to all later ones.
 */
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
    `asked for ${wanted} CPU threads but computes with ${held}: TensorFlow's thread pool belongs to the process and has ` +
      'the size that its first engine asked for; engines with different numbers of threads need separate processes',
  ];
}

/**
 * A serialised tensorflow.ConfigProto (config.proto) with the fields that the engine sets.
 *
 * @param shares MiB of each share of each GPU; undefined for whole GPUs
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
    // field 7: allow_soft_placement. Ops without a GPU kernel run on the CPU, as in TensorFlow for Python.
    ...(device.kind === 'cpu' ? deviceCount('GPU', 0) : [...gpuOptions, 0x38, 1]),
    ...(device.threads === undefined ? [] : [0x10, ...varint(device.threads)]), // field 2: intra_op threads
    // With two or more threads two ops run at a time, so that both gradients of a convolution are computed in parallel.
    ...[0x28, device.threads === 1 ? 1 : 2], // field 5: inter_op threads
    ...message(16, [0x48, 1]), // experimental.disable_thread_spinning: idle threads release their core
  ]);
}

/** A length-delimited field of a protocol buffer: a string, a message, or packed numbers. */
function message(field: number, bytes: number[]): number[] {
  return [...varint(field * 8 + 2), ...varint(bytes.length), ...bytes];
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}
