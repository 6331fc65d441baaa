#!/usr/bin/env node
// weights:fetch: published ImageNet weights into the cache, where trainings look for them, and into networks.
import { messageOf, sha256OfFile, UserError } from '@ct-ensemble/core';
import { architectureNames, architectureOf, pretrainedFile, type WeightsRecord } from '@ct-ensemble/models';
import { Command, Option } from 'commander';
import { adapt, reportText } from './adapt.ts';
import { fetchWeights, keepWeights, requireDigest } from './fetch.ts';

interface Options {
  architecture: string;
  file?: string;
  revision?: string;
  hub?: string;
  sha256?: string;
  views: string;
  classes: string;
  seed: string;
  out?: string;
}

const published = architectureNames().filter((name) => architectureOf(name).pretrained);

const program = new Command('weights:fetch')
  .description('Fetches published weights, and says what of them a network takes.')
  .addOption(new Option('--architecture <name>').choices(published).makeOptionMandatory())
  .option('--file <file>', 'take this safetensors file instead of fetching one')
  .option('--revision <name>', 'commit, branch or tag on the hub (default: main)')
  .option('--hub <url>', 'a mirror of the hub')
  .option('--sha256 <digits>', 'the SHA-256 that the file must have, instead of the pinned one')
  .option('--views <slices>', 'slices of each view of the network: 64, or 32,16; "" without a front', '64')
  .option('--classes <n>', 'classes of the network', '2')
  .option('--seed <n>', 'of what the weights do not bring', '1')
  .option('--out <file>', "write the network's weights");

async function main(options: Options) {
  const { architecture, file, revision, hub, out } = options;
  const { repository, licence } = architectureOf(architecture).pretrained!;
  const cached = pretrainedFile(architecture)!;
  const network = {
    views: options.views === '' ? [] : options.views.split(',').map((text) => number('views', text, 1)),
    classes: number('classes', options.classes, 1),
    seed: number('seed', options.seed, 0),
  };
  if (file !== undefined && (revision !== undefined || hub !== undefined)) {
    throw new UserError('--revision and --hub choose what is fetched, --file takes a file', {
      remedy: 'leave one of them out',
    });
  }
  const sha256 = options.sha256?.toLowerCase();
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/.test(sha256)) {
    throw new UserError(`--sha256 is ${options.sha256}`, { remedy: 'give 64 hexadecimal digits' });
  }
  if (network.seed > 0xffffffff)
    throw new UserError(`--seed is ${options.seed}`, { remedy: 'give 0 … 4294967295' });
  if (network.views.length > 2) {
    throw new UserError(`--views is ${options.views}`, { remedy: 'give one or two numbers of slices' });
  }
  if (file !== undefined && sha256 !== undefined) requireDigest(file, await sha256OfFile(file), sha256);
  const report = await adapt({
    architecture,
    network,
    file: file ?? (await fetched()),
    ...(out === undefined ? {} : { out }),
  });
  const behind = network.views.length === 0 ? '' : ` behind ${network.views.join(' + ')} slices`;
  console.log(`${architecture}${behind}, ${network.classes} classes: ${reportText(report)}`);
  if (file !== undefined) {
    const record = await keepWeights(file, { repository, file: cached, ...(sha256 && { sha256 }) });
    warn(record);
    console.log(`${file}: SHA-256 ${record.sha256}; the weights that ${repository} publishes are ${licence}`);
  }
  console.log(`kept in ${cached}${out === undefined ? '' : `; the network's weights are in ${out}`}`);

  async function fetched(): Promise<string> {
    let told = 0;
    const accessToken = process.env['HF_TOKEN'];
    const record = await fetchWeights({
      repository,
      file: cached,
      ...(sha256 && { sha256 }),
      ...(revision === undefined ? {} : { revision }),
      ...(hub === undefined ? {} : { hubUrl: hub }),
      ...(accessToken ? { accessToken } : {}),
      onProgress(done, total) {
        const percent = Math.floor((10 * done) / total) * 10;
        if (percent > told) console.log(`${(told = percent)} % of ${(total / 1e6).toFixed(1)} MB`);
      },
    });
    const before = record.fetched ? '' : ', fetched before';
    console.log(`${repository} (${licence}), commit ${record.revision}, SHA-256 ${record.sha256}${before}`);
    warn(record);
    return cached;
  }

  /** Says if the file is not one whose SHA-256 is pinned or given. */
  function warn({ trust, sha256: found }: WeightsRecord) {
    if (trust === 'pinned' || found === sha256) return;
    console.error(
      `WARNING: ${found} is not a SHA-256 pinned for ${repository} in this version: it is recorded, and every later ` +
        'load is checked against it; give --sha256 to check it against one that you know',
    );
  }
}

function number(field: string, text: string, least: number): number {
  const value = text.trim() === '' ? NaN : Number(text);
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new UserError(`--${field} is ${text}`, { remedy: `give whole numbers, ${least} or more` });
}

try {
  await main(program.parse().opts<Options>());
} catch (error) {
  console.error(error instanceof UserError ? `error: ${messageOf(error)}` : error);
  process.exitCode = 2;
}
