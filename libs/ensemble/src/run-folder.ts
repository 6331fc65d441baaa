// The folder of a run: where everything lies, and who is at work in it.
//
//   plan.json              recipe, data set, members, devices
//   dataset.json           layout, classes, counts, all findings, every scan
//   splits.csv             class, patient, split and, with folds, fold of every scan
//   scans.msgpack          the prepared scans, as coordinator and workers hand them on
//   members/NAME/          config.json, history.jsonl, checkpoints/, probabilities/, then done.json or failed.json
//   submissions/NAME/      one CSV file a class; submissions/summary.json lists them
//   predictions/NAME.csv   probabilities and predicted class of every scan of a submission
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Claim,
  claimFolder,
  type ClaimOptions,
  printableLines,
  sweepTemporaryFiles,
  writeFileAtomic,
} from '@ct-ensemble/core';
import type { StoredScan } from '@ct-ensemble/data';
import { pack } from 'msgpackr';

export const planFile = (run: string) => join(run, 'plan.json');
export const datasetFile = (run: string) => join(run, 'dataset.json');
export const splitsFile = (run: string) => join(run, 'splits.csv');
export const scansFile = (run: string) => join(run, 'scans.msgpack');
export const submissionFolder = (run: string, name: string) => join(run, 'submissions', name);
/** Which submissions and tables there are; written after all of them. */
export const summaryFile = (run: string) => join(run, 'submissions', 'summary.json');
export const predictionsFile = (run: string, name: string) => join(run, 'predictions', `${name}.csv`);
/** Name of the table of a run's out-of-fold probabilities among the tables of submissions. */
export const OUT_OF_FOLD = 'out-of-fold';

export const memberFolder = (run: string, member: string) => join(run, 'members', member);
export const configFile = (run: string, member: string) => join(memberFolder(run, member), 'config.json');
export const doneFile = (run: string, member: string) => join(memberFolder(run, member), 'done.json');
export const historyFile = (run: string, member: string) => join(memberFolder(run, member), 'history.jsonl');
export const failedFile = (run: string, member: string) => join(memberFolder(run, member), 'failed.json');
export const probabilitiesFile = (run: string, member: string, split: 'val' | 'test') =>
  join(memberFolder(run, member), 'probabilities', `${split}.json`);

/** A prepared scan of a run. */
export interface RunScan extends StoredScan {
  /** Where members are trained by fold, the scan's fold, from 1; null: it is in none, for it is for test or has no label. */
  fold?: number | null;
}

/** The scans with the volumes that these members see, in the splits of the data set. */
export interface MemberScans {
  members: string[];
  scans: RunScan[];
  /** Where members are trained by fold, the fold of each. */
  folds?: Record<string, number>;
}

export async function writeScans(run: string, scans: readonly MemberScans[]) {
  await writeFileAtomic(scansFile(run), pack(scans));
}

/**
 * Claims the run's folder for this process, so that two trainers never write into one run. A dead claim is taken over;
 * see claimFolder. Waiting, and the loss of the claim, are reported on standard error unless the options say otherwise.
 * Temporary files that killed processes left in the folder are deleted.
 *
 * @throws UserError if another process, or this one, holds the claim, or if the folder cannot be written.
 */
export async function claimRun(run: string, options: ClaimOptions = {}): Promise<Claim> {
  const claim = await claimFolder(run, {
    remedy: 'wait for it, stop it, or choose another folder with --run',
    onWait: (message) => console.error(printableLines(message)),
    onLost: ({ message }) => console.error(printableLines(message)),
    ...options,
  });
  for (const folder of await foldersOf(run)) await sweepTemporaryFiles(folder);
  return claim;
}

/** The folders of a run, or of a slice network's training, in which files are written. */
async function foldersOf(run: string): Promise<string[]> {
  const below = async (name: string) =>
    (await readdir(join(run, name)).catch(() => [])).map((each) => join(run, name, each));
  const members = await below('members');
  const inMembers = members.flatMap((member) => [join(member, 'checkpoints'), join(member, 'probabilities')]);
  const submissions = [join(run, 'predictions'), join(run, 'submissions'), ...(await below('submissions'))];
  return [run, join(run, 'checkpoints'), ...members, ...inMembers, ...submissions];
}
