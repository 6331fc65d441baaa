// The normal distribution in double precision: W. J. Cody's erfc (Math. Comp. 23, 1969; coefficients of CALERF, netlib) and
// M. J. Wichura's quantile (Algorithm AS 241, PPND16, Applied Statistics 37, 1988).

const erfA = [
  3.1611237438705655, 113.86415415105016, 377.485237685302, 3209.3775891384694, 0.18577770618460315,
];
const erfB = [23.601290952344122, 244.02463793444417, 1282.6165260773723, 2844.236833439171];
const erfC = [
  0.5641884969886701, 8.883149794388377, 66.11919063714163, 298.6351381974001, 881.952221241769,
  1712.0476126340707, 2051.0783778260716, 1230.3393547979972, 2.1531153547440383e-8,
];
const erfD = [
  15.744926110709835, 117.6939508913125, 537.1811018620099, 1621.3895745666903, 3290.7992357334597,
  4362.619090143247, 3439.3676741437216, 1230.3393548037495,
];
const erfP = [
  0.30532663496123236, 0.36034489994980445, 0.12578172611122926, 0.016083785148742275, 0.0006587491615298378,
  0.016315387137302097,
];
const erfQ = [
  2.568520192289822, 1.8729528499234673, 0.5279051029514285, 0.06051834131244132, 0.0023352049762686918,
];

/** The complementary error function, relative error about 1e-15. */
export function erfc(x: number): number {
  const y = Math.abs(x);
  if (y <= 0.46875) {
    const square = y * y;
    let above = erfA[4]! * square;
    let below = square;
    for (let i = 0; i < 3; i++) {
      above = (above + erfA[i]!) * square;
      below = (below + erfB[i]!) * square;
    }
    return 1 - (x * (above + erfA[3]!)) / (below + erfB[3]!);
  }
  const upper = y <= 4 ? erfcMiddle(y) : erfcTail(y);
  return x < 0 ? 2 - upper : upper;
}

function erfcMiddle(y: number): number {
  let above = erfC[8]! * y;
  let below = y;
  for (let i = 0; i < 7; i++) {
    above = (above + erfC[i]!) * y;
    below = (below + erfD[i]!) * y;
  }
  return (gaussian(y) * (above + erfC[7]!)) / (below + erfD[7]!);
}

function erfcTail(y: number): number {
  const inverse = 1 / (y * y);
  let above = erfP[5]! * inverse;
  let below = inverse;
  for (let i = 0; i < 4; i++) {
    above = (above + erfP[i]!) * inverse;
    below = (below + erfQ[i]!) * inverse;
  }
  const rest = (inverse * (above + erfP[4]!)) / (below + erfQ[4]!);
  return (gaussian(y) * (1 / Math.sqrt(Math.PI) - rest)) / y;
}

/** exp(−y²) without the rounding error of y². */
function gaussian(y: number): number {
  const coarse = Math.trunc(y * 16) / 16;
  return Math.exp(-coarse * coarse) * Math.exp(-(y - coarse) * (y + coarse));
}

/** P(Z ≤ z) of the standard normal distribution. */
export function normalCdf(z: number): number {
  return erfc(-z / Math.SQRT2) / 2;
}

const centre = {
  above: [
    3.3871328727963665, 133.14166789178438, 1971.5909503065513, 13731.69376550946, 45921.95393154987,
    67265.7709270087, 33430.57558358813, 2509.0809287301227,
  ],
  below: [
    1, 42.31333070160091, 687.1870074920579, 5394.196021424751, 21213.794301586597, 39307.89580009271,
    28729.085735721943, 5226.495278852854,
  ],
};
const shoulder = {
  above: [
    1.4234371107496835, 4.630337846156546, 5.769497221460691, 3.6478483247632045, 1.2704582524523684,
    0.2417807251774506, 0.022723844989269184, 0.0007745450142783414,
  ],
  below: [
    1, 2.053191626637759, 1.6763848301838038, 0.6897673349851, 0.14810397642748008, 0.015198666563616457,
    0.0005475938084995345, 1.0507500716444169e-9,
  ],
};
const tail = {
  above: [
    6.657904643501103, 5.463784911164114, 1.7848265399172913, 0.29656057182850487, 0.026532189526576124,
    0.0012426609473880784, 2.7115555687434876e-5, 2.0103343992922881e-7,
  ],
  below: [
    1, 0.599832206555888, 0.1369298809227358, 0.014875361290850615, 0.0007868691311456133,
    1.8463183175100548e-5, 1.421511758316446e-7, 2.0442631033899397e-15,
  ],
};
const ratio = (r: number, { above, below }: typeof centre) => polynomial(r, above) / polynomial(r, below);
const polynomial = (r: number, c: readonly number[]) =>
  c.reduceRight((sum, coefficient) => sum * r + coefficient, 0);

/** The z with P(Z ≤ z) = p; −∞ for 0, ∞ for 1. */
export function normalQuantile(p: number): number {
  if (p <= 0 || p >= 1) return p === 0 ? -Infinity : p === 1 ? Infinity : NaN;
  const q = p - 0.5;
  if (Math.abs(q) <= 0.425) return q * ratio(0.180625 - q * q, centre);
  const r = Math.sqrt(-Math.log(Math.min(p, 1 - p)));
  return Math.sign(q) * (r <= 5 ? ratio(r - 1.6, shoulder) : ratio(r - 5, tail));
}
