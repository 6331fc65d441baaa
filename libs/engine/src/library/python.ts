// How python3 is started: without the variables that make it import or run files other than its own.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

/** Variables beginning with PYTHON that only restrict what is imported. */
const RESTRICTING = ['PYTHONNOUSERSITE', 'PYTHONSAFEPATH'];

/** Variables of pip whose entries, separated by spaces, may be paths relative to the current folder. */
const PIP_PATHS = [
  'PIP_CERT',
  'PIP_CLIENT_CERT',
  'PIP_CONFIG_FILE',
  'PIP_EXTRA_INDEX_URL',
  'PIP_FIND_LINKS',
  'PIP_INDEX_URL',
];

/**
 * The environment for a Python that is started: `env` without PYTHONPATH, PYTHONHOME, PYTHONSTARTUP and every other
 * variable beginning with PYTHON, except those that only restrict what is imported.
 */
export function pythonEnvironment(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^PYTHON/i.test(name) || RESTRICTING.includes(name)),
  );
}

/**
 * The environment for a pip that is started in another folder: as `pythonEnvironment`; pip's own variables stay, and
 * those of their entries that are relative paths of existing files become absolute.
 */
export function pipEnvironment(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const result = pythonEnvironment(env);
  for (const name of PIP_PATHS) {
    const parts = result[name]?.split(/(\s+)/);
    if (parts === undefined) continue;
    result[name] = parts.map((part) => (part.trim() && existsSync(part) ? resolve(part) : part)).join('');
  }
  return result;
}
