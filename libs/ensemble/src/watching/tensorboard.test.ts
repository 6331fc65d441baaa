// Event files: checksums against published vectors, content after kills and resumes, and what tensorboard itself reads.
import { execFileSync } from 'node:child_process';
import { appendFile, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tensorboardFolder } from '../run-folder.ts';
import { crc32c, maskedCrc32c, validRecords, versionRecord } from './event-file.ts';
import { madeRun } from './run.fixture.ts';
import { tensorboardWriter, writeEvents } from './tensorboard.ts';

// RFC 3720, appendix B.4, and the check value of CRC-32C in the catalogue of CRC algorithms.
test.each([
  ['32 zeros', new Uint8Array(32), 0x8a9136aa],
  ['32 ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ['ascending', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
  ['descending', Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
  ['123456789', Buffer.from('123456789'), 0xe3069283],
])('CRC-32C of %s', (_, bytes, expected) => {
  expect(crc32c(bytes)).toBe(expected);
  // The mask of record_writer.h, in arithmetic that does not overflow.
  const rotated = (BigInt(expected) >> 15n) | ((BigInt(expected) << 17n) & 0xffffffffn);
  expect(maskedCrc32c(bytes)).toBe(Number((rotated + 0xa282ead8n) & 0xffffffffn));
});

test('the first record, byte by byte', () => {
  const record = versionRecord(1.5);
  expect(record.readBigUInt64LE(0)).toBe(24n);
  // wall_time: field 1, fixed64; file_version: field 3, 13 bytes
  expect(record.subarray(12, -4).toString('latin1')).toBe('\x09\0\0\0\0\0\0\xf8\x3f\x1a\x0dbrain.Event:2');
});

const onlyFile = async (run: string) => {
  const folder = tensorboardFolder(run, 'one');
  const names = await readdir(folder);
  expect(names).toHaveLength(1);
  return join(folder, names[0]!);
};
/** The file's records, without the time at which each was written. */
const contentOf = async (run: string) =>
  validRecords(await readFile(await onlyFile(run))).map((record) =>
    record.toString('latin1', 21, record.length - 4),
  );
/** What a file holds that was written at once. */
async function freshContent(losses: readonly number[]) {
  const made = await madeRun(['one']);
  await made.history('one', losses);
  await writeEvents(made.run, 'one');
  return contentOf(made.run);
}

test('the file grows by what is new and is left alone if nothing is', async () => {
  const made = await madeRun(['one']);
  await writeEvents(made.run, 'one');
  await expect(readdir(tensorboardFolder(made.run, 'one'))).rejects.toThrow(/ENOENT/);
  await made.history('one', [0.5]);
  await writeEvents(made.run, 'one');
  const first = await readFile(await onlyFile(made.run));
  await writeEvents(made.run, 'one');
  expect(await readFile(await onlyFile(made.run))).toEqual(first);
  await made.history('one', [0.5, 0.25, 0.125]);
  await writeEvents(made.run, 'one');
  const second = await readFile(await onlyFile(made.run));
  expect(second.subarray(0, first.length)).toEqual(first);
  expect(await contentOf(made.run)).toEqual(await freshContent([0.5, 0.25, 0.125]));
});

test('a file that was cut at any byte, or has garbage at its end, is completed', async () => {
  const losses = [0.5, 0.25];
  const made = await madeRun(['one']);
  await made.history('one', losses);
  await writeEvents(made.run, 'one');
  const file = await onlyFile(made.run);
  const { length } = await readFile(file);
  const expected = await freshContent(losses);
  for (let size = 0; size < length; size += 7) {
    await truncate(file, size);
    await writeEvents(made.run, 'one');
    expect(await contentOf(made.run)).toEqual(expected);
  }
  await appendFile(file, Buffer.alloc(50, 7));
  await writeEvents(made.run, 'one');
  expect(await contentOf(made.run)).toEqual(expected);
  expect(await readFile(file)).toHaveLength(length);
});

test('epochs that were trained anew with another result replace the old ones under a later name', async () => {
  const made = await madeRun(['one']);
  await made.history('one', [0.5, 0.25, 0.125]);
  await writeEvents(made.run, 'one');
  const before = await onlyFile(made.run);
  await made.history('one', [0.5, 0.375]);
  await writeEvents(made.run, 'one');
  const after = await onlyFile(made.run);
  expect(after > before).toBe(true);
  expect(await contentOf(made.run)).toEqual(await freshContent([0.5, 0.375]));
});

test('an older file that a kill left beside its successor is removed', async () => {
  const made = await madeRun(['one']);
  await made.history('one', [0.5]);
  await writeEvents(made.run, 'one');
  const left = join(tensorboardFolder(made.run, 'one'), 'events.out.tfevents.0000000001.host.1.0');
  await writeFile(left, 'old');
  await writeEvents(made.run, 'one');
  expect(await contentOf(made.run)).toEqual(await freshContent([0.5]));
});

test('many updates at once write every epoch once, and a problem is reported once and thrown never', async () => {
  const made = await madeRun(['one', 'two']);
  const problems: string[] = [];
  const writer = tensorboardWriter(made.run, (problem) => problems.push(problem));
  for (let epochs = 1; epochs <= 8; epochs++) {
    await made.history(
      'one',
      Array.from({ length: epochs }, (_, i) => 1 / (i + 2)),
    );
    for (let i = 0; i < 3; i++) writer.update('one');
  }
  await writer.end();
  expect(await contentOf(made.run)).toHaveLength(2 + 8);
  expect(problems).toEqual([]);
  await made.history('two', [0.5]);
  await writeFile(tensorboardFolder(made.run, 'two'), 'a file where the folder should be');
  for (let i = 0; i < 3; i++) {
    writer.update('two');
    await writer.end();
  }
  expect(problems).toEqual([expect.stringMatching(/could not be written: .*two.tensorboard/)]);
});

const python = process.env['CT_ENSEMBLE_PYTHON'] ?? 'python3';
/** Prints the scalars of a folder as JSON: tag → [step, value] pairs. */
const SCRIPT = `
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={'scalars': 0})
events.Reload()
print(json.dumps({tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in events.Tags()['scalars']}))
`;
const readByTensorboard = (folder: string) =>
  JSON.parse(execFileSync(python, ['-c', SCRIPT, folder], { encoding: 'utf8', stdio: 'pipe' })) as Record<
    string,
    [number, number][]
  >;
const hasTensorboard = (() => {
  try {
    execFileSync(python, ['-c', 'import tensorboard'], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
})();

(hasTensorboard ? test : test.skip)(
  'tensorboard reads every epoch once (needs CT_ENSEMBLE_PYTHON or python3 with tensorboard)',
  async () => {
    const made = await madeRun(['one']);
    const folder = tensorboardFolder(made.run, 'one');
    const expectLosses = async (losses: readonly number[]) => {
      await made.history('one', losses);
      await writeEvents(made.run, 'one');
      const scalars = readByTensorboard(folder);
      expect(Object.keys(scalars).sort()).toEqual([
        'time/epoch_seconds',
        'train/learning_rate',
        'train/loss',
        'val/macro_f1',
      ]);
      expect(scalars['train/loss']).toEqual(losses.map((loss, i) => [i + 1, Math.fround(loss)]));
      expect(scalars['val/macro_f1']).toEqual(losses.map((loss, i) => [i + 1, Math.fround(1 - loss)]));
      expect(scalars['train/learning_rate']).toEqual(losses.map((_, i) => [i + 1, Math.fround(0.001)]));
      expect(scalars['time/epoch_seconds']).toEqual(losses.map((_, i) => [i + 1, 10]));
    };
    await expectLosses([0.7]);
    await expectLosses([0.7, 0.6]);
    // A kill in the middle of a record, then a resumed training.
    const file = await onlyFile(made.run);
    await truncate(file, (await readFile(file)).length - 9);
    await expectLosses([0.7, 0.6, 0.5]);
    // A fall-back to an earlier checkpoint, trained on with another result.
    await expectLosses([0.7, 0.65]);
    await expectLosses(Array.from({ length: 300 }, (_, i) => 0.7 / (i + 1)));
  },
);
