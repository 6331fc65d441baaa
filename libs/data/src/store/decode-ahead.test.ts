// The second thread's side and the preparing thread's side in one thread, and both in threads of their own.
import { MessageChannel } from 'node:worker_threads';
import type { ScanEntry } from '../scan-entry.ts';
import { flatPng, writeTree } from '../testing/dataset.fixture.ts';
import type { SliceFile } from '../readers/slice-source.ts';
import { decodeAhead, takeAhead } from './decode-ahead.ts';
import { openPreparer } from './prepare-in-memory.ts';

const COUNT = 40;
const BROKEN = 33;

const bytesOf = async (i: number) => (i === BROKEN ? Buffer.from('broken') : flatPng(i));
const bothSides = () => {
  const { port1, port2 } = new MessageChannel();
  const front = new SharedArrayBuffer(4);
  return { first: { port: port1, front }, second: { port: port2, front } };
};

test('images come from the last one on; a broken one does not come, nor what the first thread has passed', async () => {
  const files = await Promise.all(
    Array.from({ length: COUNT }, async (_, i): Promise<SliceFile> => ({
      bytes: await bytesOf(i),
      problem: null,
    })),
  );
  const { first, second } = bothSides();
  const end = takeAhead(files, first);
  expect(files[5]!.decoded!()).toBeNull();
  await decodeAhead(second);
  const known = files.map(({ decoded }, i) => (i > 5 ? decoded!() : null));
  for (const [i, image] of known.entries())
    if (i <= 5 || i === BROKEN) expect(image).toBeNull();
    else expect([i, image!.data[0]]).toEqual([i, i]);
  end();
});

test('a scan of few images is not sent, and the second side ends', async () => {
  const { first, second } = bothSides();
  const files: SliceFile[] = [{ bytes: await flatPng(1), problem: null }];
  const other = decodeAhead(second);
  takeAhead(files, first)();
  await other;
  expect(files[0]!.decoded).toBeUndefined();
});

test('one thread and two prepare the same volume with the same findings', async () => {
  const names = Array.from({ length: COUNT }, (_, i) => `${i}.png`);
  const folder = await writeTree(
    Object.fromEntries(await Promise.all(names.map(async (name, i) => [name, await bytesOf(i)] as const))),
  );
  const scan: ScanEntry = {
    key: 'scan',
    name: 'scan',
    split: 'test',
    label: null,
    patient: null,
    group: null,
    format: 'images',
    slices: names.map((name) => `${folder}/${name}`),
    failure: null,
  };
  const prepare = async (threads: number) => {
    const preparer = openPreparer({ preparations: [{ depth: 20, height: 8, width: 8 }], threads });
    try {
      const both = await Promise.all([preparer.prepare(scan), preparer.prepare(scan)]);
      expect(both[0]).toEqual(both[1]);
      return both[0]!;
    } finally {
      await preparer.close();
    }
  };
  const one = await prepare(1);
  expect(one.findings.map(({ kind }) => kind)).toContain('undecodable-slice');
  expect(one.slices).toBe(COUNT - 1);
  expect(await prepare(2)).toEqual(one);
});
