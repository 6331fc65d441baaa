// Worker thread of own-side.ts: one member, which does as many steps as it is asked for and tells what the last one gave;
// asked for none, it ends.
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
