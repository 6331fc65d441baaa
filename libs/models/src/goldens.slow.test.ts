// The full-size networks against PyTorch in float64: the goldens beside the checkout, on the TensorFlow engine.
import { findTensorFlow, openEngine, type Engine } from '@ct-ensemble/engine';
import { compareGolden, readGoldens, sharedGoldens } from './goldens.ts';

const goldens = await readGoldens(sharedGoldens);
const hasTensorFlow = findTensorFlow() !== null;
const reason =
  goldens === undefined ? 'no goldens beside the checkout' : hasTensorFlow ? '' : 'no TensorFlow here';
let engine: Engine;

beforeAll(async () => {
  engine = await openEngine({ engine: hasTensorFlow ? 'tensorflow' : 'cpu' });
});
afterAll(() => engine.close());

const nets = [
  'densenet161',
  'resnext50_32x4d',
  'inception_v3',
  'inception_v4',
  'inception_resnet_v2',
  'att_unet',
];

(reason === '' ? test : test.skip).each(nets)(
  `%s computes what PyTorch computes${reason && ` (skipped: ${reason})`}`,
  (net) => {
    const { seed, nets: references } = goldens!;
    const compared = compareGolden({ seed, net }, references[net]!);
    expect(compared).toMatchObject({ parameters: compared.expectedParameters, ok: true });
    expect(compared.figures).toHaveLength(5);
  },
  60_000,
);
