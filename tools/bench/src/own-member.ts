// Worker thread of own-side.ts: one member. For each message it does the requested number of steps and answers with the values of
// the last one; the number 0 ends it.
import { parentPort, workerData } from 'node:worker_threads';
import { openMember } from './own-step.ts';
import type { Settings } from './settings.ts';

const port = parentPort!;
const member = await openMember(workerData as Settings);
port.postMessage(member.library);
port.on('message', async (steps: number) => {
  for (let i = 1; i < steps; i++) await member.step();
  if (steps > 0) return port.postMessage(await member.step());
  member.close();
  port.close();
});
