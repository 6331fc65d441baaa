// The command serve: answers scans over HTTP with an ensemble file.
import { once } from 'node:events';
import { printError, readRegularText, stopOnSignal, UserError } from '@ct-ensemble/core';
import { type EngineKind, installTensorFlow } from '@ct-ensemble/engine';
import { deviceOption, engineOption, openEnsemble, wholeFrom } from '@ct-ensemble/ensemble';
import { Command } from 'commander';
import { isLoopbackHost } from '../serve/access.ts';
import { openServer } from '../serve/server.ts';

interface Options {
  model: string;
  host: string;
  port: number;
  maxMb: number;
  maxUnpackedMb: number;
  maxTempMb?: number;
  maxScansQueued: number;
  uploadTimeout: number;
  timeout: number;
  stopTimeout: number;
  token?: string;
  tokenFile?: string;
  temp?: string;
  device: string;
  engine: EngineKind;
}

const MB = 2 ** 20;

export function serveCommand(): Command {
  return new Command('serve')
    .description(
      'Answers scans over HTTP with an ensemble file: POST /predict with a zip archive of slices or a volume file as the body; also GET /, /healthz, /readyz and /metrics. Prints its address, and a line of JSON for each request on standard error. SIGTERM or Ctrl-C ends it when the requests in progress are answered; the exit code is then 0.',
    )
    .requiredOption('--model <file>', 'ensemble file, written by evaluator:pack')
    .option('--port <port>', 'port, 0 for any free one', wholeFrom(0, 65535), 8080)
    .option(
      '--host <host>',
      'address to listen on; others than the loopback address are open to other machines, without encryption',
      '127.0.0.1',
    )
    .option('--token-file <file>', 'require the token in this file: Authorization: Bearer TOKEN')
    .option('--token <token>', 'likewise; other users of this machine can see it in the list of processes')
    .option('--max-mb <MB>', 'size of a body, at most', wholeFrom(1, 4095), 1024)
    .option(
      '--max-unpacked-mb <MB>',
      'size of a scan, unpacked, at most; its preparation takes about three times as much memory',
      wholeFrom(1, 4095),
      1024,
    )
    .option(
      '--max-temp-mb <MB>',
      'size of all uploads on disk, at most (default: four times that of one, packed and unpacked)',
      wholeFrom(1, 2 ** 30),
    )
    .option('--temp <dir>', "folder for uploads (default: the system's folder for temporary files)")
    .option(
      '--max-scans-queued <count>',
      'scans that may be uploaded or wait while one is computed; others get status 503',
      wholeFrom(0, 1000),
      8,
    )
    .option('--upload-timeout <seconds>', 'time for an upload', wholeFrom(1, 86_400), 300)
    .option('--timeout <seconds>', 'time for a whole request', wholeFrom(1, 86_400), 900)
    .option(
      '--stop-timeout <seconds>',
      'time for the requests in progress when the server is stopped',
      wholeFrom(0, 86_400),
      30,
    )
    .addOption(deviceOption())
    .addOption(engineOption())
    .action(async (options: Options) => {
      process.exitCode = await serve(options);
    });
}

/** Runs the command. Returns the exit code: 0 if it was stopped, 1 if the ensemble failed. */
async function serve(options: Options): Promise<number> {
  const { model, host, device, engine, timeout } = options;
  const token = await tokenOf(options);
  if (!isLoopbackHost(host))
    printError(
      token === undefined
        ? `warning: every machine that reaches ${host} can send scans: there is no token (--token-file) and no encryption`
        : `warning: scans and the token are sent to ${host} without encryption: put a server with TLS before it`,
    );
  if (engine === 'tensorflow') await installTensorFlow({ log: printError });
  await using ensemble = await openEnsemble(model, { device, engine, deadline: timeout });
  const server = await openServer(ensemble, {
    host,
    port: options.port,
    maxBytes: options.maxMb * MB,
    maxUnpackedBytes: options.maxUnpackedMb * MB,
    ...(options.maxTempMb !== undefined && { diskQuota: options.maxTempMb * MB }),
    maxQueued: options.maxScansQueued,
    uploadTimeout: options.uploadTimeout,
    timeout,
    ...(token !== undefined && { token }),
    ...(options.temp !== undefined && { temp: options.temp }),
  });
  const stopping = stopOnSignal({ notice: 'Ending after the requests in progress; once more ends at once.' });
  printError(`${ensemble.manifest.name}, ${ensemble.engine}, answers on ${server.address}`);
  const end = await Promise.race([once(stopping.signal, 'abort'), server.broken]);
  if (end instanceof Error)
    printError(`error: the ensemble has failed and must be started again: ${end.message}`);
  await server.close(end instanceof Error ? 1 : options.stopTimeout);
  stopping.release();
  return end instanceof Error ? 1 : 0;
}

async function tokenOf({ token, tokenFile }: Options): Promise<string | undefined> {
  if (token !== undefined && tokenFile !== undefined)
    throw new UserError('--token and --token-file exclude each other');
  const source = tokenFile ?? '--token';
  const text =
    tokenFile === undefined ? token : (await readRegularText(tokenFile, { maxBytes: 4096 })).trim();
  if (text === undefined) return undefined;
  if (!/^[\x21-\x7e]{16,}$/.test(text))
    throw new UserError('a token has at least 16 characters of ASCII and no spaces', {
      file: source,
      remedy: 'make one with: openssl rand -hex 32',
    });
  return text;
}
