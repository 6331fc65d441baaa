// The networks of the preparation need TensorFlow; the area rule and the threshold do not.
import { installTensorFlow } from '@ct-ensemble/engine';
import type { PreparationNetworkOptions } from './options.ts';

/** Fetches TensorFlow when the filter or the masks are computed by a network. Progress goes to stderr. */
export async function installForNetworks({
  filter = 'area',
  masks = 'threshold',
}: PreparationNetworkOptions) {
  if (filter !== 'area' || masks !== 'threshold') await installTensorFlow({ log: console.error });
}
