// The program behind `nx run engine:install [--gpu] [--wheels FOLDER]`: checks and reports the TensorFlow of this machine, or
// downloads it.
import { parseArgs } from 'node:util';
import { EngineError, messageOf } from './errors.ts';
import { installTensorFlow } from './library/install.ts';
import { hasCuda, thisHost } from './library/library.ts';

try {
  const { gpu = false, wheels } = options();
  const library = await installTensorFlow({ gpu, ...(wheels === undefined ? {} : { wheels }) });
  console.log(
    `TensorFlow ${library.version ?? '(version unknown)'} is in ${library.folder} (${library.source})`,
  );
  if (thisHost().nvidia && !hasCuda(library)) {
    console.log(
      'It is for CPUs only, but this machine has an NVIDIA driver: `nx run engine:install --gpu` installs the version with CUDA',
    );
  }
} catch (error) {
  if (!(error instanceof EngineError)) throw error;
  console.error(error.message);
  process.exitCode = error.code === 'stopped' ? 130 : 1;
}

function options() {
  try {
    return parseArgs({ options: { gpu: { type: 'boolean' }, wheels: { type: 'string' } } }).values;
  } catch (error) {
    console.error(`${messageOf(error)} → the options are --gpu and --wheels FOLDER`);
    process.exit(2);
  }
}
