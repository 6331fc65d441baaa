// One TensorFlow context on one device: what a thread needs to compute.
import type { Pointer, TensorFlowApi } from './declarations.ts';
import { EngineError } from './errors.ts';
import { check } from './status.ts';

/** Where a member computes. */
export interface Device {
  kind: 'cpu' | 'gpu';
  /** 0, 1, …: which one. CPU devices beyond 0 are virtual: separate devices to TensorFlow, on the same cores. */
  index: number;
  /**
   * CPU threads within one op; default: all cores. TensorFlow's pool belongs to the process, so the first context
   * that is opened decides for all.
   */
  threads?: number;
}

export interface Context {
  readonly api: TensorFlowApi;
  readonly handle: Pointer;
  /** A status for synchronous calls; an asynchronous one brings its own. */
  readonly status: Pointer;
  /** TensorFlow's full name, `/job:localhost/replica:0/task:0/device:CPU:0`. */
  readonly device: string;
  /** Every device this context can see, by full name. */
  readonly devices: readonly string[];
  /** Throws if the last synchronous call failed. */
  check(doing: string): void;
  close(): void;
}

/** Opens a context. Throws an EngineError 'device' when TensorFlow has no such device. */
export function openContext(api: TensorFlowApi, device: Device): Context {
  const status = api.TF_NewStatus();
  const options = api.TFE_NewContextOptions();
  const config = configProto(device);
  api.TFE_ContextOptionsSetConfig(options, config, config.length, status);
  check(api, status, 'configure the context');
  const handle = api.TFE_NewContext(options, status);
  api.TFE_DeleteContextOptions(options);
  check(api, status, 'open a context');
  const devices = listDevices(api, handle, status);
  const suffix = `:${device.kind.toUpperCase()}:${device.index}`;
  const name = devices.find((candidate) => candidate.endsWith(suffix));
  if (name === undefined) {
    api.TFE_DeleteContext(handle);
    api.TF_DeleteStatus(status);
    throw new EngineError(
      'device',
      `TensorFlow sees no device ${device.kind}:${device.index}, only ${devices.join(', ')}`,
      {
        remedy:
          device.kind === 'gpu'
            ? 'check the driver and the CUDA libraries, or use --devices cpu:1'
            : 'name a device that exists',
      },
    );
  }
  return {
    api,
    handle,
    status,
    device: name,
    devices,
    check: (doing) => check(api, status, doing),
    close() {
      api.TFE_DeleteContext(handle);
      api.TF_DeleteStatus(status);
    },
  };
}

function listDevices(api: TensorFlowApi, context: Pointer, status: Pointer): string[] {
  const list = api.TFE_ContextListDevices(context, status);
  check(api, status, 'list the devices');
  const names = Array.from({ length: api.TF_DeviceListCount(list) }, (_, i) =>
    api.TF_DeviceListName(list, i, status),
  );
  api.TF_DeleteDeviceList(list);
  return names;
}

/** A serialised tensorflow.ConfigProto (config.proto): the few fields that matter here. */
function configProto(device: Device): Uint8Array {
  const deviceCount = (kind: string, count: number) => {
    const entry = [0x0a, kind.length, ...Buffer.from(kind), 0x10, count];
    return [0x0a, entry.length, ...entry]; // field 1, map device_count
  };
  const cpus = device.kind === 'cpu' ? device.index + 1 : 1;
  return Uint8Array.from([
    ...deviceCount('CPU', cpus),
    ...(device.kind === 'cpu' ? deviceCount('GPU', 0) : [0x32, 2, 0x20, 1]), // field 6: gpu_options.allow_growth
    ...(device.threads === undefined ? [] : [0x10, ...varint(device.threads)]), // field 2: intra_op threads
    // Two ops at a time where there are two threads: the two gradients of a convolution need not wait for one another.
    ...[0x28, device.threads === 1 ? 1 : 2], // field 5: inter_op threads
    ...[0x82, 0x01, 2, 0x48, 1], // field 16: experimental.disable_thread_spinning: idle threads leave the cores to others
  ]);
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}
