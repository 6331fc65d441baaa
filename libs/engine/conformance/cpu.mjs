// Registers tfjs's own CPU backend under this engine's name. Every spec that passes on it is required of the engine.
import tf from '@tensorflow/tfjs';

tf.copyRegisteredKernels('cpu', 'tensorflow');
tf.registerBackend('tensorflow', tf.findBackendFactory('cpu'));
