// bench:coordinator: the coordinator's own cost. Trains the members of a recipe in processes of their own, so that CPU time tells
// what the coordinator takes and what the members take.
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf, print, printError, UserError } from '@ct-ensemble/core';
import { openRecipe, prepareRun, trainMembers } from '@ct-ensemble/ensemble';
import { makePhantoms } from '@ct-ensemble/phantoms';
import { describeMachine } from './machine.ts';

const usage = `Usage: nx run bench:coordinator -- [options]

  --recipe NAME   recipe whose members are trained on phantom scans, without published weights (default: quick)
  --devices LIST  as in trainer:all-members (default: cpu:1,cpu:1)
`;

/** Clock ticks of a second in /proc. */
const TICKS = 100;

/** CPU seconds of the child processes that have ended and been waited for (Linux). */
function childrenSeconds(): number {
  // After the name in parentheses the fields begin with the third one; cutime and cstime are the 16th and 17th.
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ').at(-1)!.split(' ');
  return (Number(fields[13]) + Number(fields[14])) / TICKS;
}

const ownSeconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

async function measure({ recipe: name, devices }: { recipe: string; devices: string }) {
  const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-bench-'));
  try {
    const data = join(folder, 'scans');
    await makePhantoms({ folder: data, seed: 1 });
    const recipe = await openRecipe(name, { fromScratch: true });
    const [run, store] = [join(folder, 'run'), join(folder, 'volumes')];
    const isolation = 'process';
    const prepared = await prepareRun({ data, recipe, run, devices, engine: 'tensorflow', store, isolation });
    const before = { own: ownSeconds(), children: childrenSeconds(), at: performance.now() };
    const busyBefore = performance.eventLoopUtilization();
    let events = 0;
    const outcomes = await trainMembers({
      run,
      store,
      isolation,
      plan: prepared.plan,
      devices: prepared.devices,
      expected: prepared.expected,
      onEvent: () => void events++,
    });
    const failed = outcomes.find(({ status }) => status !== 'done');
    if (failed) throw new Error(`${failed.member}: ${failed.reason}`);
    const own = ownSeconds() - before.own;
    const children = childrenSeconds() - before.children;
    const { utilization } = performance.eventLoopUtilization(busyBefore);
    const wall = (performance.now() - before.at) / 1000;
    const { cpu, cores } = await describeMachine();
    print(
      `${outcomes.length} members of ${name} on ${devices}, ${events} events, ${wall.toFixed(0)} s on ${cpu}, ${cores} cores`,
    );
    print(
      `coordinator: ${own.toFixed(2)} CPU seconds, members: ${children.toFixed(1)} CPU seconds, ratio ${((100 * own) / children).toFixed(2)} %`,
    );
    print(`event loop of the coordinator busy ${(100 * utilization).toFixed(2)} % of the time`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

try {
  const { values } = parseArgs({
    options: {
      recipe: { type: 'string', default: 'quick' },
      devices: { type: 'string', default: 'cpu:1,cpu:1' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) print(usage);
  else await measure(values);
} catch (error) {
  printError(error instanceof UserError ? error.message : `error: ${messageOf(error)}`);
  process.exitCode = 1;
}
