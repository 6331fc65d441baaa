// The normal distribution in double precision: W. J. Cody's erfc (Math. Comp. 23, 1969; coefficients of CALERF, netlib) and
// M. J. Wichura's quantile (Algorithm AS 241, PPND16, Applied Statistics 37, 1988).

const erfA = [
  3.1611237438705656, 113.864154151050156, 377.485237685302021, 3209.37758913846947, 0.185777706184603153,
];
const erfB = [23.6012909523441209, 244.024637934444173, 1282.61652607737228, 2844.23683343917062];
const erfC = [
  0.564188496988670089, 8.88314979438837594, 66.1191906371416295, 298.635138197400131, 881.95222124176909,
  1712.04761263407058, 2051.07837782607147, 1230.33935479799725, 2.15311535474403846e-8,
];
const erfD = [
  15.7449261107098347, 117.693950891312499, 537.181101862009858, 1621.38957456669019, 3290.79923573345963,
  4362.61909014324716, 3439.36767414372164, 1230.33935480374942,
];
const erfP = [
  0.305326634961232344, 0.360344899949804439, 0.125781726111229246, 0.0160837851487422766,
  6.58749161529837803e-4, 0.0163153871373020978,
];
const erfQ = [
  2.56852019228982242, 1.87295284992346725, 0.527905102951428412, 0.0605183413124413191,
  0.00233520497626869185,
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
    3.387132872796366608, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
    45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727,
  ],
  below: [
    1, 42.313330701600911252, 687.1870074920579083, 5394.1960214247511077, 21213.794301586595867,
    39307.89580009271061, 28729.085735721942674, 5226.495278852854561,
  ],
};
const shoulder = {
  above: [
    1.42343711074968357734, 4.6303378461565452959, 5.7694972214606914055, 3.64784832476320460504,
    1.27045825245236838258, 0.24178072517745061177, 0.0227238449892691845833, 7.7454501427834140764e-4,
  ],
  below: [
    1, 2.05319162663775882187, 1.6763848301838038494, 0.68976733498510000455, 0.14810397642748007459,
    0.0151986665636164571966, 5.475938084995344946e-4, 1.05075007164441684324e-9,
  ],
};
const tail = {
  above: [
    6.6579046435011037772, 5.4637849111641143699, 1.7848265399172913358, 0.29656057182850489123,
    0.026532189526576123093, 0.0012426609473880784386, 2.71155556874348757815e-5, 2.01033439929228813265e-7,
  ],
  below: [
    1, 0.59983220655588793769, 0.13692988092273580531, 0.0148753612908506148525, 7.868691311456132591e-4,
    1.8463183175100546818e-5, 1.4215117583164458887e-7, 2.04426310338993978564e-15,
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
