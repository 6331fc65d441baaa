// cutout: where the square lies, and that nothing else of a slice changes.
import { randomStream } from '@ct-ensemble/core';
import { type Engine, openEngine } from '@ct-ensemble/engine';
import tf from '@tensorflow/tfjs';
import { augment, drawAugmentation } from './augment.ts';
import { cutout } from './cutout.ts';
import { augmentationSchema } from './index.ts';

const [height, width] = [6, 8];
const settings = { cutout: { size: 0.5, probability: 1 } }; // 3 rows, 4 columns

test.each(['tensorflow', 'cpu'] as const)(
  'a square about the drawn pixel is black, cut off at the border, on the engine %s',
  async (kind) => {
    const engine: Engine = await openEngine({ engine: kind });
    // Pixels (4, 3), (0, 0) and (7, 5), and no square.
    const draws = [{ x: 0.5, y: 0.5 }, { x: 0, y: 0 }, { x: 0.99, y: 0.99 }, undefined]; // prettier-ignore
    const inputs = cutout.tensors(
      settings,
      draws.map((draw) => [draw]),
      { height, width },
    )!;
    const volumes = tf.fill([4, 1, height, width], 200);
    const result = augment(volumes, inputs);
    const images = tf.unstack(result).map((image) => [...image.dataSync()]);
    const expected = [
      { columns: [2, 6], rows: [2, 5] },
      { columns: [0, 2], rows: [0, 2] },
      { columns: [5, 8], rows: [4, 6] },
      { columns: [0, 0], rows: [0, 0] },
    ].map(({ columns, rows }) =>
      Array.from({ length: height * width }, (_, i) => {
        const [x, y] = [i % width, Math.floor(i / width)];
        const isInside = x >= columns[0]! && x < columns[1]! && y >= rows[0]! && y < rows[1]!;
        return isInside ? 0 : 200;
      }),
    );
    expect(images).toEqual(expected);
    engine.close();
  },
);

test('is drawn with its probability, and changes no other draw', () => {
  const random = randomStream({ seed: 1, purpose: 'test' });
  const half = { cutout: { size: 0.5, probability: 0.5 } };
  const drawn = Array.from({ length: 1000 }, () => cutout.draw(half, random)).filter(
    (draw) => draw !== undefined,
  );
  expect(drawn.length / 1000).toBeCloseTo(0.5, 1);
  expect(drawn.reduce((sum, { x }) => sum + x, 0) / drawn.length).toBeCloseTo(0.5, 1);

  const key = { seed: 1, epoch: 0, scans: ['a', 'b'], depth: 1, height, width };
  const others = { rotate: 10, flipVertical: [0.5], contrast: { from: 0.5, to: 2, probability: 1 } };
  const without = drawAugmentation(augmentationSchema.parse(others), key);
  const all = drawAugmentation(augmentationSchema.parse({ ...others, ...settings }), key);
  expect(Object.keys(all)).toEqual([...Object.keys(without), 'cutout']);
  for (const [name, tensor] of Object.entries(without))
    expect(all[name]!.dataSync()).toEqual(tensor.dataSync());
});
