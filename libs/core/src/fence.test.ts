// The newest claim wins, and the older copy's writes are refused: in its main thread, its threads and its child processes.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Claim, ClaimedError, claimFolder, claimHolder } from './claim.ts';
import { fenced, LostClaimError, requireFence } from './fence.ts';
import { sweepTemporaryFiles, writeFileAtomic } from './files.ts';
import { ownTag } from './process-identity.ts';

const temporary = () => mkdtemp(join(tmpdir(), 'ct-ensemble-fence-'));

const children: ChildProcess[] = [];
const claims: Claim[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const claim of claims.splice(0)) await claim.release();
  delete process.env['CT_ENSEMBLE_FENCE']; // That of a claim that was lost stays.
});

const claimNewest = async (folder: string, order?: readonly number[]) => {
  const claim = await claimFolder(folder, { newest: true, ...(order && { order }) });
  claims.push(claim);
  return claim;
};

type Where = 'main' | 'thread' | 'child';

/** A process with a thread and a child process, which each write a file when told to. */
async function startOlder(folder: string, order: readonly number[] = []) {
  const core = JSON.stringify(new URL('../dist/index.js', import.meta.url).href);
  const write = `async (name) => {
    const { writeFileAtomic } = await import(${core});
    try { await writeFileAtomic(${JSON.stringify(folder)} + '/sub/' + name, 'by ' + name); return 'written'; }
    catch (error) { return error.constructor.name + ': ' + error.message; }
  }`;
  const thread = `import { parentPort } from 'node:worker_threads'; const write = ${write};
    parentPort.on('message', async (name) => parentPort.postMessage(await write(name)));`;
  const child = `const write = ${write}; process.on('message', async (name) => process.send(await write(name)));`;
  const program = `
    import { once } from 'node:events';
    import { spawn } from 'node:child_process';
    import { Worker } from 'node:worker_threads';
    const { claimFolder } = await import(${core});
    const order = ${JSON.stringify(order)};
    const claim = await claimFolder(${JSON.stringify(folder)}, { newest: true, ...(order.length > 0 && { order }) });
    const thread = new Worker(${JSON.stringify(thread)}, { eval: true });
    const child = spawn(process.execPath, ['-e', ${JSON.stringify(child)}], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const write = ${write};
    process.on('message', async (name) => {
      if (name === 'isHeld') return process.send(String(await claim.isHeld()));
      const answered = name === 'main' ? undefined : once(name === 'thread' ? thread : child, 'message');
      if (name === 'thread') thread.postMessage(name);
      if (name === 'child') child.send(name);
      process.send(answered ? (await answered)[0] : await write(name));
    });
    process.on('disconnect', () => process.exit());
    process.send('ready');`;
  const older = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  children.push(older);
  await once(older, 'message');
  const ask = async (what: Where | 'isHeld') => {
    const answered = once(older, 'message') as Promise<[string]>;
    older.send(what);
    return (await answered)[0];
  };
  return { ask, pid: older.pid! };
}

/** Content, time and number of every file of a folder but its claim. */
async function snapshot(folder: string): Promise<string[]> {
  const names = (await readdir(folder, { recursive: true })).filter((name) => !name.startsWith('.claim'));
  const all = names.sort().map(async (name) => {
    const about = await stat(join(folder, name));
    const content = about.isFile() ? await readFile(join(folder, name), 'utf8') : '';
    return `${name} ${about.ino} ${about.mtimeMs} ${content}`;
  });
  return Promise.all(all);
}

const everywhere = ['main', 'thread', 'child'] as const;

test('the older copy is refused in every thread and process, and leaves no byte', async () => {
  const folder = await temporary();
  const older = await startOlder(folder);
  for (const where of everywhere) expect(await older.ask(where)).toBe('written');
  expect(await older.ask('isHeld')).toBe('true');
  const claim = await claimNewest(folder);
  const before = await snapshot(folder);
  expect(before).toHaveLength(4);
  for (const where of everywhere)
    expect(await older.ask(where)).toMatch(
      new RegExp(`^LostClaimError: .*/sub/${where}: is not written: .* that of process ${process.pid} on `),
    );
  expect(await older.ask('isHeld')).toBe('false');
  expect(await snapshot(folder)).toEqual(before);
  expect(await claim.isHeld()).toBe(true);
  await writeFileAtomic(join(folder, 'sub', 'main'), 'by the newest');
});

test('a copy that is suspended while another takes over is refused when it wakes', async () => {
  const folder = await temporary();
  const older = await startOlder(folder);
  process.kill(older.pid, 'SIGSTOP');
  const claim = await claimNewest(folder);
  await claim.release(); // The newest start may have ended by then.
  process.kill(older.pid, 'SIGCONT');
  for (const where of everywhere)
    expect(await older.ask(where)).toMatch(/^LostClaimError: .* that of nobody/);
  expect(await older.ask('isHeld')).toBe('false');
  expect(await readdir(folder)).toEqual([]);
});

test('a claim of greater order is newer, whenever it was made', async () => {
  const folder = await temporary();
  const holder = await startOlder(folder, [12, 1]);
  for (const order of [[12, 0], [11, 7], [12]])
    await expect(claimNewest(folder, order)).rejects.toThrow(ClaimedError);
  expect(await holder.ask('isHeld')).toBe('true');
  await claimNewest(folder, [12, 1]); // The same start again.
  expect(await holder.ask('isHeld')).toBe('false');
});

test('a dead holder of greater order is taken over', async () => {
  const folder = await temporary();
  const holder = await startOlder(folder, [13, 0]);
  const ended = once(children.at(-1)!, 'exit');
  process.kill(holder.pid, 'SIGKILL');
  await ended;
  expect(await (await claimNewest(folder, [12, 0])).isHeld()).toBe(true);
});

test('this process does not take over from itself', async () => {
  const folder = await temporary();
  await claimNewest(folder);
  await expect(claimNewest(folder)).rejects.toThrow(/this process \(\d+\) has already claimed/);
});

/** Replaces the claim as a newer start does. */
async function takeOver({ file }: Claim) {
  const record = JSON.parse(await readFile(file, 'utf8')) as object;
  await writeFile(`${file}.new`, JSON.stringify({ ...record, nonce: 'f'.repeat(32), pid: 4711 }));
  await rename(`${file}.new`, file);
}

test('a take-over during a write is noticed before the rename', async () => {
  const folder = await temporary();
  const claim = await claimNewest(folder);
  await writeFileAtomic(join(folder, 'a'), 'first');
  let left: string[] = [];
  const parts = Array.from({ length: 4000 }, () => Buffer.from('second'));
  const taking = (async () => {
    while (!(await readdir(folder)).some((name) => name.startsWith('.a.'))) await stat(folder);
    left = await readdir(folder);
    await takeOver(claim);
  })();
  await expect(writeFileAtomic(join(folder, 'a'), parts)).rejects.toThrow(
    /a: is not written: .* process 4711/,
  );
  await taking;
  expect(left.some((name) => name.startsWith('.a.'))).toBe(true); // It had begun before.
  expect(await readFile(join(folder, 'a'), 'utf8')).toBe('first');
  expect((await readdir(folder)).sort()).toEqual(['.claim', 'a']);
});

test('renames, links, copies, removals, appends and cuts are refused, elsewhere they are not', async () => {
  const [folder, elsewhere] = [await temporary(), await temporary()];
  const claim = await claimNewest(folder);
  const changes: [string, (folder: string) => Promise<unknown>][] = [
    ['rename', (where) => fenced.rename(join(where, 'a'), join(where, 'b'))],
    ['link', (where) => fenced.link(join(where, 'b'), join(where, 'c'))],
    ['copy', (where) => fenced.copyFile(join(where, 'b'), join(where, 'd'))],
    ['append', (where) => fenced.appendFile(join(where, 'd'), ' and more')],
    ['cut', (where) => fenced.truncate(join(where, 'c'), 3)],
    ['remove', (where) => fenced.rm(join(where, 'd'))],
  ];
  const contents = async (where: string) =>
    (await snapshot(where)).map((line) => line.replace(/ \d+ [\d.]+ /, ' '));
  await takeOver(claim);
  for (const where of [folder, elsewhere]) await writeFile(join(where, 'a'), 'content');
  for (const [, change] of changes) {
    await expect(change(folder)).rejects.toThrow(LostClaimError);
    await change(elsewhere);
  }
  expect(await contents(folder)).toEqual(['a content']);
  expect(await contents(elsewhere)).toEqual(['b con', 'c con']);
  // A folder whose name only begins alike is not fenced.
  expect(requireFence(`${folder}-2/a`)).toBe(false);
  expect(() => requireFence(folder)).toThrow(LostClaimError);
});

test('within the claim the same changes are made, and after its release the folder is not fenced', async () => {
  const folder = await temporary();
  const claim = await claimNewest(folder);
  await writeFile(join(folder, 'a'), 'content');
  await fenced.rename(join(folder, 'a'), join(folder, 'b'));
  await fenced.link(join(folder, 'b'), join(folder, 'c'));
  await fenced.appendFile(join(folder, 'c'), '!');
  expect(await readFile(join(folder, 'b'), 'utf8')).toBe('content!');
  await fenced.rm(join(folder, 'b'));
  await fenced.rm(join(folder, 'b')); // Missing: no error.
  await claim.release();
  expect(requireFence(folder)).toBe(false);
  expect(await readdir(folder)).toEqual(['c']);
});

test('what killed or older processes left half written is deleted as far as asked', async () => {
  const folder = await temporary();
  const other = '1-00000000-00000000'; // Of another machine.
  const files = [`.a.${await ownTag()}-12345678.tmp`, `.a.${other}-12345678.tmp`];
  for (const file of files) await writeFile(join(folder, file), '');
  expect(await sweepTemporaryFiles(folder)).toBe(0);
  expect(await sweepTemporaryFiles(folder, { of: 'this-process' })).toBe(1);
  expect(await readdir(folder)).toEqual([files[1]]);
  expect(await sweepTemporaryFiles(folder, { of: 'all' })).toBe(1);
});

test("whether a holder that cannot be checked is alive goes by the file system's time", async () => {
  const folder = await temporary();
  const { file } = await claimNewest(folder);
  const record = JSON.parse(await readFile(file, 'utf8')) as object;
  await writeFile(`${file}.new`, JSON.stringify({ ...record, host: 'another' }));
  await rename(`${file}.new`, file);
  const written = (await stat(file)).mtimeMs;
  const isAlive = async (now: number) => (await claimHolder(folder, { now }))?.isAlive;
  expect(await isAlive(written + 59_000)).toBe(true);
  expect(await isAlive(written + 61_000)).toBe(false);
  await rm(file);
  expect(await claimHolder(folder)).toBe(undefined);
});
