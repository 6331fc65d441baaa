import { jest } from '@jest/globals';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startRacers } from './claim-race.fixture.ts';

jest.setTimeout(600_000);

const rounds = 200;
const processes = 16;
const unshare = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];

/** Namespaces need rights that not every machine gives; the reason is shown in the test's name. */
const permitted = spawnSync(unshare[0]!, [...unshare.slice(1), 'true']).status === 0;
const inNamespaces = permitted ? test : test.skip;
const why = permitted ? '' : ' (skipped: unshare --pid is not permitted here)';

/** The claim of a process that was killed while it held it. */
async function killedClaim(): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-claim-'));
  const module = new URL('../dist/claim.js', import.meta.url).href;
  const code = `const { claimFolder } = await import('${module}'); await claimFolder('${folder}'); process.kill(process.pid, 'SIGKILL')`;
  await once(spawn(process.execPath, ['--input-type=module', '-e', code]), 'exit');
  return readFile(join(folder, '.claim'));
}

/** All starters watch this one for the time of its lease, and then take it over at the same moment. */
async function foreignClaim(): Promise<Buffer> {
  const record = JSON.parse((await killedClaim()).toString());
  return Buffer.from(JSON.stringify({ ...record, host: 'elsewhere', lease: 0.2 }));
}

const leavings: [string, () => Promise<{ content?: Buffer; age?: number }>][] = [
  ['no claim', async () => ({})],
  ['the claim of a killed process', async () => ({ content: await killedClaim() })],
  ['the claim of a process killed an hour ago', async () => ({ content: await killedClaim(), age: 3600 })],
  [
    'the claim of another host whose lease is over',
    async () => ({ content: await foreignClaim(), age: 3600 }),
  ],
  ['a dead claim of an earlier version', async () => ({ content: Buffer.from('4194000') })],
];

async function race(
  racers: Awaited<ReturnType<typeof startRacers>>,
  left: { content?: Buffer; age?: number },
) {
  const holders: Record<number, number> = {};
  for (let round = 0; round < rounds; round++) {
    const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-claim-'));
    if (left.content !== undefined) {
      const modified = new Date(Date.now() - (left.age ?? 0) * 1000);
      await writeFile(join(folder, '.claim'), left.content);
      await utimes(join(folder, '.claim'), modified, modified);
    }
    const at = Date.now() + 10;
    const answers = await Promise.all(racers.map((racer) => racer.claim(folder, { at })));
    const held = answers.filter((answer) => answer === 'held').length;
    holders[held] = (holders[held] ?? 0) + 1;
    const refusals = answers.filter((answer) => answer !== 'held');
    for (const refusal of refusals) expect(refusal).toMatch(/another process is at work in this folder/);
    expect(await readdir(folder)).toEqual(['.claim']);
    await Promise.all(racers.map((racer) => racer.release()));
    expect(await readdir(folder)).toEqual([]);
    await rm(folder, { recursive: true });
  }
  return holders;
}

test.each(leavings.slice(0, 2))(
  `sixteen processes, ${rounds} rounds, %s: exactly one holds it`,
  async (_, leave) => {
    const racers = await startRacers(processes);
    expect(await race(racers, await leave())).toEqual({ 1: rounds });
    racers.forEach((racer) => racer.end());
  },
);

inNamespaces.each(leavings)(
  `the same, eight of them each in a pid namespace of its own, %s: exactly one holds it${why}`,
  async (_, leave) => {
    const racers = [
      ...(await startRacers(processes / 2)),
      ...(await startRacers(processes / 2, { prefix: unshare })),
    ];
    expect(await race(racers, await leave())).toEqual({ 1: rounds });
    racers.forEach((racer) => racer.end());
  },
);

inNamespaces(
  `a holder in another pid namespace that is suspended loses its claim, and notices${why}`,
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-claim-'));
    const [[here], [there]] = await Promise.all([startRacers(1), startRacers(1, { prefix: unshare })]);
    expect(await there!.claim(folder, { lease: 2 })).toBe('held');
    await sleep(3000); // longer than the lease: it is the heartbeats that keep the claim
    expect(await here!.claim(folder, { lease: 2 })).toMatch(/^refused: .*, last heartbeat [012] s ago/);

    const holder = Number(await readFile(`/proc/${there!.pid}/task/${there!.pid}/children`, 'utf8'));
    process.kill(holder, 'SIGSTOP');
    while ((await here!.claim(folder, { lease: 2 })) !== 'held') await sleep(100);
    process.kill(holder, 'SIGCONT');
    expect(await there!.isHeld()).toBe('lost');
    await there!.release();
    expect(await here!.isHeld()).toBe('held');
    expect(await readdir(folder)).toEqual(['.claim']);
    await here!.release();
    expect(await readdir(folder)).toEqual([]);
    [here!, there!].forEach((racer) => racer.end());
  },
);
