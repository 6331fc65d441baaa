// The small variants that need images of at least 75 pixels compute the same on TensorFlow and on tfjs's own CPU backend.
import { expectEnginesAgree, isQuick, smallNetworks } from '../testing/engines-agree.ts';

test.each(smallNetworks.filter((name) => !isQuick(name)))('%s', expectEnginesAgree);
