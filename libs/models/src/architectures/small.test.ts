// The small variants compute the same on TensorFlow and on tfjs's own CPU backend. small.slow.test.ts has those that need large
// images.
import { expectEnginesAgree, isQuick, smallNetworks } from '../testing/engines-agree.ts';

test.each(smallNetworks.filter(isQuick))('%s', expectEnginesAgree);
