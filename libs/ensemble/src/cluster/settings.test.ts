// The site file and how it joins with the command line and with what is known of members.
import { mkdtemp, mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  checkArgument,
  clusterSettings,
  memoryBytes,
  parseSite,
  readSite,
  timeSeconds,
  timeText,
} from './settings.ts';

test.each([
  ['30', 1800],
  ['90:30', 5430],
  ['12:00:00', 43200],
  ['1-0', 86400],
  ['2-03', 183600],
  ['1-12:30', 131400],
  ['1-00:00:30', 86430],
])('the time %s is %d seconds', (text, seconds) => {
  expect(timeSeconds(text)).toBe(seconds);
});

test.each(['', '0', '1h', '1:2:3:4', '-5', '1-'])('%j is no time', (text) => {
  expect(() => timeSeconds(text)).toThrow(/is no time → write minutes/);
});

test.each([
  [1, '00:01:00'],
  [3601, '01:01:00'],
  [86400, '1-00:00:00'],
])('at least %d seconds are written %s', (seconds, text) => {
  expect(timeText(seconds)).toBe(text);
  expect(timeSeconds(text)).toBeGreaterThanOrEqual(seconds);
});

test.each([
  ['500', 500 * 2 ** 20],
  ['32G', 2 ** 35],
  ['1t', 2 ** 40],
  ['2048K', 2 ** 21],
])('the memory %s is %d bytes', (text, bytes) => {
  expect(memoryBytes(text)).toBe(bytes);
});

test.each(['', '0', 'x', '1.5G', '-1G'])('%j is no amount of memory', (text) => {
  expect(() => memoryBytes(text)).toThrow(/is no amount of memory/);
});

test.each(['--exclusive', '--gres=gpu:a100:1', '--comment=a b', '-C'])(
  '%s is an argument of sbatch',
  (text) => {
    expect(checkArgument(text)).toBe(text);
  },
);
test.each(['gpu', '--Gres', '--gres gpu:1'])('%s is none', (text) => {
  expect(() => checkArgument(text)).toThrow(/is no argument of sbatch/);
});
test.each(['--array=1-9', '-J', '-Jx', '--output=x', '--wrap=x', '--no-requeue'])(
  '%s is the program’s own',
  (text) => {
    expect(() => checkArgument(text)).toThrow(/would change what the program itself sets/);
  },
);

test('a site file with every field', () => {
  const text = `
partition: gpu
time: 1-00:00:00
mem: 64G
cpus: 8
account: lab
qos: normal
constraint: a100
parallel: 4
gres: gpu:a100:1
sbatch: [--exclusive]
setup: [module load cuda/12]
node: /opt/node/bin/node
signalSeconds: 300
preparation: { partition: cpu, cpus: 16 }
evaluation: { mem: 2G }
`;
  expect(parseSite(text, 'site.yaml')).toMatchObject({
    time: '1-00:00:00',
    parallel: 4,
    preparation: { cpus: 16 },
  });
  expect(parseSite('time: 30', 'f').time).toBe('30');
  expect(parseSite('', 'f')).toEqual({});
});

test.each([
  ['partion: gpu', /f: field partion: there is no such field \(did you mean "partition"\?\)/],
  ['cpus: none', /field cpus: /],
  ['time: soon', /field time: "soon" is no time → write minutes/],
  ['mem: lots', /field mem: "lots" is no amount of memory/],
  ['sbatch: [--array=1-2]', /field sbatch\.0: the argument "--array=1-2" would change/],
  ['preparation: { cpu: 3 }', /field preparation\.cpu: there is no such field \(did you mean "cpus"\?\)/],
  ['partition: "a b"', /field partition: must be one word/],
  ['setup: ["a\\nb"]', /field setup\.0: must be one line/],
  ['signalSeconds: 5', /field signalSeconds: /],
  ['a: [', /f: line \d+: /],
  ['cpus: 0\nmem: x', /field mem: .*; field cpus: /],
])('the site file %j is refused by field', (text, message) => {
  expect(() => parseSite(text, 'f')).toThrow(message);
});

test('where the site file is looked for', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-site-'));
  const environment = { XDG_CONFIG_HOME: folder };
  expect(await readSite(undefined, environment)).toEqual({ site: {}, file: null });
  await mkdir(join(folder, 'ct-ensemble'));
  await writeFile(join(folder, 'ct-ensemble', 'site.yaml'), 'partition: gpu');
  expect(await readSite(undefined, environment)).toEqual({
    site: { partition: 'gpu' },
    file: join(folder, 'ct-ensemble', 'site.yaml'),
  });
  await writeFile(join(folder, 'own.yaml'), 'partition: own');
  expect((await readSite(join(folder, 'own.yaml'), environment)).site).toEqual({ partition: 'own' });
  await expect(readSite(join(folder, 'none.yaml'), environment)).rejects.toThrow(
    /there is no such site file/,
  );
});

const settings = (from: Partial<Parameters<typeof clusterSettings>[0]>) =>
  clusterSettings({ site: {}, options: {}, device: 'gpu:0', expected: [], ...from });

test('the command line comes before the site file, and that before what is assumed', () => {
  const site = {
    partition: 'gpu',
    mem: '64G',
    cpus: 8,
    account: 'lab',
    parallel: 4,
    sbatch: ['--exclusive'],
  };
  const { members, parallel } = settings({
    site,
    options: { mem: '10G', parallel: 2, sbatch: ['--gres=gpu:2'] },
  });
  expect(members).toMatchObject({ partition: 'gpu', mem: '10G', cpus: 8, account: 'lab', gres: 'gpu:1' });
  expect(members.sbatch).toEqual(['--exclusive', '--gres=gpu:2']);
  expect(parallel).toBe(2);
  const plain = settings({});
  expect(plain.members).toMatchObject({ mem: '32G', cpus: 4, gres: 'gpu:1', time: undefined });
  expect(plain.notes).toHaveLength(1);
});

test('the device decides about GPU and cores', () => {
  expect(settings({ device: 'cpu:6' }).members).toMatchObject({ cpus: 6, gres: undefined, mem: '16G' });
  expect(settings({ site: { gres: 'none' } }).members.gres).toBeUndefined();
  expect(settings({ site: { gres: 'gpu:v100:1' } }).members.gres).toBe('gpu:v100:1');
  expect(settings({ device: 'cpu:1', site: { gres: 'gpu:1' } }).members.gres).toBeUndefined();
});

test('preparation and evaluation have the account of the members, and nothing of their GPU', () => {
  const { preparation, evaluation } = settings({
    site: {
      partition: 'gpu',
      account: 'lab',
      sbatch: ['--exclusive'],
      constraint: 'a100',
      preparation: { partition: 'cpu' },
    },
    options: { qos: 'fast' },
  });
  expect(preparation).toEqual({
    partition: 'cpu',
    account: 'lab',
    qos: 'fast',
    cpus: 4,
    mem: '8G',
    sbatch: [],
  });
  expect(evaluation).toEqual({
    partition: 'gpu',
    account: 'lab',
    qos: 'fast',
    cpus: 2,
    mem: '8G',
    sbatch: [],
  });
});

test.each([
  // 1.5 × 4 h and ten minutes.
  ['expected alone', undefined, [7200, 14400], '06:10:00'],
  ['the site’s limit is shorter', '2:00:00', [14400], '2:00:00'],
  ['the site’s limit is longer', '1-0', [14400], '06:10:00'],
  ['one member is unknown', '3:00:00', [14400, undefined], '3:00:00'],
  ['nothing is known', undefined, [undefined], undefined],
] as [string, string | undefined, (number | undefined)[], string | undefined][])(
  'the time limit: %s',
  (...row) => {
    const [, time, seconds, limit] = row;
    const expected = seconds.map((each) => ({ seconds: each }));
    expect(settings({ site: { time }, expected }).members.time).toBe(limit);
    expect(settings({ site: { time }, expected, options: { time: '5' } }).members.time).toBe('5');
  },
);

test('members on CPUs ask for half more than was measured, and 1 GiB', () => {
  const expected = [{ memoryBytes: 2 * 2 ** 30 }, { memoryBytes: 2 ** 30 }];
  expect(settings({ device: 'cpu:2', expected }).members.mem).toBe('4096M');
  // The measurement on a GPU is of the GPU's memory.
  expect(settings({ expected }).members.mem).toBe('32G');
});
