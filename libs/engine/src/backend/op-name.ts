// Name of the tfjs op that is currently running, for error messages and names of graph nodes.
import tf from '@tensorflow/tfjs';

/** The name of the tfjs op that is running (`conv2d`), or undefined outside of one. */
export function currentOp(): string | undefined {
  const name = tf.engine().state.activeScope?.name;
  return name?.endsWith('__op') ? name.slice(0, -'__op'.length) : undefined;
}

/** A TensorFlow op with the tfjs op that called it: `tf.conv2d (Conv2D)`. */
export function labelled(op: string): string {
  const name = currentOp();
  return name === undefined ? op : `tf.${name} (${op})`;
}
