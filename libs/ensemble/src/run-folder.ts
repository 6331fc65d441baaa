// The folder of a run: where everything lies, and who is at work in it.
//
//   plan.json              recipe, data set, members, devices
//   dataset.json           what the data set holds and everything odd about it
//   scans.msgpack          the prepared scans, as coordinator and workers hand them on
//   members/NAME/          config.json, history.jsonl, checkpoints/, probabilities/, then done.json or failed.json
//   submissions/NAME/      one CSV file a class
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, UserError, writeFileAtomic } from '@ct-ensemble/core';
import type { StoredScan } from '@ct-ensemble/data';
import { pack, unpack } from 'msgpackr';

export const planFile = (run: string) => join(run, 'plan.json');
export const datasetFile = (run: string) => join(run, 'dataset.json');
export const scansFile = (run: string) => join(run, 'scans.msgpack');
export const submissionFolder = (run: string, name: string) => join(run, 'submissions', name);

export const memberFolder = (run: string, member: string) => join(run, 'members', member);
export const configFile = (run: string, member: string) => join(memberFolder(run, member), 'config.json');
export const doneFile = (run: string, member: string) => join(memberFolder(run, member), 'done.json');
export const failedFile = (run: string, member: string) => join(memberFolder(run, member), 'failed.json');
export const probabilitiesFile = (run: string, member: string, split: 'val' | 'test') =>
  join(memberFolder(run, member), 'probabilities', `${split}.json`);

/** The scans with the volumes that these members see. */
export interface MemberScans {
  members: string[];
  scans: StoredScan[];
}

export async function writeScans(run: string, scans: readonly MemberScans[]) {
  await writeFileAtomic(scansFile(run), pack(scans));
}

/** The scans with the volumes that the member sees. */
export async function readScans(run: string, member: string): Promise<StoredScan[]> {
  const all = unpack(await readFile(scansFile(run))) as MemberScans[];
  return all.find(({ members }) => members.includes(member))!.scans;
}

/**
 * Claims the folder for this process, so that two trainers never write into one run. A claim whose process is gone
 * (killed, crashed) is taken over.
 *
 * @throws UserError when another process of this machine is at work there.
 */
export async function claimRun(run: string): Promise<{ release: () => Promise<void> }> {
  await mkdir(run, { recursive: true });
  const file = join(run, '.claim');
  for (;;) {
    try {
      const handle = await open(file, 'wx');
      await handle.writeFile(String(process.pid));
      await handle.close();
      return { release: () => rm(file, { force: true }) };
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
    }
    const pid = Number(await readFile(file, 'utf8').catch(() => ''));
    if (pid !== process.pid && isAlive(pid)) {
      throw new UserError(`another process (${pid}) is training in this run`, {
        file: run,
        remedy: 'wait for it, stop it, or choose another folder with --run',
      });
    }
    await rm(file, { force: true });
  }
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}
