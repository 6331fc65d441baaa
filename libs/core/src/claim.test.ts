import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { claimFolder, folderError } from './claim.ts';
import { UserError } from './errors.ts';
import { ownIdentity } from './process-identity.ts';
import { startRacers } from './claim-race.fixture.ts';

const temporary = () => mkdtemp(join(tmpdir(), 'ct-ensemble-claim-'));
const claimIn = (folder: string) => join(folder, '.claim');
const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000);

/** A claim as a holder leaves it that is like this process but for these fields. */
async function writeClaim(folder: string, fields: Record<string, unknown> = {}, modified = new Date()) {
  await writeFile(join(folder, 'new'), await recordLike(fields));
  await utimes(join(folder, 'new'), modified, modified);
  await rename(join(folder, 'new'), claimIn(folder));
}

const recordLike = async (fields: Record<string, unknown>) =>
  JSON.stringify({
    ...(await ownIdentity()),
    nonce: randomBytes(16).toString('hex'),
    claimedAt: '2026-01-02T03:04:05.000Z',
    command: 'node trainer',
    lease: 0.4,
    ...fields,
  });

const children: ChildProcess[] = [];
async function program(command: string, args: string[]): Promise<number> {
  const child = spawn(command, args, { stdio: 'ignore' });
  children.push(child);
  await once(child, 'spawn');
  return child.pid!;
}
afterAll(() => children.forEach((child) => child.kill('SIGKILL')));

/** A pid that no process has: that of one that has ended and has been waited for. */
async function endedPid(): Promise<number> {
  const child = spawn('true');
  await once(child, 'exit');
  return child.pid!;
}

async function expectTakenOver(folder: string) {
  const claim = await claimFolder(folder);
  expect(JSON.parse(await readFile(claim.file, 'utf8'))).toMatchObject({ pid: process.pid });
  expect(await claim.isHeld()).toBe(true);
  await claim.release();
  expect(await readdir(folder)).toEqual([]);
}

test('a claim names its holder, is removed on release, and leaves nothing else', async () => {
  const folder = join(await temporary(), 'a', 'new', 'folder');
  const claim = await claimFolder(folder);
  expect(await readdir(folder)).toEqual(['.claim']);
  expect(JSON.parse(await readFile(claim.file, 'utf8'))).toMatchObject({
    ...(await ownIdentity()),
    command: expect.stringContaining('node'),
    lease: 60,
  });
  expect(await claim.isHeld()).toBe(true);
  await claim.release();
  await claim.release();
  expect(await claim.isHeld()).toBe(false);
  expect(await readdir(folder)).toEqual([]);
});

test('`await using` releases the claim', async () => {
  const folder = await temporary();
  {
    await using claim = await claimFolder(folder);
    expect(await claim.isHeld()).toBe(true);
  }
  expect(await readdir(folder)).toEqual([]);
});

test('the same process does not get a second claim of the folder', async () => {
  const folder = await temporary();
  const claim = await claimFolder(folder);
  await expect(claimFolder(folder)).rejects.toThrow(/this process \(\d+\) has already claimed the folder →/);
  expect(await claim.isHeld()).toBe(true);
  await claim.release();
  await (await claimFolder(folder)).release();
});

test('the refusal names the living holder and the remedy', async () => {
  const folder = await temporary();
  const pid = await program('sleep', ['60']);
  await writeClaim(folder, { pid, startTime: await startTimeOf(pid) }, hoursAgo(9));
  await expect(claimFolder(folder, { remedy: 'choose another' })).rejects.toThrow(
    new RegExp(
      `${folder}: another process is at work in this folder: process ${pid} on .* since 2026-01-02T03:04:05.000Z \\(node trainer\\) → choose another$`,
    ),
  );
  expect(await readdir(folder)).toEqual(['.claim']);
});

test('a claim is taken over at once if its process has ended', async () => {
  const folder = await temporary();
  await writeClaim(folder, { pid: await endedPid() });
  await expectTakenOver(folder);
});

test('a claim is taken over at once if its pid now belongs to another process', async () => {
  const folder = await temporary();
  await writeClaim(folder, { pid: await program('sleep', ['60']), startTime: '17' });
  await expectTakenOver(folder);
});

test('a claim is taken over if its process was killed and its parent has not waited for it', async () => {
  const folder = await temporary();
  // The shell starts the inner `sleep`, becomes the outer `sleep` itself, and so never waits for the inner one.
  const parent = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 60']);
  children.push(parent);
  const [line] = (await once(parent.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  while (!/^\d+ \(sleep\) Z/.test(await readFile(`/proc/${pid}/stat`, 'utf8'))) await sleep(10);
  await writeClaim(folder, { pid, startTime: await startTimeOf(pid) });
  await expectTakenOver(folder);
});

test('a claim from before the last boot is taken over without waiting', async () => {
  const folder = await temporary();
  await writeClaim(folder, { bootId: 'another boot' }, new Date('2001-01-01'));
  const waits: string[] = [];
  await (await claimFolder(folder, { onWait: (message) => waits.push(message) })).release();
  expect(waits).toEqual([]);
});

test('another host with this host’s name, alive, is not mistaken for a reboot', async () => {
  const folder = await temporary();
  await writeClaim(folder, { bootId: 'another boot', lease: 60 });
  await expect(claimFolder(folder)).rejects.toThrow(/another process is at work/);
});

test.each([
  ['host', { host: 'elsewhere' }],
  ['pid namespace', { pidNamespace: 'pid:[1]' }],
])('a claim from another %s with a recent heartbeat is refused at once', async (_, fields) => {
  const folder = await temporary();
  await writeClaim(folder, { ...fields, pid: await endedPid(), lease: 60 });
  const waits: string[] = [];
  await expect(claimFolder(folder, { onWait: (message) => waits.push(message) })).rejects.toThrow(
    /last heartbeat \d+ s ago → .*; if it has ended already, start again when its last heartbeat is 60 s old/,
  );
  expect(waits).toEqual([]);
});

test('a claim from another host is taken over once its lease was watched to expire', async () => {
  const folder = await temporary();
  await writeClaim(folder, { host: 'elsewhere', lease: 0.4 }, hoursAgo(1));
  const waits: string[] = [];
  const started = performance.now();
  const claim = await claimFolder(folder, { onWait: (message) => waits.push(message) });
  expect(performance.now() - started).toBeGreaterThan(400);
  expect(waits).toEqual([expect.stringMatching(/on elsewhere since .*; not changed for 3600 s\./)]);
  await claim.release();
});

test('a heartbeat during the watch refuses the starter, however wrong the clock of the other host is', async () => {
  const folder = await temporary();
  await writeClaim(folder, { host: 'elsewhere', lease: 30 }, hoursAgo(5));
  const beat = () => utimes(claimIn(folder), hoursAgo(4), hoursAgo(4));
  await expect(claimFolder(folder, { onWait: () => void beat() })).rejects.toThrow(
    /another process is at work/,
  );
});

test('a time in the future is no heartbeat', async () => {
  const folder = await temporary();
  await writeClaim(folder, { host: 'elsewhere', lease: 0.4 }, hoursAgo(-5));
  await expectTakenOver(folder);
});

test('waiting ends with the signal', async () => {
  const folder = await temporary();
  await writeClaim(folder, { host: 'elsewhere', lease: 60 }, hoursAgo(1));
  const stopping = new AbortController();
  const waiting = claimFolder(folder, { signal: stopping.signal, onWait: () => stopping.abort() });
  await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
});

test('a heartbeat changes the time of the claim and nothing else', async () => {
  const folder = await temporary();
  const claim = await claimFolder(folder, { heartbeat: 0.02, lease: 1 });
  const content = await readFile(claim.file, 'utf8');
  await utimes(claim.file, hoursAgo(1), hoursAgo(1));
  while ((await modifiedAgo(claim.file)) > 3000) await sleep(10);
  expect(await readFile(claim.file, 'utf8')).toBe(content);
  await claim.release();
});

test.each([
  [
    'taken over',
    (folder: string) => writeClaim(folder, { host: 'elsewhere', lease: 60 }),
    /this process lost its claim of the folder to process \d+ on elsewhere/,
  ],
  [
    'deleted',
    (folder: string) => rm(claimIn(folder)),
    /this process lost its claim of the folder \(deleted\)/,
  ],
])('a heartbeat notices that the claim was %s', async (_, change, message) => {
  const folder = await temporary();
  const reasons: UserError[] = [];
  const claim = await claimFolder(folder, {
    heartbeat: 0.02,
    lease: 1,
    onLost: (reason) => reasons.push(reason),
  });
  await change(folder);
  while (!claim.lost.aborted) await sleep(10);
  expect(reasons).toEqual([claim.lost.reason]);
  expect(reasons[0]!.message).toMatch(message);
  expect(await claim.isHeld()).toBe(false);
  await claim.release();
});

test('only one’s own claim is released, and isHeld notices another owner before the next heartbeat', async () => {
  const folder = await temporary();
  const claim = await claimFolder(folder);
  await rm(claim.file);
  await writeClaim(folder, { host: 'elsewhere', lease: 60 });
  const other = await readFile(claim.file, 'utf8');
  expect(await claim.isHeld()).toBe(false);
  expect((claim.lost.reason as UserError).message).toMatch(
    /lost its claim of the folder to process \d+ on elsewhere/,
  );
  await claim.release();
  expect(await readFile(claim.file, 'utf8')).toBe(other);

  const second = await temporary();
  const unaware = await claimFolder(second);
  await rm(unaware.file);
  await writeClaim(second, { host: 'elsewhere', lease: 60 });
  await unaware.release();
  expect(await readdir(second)).toEqual(['.claim']);
});

test('a claim of an earlier version, a bare pid, is taken over unless a Node process of that time has the pid', async () => {
  const folder = await temporary();
  for (const pid of [await endedPid(), await program('sleep', ['60']), process.pid]) {
    await writeFile(claimIn(folder), String(pid));
    await expectTakenOver(folder);
  }
  const node = await program(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  await writeFile(claimIn(folder), String(node));
  await utimes(claimIn(folder), hoursAgo(1), hoursAgo(1)); // older than the process
  await expectTakenOver(folder);
  await writeFile(claimIn(folder), String(node));
  const error = await claimFolder(folder).catch((error: UserError) => error);
  expect(error).toBeInstanceOf(UserError);
  expect((error as UserError).message).toMatch(
    new RegExp(
      `earlier version .* names process ${node}; a process of this number \\(.*setInterval.*\\) runs, but it may be an unrelated one → if that process does not work in this folder, delete ${claimIn(folder)}`,
    ),
  );
});

test.each(['', 'garbage', '{"pid": 1', '{"pid": 1}'])(
  'content %j holds while it is new, and no longer',
  async (text) => {
    const folder = await temporary();
    await writeFile(claimIn(folder), text);
    await expect(claimFolder(folder)).rejects.toThrow(/claim cannot be understood and was written \d+ s ago/);
    await utimes(claimIn(folder), hoursAgo(1), hoursAgo(1));
    const claim = await claimFolder(folder, { heartbeat: 0.1, lease: 0.3 });
    expect(await claim.isHeld()).toBe(true);
    await claim.release();
  },
);

test('a folder, a pipe or a link in the place of the claim is reported, neither followed nor deleted', async () => {
  for (const make of [
    (at: string) => mkdir(at),
    (at: string) => symlink('nowhere', at),
    async (at: string) => void (await once(spawn('mkfifo', [at]), 'exit')),
  ]) {
    const folder = await temporary();
    await make(claimIn(folder));
    await expect(claimFolder(folder)).rejects.toThrow(
      /\.claim: is not a regular file, .* → delete or rename it/,
    );
    expect(await readdir(folder)).toEqual(['.claim']);
  }
});

const takeoverOf = (id: string) => `.claim.after-${id}`;
const [first, second, third] = ['a', 'b', 'c'].map((digit) => digit.repeat(32)) as [string, string, string];

test.each([
  ['before it replaced the dead claim', { '.claim': first, [takeoverOf(first)]: second }],
  ['after that', { '.claim': second, [takeoverOf(first)]: second }],
  ['twice', { '.claim': first, [takeoverOf(first)]: second, [takeoverOf(second)]: third }],
  ['after the claim was released', { [takeoverOf(first)]: second }],
])('a take-over that was killed %s is taken over', async (_, nonces) => {
  const folder = await temporary();
  const pid = await endedPid();
  for (const [name, nonce] of Object.entries(nonces)) {
    await writeFile(join(folder, name), await recordLike({ pid, nonce }));
    await utimes(join(folder, name), hoursAgo(1), hoursAgo(1));
  }
  await expectTakenOver(folder);
});

test('a take-over begun on another host is waited for like a claim', async () => {
  const folder = await temporary();
  await writeClaim(folder, { pid: await endedPid(), nonce: first });
  await writeFile(join(folder, takeoverOf(first)), await recordLike({ host: 'elsewhere' }));
  await utimes(join(folder, takeoverOf(first)), hoursAgo(1), hoursAgo(1));
  const waits: string[] = [];
  const claim = await claimFolder(folder, { onWait: (message) => waits.push(message) });
  expect(waits).toEqual([expect.stringMatching(/on elsewhere/)]);
  expect(await readdir(folder)).toEqual(['.claim']);
  await claim.release();
});

test('temporary files of killed processes are deleted once older than the lease; those in use and other files are not', async () => {
  const folder = await temporary();
  const names = ['d', 'e'].map((digit) => `.claim.${digit.repeat(32)}.tmp`);
  for (const name of [...names, '.claim.notes', 'history.jsonl']) await writeFile(join(folder, name), '');
  for (const name of [names[0]!, '.claim.notes', 'history.jsonl'])
    await utimes(join(folder, name), hoursAgo(1), hoursAgo(1));
  await (await claimFolder(folder)).release();
  expect((await readdir(folder)).sort()).toEqual([names[1], '.claim.notes', 'history.jsonl'].sort());
});

test('a folder that cannot be written is one clear error', async () => {
  const folder = await temporary();
  await writeFile(join(folder, 'file'), '');
  await expect(claimFolder(join(folder, 'file'))).rejects.toThrow(/file: is a file, not a folder →/);
  await expect(claimFolder(join(folder, 'file', 'run'))).rejects.toThrow(
    /is not a folder: a part of its path is a file →/,
  );
  for (const [code, message] of [
    ['EACCES', /^runs\/a: cannot be written: permission denied → give this user the right to write there/],
    ['EROFS', /^runs\/a: cannot be written: the file system is read-only → mount it for writing/],
    ['ENOSPC', /^runs\/a: cannot be written: no space is left on the disk → free some space/],
  ] as const) {
    const error = folderError(Object.assign(new Error(code), { code }), 'runs/a') as UserError;
    expect(error).toBeInstanceOf(UserError);
    expect(error.message).toMatch(message);
  }
  const other = new Error('another');
  expect(folderError(other, 'runs/a')).toBe(other);
});

test('a folder without the right to write is refused', async () => {
  const folder = await temporary();
  await chmod(folder, 0o555);
  const [racer] = await startRacers(1, process.getuid?.() === 0 ? { uid: 65534 } : {});
  expect(await racer!.claim(folder)).toMatch(
    /^refused: .*: cannot be written: permission denied → give this user/,
  );
  racer!.end();
});

test('eight processes that start at once: exactly one holds the claim', async () => {
  const racers = await startRacers(8);
  const dead = await endedPid();
  for (const leave of [undefined, (folder: string) => writeClaim(folder, { pid: dead })])
    for (let round = 0; round < 10; round++) {
      const folder = await temporary();
      await leave?.(folder);
      const at = Date.now() + 5;
      const answers = await Promise.all(racers.map((racer) => racer.claim(folder, { at })));
      expect(answers.filter((answer) => answer === 'held')).toHaveLength(1);
      expect(await readdir(folder)).toEqual(['.claim']);
      await Promise.all(racers.map((racer) => racer.release()));
      expect(await readdir(folder)).toEqual([]);
      await rm(folder, { recursive: true });
    }
  racers.forEach((racer) => racer.end());
});

async function startTimeOf(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8');
  return text.split(' ')[21]!; // names of these programs hold no blanks
}

async function modifiedAgo(file: string): Promise<number> {
  return Date.now() - (await stat(file)).mtimeMs;
}
