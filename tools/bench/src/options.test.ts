import { chooseCases } from './cases.ts';
import { readOptions, type Options } from './options.ts';

const read = (...args: string[]) => readOptions(args) as Options;
const casesOf = ({ cases, common, replacements }: Options) =>
  chooseCases(cases, { ...common, weights: 'w', volumes: 'v' }, replacements);

test('without options: the default cases with the settings that the targets are defined for', () => {
  const cases = casesOf(read());
  expect(cases.map(({ name }) => name)).toEqual([
    'two-members', 'one-member', 'one-member-16', 'mixed', 'evaluation', 'memory', 'startup',
    'resnext50_32x4d', 'inception_v3', 'inception_v4', 'inception_resnet_v2', 'att_unet',
  ]); // prettier-ignore
  expect(cases[0]!.here).toEqual({
    library: 'own', task: 'train', members: 2, threads: 1, batch: 4, precision: 'float32', jit: false, compile: false,
    recompute: false, architecture: 'densenet161', depth: 64, views: [64], size: 224, device: { kind: 'cpu', index: 0 },
    tf32: false, weights: 'w', volumes: 'v',
  }); // prettier-ignore
  for (const { here, peer } of cases) expect({ ...here, library: 'pytorch' }).toEqual(peer);
});

test('options replace what the cases have', () => {
  const given =
    '--cases memory,xla --steps 3 --threads 5 --batch 2 --size 48 --depth 8 --device gpu:1 --tf32';
  const cases = casesOf(read(...given.split(' '), '--architecture', 'densenet_small'));
  expect(cases).toMatchObject([
    {
      name: 'memory',
      pairs: 3,
      here: {
        threads: 5,
        batch: 2,
        size: 48,
        depth: 8,
        views: [8],
        device: { kind: 'gpu', index: 1 },
        tf32: true,
        architecture: 'densenet_small',
      },
    },
    { name: 'xla', here: { jit: true, library: 'own' }, peer: { jit: false, library: 'own' } },
  ]);
});

test.each([
  [['--batch', '0'], '--batch is "0" → give a whole number above 0'],
  [['--steps', '1.5'], '--steps is "1.5"'],
  [['--threads', 'two'], '--threads is "two"'],
  [['--device', 'tpu'], '--device is "tpu" → give cpu or gpu:0'],
  [['--device', 'gpu'], '--device is "gpu"'],
  [['--speed', '9'], "Unknown option '--speed'"],
  [['one-member'], "Unexpected argument 'one-member'"],
  [['--size'], "Option '--size <value>' argument missing"],
])('%p is refused', (args, message) => {
  expect(() => read(...args)).toThrow(message);
});

test('an unknown case is refused with the list of known ones', () => {
  expect(() => casesOf(read('--cases', 'memory,speed'))).toThrow(
    'there is no case "speed" → choose from two-members,',
  );
});

test('-h requests help', () => expect(readOptions(['-h'])).toBe('help'));
