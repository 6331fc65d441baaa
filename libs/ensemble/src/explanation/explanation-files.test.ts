import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryRun } from '../testing.fixture.ts';
import type { ScanExplanation } from './explanation.ts';
import { readExplanations, writeExplanation } from './explanation-files.ts';

const explanation: ScanExplanation = {
  scan: 'val/a/s1',
  split: 'val',
  label: null,
  classes: ['a', 'b'],
  explained: 'a',
  probabilities: [0.75, 0.25],
  method: 'grad-cam',
  slices: [{ position: 3, file: null, score: 0.25, places: [0] }],
  members: [
    { member: 'm', probabilities: [0.75, 0.25], logits: [1, 0], trainedOn: false, placeScores: [0.25] },
  ],
};

test('what is written is read again; other files are reported and no error', async () => {
  const folder = await temporaryRun();
  const png = Uint8Array.from([1, 2, 3]);
  await writeExplanation(join(folder, 'b'), { explanation, png });
  await writeExplanation(join(folder, 'a'), { explanation: { ...explanation, scan: 'val/a/s0' }, png });
  await writeFile(join(folder, 'other.json'), '{"scan": 3}');
  await writeFile(join(folder, 'damaged.json'), '{');
  await writeFile(join(folder, 'alone.json'), JSON.stringify(explanation));
  await writeFile(join(folder, 'notes.txt'), '');
  const { explanations, problems } = await readExplanations(folder);
  expect(explanations.map((each) => each.explanation.scan)).toEqual(['val/a/s0', 'val/a/s1']);
  expect(explanations[1]!.explanation).toEqual(explanation);
  expect([...explanations[1]!.png]).toEqual([1, 2, 3]);
  expect(problems).toEqual([
    expect.stringContaining('alone.png'),
    expect.stringContaining('damaged.json'),
    expect.stringMatching(/other\.json: is no explanation: scan: /),
  ]);
});

test('a folder that is not there has no explanations', async () => {
  expect(await readExplanations(join(await temporaryRun(), 'none'))).toEqual({
    explanations: [],
    problems: [],
  });
});
