import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipEnvironment, pythonEnvironment } from './python.ts';

test('variables that redirect Python are removed, those that restrict it and all others stay', () => {
  const kept = {
    PATH: '/bin',
    PYTHONNOUSERSITE: '1',
    PIP_INDEX_URL: 'https://mirror.example/simple',
    PYENV_ROOT: '/p',
  };
  const redirecting = {
    PYTHONPATH: '/x',
    PYTHONHOME: '/x',
    PYTHONSTARTUP: '/x',
    PYTHONUSERBASE: '/x',
    PYTHONBREAKPOINT: 'x',
  };
  expect(pythonEnvironment({ ...kept, ...redirecting })).toEqual(kept);
});

test('relative paths of existing files in the variables of pip become absolute', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ct-ensemble-python-'));
  const before = process.cwd();
  try {
    process.chdir(folder);
    writeFileSync('ca.pem', '');
    const at = process.cwd();
    const env = {
      PIP_CERT: 'ca.pem',
      PIP_FIND_LINKS: '. https://example.org/wheels  /opt/wheels missing',
      PIP_INDEX_URL: 'https://mirror.example/simple',
      OTHER: 'ca.pem',
    };
    expect(pipEnvironment(env)).toEqual({
      ...env,
      PIP_CERT: join(at, 'ca.pem'),
      PIP_FIND_LINKS: `${at} https://example.org/wheels  /opt/wheels missing`,
    });
  } finally {
    process.chdir(before);
    rmSync(folder, { recursive: true });
  }
});
