// The command segmenter: trains the network that segments the lungs.
import { readMaskedSlices } from '@ct-ensemble/data';
import { lungSegmenter } from '@ct-ensemble/training';
import { Command } from 'commander';
import { dataOption } from '../options.ts';
import { addSliceNetworkOptions, runSliceNetwork, type SliceNetworkOptions } from '../slice-network.ts';

export function segmenterCommand(): Command {
  const command = new Command('segmenter')
    .description('Trains the network that segments the lungs. Started again, it continues where it stopped.')
    .addOption(dataOption('folder with the subfolders images and masks, which hold slices or NIfTI volumes'));
  return addSliceNetworkOptions(command, lungSegmenter, {
    architecture: 'att_unet',
    epochs: 60,
    batch: 8,
  }).action(async (options: SliceNetworkOptions) => {
    process.exitCode = await runSliceNetwork(lungSegmenter, options, () =>
      readMaskedSlices(options.data, options.size),
    );
  });
}
