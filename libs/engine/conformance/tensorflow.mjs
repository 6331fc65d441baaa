// Registers this engine's backend for the suite. The suite creates and disposes hundreds of backends, which all share
// one library and one context.
import tf from '@tensorflow/tfjs';
import { BACKEND_NAME, TensorFlowBackend } from '../dist/backend/backend.js';
import { openBinding } from '../dist/backend/binding.js';
import { loadTensorFlow } from '../dist/native/declarations.js';
import { registerKernels } from '../dist/kernels/register.js';
import { requireTensorFlow } from '../dist/library/library.js';
import { setNumerics } from '../dist/numerics.js';

// CT_ENSEMBLE_CONFORMANCE_DEVICE=gpu:0 runs the suite on a GPU.
const gpu = /^gpu:(\d+)$/.exec(process.env['CT_ENSEMBLE_CONFORMANCE_DEVICE'] ?? '')?.[1];
const api = loadTensorFlow(requireTensorFlow());
setNumerics(api, {});
const binding = openBinding(api, { kind: gpu ? 'gpu' : 'cpu', index: Number(gpu ?? 0), threads: 1 });
registerKernels();
tf.registerBackend(BACKEND_NAME, () => new TensorFlowBackend(binding));
