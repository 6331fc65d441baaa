// What a child process runs for one member. It ends as soon as the coordinator has ended.
import { expose, wrap } from 'comlink';
import { memberFolder } from '../../run-folder.ts';
import { ipcEndpoint, type MemberControl, type MemberReceiver } from './channel.ts';
import { enterMember } from './member-process.ts';
import type { MemberTask } from './port.ts';
import { failureReport, serve } from './serve.ts';

export interface ChildTask {
  task: MemberTask;
  /** Process id of the coordinator. */
  parent: number;
}

export interface ProcessControl extends MemberControl {
  /** To be called once. */
  run(task: ChildTask): void;
}

let stopped = false;
const endpoint = ipcEndpoint(process);
const coordinator = wrap<MemberReceiver>(endpoint);
expose(
  { run: (task) => void run(task), stop: () => void (stopped = true) } satisfies ProcessControl,
  endpoint,
);
const die = () => process.kill(process.pid, 'SIGKILL');

// A terminal sends Ctrl-C to all its processes; what follows from it is up to the coordinator. A service manager that stops a
// service sends SIGTERM to all its processes: the member then stops after its present step, as if the coordinator had asked.
for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
process.on('SIGTERM', () => (stopped = true));
process.on('disconnect', die);
process.on('uncaughtException', (error) => void fail(error, { unhandled: true }));

async function run({ task, parent }: ChildTask) {
  try {
    await enterMember(memberFolder(task.run, task.member.name));
  } catch (error) {
    return fail(error);
  }
  // A later start of the coordinator ends the process that is noted, see member-process.ts. If it looked before that was written,
  // this coordinator has ended before.
  if (process.ppid !== parent) die();
  await serve(task, { coordinator, stop: () => stopped });
  end(0);
}

async function fail(error: unknown, { unhandled = false } = {}) {
  await coordinator.failed(failureReport(error, { unhandled }));
  end(unhandled ? 1 : 0);
}

/** To be called when the coordinator has answered: it has received all that was sent before, too. */
function end(code: number) {
  process.off('disconnect', die);
  process.exit(code);
}
