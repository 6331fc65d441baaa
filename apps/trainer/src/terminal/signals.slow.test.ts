// The command all-members on a pseudo-terminal, with a reader that goes away, and on a disk that fills up for one member.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeInputs } from '../testing/train.ts';
import { stopNotice } from '@ct-ensemble/core';

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const hasPython = spawnSync('python3', ['-c', 'import pty']).status === 0;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-signals-'));
  await writeInputs(folder, { epochs: 6, edge: 24 });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const argsOf = (run: string) =>
  `all-members --data data --recipe tiny.yaml --run ${run} --devices cpu:1,cpu:1 --volumes volumes`.split(
    ' ',
  );

/** Runs a command on a pseudo-terminal, types one Ctrl-C after the first epoch, prints exit code and output as JSON. */
const onTerminal = `
import fcntl, json, os, pty, re, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0: os.execvp(sys.argv[1], sys.argv[1:])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 160, 0, 0))
output, typed = b'', False
while True:
    try: piece = os.read(terminal, 65536)
    except OSError: break
    if not piece: break
    output += piece
    if not typed and re.search(b'epoch [0-9]/6', output):
        os.write(terminal, b'\\x03')
        typed = True
status = os.waitpid(pid, 0)[1]
print(json.dumps({'code': os.waitstatus_to_exitcode(status), 'output': output.decode()}))
`;

(hasPython ? test : test.skip)(
  `one Ctrl-C on a terminal stops after the present step, and the same command continues${hasPython ? '' : ' (skipped: no python3 with pty)'}`,
  async () => {
    const child = spawn('python3', ['-c', onTerminal, process.execPath, main, ...argsOf('terminal')], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let printed = '';
    child.stdout.on('data', (piece) => (printed += String(piece)));
    await once(child, 'close');
    const { code, output } = JSON.parse(printed) as { code: number; output: string };
    expect(code).toBe(130);
    expect(output).toContain(stopNotice);
    expect(output).toMatch(/stopped {2}one: the same command continues its training/);
    expect(output.indexOf(stopNotice)).toBeLessThan(output.indexOf('stopped  one'));
    expect(existsSync(join(folder, 'terminal', '.claim'))).toBe(false);

    const { status } = spawnSync(process.execPath, [main, ...argsOf('terminal')], { cwd: folder });
    expect(status).toBe(0);
  },
);

test('the training goes on when the reader of its output has gone', async () => {
  const child = spawn(process.execPath, [main, ...argsOf('unread')], { cwd: folder });
  await once(child.stdout, 'data');
  child.stdout.destroy();
  child.stderr.destroy();
  expect(await once(child, 'exit')).toEqual([0, null]);
  for (const member of ['one', 'two'])
    expect(await readdir(join(folder, 'unread', 'members', member))).toContain('done.json');
});

test('a disk that is full for one member fails that member; the other is trained', async () => {
  // Opening fails as on a full disk, for the files of member one from its first checkpoint on.
  const full = `
    import fsp from 'node:fs/promises';
    import { syncBuiltinESMExports } from 'node:module';
    const { open, rename } = fsp;
    let isFull = false;
    fsp.open = async (path, flags, ...rest) => {
      if (isFull && flags === 'w' && String(path).includes('/members/one/'))
        throw Object.assign(new Error('ENOSPC: no space left on device, open ' + path), { code: 'ENOSPC', path });
      return open(path, flags, ...rest);
    };
    fsp.rename = async (from, to) => {
      await rename(from, to);
      if (String(to).endsWith('one/checkpoints/last.safetensors')) isFull = true;
    };
    syncBuiltinESMExports();`;
  await writeFile(join(folder, 'full.mjs'), full);
  const args = ['--import', join(folder, 'full.mjs'), main, ...argsOf('full')];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(1);
  expect(stdout).toMatch(
    /FAILED {3}one: .*checkpoints\/last\.json: no space is left on the disk → free some space/,
  );
  expect(stdout).toMatch(/done {5}two/);
  const left = await readdir(join(folder, 'full'), { recursive: true });
  expect(left.filter((name) => name.endsWith('.tmp'))).toEqual([]);
  // The coordinator's thread found no full disk, so the reason was kept.
  expect(await readFile(join(folder, 'full', 'members', 'one', 'failed.json'), 'utf8')).toMatch(/no space/);

  const again = spawnSync(process.execPath, [main, ...argsOf('full')], { cwd: folder, encoding: 'utf8' });
  expect(again.stdout).toMatch(/one: resumed from its checkpoint after epoch 1 of 6/);
  expect(again.status).toBe(0);
});

test('the history of engines names the epoch from which other threads trained a member', async () => {
  const run = (...more: string[]) =>
    spawnSync(process.execPath, [main, ...argsOf('threads'), ...more], { cwd: folder, encoding: 'utf8' });
  expect(run().status).toBe(0);
  await rm(join(folder, 'threads', 'members', 'one', 'done.json'));
  const { status, stdout } = run('--devices', 'cpu:2,cpu:2');
  expect(status).toBe(0);
  expect(stdout).toMatch(
    /NOTE {5}one: from epoch 7 on trained otherwise than before: device cpu:1, now cpu:2\. Its files are no longer/,
  );
  const config = JSON.parse(
    await readFile(join(folder, 'threads', 'members', 'one', 'config.json'), 'utf8'),
  ) as { history: { fromEpoch: number; device: string }[] };
  expect(config.history.map(({ fromEpoch, device }) => [fromEpoch, device])).toEqual([
    [0, 'cpu:1'],
    [6, 'cpu:2'],
  ]);
});
