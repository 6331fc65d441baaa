import { openEngine, type Engine } from '@ct-ensemble/engine';
import { constant, kaimingNormal, pytorchDefault } from '../inits.ts';
import { createParameters, fromPyTorch, toPyTorch } from './parameters.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ engine: 'cpu' });
});
afterAll(() => engine.close());

test('a convolution is OIHW outside and HWIO inside', async () => {
  const shape = [2, 3, 4, 5];
  const name = ([o, i, h, w]: number[]) => 1000 * o! + 100 * i! + 10 * h! + w!;
  const data = new Float32Array(120).map((_, at) =>
    name([Math.floor(at / 60), Math.floor(at / 20) % 3, Math.floor(at / 5) % 4, at % 5]),
  );
  const inside = fromPyTorch({ dtype: 'F32', shape, data }, 'conv');
  const values = inside.arraySync() as unknown as number[][][][];
  expect(inside.shape).toEqual([4, 5, 3, 2]);
  expect([values[3]![4]![2]![1], values[1]![2]![0]![1]]).toEqual([name([1, 2, 3, 4]), name([1, 0, 1, 2])]);
  expect(await toPyTorch(inside, 'conv')).toEqual({ dtype: 'F32', shape, data });
});

test('conversions copy the values', async () => {
  const data = Float32Array.of(1, 2);
  const inside = fromPyTorch({ dtype: 'F32', shape: [2], data }, 'vector');
  data.fill(9);
  (await toPyTorch(inside, 'vector')).data.fill(8);
  expect([...inside.dataSync()]).toEqual([1, 2]);
});

const conv = { shape: [64, 32, 3, 3], layout: 'conv', init: kaimingNormal } as const;

test('initial values have the distributions of PyTorch', () => {
  const { root } = createParameters(3);
  const normal = root.parameter('a', conv).dataSync<'float32'>();
  const mean = normal.reduce((sum, value) => sum + value) / normal.length;
  const deviation = Math.sqrt(normal.reduce((sum, value) => sum + (value - mean) ** 2, 0) / normal.length);
  const expected = Math.sqrt(2 / 288);
  expect(Math.abs(mean)).toBeLessThan((4 * expected) / Math.sqrt(normal.length));
  expect(Math.abs(deviation / expected - 1)).toBeLessThan(4 / Math.sqrt(2 * normal.length));

  const bound = 1 / Math.sqrt(288);
  const uniform = root.parameter('b', { ...conv, init: pytorchDefault(conv.shape) }).dataSync<'float32'>();
  expect(Math.max(...uniform.map(Math.abs))).toBeLessThanOrEqual(bound);
  expect(Math.max(...uniform)).toBeGreaterThan(0.999 * bound);
  expect(Math.min(...uniform)).toBeLessThan(-0.999 * bound);
});

test('initial values depend on the seed and the full name alone', () => {
  const values = (seed: number, names: string[]) => {
    const { root } = createParameters(seed);
    return names.map((name) => [...root.at('x').parameter(name, conv).dataSync()]).at(-1);
  };
  expect(values(1, ['other', 'a'])).toEqual(values(1, ['a']));
  expect(values(2, ['a'])).not.toEqual(values(1, ['a']));
  expect(values(1, ['b'])).not.toEqual(values(1, ['a']));
});

test('two parameters of one name are refused, running statistics are not trainable', () => {
  const { parameters, root } = createParameters(1);
  const vector = { shape: [2], layout: 'vector', init: constant(1) } as const;
  root.at('n').parameter('weight', vector);
  root.at('n').parameter('running_mean', { ...vector, trainable: false });
  expect(() => root.parameter('n.weight', vector)).toThrow('two parameters n.weight');
  expect([...parameters.byName.keys()]).toEqual(['n.weight', 'n.running_mean']);
  expect(parameters.trainable().map(({ name }) => name)).toEqual(['n.weight']);
});
