// The members' curves for TensorBoard: members/NAME/tensorboard/ always holds what history.jsonl holds, no epoch twice and none
// missing, whatever was killed when. The event file is only a copy: it is completed or written anew from history.jsonl.
import { readdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fenced, messageOf, readRegularFile, writeFileAtomic } from '@ct-ensemble/core';
import { tensorboardFolder } from '../run-folder.ts';
import { isSameRecord, scalarRecord, startRecord, validRecords, versionRecord } from './event-file.ts';
import { type EpochLine, readHistory } from './history.ts';

export interface TensorboardWriter {
  /** Brings the member's event file up to date, some time soon. */
  update(member: string): void;
  /** Waits until all updates are written. */
  end(): Promise<void>;
}

/** Writes the members' event files. Never throws: `onProblem` is called once with the first thing that went wrong. */
export function tensorboardWriter(run: string, onProblem: (problem: string) => void): TensorboardWriter {
  const atWork = new Map<string, Promise<void>>();
  const again = new Set<string>();
  let isReported = false;
  const write = async (member: string) => {
    do {
      again.delete(member);
      await writeEvents(run, member).catch((error: unknown) => {
        if (!isReported) onProblem(`the files for TensorBoard could not be written: ${messageOf(error)}`);
        isReported = true;
      });
    } while (again.has(member));
    atWork.delete(member);
  };
  return {
    update(member) {
      if (atWork.has(member)) again.add(member);
      else atWork.set(member, write(member));
    },
    async end() {
      await Promise.all(atWork.values());
    },
  };
}

/**
 * Brings a member's event file up to date with its history.jsonl: missing epochs are appended, an incomplete record at the end
 * is cut off first. If the file holds something else (an epoch was trained anew with another result), a new file with a later
 * name takes its place, whose first records tell a running TensorBoard to forget the old one.
 *
 * @throws {UserError} or a system error if a file cannot be read or written.
 */
export async function writeEvents(run: string, member: string): Promise<void> {
  const history = await readHistory(run, member);
  if (history.length === 0) return;
  const folder = tensorboardFolder(run, member);
  const names = (await readdir(folder).catch(() => [])).filter((name) => isEventFile.test(name)).sort();
  const present = names.at(-1);
  const now = Date.now() / 1000;
  const expected = [versionRecord(now), startRecord(now), ...scalarRecords(history, now)];
  if (present !== undefined) {
    const file = join(folder, present);
    const content = await readRegularFile(file);
    const records = validRecords(content);
    if (records.length <= expected.length && records.every((each, i) => isSameRecord(each, expected[i]!))) {
      const length = records.reduce((sum, { length }) => sum + length, 0);
      if (length < content.length) await fenced.truncate(file, length);
      const missing = expected.slice(records.length);
      if (missing.length > 0) await fenced.appendFile(file, Buffer.concat(missing));
      await removeAll(folder, names.slice(0, -1));
      return;
    }
  }
  // Names have ten digits of seconds until the year 2286. A later name than the present one's, even if the clock was set back.
  const second = Math.max(Math.floor(now), present === undefined ? 0 : secondOf(present) + 1);
  const name = `events.out.tfevents.${String(second).padStart(10, '0')}.${safeHost()}.${process.pid}.0`;
  await writeFileAtomic(join(folder, name), expected, { sync: false });
  await removeAll(folder, names);
}

const isEventFile = /^events\.out\.tfevents\.\d+\./;
const secondOf = (name: string) => Number(name.split('.')[3]);
const safeHost = () => hostname().replace(/[^\w-]/g, '_');

async function removeAll(folder: string, names: readonly string[]) {
  for (const name of names) await fenced.rm(join(folder, name));
}

/** One record for each epoch. The last epoch has just ended; the times of the others follow from the epochs' durations. */
function scalarRecords(history: readonly EpochLine[], now: number): Buffer[] {
  let wallTime = now;
  return history
    .toReversed()
    .map(({ epoch, loss, macroF1, learningRate, seconds }) => {
      const bytes = scalarRecord({
        step: epoch + 1,
        wallTime,
        values: [
          ['train/loss', loss],
          ...(macroF1 === null ? [] : [['val/macro_f1', macroF1] as const]),
          ['train/learning_rate', learningRate],
          ...(seconds === null ? [] : [['time/epoch_seconds', seconds] as const]),
        ],
      });
      wallTime -= seconds ?? 0;
      return bytes;
    })
    .reverse();
}
