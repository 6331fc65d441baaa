// Against what OpenCV, albumentations and Pillow make of the same slices (fixtures/record-augmentation.py), to the byte.
import { capture, type Engine, openEngine } from '@ct-ensemble/engine';
import tf, { type Tensor2D, type Tensor3D, type Tensor4D } from '@tensorflow/tfjs';
import { readFileSync } from 'node:fs';
import { augment, drawAugmentation, type Draws } from './augment.ts';
import type { Augmentation } from './index.ts';
import { volumesTensor } from '../step.ts';
import { type Interpolation, sourcesOf, type Turn } from './turn.ts';

interface Detection {
  angle: number;
  mirrorX: boolean;
  mirrorY: boolean;
  blur: boolean;
  factors: number[];
  slices: string;
}
interface Severity {
  angle: number;
  brightness: number;
  contrast: number;
  slices: string;
}
const recorded = JSON.parse(
  readFileSync(new URL('../fixtures/augmentation.json', import.meta.url), 'utf8'),
) as {
  height: number;
  width: number;
  depth: number;
  slices: string;
  detection: Detection[];
  severity: Severity[];
};
const { height, width, depth, detection, severity } = recorded;
const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, 'base64'));
const slices = bytesOf(recorded.slices);
const none: Augmentation = { rotate: 0, flipHorizontal: 0, flipVertical: [], blur: 0, gain: [] };
const paper: Augmentation = {
  ...none,
  rotate: 35,
  flipHorizontal: 0.5,
  flipVertical: [0.1, 0.1],
  blur: 0.2,
  gain: [{ factor: 1.5, probability: 0.2 }, { factor: 0.5, probability: 0.2 }], // prettier-ignore
};
const perSlice: Augmentation = {
  ...none,
  rotate: 10,
  interpolation: 'nearest',
  brightness: { from: 0.7, to: 1.5, probability: 0.1 },
  contrast: { from: 0.7, to: 1.5, probability: 0.1 },
  perSlice: true,
};
const key = { seed: 1, epoch: 3, depth, height, width };

/** One scan for each of the turns, one draw for each scan; or one scan of which each plane has a turn of its own. */
function turnsTensors(turns: Omit<Turn, 'height' | 'width'>[], interpolation: Interpolation, planes = 1) {
  const sources = turns.map((turn) => sourcesOf({ ...turn, height, width }, interpolation));
  const joined = (part: 'columns' | 'rows') => sources.flatMap((source) => [...source[part]]);
  const scans = turns.length / planes;
  return {
    columns: tf.tensor4d(joined('columns'), [scans, planes, 2, width], 'int32'),
    rows: tf.tensor4d(joined('rows'), [scans, planes, 2, height], 'int32'),
  };
}

const detectionDraws = (): Draws => ({
  ...turnsTensors(detection, 'linear'),
  blur: tf.tensor2d(detection.map(({ blur }) => [blur ? 1 : 0])),
  gain: tf.tensor3d(
    detection.map(({ factors }) => [[1.5, 0.5].map((factor) => (factors.includes(factor) ? factor : 1))]),
  ),
});
const upright = { mirrorX: false, mirrorY: false };
const severityDraws = (): Draws => ({
  ...turnsTensors(
    severity.map(({ angle }) => ({ angle, ...upright })),
    'nearest',
  ),
  brightness: tf.tensor2d(severity.map(({ brightness }) => [brightness])),
  contrast: tf.tensor2d(severity.map(({ contrast }) => [contrast])),
});

/** [depth, height, width] of every scan. */
function planesOf(x: tf.Tensor): Uint8Array[] {
  const scans = tf.unstack(tf.transpose(x, [0, 3, 1, 2]));
  return scans.map((scan) => Uint8Array.from(scan.dataSync()));
}

describe.each(['tensorflow', 'cpu'] as const)('on the engine %s', (kind) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine({ engine: kind });
  });
  afterAll(() => engine.close());

  const copies = (count: number) =>
    volumesTensor(
      Uint8Array.from({ length: count * slices.length }, (_, i) => slices[i % slices.length]!),
      [count, depth, height, width],
    );
  const eager = (volumes: tf.Tensor, draws: Draws, interpolation: Interpolation) =>
    augment(volumes, draws, { interpolation });
  const captured = async (volumes: tf.Tensor, draws: Draws, interpolation: Interpolation) => {
    const step = capture(({ volumes, ...rest }: { volumes: tf.Tensor } & Draws) => ({
      x: augment(volumes, rest, { interpolation }),
    }));
    const { x } = await step({ volumes, ...draws });
    step.dispose();
    return x;
  };

  test.each([
    ['eager', eager],
    ['captured', captured],
  ])('the pieces of the detection list, %s', async (_, run) => {
    const images = planesOf(await run(copies(detection.length), detectionDraws(), 'linear'));
    for (const [i, { slices: expected, ...asked }] of detection.entries())
      expect({ asked, slices: images[i] }).toEqual({ asked, slices: bytesOf(expected) });
  });

  test.each([
    ['eager', eager],
    ['captured', captured],
  ])('the pieces of the severity list, %s', async (_, run) => {
    const images = planesOf(await run(copies(severity.length), severityDraws(), 'nearest'));
    for (const [i, { slices: expected, ...asked }] of severity.entries())
      expect({ asked, slices: images[i] }).toEqual({ asked, slices: bytesOf(expected) });
  });

  test('each plane with a draw of its own', async () => {
    const chosen = [severity.at(-1)!, severity[1]!, severity.at(-2)!];
    const turns = chosen.map(({ angle }) => ({ angle, ...upright }));
    const draws = {
      ...turnsTensors(turns, 'nearest', depth),
      brightness: tf.tensor2d([chosen.map(({ brightness }) => brightness)]),
      contrast: tf.tensor2d([chosen.map(({ contrast }) => contrast)]),
    };
    const [image] = planesOf(await captured(copies(1), draws, 'nearest'));
    const size = height * width;
    for (const [i, { slices: expected }] of chosen.entries())
      expect(image!.subarray(i * size, (i + 1) * size)).toEqual(
        bytesOf(expected).subarray(i * size, (i + 1) * size),
      );
  });

  test('without draws only the axes move', () => {
    expect(planesOf(augment(copies(2), {}))).toEqual([slices, slices]);
  });

  test('nothing is left behind', async () => {
    const volumes = copies(2);
    const draws = drawAugmentation(paper, { ...key, scans: ['a', 'b'] });
    const before = tf.memory().numTensors;
    (await captured(volumes, draws, 'linear')).dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe('the draws', () => {
  const values = ({ columns, rows, blur, gain, brightness, contrast }: Draws) =>
    [columns, rows, blur, gain, brightness, contrast].map((tensor) => tensor && tf.unstack(tensor));
  const row = (draws: Draws, i: number) => values(draws).map((list) => list && [...list[i]!.dataSync()]);

  test.each([
    ['one for a scan', paper],
    ['one for a slice', perSlice],
  ])('depend on seed, epoch and name alone, not on the batch: %s', (_, list) => {
    const pair = drawAugmentation(list, { ...key, scans: ['a', 'b'] });
    const alone = drawAugmentation(list, { ...key, scans: ['b'] });
    expect(row(pair, 1)).toEqual(row(alone, 0));
    expect(row(pair, 0)).not.toEqual(row(pair, 1));
    expect(row(drawAugmentation(list, { ...key, epoch: 4, scans: ['b'] }), 0)).not.toEqual(row(alone, 0));
    expect(row(drawAugmentation(list, { ...key, seed: 2, scans: ['b'] }), 0)).not.toEqual(row(alone, 0));
  });

  test('have their probabilities', () => {
    const scans = Array.from({ length: 2000 }, (_, i) => `scan ${i}`);
    const { columns, blur, gain } = drawAugmentation(paper, { ...key, scans });
    const share = (list: ArrayLike<number>, which: (value: number) => boolean) =>
      Array.from(list).filter(which).length / list.length;
    expect(share(blur!.dataSync(), (value) => value === 1)).toBeCloseTo(0.2, 1);
    const [first, second] = tf.unstack(gain as Tensor3D, 2) as [Tensor2D, Tensor2D];
    expect(share(first.dataSync(), (value) => value === 1.5)).toBeCloseTo(0.2, 1);
    expect(share(second.dataSync(), (value) => value === 0.5)).toBeCloseTo(0.2, 1);
    const ends = (columns as Tensor4D).arraySync().map((planes) => {
      const [xs, ys] = planes[0] as [number[], number[]];
      return [xs.at(-1)! - xs[0]!, ys.at(-1)! - ys[0]!];
    });
    expect(share(ends.map(([x]) => x!), (x) => x < 0)).toBeCloseTo(0.5, 1); // prettier-ignore
    const angles = ends.map(([x, y]) => (Math.atan2(Math.abs(y!), Math.abs(x!)) * 180) / Math.PI);
    expect(Math.max(...angles)).toBeLessThanOrEqual(35.01);
    expect(share(angles, (angle) => angle > 17.5)).toBeCloseTo(0.5, 1);
  });

  test('planes that show the same slice share one; brightness and contrast lie in their range', () => {
    const scans = Array.from({ length: 200 }, (_, i) => `scan ${i}`);
    const both = { ...key, depth: 6, views: [4, 2], scans };
    const { columns, brightness, contrast } = drawAugmentation(perSlice, both);
    expect(columns!.shape).toEqual([200, 6, 2, width]);
    for (const factors of [brightness!, contrast!]) {
      const drawn = (factors as Tensor2D).arraySync().flatMap((planes) => {
        expect([planes[4], planes[5]]).toEqual([planes[0], planes[2]]);
        return planes.slice(0, 4);
      });
      const changed = drawn.filter((factor) => factor !== 1);
      expect(changed.length / drawn.length).toBeCloseTo(0.1, 1);
      expect(Math.min(...changed)).toBeGreaterThanOrEqual(0.7);
      expect(Math.min(...changed)).toBeLessThan(0.8);
      expect(Math.max(...changed)).toBeLessThanOrEqual(1.5);
      expect(Math.max(...changed)).toBeGreaterThan(1.4);
    }
    for (const planes of (columns as Tensor4D).arraySync().slice(0, 3)) {
      expect(planes[4]).toEqual(planes[0]);
      expect(planes[5]).toEqual(planes[2]);
      expect(planes[1]).not.toEqual(planes[0]);
    }
  });

  test('what the recipe leaves out is not drawn', () => {
    expect(drawAugmentation(none, { ...key, scans: ['a'] })).toEqual({});
    expect(Object.keys(drawAugmentation(perSlice, { ...key, scans: ['a'] }))).toEqual([
      'columns',
      'rows',
      'brightness',
      'contrast',
    ]);
  });
});
