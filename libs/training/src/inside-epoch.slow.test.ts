// A training that is killed before any change of its files ends with the bytes of an undisturbed one.
import { jest } from '@jest/globals';
import { existsSync } from 'node:fs';

// Before each operation of the training's thread that gives a file its name or removes it, the folder is as a kill would leave
// it. Those of the thread that writes only ever make a complete file under a name of its own.
const real = await import('node:fs/promises');
let beforeEachChange: (() => Promise<void>) | undefined;
const watched = (name: 'rename' | 'link' | 'rm') => async (file: string, to: never) => {
  await beforeEachChange?.();
  return real[name](file, to);
};
jest.unstable_mockModule('node:fs/promises', () => ({
  ...real,
  rename: watched('rename'),
  link: watched('link'),
  rm: watched('rm'),
}));
const { cp, rm } = real;
const { checkpointFolder, lastCheckpoint } = await import('./checkpoint.ts');
const {
  begin,
  expectFilesOf,
  fixed,
  newFolder,
  openEngine,
  readSafetensors,
  removeFolders,
  resume,
  scored,
  stateOf,
  STEPS,
} = await import('./testing/inside-epoch.fixture.ts');
const { train } = await import('./testing/member.fixture.ts');

let engine: Awaited<ReturnType<typeof openEngine>>;
let undisturbed: string;
beforeAll(async () => {
  engine = await openEngine({ device: { kind: 'cpu', index: 0, threads: 1 } });
  undisturbed = (await train({ ...fixed, folder: newFolder(), score: scored() })).folder;
});
afterAll(async () => {
  engine.close();
  await removeFolders();
});

test('stopped after each of its steps, with a checkpoint at each: equal bytes', async () => {
  const at = newFolder();
  for (let steps = 0; steps < 3 * STEPS - 1; steps++) {
    const { epochs, insideEpoch } = steps === 0 ? { epochs: 0 } : await stateOf(at);
    expect(epochs * STEPS + (insideEpoch?.steps ?? 0)).toBe(steps);
    await begin(at, { checkpoints: [1], stopAfter: 1, score: scored(epochs) });
  }
  await resume(at);
  await expectFilesOf(undisturbed, at);
});

test('killed before any change of a file: the next start ends with equal bytes', async () => {
  const at = newFolder();
  const kills: string[] = [];
  let busy = false;
  beforeEachChange = async () => {
    if (busy || !existsSync(checkpointFolder(at))) return;
    busy = true; // one copy at a time; what another file's change meanwhile would leave is the kill before that change
    const copy = newFolder();
    await cp(at, copy, { recursive: true, filter: (file) => !file.endsWith('.tmp') });
    kills.push(copy);
    busy = false;
  };
  await begin(at, { checkpoints: [2, 4, 7, 12] });
  beforeEachChange = undefined;
  await expectFilesOf(undisturbed, at);
  expect(kills.length).toBeGreaterThan(25);
  let fromInside = 0;
  for (const copy of kills) {
    const last = existsSync(lastCheckpoint(copy)) ? await readSafetensors(lastCheckpoint(copy)) : undefined;
    fromInside += Number(last?.metadata['state_inside_epoch'] !== undefined);
    const state = last?.metadata['state'] ?? last?.metadata['state_inside_epoch'] ?? '{"epochs":0}';
    const { epochs } = JSON.parse(state) as { epochs: number };
    await train({ ...fixed, folder: copy, score: scored(epochs), onWarning: () => {} });
    await expectFilesOf(undisturbed, copy);
    await rm(copy, { recursive: true });
  }
  expect(fromInside).toBeGreaterThan(8);
}, 600_000);
