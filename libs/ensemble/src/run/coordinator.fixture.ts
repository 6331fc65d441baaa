// Runs of the coordinator with the fake worker, whose members do what their names say: in this thread, or behind a real port.
import { existsSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { messageOf, writeJson } from '@ct-ensemble/core';
import type { Device } from '@ct-ensemble/engine';
import { type Clock, realClock } from './clock.ts';
import { type CoordinatorOptions, type MemberEvent, trainMembers } from './coordinator.ts';
import { deviceName, parseDevices } from './devices.ts';
import { MemberFailure, type MemberPort, type MemberWork } from './ports/port.ts';
import type { FailureKind } from './schedule.ts';
import { planFile } from '../run-folder.ts';
import { planOf, temporaryRun } from '../testing.fixture.ts';

const worker = fileURLToPath(new URL('../../fixtures/fake-worker.mjs', import.meta.url));
const twoDevices = parseDevices('cpu:1,cpu:1', 9, { cores: 2, gpus: 0 });

/** Waits between attempts take milliseconds. */
const clock: Clock = {
  now: realClock.now,
  sleep: (seconds, signal) => realClock.sleep(seconds / 1000, signal),
};

/** Runs members in this very thread, which no member may end. Starting one costs nothing. */
const inThisThread: MemberPort = {
  start(task, observer) {
    let stopped = false;
    const run = async () => {
      const { default: work } = (await import(pathToFileURL(task.worker).href)) as { default: MemberWork };
      try {
        return await work(task, { ...observer, predicting() {}, stop: () => stopped });
      } catch (error) {
        const { kind = 'exception' } = error as { kind?: FailureKind };
        throw new MemberFailure(messageOf(error), { kind });
      }
    };
    return {
      result: run(),
      stop: () => void (stopped = true),
      status: async () => undefined,
      logs: () => '',
    };
  },
  close: async () => {},
};

/** With `isolation` or `port`, members run behind a real port. */
export async function train(
  members: string[],
  options: Partial<CoordinatorOptions> & { devices?: Device[] } = {},
) {
  const run = options.run ?? (await temporaryRun());
  const devices = options.devices ?? twoDevices;
  const events: MemberEvent[] = [];
  const onEvent = (event: MemberEvent) => {
    events.push(event);
    options.onEvent?.(event);
  };
  const plan = planOf(members, devices.map(deviceName));
  if (!existsSync(planFile(run))) await writeJson(planFile(run), plan);
  const port = options.isolation === undefined ? { port: inThisThread } : {};
  const all = { run, plan, store: run, worker, clock, ...port, ...options, devices, onEvent };
  return { run, outcomes: await trainMembers(all), events };
}
