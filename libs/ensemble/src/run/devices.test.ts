import { deviceName, divideGpuMemory, parseDevices, slotsOf } from './devices.ts';

const machine = (cores: number, gpus = 0) => ({ cores, gpus });
const written = (...args: Parameters<typeof parseDevices>) =>
  parseDevices(...args)
    .map(deviceName)
    .join(',');

test.each([
  ['gpu:0,gpu:2', 3, machine(8, 4), 'gpu:0,gpu:2'],
  ['cpu:2', 3, machine(8), 'cpu:2'],
  [' cpu:1, cpu:1 ', 3, machine(2), 'cpu:1,cpu:1'],
  ['auto', 3, machine(2), 'cpu:1,cpu:1'],
  ['auto', 3, machine(1), 'cpu:1'],
  ['auto', 3, machine(16), 'cpu:5,cpu:5,cpu:5'],
  ['auto', 3, machine(16, 8), 'gpu:0,gpu:1,gpu:2'],
  ['auto', 6, machine(16, 2), 'gpu:0,gpu:1'],
  ['gpu:0,gpu:0', 6, machine(16, 1), 'gpu:0,gpu:0'],
  ['gpu:1,gpu:0,gpu:1,gpu:0', 6, machine(16, 2), 'gpu:1,gpu:0,gpu:1,gpu:0'],
  ['cpu:1,cpu:2', 6, { ...machine(16), processes: true }, 'cpu:1,cpu:2'],
])('%s for %i members', (...[list, members, on, expected]) => {
  expect(written(list, members, on)).toBe(expected);
});

test('CPU entries are devices of their own', () => {
  expect(parseDevices('cpu:1,cpu:1', 3, machine(2)).map(({ index }) => index)).toEqual([0, 1]);
});

test.each([
  ['gpu', /"gpu" is no device.*write 'auto'/],
  ['tpu:0', /"tpu:0" is no device/],
  ['', /"" is no device/],
  ['cpu:0', /no thread/],
  ['cpu:1,cpu:2', /different numbers of CPU threads.*--isolation process/],
  ['gpu:1,gpu:1,gpu:0', /a different number of times.*equally often/],
])('refuses %j', (list, message) => {
  expect(() => parseDevices(list, 3, machine(2))).toThrow(message);
});

const GIB = 2 ** 30;
const memories =
  (...gibibytes: number[]) =>
  async () => [
    { name: 'CPU:0', kind: 'cpu', index: 0, memory: 64 * GIB } as const,
    ...gibibytes.map(
      (gib, index) => ({ name: `GPU:${index}`, kind: 'gpu', index, memory: gib * GIB }) as const,
    ),
  ];

test('members of one GPU get equal shares of the smallest GPU', async () => {
  const devices = parseDevices('gpu:0,gpu:1,gpu:0,gpu:1', 4, machine(16, 2));
  const divided = await divideGpuMemory(devices, memories(78, 70));
  expect(divided.map(({ memoryLimit }) => memoryLimit)).toEqual(Array(4).fill(35 * GIB));
  expect(slotsOf(divided, 64 * GIB)).toEqual(
    ['gpu:0', 'gpu:1', 'gpu:0', 'gpu:1'].map((device) => ({ device, members: 1, memoryBytes: 35 * GIB })),
  );
});

test('one member a GPU has all its memory, and the devices are not listed', async () => {
  const devices = parseDevices('gpu:0,gpu:1,cpu:2', 4, machine(16, 2));
  const list = () => Promise.reject(new Error('listed'));
  expect(await divideGpuMemory(devices, list)).toEqual(devices);
});

test('CPU members share the memory of the machine', () => {
  const slot = { device: 'cpu:1', members: 1, memoryBytes: 6 * GIB, pool: 'cpu' };
  expect(slotsOf(parseDevices('cpu:1,cpu:1', 4, machine(2)), 6 * GIB)).toEqual([slot, slot]);
});
