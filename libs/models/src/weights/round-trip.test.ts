// The small variants' files and logits are those that PyTorch and ONNX Runtime have read and computed; the full-size networks
// are in round-trip.slow.test.ts.
import { testRoundTrips } from '../testing/round-trip.ts';

await testRoundTrips((name) => name.endsWith('_small'));
