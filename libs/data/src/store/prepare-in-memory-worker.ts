// Entry point of the worker threads of `openPreparer`: prepares one scan per task. The volumes are moved, not copied.
import { move, transferableSymbol, valueSymbol } from 'piscina';
import { type InMemoryTask, prepareInMemory, type PreparedInMemory } from './prepare-in-memory.ts';

export default async function prepareInWorker({
  scan,
  preparations,
  ahead,
}: InMemoryTask): Promise<PreparedInMemory> {
  const prepared = await prepareInMemory(scan, { preparations, ...(ahead && { ahead }) });
  const moved = {
    [transferableSymbol]: prepared.volumes.map(({ data }) => data.buffer as ArrayBuffer),
    [valueSymbol]: prepared,
  };
  return move(moved as never) as unknown as PreparedInMemory; // the pool's thread gets the value
}
