// What every command that trains does around its work: claims the folder, stops on signals, and says how it ended.
import {
  type Claim,
  type ClaimOptions,
  print,
  stopOnSignal,
  stoppedNotice,
  type Stopping,
} from '@ct-ensemble/core';
import { claimRun } from '@ct-ensemble/ensemble';

/** What the work may depend on while it holds the claim of its folder. */
export interface ClaimedWork {
  /** Aborted by the user, or when the claim is lost. */
  signal: AbortSignal;
  /** Aborted when the claim is lost. */
  lost: AbortSignal;
  stopping: Stopping;
}

/**
 * Runs the work under the claim of the folder. Returns its exit code, or 130 if the user stopped it. An error after the
 * claim is lost is the loss of the claim.
 */
export async function claimedWork(
  folder: string,
  work: (claimed: ClaimedWork) => Promise<number>,
  { say = print, ...claimOptions }: { say?: (notice: string) => void } & Pick<ClaimOptions, 'remedy'> = {},
): Promise<number> {
  const stopping = stopOnSignal();
  let claim: Claim | undefined;
  try {
    claim = await claimRun(folder, { ...claimOptions, signal: stopping.signal });
    const { lost } = claim;
    return await work({ signal: AbortSignal.any([stopping.signal, lost]), lost, stopping });
  } catch (error) {
    claim?.lost.throwIfAborted();
    if (!stopping.signal.aborted) throw error;
    say(stoppedNotice);
    return 130;
  } finally {
    await claim?.release();
    stopping.release();
  }
}
