/** Small non-cryptographic hashes. Digests of blobs are SHA-256 and live in `store`. */

/** FNV-1a over UTF-16 code units, finished with an avalanche step so that close keys spread. */
export function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return mix32(hash);
}

/** The finaliser of MurmurHash3. */
export function mix32(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/**
 * Rendezvous (highest random weight) hashing, Thaler and Ravishankar 1998: everyone who knows the
 * same members picks the same owner, and losing a member moves only what it owned.
 * Ties go to the smaller id. Undefined when there are no members.
 */
export function rendezvousOwner(key: string, members: Iterable<string>): string | undefined {
  let owner: string | undefined;
  let best = -1;
  const keyHash = hash32(key);
  for (const member of members) {
    const weight = mix32(keyHash ^ Math.imul(hash32(member), 0x9e3779b1));
    if (weight > best || (weight === best && owner !== undefined && member < owner)) {
      best = weight;
      owner = member;
    }
  }
  return owner;
}
