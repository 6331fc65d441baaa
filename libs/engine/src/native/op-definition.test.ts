import { readInputDefinitions } from './op-definition.ts';

test('reads which inputs of an op are lists', () => {
  // OpDef { name: "C", input_arg: { name: "values", number_attr: "N" }, input_arg: { name: "axis" }, is_stateful:
  // true }
  const text = (value: string) => [...Buffer.from(value)];
  const list = [0x0a, 6, ...text('values'), 0x2a, 1, ...text('N')];
  const single = [0x0a, 4, ...text('axis')];
  const definition = Uint8Array.from([
    0x0a,
    1,
    ...text('C'),
    0x12,
    list.length,
    ...list,
    0x12,
    single.length,
    ...single,
    0x88,
    0x01,
    1,
  ]);
  expect(readInputDefinitions(definition)).toEqual([
    { list: true, countedBy: 'N' },
    { list: false, countedBy: undefined },
  ]);
});
