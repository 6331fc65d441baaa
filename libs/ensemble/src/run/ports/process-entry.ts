// What a child process runs for one member. It ends as soon as the coordinator has ended.
import type { MemberTask, Report } from './port.ts';
import { enterMember } from './member-process.ts';
import { failureReport, serve } from './serve.ts';

export interface ChildTask {
  task: MemberTask;
  /** Process id of the coordinator. */
  parent: number;
}

let stopped = false;
const send = (report: Report) => void process.send!(report);
const die = () => process.kill(process.pid, 'SIGKILL');

// A terminal sends Ctrl-C to all its processes; what follows from it is up to the coordinator. A service manager that stops a
// service sends SIGTERM to all its processes: the member then stops after its present step, as if the coordinator had asked.
for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
process.on('SIGTERM', () => (stopped = true));
process.on('disconnect', die);
process.on('uncaughtException', (error) => {
  process.send!(failureReport(error, { unhandled: true }), () => process.exit(1));
});
process.once('message', ({ task, parent }: ChildTask) => {
  process.on('message', () => (stopped = true));
  void run(task, parent);
});

async function run(task: MemberTask, parent: number) {
  await enterMember(task);
  // A later start of the coordinator ends the process that is written down, see member-process.ts. If it looked before that was
  // written, this coordinator has ended before.
  if (process.ppid !== parent) die();
  await serve(task, { send, stop: () => stopped });
  process.off('disconnect', die);
  process.disconnect();
}
