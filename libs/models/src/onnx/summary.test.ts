// Summaries against the numbers that torchvision and timm publish of their networks, and against closed forms.
import { summarise, totals } from './summary.ts';
import { traceNetwork } from './trace.ts';

// https://docs.pytorch.org/vision/stable/models.html (num_params, GFLOPS) and timm's benchmark tables (param_count, gmacs).
test.each([
  { net: 'densenet161', edge: 224, parameters: 28_681_000, billions: 7.73 },
  { net: 'resnext50_32x4d', edge: 224, parameters: 25_028_904, billions: 4.23 },
  { net: 'inception_v3', edge: 299, parameters: 23_834_568, billions: 5.71 }, // 27,161,264 with the auxiliary head
  { net: 'inception_v4', edge: 299, parameters: 42_679_816, billions: 12.28 },
  { net: 'inception_resnet_v2', edge: 299, parameters: 55_843_464, billions: 13.18 },
])('$net: parameters and multiply-adds as published', async ({ net, edge, parameters, billions }) => {
  const graph = await traceNetwork(net, { views: [], classes: 1000, size: [edge, edge] });
  const total = totals(summarise(graph, 3));
  expect(total.parameters).toBe(parameters);
  expect(Math.abs(total.multiplyAdds / 1e9 / billions - 1)).toBeLessThan(0.003); // timm counts a little more than products
});

test('rows are layers with what follows them, for a batch', async () => {
  const graph = await traceNetwork('densenet_small', { views: [6], classes: 3, size: [32, 48], batch: 2 });
  const rows = summarise(graph, 1);
  expect(rows.map(({ layer }) => layer)).toEqual(['encoder1', 'model']);
  const pixels = 2 * 32 * 48;
  expect(rows[0]).toEqual({
    layer: 'encoder1',
    ops: { Conv2D: 1, Add: 1, Relu: 1 },
    output: [2, 32, 48, 3],
    parameters: 3 * 6 * 9 + 3,
    multiplyAdds: pixels * 3 * 6 * 9,
    activationBytes: 3 * 4 * 3 * pixels,
  });
  expect(rows[1]!.output).toEqual([2, 3]);
  const deep = summarise(graph, 9);
  expect(totals(deep)).toEqual(totals(rows));
  expect(deep.at(-1)).toMatchObject({
    layer: 'model.classifier',
    parameters: 30 * 3 + 3,
    multiplyAdds: 2 * 30 * 3,
  });
});
