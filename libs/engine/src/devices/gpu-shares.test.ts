// The division of GPUs. No GPU is needed, because the list of devices is a parameter.
import { configProto } from './context.ts';
import type { Device, DeviceInfo } from './device.ts';
import { divideGpus, takeGpu } from './gpu-shares.ts';
import { Place, processState } from '../native/process-state.ts';

const GIB = 2 ** 30;
const gpu = (index: number, memory: number): DeviceInfo => ({
  name: `GPU:${index}`,
  kind: 'gpu',
  index,
  memory,
});
const list =
  (...memory: number[]) =>
  async () => [
    { name: 'CPU:0', kind: 'cpu', index: 0, memory: 500 * GIB } as const,
    ...memory.map((bytes, i) => gpu(i, bytes)),
  ];
const device = (index: number, memoryLimit?: number): Device => ({
  kind: 'gpu',
  index,
  ...(memoryLimit === undefined ? {} : { memoryLimit }),
});

afterEach(() => processState().fill(0, Place.GPU_SHARE));

test('each engine has a share of its own, numbered as TensorFlow numbers virtual devices', async () => {
  await divideGpus(device(0, 20 * GIB), list(78 * GIB, 62 * GIB)); // 3 shares each: what the smaller one holds
  const places = [0, 0, 1, 0, 1].map((index) => takeGpu(device(index, 20 * GIB)));
  expect(places.map(({ index }) => index)).toEqual([0, 1, 3, 2, 4]);
  expect(places[0]!.shares).toEqual([
    [20480, 20480, 20480],
    [20480, 20480, 20480],
  ]);
  expect(() => takeGpu(device(0, 20 * GIB))).toThrow(/all 3 shares of GPU 0 are taken/);
  expect(() => takeGpu(device(2, 20 * GIB))).toThrow(/no GPU 2, only 2/);
  places[1]!.release();
  places[1]!.release();
  expect(takeGpu(device(0, 20 * GIB)).index).toBe(1);
});

test('the devices are listed once a process', async () => {
  let asked = 0;
  const counted = async () => (asked++, await list(80 * GIB)());
  await divideGpus(device(0, 10 * GIB), counted);
  await divideGpus(device(0, 10 * GIB), counted);
  expect(asked).toBe(1);
});

test('whole GPUs need no list and are shared', async () => {
  await divideGpus(device(1), () => Promise.reject(new Error('listed')));
  expect(takeGpu(device(1))).toMatchObject({ index: 1 });
  expect(takeGpu(device(1)).shares).toBeUndefined();
});

test('all engines of a process divide alike', async () => {
  await divideGpus(device(0, 20 * GIB), list(80 * GIB));
  const other = /opened with memoryLimit 20480 MiB, and this engine asks for/;
  expect(() => takeGpu(device(0))).toThrow(other);
  await expect(divideGpus(device(0, GIB), list(80 * GIB))).rejects.toThrow(other);
});

test.each([
  {
    what: 'no GPU',
    memory: [],
    limit: 8 * GIB,
    message: /sees no GPU 0, only 0 → run `nx run engine:doctor`/,
  },
  {
    what: 'a smaller GPU',
    memory: [6 * GIB],
    limit: 8 * GIB,
    message: /memoryLimit is 8192 MiB and the smallest GPU has 6144 MiB/,
  },
  {
    what: 'no bytes',
    memory: [6 * GIB],
    limit: 8,
    message: /memoryLimit is 8, but must be a number of bytes/,
  },
  { what: 'no number', memory: [6 * GIB], limit: Number.NaN, message: /memoryLimit is NaN/ },
])('$what is refused', async ({ memory, limit, message }) => {
  await expect(divideGpus(device(0, limit), list(...memory))).rejects.toThrow(message);
  await expect(divideGpus(device(0, limit), list(...memory))).rejects.toMatchObject({ code: 'device' });
  await divideGpus(device(0, GIB), list(80 * GIB)); // and a better one is taken afterwards
  expect(takeGpu(device(0, GIB)).index).toBe(0);
});

// Serialised by Python's protobuf with the config_pb2.py of TensorFlow 2.21.0's wheel.
test.each([
  [
    { kind: 'gpu', index: 0, threads: 2 },
    [[20000, 20000], [20000]],
    '0a070a03435055100110022802321820014a140a0a0a0800409c4600409c460a060a0400409c4638018201024801',
  ],
  [{ kind: 'gpu', index: 1, threads: 1 }, undefined, '0a070a034350551001100128013202200138018201024801'],
  [
    { kind: 'cpu', index: 2, threads: 300 },
    undefined,
    '0a070a0343505510030a070a03475055100010ac0228028201024801',
  ],
] as const)('the settings of %j', (where, shares, hex) => {
  expect(parsed(configProto(where, shares))).toEqual(parsed(Buffer.from(hex, 'hex')));
});

/** The fields of a message, sorted by number, because serialisers may write them in any order. */
function parsed(bytes: Uint8Array): string[] {
  const fields: string[] = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const value = varint();
    if (key % 8 === 2) {
      fields.push(`${key}: ${Buffer.from(bytes.subarray(at, at + value)).toString('hex')}`);
      at += value;
    } else fields.push(`${key}: ${value}`);
  }
  return fields.sort();
}
