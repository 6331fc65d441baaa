// Tails of the binomial distribution, and the quantile of a beta distribution with whole parameters, which is one of them.

const { exp, log, log1p, min } = Math; // looked up once: slow under Jest

/** ln n! for n = 0 … count. */
function logFactorials(count: number): Float64Array {
  const logs = new Float64Array(count + 1);
  for (let n = 2; n <= count; n++) logs[n] = logs[n - 1]! + log(n);
  return logs;
}

/** P(X = k) of n trials with success probability ½. */
export function fairPmf(k: number, n: number): number {
  const logs = logFactorials(n);
  return exp(logs[n]! - logs[k]! - logs[n - k]! - n * Math.LN2);
}

/** P(X ≤ k) of n trials with success probability ½. */
export function fairCdf(k: number, n: number): number {
  const logs = logFactorials(n);
  let sum = 0;
  for (let i = 0; i <= k; i++) sum += exp(logs[n]! - logs[i]! - logs[n - i]! - n * Math.LN2);
  return min(1, sum);
}

/**
 * The x with P(Y ≤ x) = p for Y ~ Beta(a, b), a and b whole and at least 1: P(Y ≤ x) = P(Binomial(a+b−1, x) ≥ a), solved by
 * bisection to the last bit.
 */
export function betaQuantile(p: number, a: number, b: number): number {
  const n = a + b - 1;
  const logs = logFactorials(n);
  const cdf = (x: number) => {
    let sum = 0;
    for (let i = a; i <= n; i++) {
      sum += exp(logs[n]! - logs[i]! - logs[n - i]! + i * log(x) + (n - i) * log1p(-x));
    }
    return sum;
  };
  let low = 0;
  let high = 1;
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    if (cdf(middle) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
