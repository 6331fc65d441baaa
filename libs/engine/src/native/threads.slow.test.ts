// Threads that load TensorFlow at the same time must not damage the process's standard error.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

it('standard error is still there', async () => {
  const program = fileURLToPath(new URL('../../fixtures/open-at-once.mjs', import.meta.url));
  for (let i = 0; i < 4; i++) {
    const { stderr } = await promisify(execFile)(process.execPath, [program], {
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    expect(stderr).toMatch(/still here$/);
  }
});
