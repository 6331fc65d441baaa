// What a child process runs for one member. It ends as soon as the coordinator has ended.
import { memberFolder } from '../../run-folder.ts';
import { enterMember } from './member-process.ts';
import type { MemberTask, Report } from './port.ts';
import { failureReport, serve } from './serve.ts';

export interface ChildTask {
  task: MemberTask;
  /** Process id of the coordinator. */
  parent: number;
}

let stopped = false;
let sent: Promise<void> = Promise.resolve();
const send = (report: Report) => {
  sent = new Promise((resolve) => process.send!(report, () => resolve()));
};
const die = () => process.kill(process.pid, 'SIGKILL');

// A terminal sends Ctrl-C to all its processes; what follows from it is up to the coordinator. A service manager that stops a
// service sends SIGTERM to all its processes: the member then stops after its present step, as if the coordinator had asked.
for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
process.on('SIGTERM', () => (stopped = true));
process.on('disconnect', die);
process.on('uncaughtException', (error) => end(failureReport(error, { unhandled: true }), 1));
process.once('message', (message: ChildTask) => {
  process.on('message', () => (stopped = true));
  void run(message);
});

async function run({ task, parent }: ChildTask) {
  try {
    await enterMember(memberFolder(task.run, task.member.name));
  } catch (error) {
    return end(failureReport(error), 0);
  }
  // A later start of the coordinator ends the process that is noted, see member-process.ts. If it looked before that was written,
  // this coordinator has ended before.
  if (process.ppid !== parent) die();
  await serve(task, { send, stop: () => stopped });
  end(undefined, 0);
}

function end(report: Report | undefined, code: number) {
  if (report) send(report);
  process.off('disconnect', die);
  void sent.then(() => process.exit(code));
}
