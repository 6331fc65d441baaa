// TensorFlow 2.21's C library under tfjs: library, devices, binding, captured steps.
export {};
