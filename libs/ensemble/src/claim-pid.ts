// The process of this machine that holds the claim of a folder, so that it can be signalled and nobody else.
import { join } from 'node:path';
import { readJson, stateOf } from '@ct-ensemble/core';
import { z } from 'zod';

const identity = z.object({
  host: z.string(),
  bootId: z.string().nullable(),
  pidNamespace: z.string().nullable(),
  pid: z.int().positive(),
  startTime: z.string().nullable(),
});

/** Its pid; undefined if nobody holds the claim, or a process that this one cannot check (another host or container). */
export async function ownClaimPid(folder: string): Promise<number | undefined> {
  const found = identity.safeParse(await readJson(join(folder, '.claim')).catch(() => undefined));
  return found.success && (await stateOf(found.data)) === 'alive' ? found.data.pid : undefined;
}
