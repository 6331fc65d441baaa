// bench:readers as a program: what it refuses, and a whole run on series of a few pixels where there is a Python with pydicom.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const program = fileURLToPath(new URL('../dist/readers.js', import.meta.url));
const bench = (...args: string[]) => run(process.execPath, [program, ...args]);

test.each<[string, string[], RegExp]>([
  [
    'a Python that does not exist',
    ['--python', '/nowhere/python'],
    /^error: \/nowhere\/python did not answer → .*pip install pydicom/,
  ],
  [
    'a syntax that is unknown',
    ['--syntaxes', 'rle,zip'],
    /^error: --syntaxes: there is no "zip" → choose from implicit, /,
  ],
  [
    'a number of slices that is none',
    ['--slices', '0'],
    /^error: --slices is "0" → give a whole number above 0/,
  ],
])('refused: %s', async (_, args, message) => {
  await expect(bench(...args)).rejects.toMatchObject({ code: 1, stderr: expect.stringMatching(message) });
});

const python = process.env['CT_ENSEMBLE_DICOM_PYTHON'] ?? 'python3';
const hasPydicom = await run(python, ['-c', 'import pydicom.pixels']).then(
  () => true,
  () => false,
);
if (!hasPydicom)
  console.log(`skipped: ${python} has no pydicom 3; CT_ENSEMBLE_DICOM_PYTHON names one that has`);

(hasPydicom ? test : test.skip)(
  'both sides read the same pixels in every syntax that can be written',
  async () => {
    const small = '--slices 3 --images 2 --size 32 --turns 1 --workers 2'.split(' ');
    const { stdout } = await bench(...small, '--python', python); // fails if pixels differ
    for (const name of ['implicit', 'explicit', 'big-endian', 'deflated', 'rle'])
      expect(stdout).toMatch(new RegExp(`^\\| ${name} \\|( [^|]+ \\|){9}$`, 'm'));
    const all = [...stdout.matchAll(/^(?:\| ([a-z0-9-]+) \| \d|([a-z0-9-]+): left out)/gm)];
    expect(all).toHaveLength(10);
  },
  60_000,
);
