/** Between processes and machines only the wall clock is shared. */
export const unixUs = (): number => Math.floor((performance.timeOrigin + performance.now()) * 1000);
