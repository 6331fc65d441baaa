import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { claimRun, writeScans } from './run-folder.ts';
import { readScans } from './run-records.ts';
import { scan, temporaryRun } from './testing.fixture.ts';

test('scans are handed on as they are, to each member its own', async () => {
  const run = await temporaryRun();
  const scans = [scan('train/covid/a', 1), scan('test/b', null, null)];
  const others = [scan('train/covid/a', 1, 'another volume'), scan('test/b', null, null)];
  await writeScans(run, [
    { members: ['one', 'two'], scans },
    { members: ['three'], scans: others },
  ]);
  expect(await readScans(run, 'two')).toEqual(scans);
  expect(await readScans(run, 'three')).toEqual(others);
});

test('a run belongs to one living process', async () => {
  const run = await temporaryRun();
  const module = new URL('../dist/run-folder.js', import.meta.url).href;
  const holder = `const { claimRun } = await import('${module}'); await claimRun('${run}'); console.log('held'); setInterval(() => {}, 1000);`;
  const other = spawn(process.execPath, ['--input-type=module', '-e', holder]);
  await once(other.stdout, 'data');
  await expect(claimRun(run)).rejects.toThrow(
    new RegExp(
      `another process is at work in this folder: process ${other.pid} on .* → wait for it, stop it, or`,
    ),
  );
  other.kill('SIGKILL');
  await once(other, 'exit');
  const claim = await claimRun(run);
  expect(JSON.parse(await readFile(join(run, '.claim'), 'utf8'))).toMatchObject({ pid: process.pid });
  await claim.release();
  await expect(readFile(join(run, '.claim'))).rejects.toThrow();
});

test('a claim of an earlier version with the pid of an unrelated living process is taken over', async () => {
  const run = await temporaryRun();
  const other = spawn('sleep', ['60']);
  await once(other, 'spawn');
  await writeFile(join(run, '.claim'), String(other.pid));
  await (await claimRun(run)).release();
  other.kill();
});

test('whoever claims a run deletes the temporary files that killed processes left in it', async () => {
  const run = await temporaryRun();
  const old = new Date(Date.now() - 25 * 60 * 60 * 1000);
  const folders = [
    '.',
    'members/a',
    'members/a/checkpoints',
    'members/a/probabilities',
    'submissions/all',
    'predictions',
  ];
  for (const folder of folders) {
    await mkdir(join(run, folder), { recursive: true });
    const left = join(run, folder, '.file.json.1-00000000.tmp');
    await writeFile(left, '');
    await utimes(left, old, old);
  }
  const claim = await claimRun(run);
  await claim.release();
  const left = await readdir(run, { recursive: true });
  expect(left.filter((name) => name.endsWith('.tmp'))).toEqual([]);
});
