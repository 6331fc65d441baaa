// A process that claims folders when told to, for the tests of the claim: it is forked, and answers by messages.
import { claimFolder } from './claim.ts';
import type { Claim } from './claim.ts';

export interface RacerOrder {
  order: 'claim' | 'isHeld' | 'release';
  /** The folder to claim. */
  folder?: string;
  /** When to claim it, milliseconds since 1970. */
  at?: number;
  /** Seconds; the heartbeat is a tenth of it. */
  lease?: number;
}

export type RacerAnswer = 'ready' | 'held' | 'lost' | 'released' | `refused: ${string}`;

const answer = (text: RacerAnswer) => process.send!(text);
let claim: Claim | undefined;

process.on('message', async ({ order, folder, at = 0, lease = 60 }: RacerOrder) => {
  if (order === 'isHeld') return answer((await claim?.isHeld()) ? 'held' : 'lost');
  if (order === 'release') {
    await claim?.release();
    claim = undefined;
    return answer('released');
  }
  while (Date.now() < at); // All racers begin in the same millisecond.
  try {
    claim = await claimFolder(folder!, { lease, heartbeat: lease / 10 });
    return answer('held');
  } catch (error) {
    return answer(`refused: ${(error as Error).message}`);
  }
});
answer('ready');
