// A throw-away Slurm cluster on this machine, started by the script slurm-lab.sh: its nodes can be killed and cut from the network.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface Output {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Lab {
  start(): Promise<void>;
  stop(): Promise<void>;
  killNode(node: string): Promise<void>;
  startNode(node: string): Promise<void>;
  cutNode(node: string): Promise<void>;
  joinNode(node: string): Promise<void>;
  /** Kills the controller, and starts it again with the state that it has saved. */
  restartController(): Promise<void>;
  /** Runs a program on the login node. */
  run(program: string, args: readonly string[], options?: { cwd?: string }): Promise<Output>;
  /** The jobs of the queue that have not ended, a line each: `JOB|INDEX|STATE|REASON|NODE|NAME`. */
  queue(): Promise<string[]>;
}

export interface LabOptions {
  /** The file slurm-lab.sh. */
  script: string;
  /** Folder of the cluster's files. */
  folder: string;
  nodes: number;
}

export function openLab({ script, folder, nodes }: LabOptions): Lab {
  const env = {
    ...process.env,
    SLURM_LAB: folder,
    SLURM_LAB_MODE: 'netns',
    SLURM_LAB_NS: 'ctlab',
    // A node that does not answer is noticed in seconds, while its members train.
    SLURM_LAB_EXTRA: 'SlurmdTimeout=4\nMessageTimeout=4',
  };
  const lab = async (...args: string[]) => {
    const { code, stdout, stderr } = await output('bash', [script, ...args], { env });
    if (code !== 0) throw new Error(`slurm-lab.sh ${args.join(' ')} ended with ${code}: ${stdout}${stderr}`);
    return stdout;
  };
  const run: Lab['run'] = (program, args, options) =>
    output('bash', [script, 'in', program, ...args], { ...options, env });
  return {
    start: async () => void (await lab('start', String(nodes), '3')),
    stop: async () => void (await lab('stop')),
    killNode: async (node) => void (await lab('kill-node', node)),
    startNode: async (node) => void (await lab('start-node', node)),
    cutNode: async (node) => void (await lab('cut-node', node)),
    joinNode: async (node) => void (await lab('join-node', node)),
    run,
    async restartController() {
      const file = join(folder, 'run', 'slurmctld.pid');
      process.kill(Number(await readFile(file, 'utf8')), 'SIGKILL');
      const config = join(folder, 'etc', 'slurm.conf');
      const log = openSync(join(folder, 'log', 'slurmctld.err'), 'a');
      const command = `hostname ctl; echo $$ > '${file}'; exec slurmctld -D -f '${config}'`;
      const args = ['netns', 'exec', 'ctlab-ctl', 'unshare', '--uts', 'bash', '-c', command];
      spawn('ip', args, {
        env: { ...env, SLURM_CONF: config },
        stdio: ['ignore', log, log],
        detached: true,
      }).unref();
    },
    async queue() {
      const { stdout } = await run('squeue', ['-h', '-r', '-o', '%F|%K|%T|%r|%N|%j']);
      return stdout.split('\n').filter((line) => line !== '');
    },
  };
}

/** Runs a program to its end. */
export async function output(
  program: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Output> {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (piece: Buffer) => (stdout += piece.toString()));
  child.stderr.on('data', (piece: Buffer) => (stderr += piece.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}
