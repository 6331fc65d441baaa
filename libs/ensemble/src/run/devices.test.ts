import { deviceName, parseDevices } from './devices.ts';

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
  ['cpu:1,cpu:2', /different numbers of CPU threads.*separate processes/],
  ['gpu:1,gpu:1', /a GPU twice/],
])('refuses %j', (list, message) => {
  expect(() => parseDevices(list, 3, machine(2))).toThrow(message);
});
