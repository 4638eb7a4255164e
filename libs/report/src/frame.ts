/** The rectangle of a drawing in which the marks lie, in pixels; labels lie around it. */

export interface Frame {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Room for the title and the legend above, the axes' figures left and below. */
export function frameOf(width: number, height: number, legendRows: number): Frame {
  const top = 34 + legendRows * 18;
  return {
    left: 58,
    top,
    width: Math.max(40, width - 58 - 14),
    height: Math.max(40, height - top - 44),
  };
}
