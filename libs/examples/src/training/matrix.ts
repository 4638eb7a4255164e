/**
 * Matrix products in plain JavaScript, row-major. They are summed in one fixed order, which those
 * of onnxruntime are not on every processor: training gives the same bytes again.
 */

/** out [m, n] += a [m, k] b [k, n] */
export function multiply(
  a: Float32Array,
  b: Float32Array,
  out: Float32Array,
  m: number,
  k: number,
  n: number,
): void {
  for (let row = 0; row < m; row++) {
    const to = row * n;
    for (let inner = 0; inner < k; inner++) {
      const factor = a[row * k + inner] as number;
      if (factor === 0) continue;
      const from = inner * n;
      for (let column = 0; column < n; column++) {
        out[to + column] = (out[to + column] as number) + factor * (b[from + column] as number);
      }
    }
  }
}

/** out [k, n] += aᵀ b, with a [m, k] and b [m, n]: the gradient of the weights of a product. */
export function multiplyTransposedLeft(
  a: Float32Array,
  b: Float32Array,
  out: Float32Array,
  m: number,
  k: number,
  n: number,
): void {
  for (let row = 0; row < m; row++) {
    const from = row * n;
    for (let inner = 0; inner < k; inner++) {
      const factor = a[row * k + inner] as number;
      if (factor === 0) continue;
      const to = inner * n;
      for (let column = 0; column < n; column++) {
        out[to + column] = (out[to + column] as number) + factor * (b[from + column] as number);
      }
    }
  }
}

/** out [m, k] = a bᵀ, with a [m, n] and b [k, n]: the gradient of the input of a product. */
export function multiplyTransposedRight(
  a: Float32Array,
  b: Float32Array,
  out: Float32Array,
  m: number,
  k: number,
  n: number,
): void {
  for (let row = 0; row < m; row++) {
    for (let inner = 0; inner < k; inner++) {
      let sum = 0;
      for (let column = 0; column < n; column++) {
        sum += (a[row * n + column] as number) * (b[inner * n + column] as number);
      }
      out[row * k + inner] = sum;
    }
  }
}
