// The process that works on a member, as its folder notes it, so that no two processes ever train one member: the next holder of the
// run's claim ends a process that a killed coordinator has left.
//
// The child notes itself, then looks whether its coordinator lives, and only then touches the member's files. The next holder of the claim
// starts after the coordinator's end. It therefore finds the note, or the child finds that its coordinator has ended.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fenced, identitySchema, ownIdentity, readJson, stateOf, writeFileAtomic } from '@ct-ensemble/core';
import { setTimeout as sleep } from 'node:timers/promises';

const noteFile = (folder: string) => join(folder, '.process.json');

/** Notes in the member's folder that this process works on it. */
export async function enterMember(folder: string) {
  await writeFileAtomic(noteFile(folder), JSON.stringify(await ownIdentity()), { sync: false });
}

/** Removes the note of a process that has ended. */
export const leaveMember = (folder: string) => fenced.rm(noteFile(folder));

/**
 * Ends the processes that a killed coordinator has left at the members of a run, and waits until they have ended; `folder` holds the
 * folders of the members. To be called by the holder of the run's claim. Processes of another machine or container cannot be checked; they end when they notice that their
 * coordinator has.
 */
export async function endLeftProcesses(folder: string) {
  for (const member of await readdir(folder).catch(() => [])) await endLeftProcess(join(folder, member));
}

/** The same for the folder of one member. To be called by the owner of the member's claim, or of the run's. */
export async function endLeftProcess(memberFolder: string) {
  const file = noteFile(memberFolder);
  const noted = identitySchema.safeParse(await readJson(file).catch(() => undefined));
  if (!noted.success) return; // None, or cut short: the child had not begun.
  while ((await stateOf(noted.data)) === 'alive') {
    kill(noted.data.pid);
    await sleep(20);
  }
  await fenced.rm(file);
}

function kill(pid: number) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended in the meantime.
  }
}
