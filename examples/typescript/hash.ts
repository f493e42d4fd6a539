// Which bucket, group and unit a user has, and which bucket a latency: as every other router
// computes them. `router-vectors.json` of the documentation holds what each must be.

export const BUCKETS = 10_000;
export const GROUPS = 512;

/** Decides which collection serves the user. */
export function bucketOf(salt: string, user: string): number {
  return firstEightBytes(`${salt}:${user}`, BUCKETS);
}

/** Groups of users are compared, so that one eager user is no evidence. */
export function groupOf(salt: string, user: string): number {
  return firstEightBytes(`group:${salt}:${user}`, GROUPS);
}

/** Names the user in an experiment, so that no user's own name leaves the application. */
export function unitOf(experiment: string, user: string): string {
  const digest = blake2b(`unit:${experiment}:${user}`, 12);
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** 64 buckets for each power of two of the seconds. */
export function latencyBucket(seconds: number): number {
  if (seconds < 2 ** -17) return 0;
  let exponent = Math.floor(Math.log2(seconds)) + 1;
  if (seconds >= 2 ** exponent) exponent += 1; // the logarithm is rounded
  if (seconds < 2 ** (exponent - 1)) exponent -= 1;
  const place = (exponent + 16) * 64 + Math.floor((seconds / 2 ** (exponent - 1) - 1) * 64);
  return Math.min(Math.max(place, 0), 1535);
}

function firstEightBytes(text: string, modulus: number): number {
  const digest = blake2b(text, 8);
  return Number(new DataView(digest.buffer).getBigUint64(0) % BigInt(modulus));
}

// BLAKE2b, RFC 7693, without a key. Node's own has no other size than 64 bytes, and a shorter
// digest is another one, not the beginning of it.

const MASK = (1n << 64n) - 1n;
const START = [
  0x6a09e667f3bcc908n, 0xbb67ae8584caa73bn, 0x3c6ef372fe94f82bn, 0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n, 0x9b05688c2b3e6c1fn, 0x1f83d9abfb41bd6bn, 0x5be0cd19137e2179n,
] as const;
const ORDERS = [
  "0123456789abcdef", "ea489fd61c02b753", "b8c052fdae367194", "7931dcbe265a40f8",
  "905724afe1bc683d", "2c6a0b834d75fe19", "c51fed4a0763928b", "db7ec13950f4862a",
  "6fe9b308c2d714a5", "a2847615fb9e3cd0", "0123456789abcdef", "ea489fd61c02b753",
].map((order) => [...order].map((digit) => parseInt(digit, 16)));
const COLUMNS_AND_DIAGONALS = [
  [0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
  [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14],
] as const;

export function blake2b(text: string, size: number): Uint8Array {
  const message = new TextEncoder().encode(text);
  const state: bigint[] = [...START];
  state[0]! ^= 0x01010000n ^ BigInt(size);
  const blocks = Math.max(1, Math.ceil(message.length / 128));
  for (let block = 0; block < blocks; block += 1) {
    const padded = new DataView(new ArrayBuffer(128));
    const bytes = message.subarray(block * 128, block * 128 + 128);
    new Uint8Array(padded.buffer).set(bytes);
    mix(state, padded, block * 128 + bytes.length, block === blocks - 1);
  }
  const digest = new DataView(new ArrayBuffer(64));
  state.forEach((word, index) => digest.setBigUint64(index * 8, word, true));
  return new Uint8Array(digest.buffer.slice(0, size));
}

function mix(state: bigint[], block: DataView, count: number, last: boolean): void {
  const work = [...state, ...START];
  work[12]! ^= BigInt(count);
  if (last) work[14]! ^= MASK;
  for (const order of ORDERS) {
    COLUMNS_AND_DIAGONALS.forEach(([a, b, c, d], index) => {
      for (const [half, turnD, turnB] of [[0, 32n, 24n], [1, 16n, 63n]] as const) {
        const word = block.getBigUint64(order[index * 2 + half]! * 8, true);
        work[a] = (work[a]! + work[b]! + word) & MASK;
        work[d] = turnRight(work[d]! ^ work[a]!, turnD);
        work[c] = (work[c]! + work[d]!) & MASK;
        work[b] = turnRight(work[b]! ^ work[c]!, turnB);
      }
    });
  }
  state.forEach((word, index) => (state[index] = word ^ work[index]! ^ work[index + 8]!));
}

function turnRight(word: bigint, bits: bigint): bigint {
  return (word >> bits) | ((word << (64n - bits)) & MASK);
}
