import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCacheFolder, folderProblem, groupWarning, requireSafeFolder } from './cache-folder.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ct-ensemble-cache-folder-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const modeOf = (path: string) => statSync(path).mode & 0o7777;

test.each([
  ['its owner', 0o755, 0o755],
  ['a group', 0o775, 0o700],
  ['everybody', 0o1777, 0o700],
])('created in a folder that %s may write to', (_, parent, expected) => {
  mkdirSync(join(folder, 'parent'));
  chmodSync(join(folder, 'parent'), parent);
  const before = process.umask(0);
  try {
    createCacheFolder(join(folder, 'parent', 'a', 'cache'));
  } finally {
    process.umask(before);
  }
  expect(modeOf(join(folder, 'parent', 'a', 'cache'))).toBe(expected);
  expect(modeOf(join(folder, 'parent', 'a'))).toBe(expected);
  createCacheFolder(join(folder, 'parent', 'a', 'cache')); // again: it stays
  requireSafeFolder(join(folder, 'parent', 'a', 'cache'));
});

describe('who may own and write to it', () => {
  const [root, own, other] = [0, 1000, 1001];
  test.each([
    { what: 'own', user: own, uid: own, mode: 0o40700, problem: undefined },
    { what: "root's", user: own, uid: root, mode: 0o40755, problem: undefined },
    {
      what: "another user's",
      user: own,
      uid: other,
      mode: 0o40755,
      problem: /belongs to another user \(uid 1001\)/,
    },
    {
      what: "another user's, for root in a container",
      user: root,
      uid: own,
      mode: 0o40755,
      problem: undefined,
    },
    { what: 'writable by all', user: own, uid: own, mode: 0o40777, problem: /every user may write .*0777/ },
    {
      what: 'writable by all, sticky',
      user: own,
      uid: root,
      mode: 0o41777,
      problem: /every user may write .*1777/,
    },
    {
      what: 'writable by all, for root',
      user: root,
      uid: root,
      mode: 0o40777,
      problem: /every user may write/,
    },
    { what: 'writable by a group', user: own, uid: own, mode: 0o40775, problem: undefined },
  ])('$what', ({ user, uid, mode, problem }) => {
    const found = folderProblem({ uid, mode }, { uid }, user);
    if (problem === undefined) expect(found).toBeUndefined();
    else expect(found?.text).toMatch(problem);
  });

  test('a symbolic link of another user', () => {
    expect(folderProblem({ uid: own, mode: 0o40700 }, { uid: other }, own)?.text).toMatch(/uid 1001/);
  });
});

test('a group other than the private group of the owner gives a warning', () => {
  if (process.getuid!() === 0) chownSync(folder, 0, 4321);
  const { uid, gid } = statSync(folder);
  chmodSync(folder, 0o775);
  if (gid === uid) expect(groupWarning(folder)).toBeUndefined();
  else
    expect(groupWarning(folder)).toMatch(`members of group ${gid} may replace the TensorFlow in ${folder}`);
  chmodSync(folder, 0o755);
  expect(groupWarning(folder)).toBeUndefined();
});
