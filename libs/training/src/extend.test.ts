// Which changes of a recipe's training continue a training that was begun before them.
import { canExtend } from './extend.ts';
import type { TrainingOptions } from './schema.ts';
import { training } from './testing/member.fixture.ts';

type Change = Partial<TrainingOptions>;
const steps = (...pairs: [number, number][]) => pairs.map(([from, rate]) => ({ from, rate }));
const cosine = { schedule: 'cosine', rate: 0.1, warmUp: 0, final: 0 } as const;
// Four epochs, rate 0.01, from epoch 3 on 0.001.
const reason = (now: Change, old: Change = {}) => canExtend({ ...training, ...old }, { ...training, ...now });

test.each<[string, Change, Change?]>([
  ['nothing changes', {}],
  ['more epochs', { epochs: 9 }],
  ['a step that begins when the old epochs are over', { epochs: 9, learningRate: steps([0, 0.01], [3, 0.001], [4, 1e-4]) }],
  ['another list with the same rates', { epochs: 9, learningRate: steps([0, 0.01], [1, 0.01], [3, 0.001]) }],
  ['a step that the old training did not reach', { epochs: 9 }, { learningRate: steps([0, 0.01], [3, 0.001], [4, 5]) }],
  ['the same cosine over the same epochs', { learningRate: cosine }, { learningRate: cosine }],
])('can be extended: %s', (...[, now, old]) => expect(reason(now, old)).toBeNull()); // prettier-ignore

test.each<[string, Change, RegExp, Change?]>([
  ['fewer epochs', { epochs: 3 }, /^training\.epochs was 4 and is now 3; epochs can be added/],
  ['another rate in an old epoch', { epochs: 9, learningRate: steps([0, 0.01], [2, 0.001]) }, /^training\.learningRate was \[.*differ in epoch 2$/],
  ['a cosine, which depends on the epochs', { epochs: 9, learningRate: cosine }, /^training\.epochs was 4 and is now 9, which changes .* cosine/, { learningRate: cosine }],
  ['steps instead of a cosine', { epochs: 9 }, /^training\.learningRate was \{"schedule":"cosine"/, { learningRate: cosine }],
  ['another batch size', { epochs: 9, batchSize: 2 }, /^training\.batchSize was 4 and is now 2$/],
  ['a field that was absent', { gradientClip: 1 }, /^training\.gradientClip was absent and is now 1$/],
])('cannot be extended: %s', (...[, now, message, old]) => expect(reason(now, old)).toMatch(message)); // prettier-ignore
