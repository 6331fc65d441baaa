// A process that claims folders when told to, for the tests of the claim: it is forked, and answers by messages.
import { claimFolder } from './claim.ts';
import type { Claim } from './claim.ts';

export interface RacerOrder {
  /** The folder to claim, at this time (milliseconds since 1970); without a folder, release the claim. */
  folder?: string;
  at: number;
}

export type RacerAnswer = 'ready' | 'held' | 'released' | `refused: ${string}`;

const answer = (text: RacerAnswer) => process.send!(text);
let claim: Claim | undefined;

process.on('message', async ({ folder, at }: RacerOrder) => {
  if (folder === undefined) {
    await claim?.release();
    claim = undefined;
    return answer('released');
  }
  while (Date.now() < at); // All racers begin in the same millisecond.
  try {
    claim = await claimFolder(folder);
    return answer('held');
  } catch (error) {
    return answer(`refused: ${(error as Error).message}`);
  }
});
answer('ready');
