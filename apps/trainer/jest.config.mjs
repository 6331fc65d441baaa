import preset from '../../jest.preset.mjs';

// Most of these tests wait for the programs that they start.
export default { ...preset, maxWorkers: 2 };
