// The full-size networks' files and logits are those that PyTorch and ONNX Runtime have read and computed.
import { testRoundTrips } from '../testing/round-trip.ts';

await testRoundTrips((name) => !name.endsWith('_small'));
