// weights:fetch as a commander program: downloads published ImageNet weights into the cache. Building it runs nothing.
import { UserError } from '@ct-ensemble/core';
import { architectureNames, architectureOf, pretrainedFile } from '@ct-ensemble/models';
import { Command, Option } from 'commander';
import { adapt, reportText } from './adapt.ts';
import { fetchWeights, keepWeights } from './fetch.ts';

interface Options {
  architecture: string;
  file?: string;
  revision?: string;
  hub?: string;
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
  if (network.seed > 0xffffffff)
    throw new UserError(`--seed is ${options.seed}`, { remedy: 'give a whole number, 0 … 4294967295' });
  if (network.views.length > 2) {
    throw new UserError(`--views is ${options.views}`, { remedy: 'give one or two numbers of slices' });
  }
  const report = await adapt({
    architecture,
    network,
    file: file ?? (await fetched()),
    ...(out === undefined ? {} : { out }),
  });
  const behind = network.views.length === 0 ? '' : ` behind ${network.views.join(' + ')} slices`;
  console.log(`${architecture}${behind}, ${network.classes} classes: ${reportText(report)}`);
  if (file !== undefined) {
    const { sha256 } = await keepWeights(repository, file, cached);
    console.log(`${file}: SHA-256 ${sha256}; the weights that ${repository} publishes are ${licence}`);
  }
  console.log(`kept in ${cached}${out === undefined ? '' : `; the network's weights are in ${out}`}`);

  async function fetched(): Promise<string> {
    let reported = 0;
    const accessToken = process.env['HF_TOKEN'];
    const { sha256, ...record } = await fetchWeights({
      repository,
      file: cached,
      ...(revision === undefined ? {} : { revision }),
      ...(hub === undefined ? {} : { hubUrl: hub }),
      ...(accessToken ? { accessToken } : {}),
      onProgress(done, total) {
        const percent = Math.floor((10 * done) / total) * 10;
        if (percent > reported) console.log(`${(reported = percent)} % of ${(total / 1e6).toFixed(1)} MB`);
      },
    });
    const before = record.fetched ? '' : ', fetched before';
    console.log(`${repository} (${licence}), commit ${record.revision}, SHA-256 ${sha256}${before}`);
    return cached;
  }
}

function number(field: string, text: string, least: number): number {
  const value = text.trim() === '' ? NaN : Number(text);
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new UserError(`--${field} is ${text}`, { remedy: `give whole numbers, ${least} or more` });
}
