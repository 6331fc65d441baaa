// The built program refuses to start without the peer. main.slow.test.ts runs whole benchmarks.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));

test('a Python without PyTorch is named, with the remedy', async () => {
  const failed = promisify(execFile)(process.execPath, [
    main,
    '--cases',
    'memory',
    '--python',
    '/nowhere/python',
  ]);
  await expect(failed).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringMatching(
      /^error: \/nowhere\/python cannot import torch and torchvision .* → install them/,
    ),
  });
});
