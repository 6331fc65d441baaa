// A training in a process of its own that is killed by SIGKILL again and again, also in the middle of writes of checkpoints.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { sweepTemporaryFiles } from '@ct-ensemble/core';
import { checkpointFolder } from './checkpoint.ts';
import { expectFilesOf, newFolder, removeFolders } from './testing/inside-epoch.fixture.ts';

afterAll(removeFolders);

const pathOf = (name: string) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

/** Starts the training; `kill` says when it is killed. */
function start(folder: string, kill = 'none:0') {
  const args = ['--import', pathOf('kill-hook.mjs'), pathOf('killed-training.mjs'), folder];
  const env = { ...process.env, NODE_OPTIONS: '', KILL: kill };
  return new Promise<{ signal: string | undefined; code: unknown; output: string }>((resolve) => {
    execFile(process.execPath, args, { env }, (error, stdout, stderr) =>
      resolve({ signal: error?.signal, code: error?.code ?? 0, output: stdout + stderr }),
    );
  });
}

test('equal bytes after kills at writes, before renames, links and removals, and at any time', async () => {
  const whole = newFolder();
  const undisturbed = await start(whole);
  expect(undisturbed).toMatchObject({ code: 0 });
  expect(undisturbed.output.match(/step/g)).toHaveLength(21);

  const kills = [
    ...[
      'write:1',
      'write:40',
      'rename:1',
      'write:300',
      'link:1',
      'rename:2',
      'rm:1',
      'rename:3',
      'write:500',
    ],
    ...['link:2', 'milliseconds:30', 'rm:3', 'write:900', 'milliseconds:120', 'rename:6', 'milliseconds:250'],
    ...['link:3', 'write:1300', 'rename:4', 'milliseconds:400'],
  ];
  const at = newFolder();
  let [killed, resumed] = [0, 0];
  for (const kill of kills) {
    const { signal, code, output } = await start(at, kill);
    expect(output).not.toMatch(/warning/);
    resumed += Number(output.includes('resumed'));
    if (signal !== 'SIGKILL') {
      expect([kill, code, output]).toEqual([kill, 0, output]);
      break; // It was finished before it came to this kill.
    }
    killed++;
  }
  const end = await start(at);
  expect(end).toMatchObject({ code: 0 });
  expect(killed).toBeGreaterThanOrEqual(10);
  expect(resumed).toBeGreaterThanOrEqual(8);
  await sweepTemporaryFiles(checkpointFolder(at)); // as whoever claims the run does
  await expectFilesOf(whole, at);
}, 900_000);
