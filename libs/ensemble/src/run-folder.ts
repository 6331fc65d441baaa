// The folder of a run: where everything lies, and who is at work in it.
//
//   plan.json              recipe, data set, members, devices
//   dataset.json           layout, classes, counts, all findings, every scan
//   splits.csv             class, patient, split and, with folds, fold of every scan
//   scans.msgpack          the prepared scans, as coordinator and workers hand them on
//   coordinator.json       what the coordinator does: devices, members on them, members that wait
//   members/NAME/          config.json, history.jsonl, checkpoints/, probabilities/, tensorboard/, progress.json, log.txt,
//                          then done.json or failed.json; on a cluster .claim and starts.jsonl
//   submissions/NAME/      one CSV file a class; submissions/summary.json lists them
//   predictions/NAME.csv   probabilities and predicted class of every scan of a submission
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Claim,
  claimFolder,
  claimHolder,
  type ClaimOptions,
  printableLines,
  sweepTemporaryFiles,
  UserError,
  writeFileAtomic,
} from '@ct-ensemble/core';
import type { StoredScan } from '@ct-ensemble/data';
import { pack } from 'msgpackr';
import { endLeftProcesses } from './run/ports/member-process.ts';

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
export const failedFile = (run: string, member: string) => join(memberFolder(run, member), 'failed.json');
export const progressFile = (run: string, member: string) => join(memberFolder(run, member), 'progress.json');
export const logFile = (run: string, member: string) => join(memberFolder(run, member), 'log.txt');
/** The older part of a log that became too large. */
export const rotatedLogFile = (run: string, member: string) => join(memberFolder(run, member), 'log.1.txt');
/** TensorBoard's event file of a member. */
export const tensorboardFolder = (run: string, member: string) =>
  join(memberFolder(run, member), 'tensorboard');
/** One line for each start of the member as a job of a cluster. */
export const startsFile = (run: string, member: string) => join(memberFolder(run, member), 'starts.jsonl');
export const coordinatorFile = (run: string) => join(run, 'coordinator.json');
export const probabilitiesFile = (run: string, member: string, split: 'val' | 'test') =>
  join(memberFolder(run, member), 'probabilities', `${split}.json`);
/** The probabilities with test-time augmentation, which lie beside the plain ones if they have been made. */
export const augmentedFile = (run: string, member: string, split: 'val' | 'test') =>
  join(memberFolder(run, member), 'probabilities', `${split}.tta.json`);

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
 * Processes that a killed coordinator left at members are ended, and temporary files that killed processes left are deleted.
 *
 * @throws UserError if another process, or this one, holds the claim, if jobs of a cluster train members of the run, or if the
 * folder cannot be written.
 */
export async function claimRun(run: string, options: ClaimOptions = {}): Promise<Claim> {
  const claim = await claimFolder(run, {
    remedy: 'wait for it, stop it, or choose another folder with --run',
    onWait: (message) => console.error(printableLines(message)),
    onLost: ({ message }) => console.error(printableLines(message)),
    ...options,
  });
  try {
    await refuseMemberJobs(run, claim);
    await endLeftProcesses(join(run, 'members'));
    for (const folder of await foldersOf(run)) await sweepTemporaryFiles(folder);
  } catch (error) {
    await claim.release();
    throw error;
  }
  return claim;
}

/**
 * A member's folder has a claim of its own only while a job of a cluster trains the member. A job claims it first and then looks at
 * the run's claim, and whoever claims the run looks at the members' claims afterwards: one of the two finds the other.
 */
async function refuseMemberJobs(run: string, claim: Claim) {
  const now = (await stat(claim.file)).mtimeMs;
  const jobs: string[] = [];
  for (const member of await readdir(join(run, 'members')).catch(() => [])) {
    const holder = await claimHolder(memberFolder(run, member), { now });
    if (holder?.isAlive) jobs.push(`${member} (process ${holder.pid} on ${holder.host})`);
    else if (holder !== undefined) await rm(join(memberFolder(run, member), '.claim'), { force: true });
  }
  if (jobs.length > 0)
    throw new UserError(`jobs of a cluster train members of this run: ${jobs.join(', ')}`, {
      file: run,
      remedy: `wait until they have ended, or stop them with nx run trainer:stop -- --run ${run}`,
    });
}

/** The folders of a run, or of a slice network's training, in which files are written. */
async function foldersOf(run: string): Promise<string[]> {
  const below = async (name: string) =>
    (await readdir(join(run, name)).catch(() => [])).map((each) => join(run, name, each));
  const members = await below('members');
  const submissions = [join(run, 'predictions'), join(run, 'submissions'), ...(await below('submissions'))];
  const inMembers = members.flatMap((member) => [...foldersOfMember(member), join(member, 'tensorboard')]);
  return [run, join(run, 'checkpoints'), ...inMembers, ...submissions];
}

/** The folders in which a member's worker writes. */
const foldersOfMember = (folder: string) => [
  folder,
  join(folder, 'checkpoints'),
  join(folder, 'probabilities'),
];

/** Deletes the temporary files that an attempt of this process left which was ended while it wrote. */
export async function sweepMember(run: string, member: string, of: 'this-process' | 'all' = 'this-process') {
  for (const folder of foldersOfMember(memberFolder(run, member))) await sweepTemporaryFiles(folder, { of });
}
