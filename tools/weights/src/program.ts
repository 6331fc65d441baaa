// weights:fetch as a commander program: downloads published ImageNet weights into the cache. Building it runs nothing.
import { sha256OfFile, UserError } from '@ct-ensemble/core';
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

export function weightsProgram(): Command {
  return new Command('weights:fetch')
    .description(
      'Fetches published ImageNet weights into the cache, and reports which of them a network takes.',
    )
    .addOption(
      new Option('--architecture <name>', 'architecture of the network')
        .choices(published)
        .makeOptionMandatory(),
    )
    .option('--file <file>', 'safetensors file to use instead of fetching one')
    .option('--revision <name>', 'commit, branch or tag of the repository on the hub (default: main)')
    .option('--hub <url>', 'URL of a mirror of the hub (default: https://huggingface.co)')
    .option(
      '--sha256 <digits>',
      'SHA-256 that the file must have (default: the pinned one, if the architecture has one)',
    )
    .option(
      '--views <slices>',
      'number of slices of each view of the network, such as 64 or 32,16; "" for a network that takes images of 3 channels',
      '64',
    )
    .option('--classes <n>', 'number of classes of the network', '2')
    .option('--seed <n>', 'seed of the parameters that the published weights do not contain', '1')
    .option('--out <file>', "safetensors file to write the whole network's weights to (default: not written)")
    .action(main);
}

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
    throw new UserError('--revision and --hub choose what to download, but --file gives a local file', {
      remedy: 'leave one of them out',
    });
  }
  const sha256 = options.sha256?.toLowerCase();
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/.test(sha256)) {
    throw new UserError(`--sha256 is ${options.sha256}`, { remedy: 'give 64 hexadecimal digits' });
  }
  if (network.seed > 0xffffffff)
    throw new UserError(`--seed is ${options.seed}`, { remedy: 'give a whole number, 0 … 4294967295' });
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
    warnUnlessKnown(record);
    console.log(`${file}: SHA-256 ${record.sha256}; the weights that ${repository} publishes are ${licence}`);
  }
  console.log(`kept in ${cached}${out === undefined ? '' : `; the network's weights are in ${out}`}`);

  async function fetched(): Promise<string> {
    let reported = 0;
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
        if (percent > reported) console.log(`${(reported = percent)} % of ${(total / 1e6).toFixed(1)} MB`);
      },
    });
    const before = record.fetched ? '' : ', fetched before';
    console.log(`${repository} (${licence}), commit ${record.revision}, SHA-256 ${record.sha256}${before}`);
    warnUnlessKnown(record);
    return cached;
  }

  /** Prints a warning if the file's SHA-256 is neither pinned nor given. */
  function warnUnlessKnown({ trust, sha256: found }: WeightsRecord) {
    if (trust === 'pinned' || found === sha256) return;
    console.error(
      `WARNING: ${found} is not a SHA-256 that this version pins for ${repository}; it was recorded, and every later load ` +
        'is checked against it. Give --sha256 to check the file against a SHA-256 that you know',
    );
  }
}

function number(field: string, text: string, least: number): number {
  const value = text.trim() === '' ? NaN : Number(text);
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new UserError(`--${field} is ${text}`, { remedy: `give whole numbers, ${least} or more` });
}
