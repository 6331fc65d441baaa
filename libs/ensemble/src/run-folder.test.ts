import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { claimRun, readScans, writeScans } from './run-folder.ts';
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
  const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  await once(other, 'spawn');
  await writeFile(join(run, '.claim'), String(other.pid));
  await expect(claimRun(run)).rejects.toThrow(new RegExp(`another process \\(${other.pid}\\) is training`));
  other.kill('SIGKILL');
  await once(other, 'exit');
  const claim = await claimRun(run);
  expect(await readFile(join(run, '.claim'), 'utf8')).toBe(String(process.pid));
  await claim.release();
  await expect(readFile(join(run, '.claim'))).rejects.toThrow();
});
