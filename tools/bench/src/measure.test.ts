// Measures fake sides whose times are known.
import { chooseCases } from './cases.ts';
import { measureCase, measurement } from './measure.ts';
import type { Settings } from './settings.ts';
import type { OpenSide } from './side.ts';

const common = {
  architecture: 'densenet_small',
  depth: 8,
  views: [8],
  size: 32,
  device: { kind: 'cpu', index: 0 },
  tf32: false,
  weights: 'w',
  volumes: 'v',
} as const;
const caseNamed = (name: string, pairs: number) => chooseCases([name], common, { pairs })[0]!;

interface Pretended {
  first?: number[];
  later?: number[];
  /** Seconds of the turns, one after the other. */
  seconds?: number[];
  starts?: number[];
  peak?: number | null;
  /** GPU memory of the side. */
  gpu?: number | null;
  others?: number;
}

/** Fake sides that answer with the given values; `turns` records which side did what. */
function pretend(sides: Record<Settings['library'], Pretended>) {
  const turns: string[] = [];
  let open = 0;
  const openSide: OpenSide = async ({ library }) => {
    const { first = [0.5], later = [0.4], seconds = [], starts = [], gpu, ...rest } = sides[library];
    const turn = { values: later, compute: 'float32', peak: 1, others: 0, ...rest };
    open++;
    turns.push(`open ${library}`);
    return {
      library,
      firstStep: { ...turn, values: first, seconds: 1 },
      start: { ...turn, values: first, seconds: starts.shift() ?? 9 },
      async run(steps) {
        turns.push(`${library} ${steps}`);
        return { ...turn, seconds: seconds.shift() ?? 9 };
      },
      ...(gpu === undefined ? {} : { gpuMemory: () => gpu }),
      close: async () => void open--,
    };
  };
  return { openSide, turns, stillOpen: () => open };
}

test('the median of the pairs’ ratios, without the warm-up', async () => {
  const { openSide, stillOpen } = pretend({
    own: { seconds: [99, 99, 1, 2, 4] },
    pytorch: { seconds: [9, 9, 2, 2, 6] },
  });
  const { measurements, seconds, last } = await measureCase(caseNamed('one-member', 3), openSide);
  expect(seconds).toEqual([
    { here: 1, peer: 2 },
    { here: 2, peer: 2 },
    { here: 4, peer: 6 },
  ]);
  // ratios 2, 1, 1.5; not the ratio of the medians, 2 / 2
  expect(measurements).toEqual([
    {
      quantity: 'step',
      here: 2,
      peer: 2,
      ratio: 1.5,
      quartiles: [1.25, 1.75],
      pairs: 3,
      target: { atLeast: 1.1 },
      met: true,
    },
  ]);
  expect(last).toEqual({ here: [0.4], peer: [0.4] });
  expect(stillOpen()).toBe(0);
});

test('the sides take turns, each first every other time; the time of a turn is divided by its steps', async () => {
  const two = { first: [0.5, 0.5], later: [0.4, 0.4] };
  const { openSide, turns } = pretend({
    own: { ...two, seconds: [9, 9, 3, 3] },
    pytorch: { ...two, seconds: [9, 9, 6, 6] },
  });
  const { measurements } = await measureCase(caseNamed('two-members', 2), openSide);
  expect(turns).toEqual([
    'open own', 'open pytorch', 'own 3', 'pytorch 3', 'pytorch 3', 'own 3', // warm-up
    'own 3', 'pytorch 3', 'pytorch 3', 'own 3',
  ]); // prettier-ignore
  expect(measurements[0]).toMatchObject({ here: 1, peer: 2, ratio: 2, quartiles: [2, 2], met: true });
});

test('memory is here / peer, and is not measured where the system does not report it', async () => {
  const sides = { own: { peak: 6e9 }, pytorch: { peak: 5e9 } };
  const { measurements } = await measureCase(caseNamed('memory', 1), pretend(sides).openSide);
  expect(measurements).toMatchObject([{ quantity: 'peak RSS', ratio: 1.2, met: false }]);

  const silent = { ...sides, own: { peak: null } };
  const unmeasured = await measureCase(caseNamed('memory', 1), pretend(silent).openSide);
  expect(unmeasured).toMatchObject({ measurements: [], unmeasured: [expect.stringContaining('peak RSS')] });
});

test('on a GPU every case with steps reports the memory of the GPU instead of the computer’s', async () => {
  const onGpu = { ...common, device: { kind: 'gpu', index: 0 } } as const;
  const [benchCase] = chooseCases(['memory'], onGpu, { pairs: 1 });
  const [step] = chooseCases(['one-member'], onGpu, { pairs: 1 });
  const sides = { own: { gpu: 9e9 }, pytorch: { gpu: 6e9 } };
  const { measurements } = await measureCase(benchCase!, pretend(sides).openSide);
  expect(measurements).toMatchObject([
    { quantity: 'GPU memory', here: 9e9, peer: 6e9, ratio: 1.5, met: null },
  ]);
  const both = await measureCase(step!, pretend(sides).openSide);
  expect(both.measurements.map(({ quantity }) => quantity)).toEqual(['step', 'GPU memory']);

  const silent = await measureCase(benchCase!, pretend({ ...sides, own: { gpu: null } }).openSide);
  expect(silent).toMatchObject({ measurements: [], unmeasured: [expect.stringContaining('nvidia-smi')] });
});

test('on a busy machine no time is judged, but memory is', async () => {
  const sides = { own: { others: 0.05 }, pytorch: { others: 0.25 } };
  const step = await measureCase(caseNamed('one-member', 2), pretend(sides).openSide);
  expect(step).toMatchObject({ others: expect.closeTo(0.15), measurements: [{ ratio: 1, met: null }] });
  const memory = await measureCase(caseNamed('memory', 2), pretend(sides).openSide);
  expect(memory.measurements).toMatchObject([{ ratio: 1, met: true }]);
});

test('starts are whole processes, one after the other', async () => {
  const { openSide, turns, stillOpen } = pretend({
    own: { starts: [50, 4, 8] },
    pytorch: { starts: [50, 6, 4] },
  });
  const { measurements } = await measureCase(caseNamed('startup', 2), openSide);
  expect(turns).toEqual([
    'open own', 'open pytorch', 'open own', 'open pytorch', 'open pytorch', 'open own',
  ]); // prettier-ignore
  expect(measurements[0]).toMatchObject({ quantity: 'start', here: 6, peer: 5, ratio: 1, met: null });
  expect(stillOpen()).toBe(0);
});

test.each([
  ['one-member', [0.5], [0.5006], 'losses of the first step differ by more than 0.001'],
  ['one-member', [NaN], [0.5], 'losses'],
  ['one-member', [0.5], [0.5, 0.5], 'losses'],
  ['mixed', [0.5], [0.52], 'losses of the first step differ by more than 0.03'],
  ['evaluation', [0.001, 0.999], [0.003, 0.997], 'probabilities of the first batch'],
])('%s: %p beside %p is refused before any turn', async (...given) => {
  const [name, own, pytorch, message] = given;
  const { openSide, turns, stillOpen } = pretend({ own: { first: own }, pytorch: { first: pytorch } });
  await expect(measureCase(caseNamed(name, 1), openSide)).rejects.toThrow(message);
  expect(turns).toEqual(['open own', 'open pytorch']);
  expect(stillOpen()).toBe(0);
});

test.each([
  ['one-member', [0.5], [0.5004]],
  ['mixed', [0.5], [0.51]],
  ['evaluation', [0.001, 0.999], [0.0015, 0.9985]],
])('%s: %p beside %p is the same', async (name, own, pytorch) => {
  const { openSide } = pretend({ own: { first: own }, pytorch: { first: pytorch } });
  await measureCase(caseNamed(name, 1), openSide);
});

test('a later step whose value is not finite ends the case', async () => {
  const { openSide, stillOpen } = pretend({ own: { later: [NaN] }, pytorch: {} });
  await expect(measureCase(caseNamed('one-member', 1), openSide)).rejects.toThrow('own gives NaN');
  expect(stillOpen()).toBe(0);
});

test('a target is met if the ratio equals it', () => {
  expect(measurement('step', [{ here: 1, peer: 1.5 }], { atLeast: 1.5 }).met).toBe(true);
  expect(measurement('peak RSS', [{ here: 2, peer: 2 }], { atMost: 1 }).met).toBe(true);
  expect(measurement('step', [{ here: 1, peer: 1.4 }], { atLeast: 1.5 }).met).toBe(false);
});
