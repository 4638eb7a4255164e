/** Availability, and what can be claimed of it: a short drill without a failure proves little. */

export interface Availability {
  /** Per cent; 100 where nothing was asked. */
  readonly percent: number;
  /** At least so much, with 95 % confidence. */
  readonly lowerPercent: number;
}

const CONFIDENCE = 0.95;
const HALVINGS = 60;

/**
 * The one-sided bound of Clopper and Pearson (1934), which is exact: the greatest failure rate
 * under which so few failures still come with a probability of 5 %. No failure of 29,958
 * is 99.99 %.
 */
export function availabilityOf(requests: number, failed: number): Availability {
  if (requests === 0) return { percent: 100, lowerPercent: 0 };
  const percent = 100 * (1 - failed / requests);
  if (failed >= requests) return { percent, lowerPercent: 0 };
  let low = failed / requests;
  let high = 1;
  for (let at = 0; at < HALVINGS; at++) {
    const middle = (low + high) / 2;
    if (atMost(failed, requests, middle) > 1 - CONFIDENCE) low = middle;
    else high = middle;
  }
  return { percent, lowerPercent: 100 * (1 - high) };
}

/** The probability of at most `failed` failures at the given rate: the binomial's sum, in logs. */
function atMost(failed: number, requests: number, rate: number): number {
  if (rate >= 1) return 0;
  const odds = Math.log(rate) - Math.log1p(-rate);
  let term = requests * Math.log1p(-rate);
  let sum = term;
  for (let count = 1; count <= failed; count++) {
    term += odds + Math.log((requests - count + 1) / count);
    const [larger, smaller] = sum > term ? [sum, term] : [term, sum];
    sum = larger + Math.log1p(Math.exp(smaller - larger));
  }
  return Math.exp(sum);
}
