/** Sets of small whole numbers as text, `0-12,15`: short where chunks end about in order. */

type Range = readonly [first: number, last: number];

/** @returns undefined for what is no set in ascending, disjoint ranges. */
function parse(text: string): Range[] | undefined {
  const ranges: Range[] = [];
  if (text === "") return ranges;
  let before = -2;
  for (const part of text.split(",")) {
    const match = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(part);
    if (match === null) return undefined;
    const first = Number(match[1]);
    const last = match[2] === undefined ? first : Number(match[2]);
    // Neighbours would have been one range.
    if (first <= before + 1 || last < first) return undefined;
    ranges.push([first, last]);
    before = last;
  }
  return ranges;
}

const write = (ranges: readonly Range[]): string =>
  ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(",");

export const isRangeSet = (text: string): boolean => parse(text) !== undefined;

export const hasMember = (set: string, member: number): boolean =>
  (parse(set) ?? []).some(([first, last]) => member >= first && member <= last);

export const countMembers = (set: string): number =>
  (parse(set) ?? []).reduce((sum, [first, last]) => sum + last - first + 1, 0);

export function addMember(set: string, member: number): string {
  const ranges = parse(set) ?? [];
  const touching = ranges.filter(([first, last]) => member >= first - 1 && member <= last + 1);
  const joined: Range = [
    Math.min(member, ...touching.map(([first]) => first)),
    Math.max(member, ...touching.map(([, last]) => last)),
  ];
  const others = ranges.filter((range) => !touching.includes(range));
  return write([...others, joined].toSorted(([a], [b]) => a - b));
}

export function removeMember(set: string, member: number): string {
  const ranges = (parse(set) ?? []).flatMap((range): readonly Range[] => {
    const [first, last] = range;
    if (member < first || member > last) return [range];
    const before: readonly Range[] = first < member ? [[first, member - 1]] : [];
    const after: readonly Range[] = member < last ? [[member + 1, last]] : [];
    return [...before, ...after];
  });
  return write(ranges);
}
