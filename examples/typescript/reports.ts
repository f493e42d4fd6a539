// What searches experienced, added up until it is sent. A batch is sent again, with its number,
// until an answer comes, so it counts once.

import type { GroupCalls, Observation, Operations, UserSearches } from "./api.ts";
import { latencyBucket, unitOf } from "./hash.ts";
import type { Choice } from "./choice.ts";

const MOST_OBSERVATIONS = 1_000;
const MOST_USERS = 2_000;
/** Of the JSON of a batch; the server takes twice as many. */
const MOST_CHARACTERS = 400_000;
/** Cells of one observation; each takes some ten characters. */
const MOST_CELLS = 20_000;
/** Users who wait while the server is away; of the others nothing is reported. */
const MOST_WAITING = 50_000;
const LEAST_MS = 0.001;

/** `waited`: the seconds until blue had answered instead. */
export interface Outcome {
  seconds: number;
  failed: boolean;
  waited?: number;
  results?: number;
}

type Head = Omit<Observation, "sketch">;
type Body = Pick<Operations["post_observations"]["body"], "router" | "batch">;
type Send = (path: string, body: Body) => Promise<unknown>;

class Sums {
  readonly cells = new Map<string, number>();
  readonly failed = new Map<number, number>();
  readonly nothing = new Map<number, number>();
  seconds = 0;
  fallbacks = 0;
  anonymous = 0;

  readonly #head: Head;

  constructor(head: Head) {
    this.#head = head;
  }

  /** Several observations of many cells add up to one. The calls of a group stay together, because
   * at most as many of them may have failed. */
  asObservations(): Observation[] {
    const { seconds, fallbacks, anonymous } = this;
    return this.#splitCells().map((cells, place) => {
      const groups = new Set(cells.map(([group]) => group!));
      return {
        ...this.#head,
        sketch: {
          cells: {
            groups: cells.map(([group]) => group!),
            buckets: cells.map(([, bucket]) => bucket!),
            calls: cells.map(([, , calls]) => calls!),
          },
          failed: asGroups(this.failed, groups),
          nothing: asGroups(this.nothing, groups),
          ...(place === 0 ? { seconds, fallbacks, anonymous } : {}),
        },
      };
    });
  }

  #splitCells(): number[][][] {
    const cells = [...this.cells].map(([cell, calls]) => [...cell.split(" ").map(Number), calls]);
    cells.sort(([one], [other]) => one! - other!);
    const parts: number[][][] = [];
    for (let start = 0, end = 0; start < cells.length; start = end) {
      end = Math.min(start + MOST_CELLS, cells.length);
      while (end < cells.length && cells[end]![0] === cells[end - 1]![0]) end += 1;
      parts.push(cells.slice(start, end));
    }
    return parts;
  }
}

export class Reports {
  readonly #sums = new Map<string, Sums>();
  readonly #users = new Map<string, { seen: UserSearches; latencies: Map<number, number> }>();
  readonly #observations: Outbox;
  readonly #exposures: Outbox;

  constructor(router: string) {
    this.#observations = new Outbox(router, "/observations");
    this.#exposures = new Outbox(router, "/exposures");
  }

  note(choice: Choice, outcome: Outcome): void {
    const { alias, variant, collection, group, blue } = choice;
    const head = { alias, stage: choice.route?.stage ?? "", kind: "real", variant, collection };
    const sums = this.#find(head);
    add(sums.cells, `${group} ${latencyBucket(outcome.seconds)}`);
    sums.seconds += outcome.seconds;
    sums.anonymous += Number(choice.user === undefined);
    sums.fallbacks += Number(outcome.waited !== undefined);
    if (outcome.failed) add(sums.failed, group);
    else if (outcome.results === 0) add(sums.nothing, group);
    if (choice.bypassed) {
      add(this.#find({ ...head, kind: "bypassed", collection: blue }).cells, `${group} 0`);
    }
    const experiment = choice.route?.experiment_id;
    if (experiment && choice.user !== undefined && variant !== "live") {
      this.#enroll(experiment, choice.user, choice, outcome);
    }
  }

  /** Exposures first: what comes of a search may only be told of users who are known. */
  async send(send: Send): Promise<void> {
    await this.#exposures.send(send, () => {
      const users = [...this.#users.values()].map(({ seen, latencies }) => {
        const { keys, calls } = asLists(latencies);
        return { ...seen, latencies: { buckets: keys, calls } };
      });
      this.#users.clear();
      return split(users, MOST_USERS).map((part) => ({ users: part }));
    });
    await this.#observations.send(send, () => {
      const observations = [...this.#sums.values()].flatMap((sums) => sums.asObservations());
      this.#sums.clear();
      return split(observations, MOST_OBSERVATIONS).map((part) => ({ observations: part }));
    });
  }

  #find(head: Head): Sums {
    const key = JSON.stringify(head);
    const sums = this.#sums.get(key) ?? new Sums(head);
    this.#sums.set(key, sums);
    return sums;
  }

  #enroll(experiment: string, user: string, choice: Choice, outcome: Outcome): void {
    const { variant, collection, bucket, group } = choice;
    const unit = unitOf(experiment, user);
    const key = `${experiment} ${unit}`;
    const stage = Number(choice.route!.stage.split("/").at(-1));
    const seconds = outcome.waited ?? outcome.seconds;
    let found = this.#users.get(key);
    if (found === undefined) {
      if (this.#users.size >= MOST_WAITING) return;
      const none = { searches: 0, errors: 0, zero_results: 0, log_ms: 0, crossed: false };
      const who = { experiment, unit, variant, stage, collection, bucket, group };
      const seen = { ...who, ...none, latencies: { buckets: [], calls: [] } };
      found = { seen, latencies: new Map() };
      this.#users.set(key, found);
    }
    const { seen } = found;
    seen.searches = (seen.searches ?? 0) + 1;
    seen.errors = (seen.errors ?? 0) + Number(outcome.failed);
    seen.zero_results = (seen.zero_results ?? 0) + Number(outcome.results === 0);
    seen.log_ms = (seen.log_ms ?? 0) + Math.log(Math.max(seconds * 1_000, LEAST_MS));
    seen.crossed ||= seen.variant !== variant;
    add(found.latencies, latencyBucket(seconds));
  }
}

/** Sends one batch after the other. New ones are taken only when those before have an answer. */
class Outbox {
  readonly #router: string;
  readonly #path: string;
  #waiting: Body[] = [];
  #number = 0;

  constructor(router: string, path: string) {
    this.#router = router;
    this.#path = path;
  }

  async send(send: Send, take: () => object[]): Promise<void> {
    await this.#sendWaiting(send);
    this.#waiting = take().map((content) => {
      this.#number += 1;
      return { router: this.#router, batch: this.#number, ...content };
    });
    await this.#sendWaiting(send);
  }

  async #sendWaiting(send: Send): Promise<void> {
    for (let body = this.#waiting[0]; body !== undefined; body = this.#waiting[0]) {
      await send(this.#path, body);
      this.#waiting.shift();
    }
  }
}

function add<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function asLists(counts: Map<number, number>): { keys: number[]; calls: number[] } {
  return { keys: [...counts.keys()], calls: [...counts.values()] };
}

function asGroups(counts: Map<number, number>, wanted: Set<number>): GroupCalls {
  const { keys, calls } = asLists(new Map([...counts].filter(([group]) => wanted.has(group))));
  return { groups: keys, calls };
}

/** Returns parts of at most so many items, and of at most `MOST_CHARACTERS` in their JSON. */
function split<Item>(items: Item[], most: number): Item[][] {
  const parts: Item[][] = [];
  let characters = Infinity;
  for (const item of items) {
    const length = JSON.stringify(item).length;
    const last = parts.at(-1);
    if (last === undefined || last.length >= most || characters + length > MOST_CHARACTERS) {
      parts.push([item]);
      characters = length;
    } else {
      last.push(item);
      characters += length;
    }
  }
  return parts;
}
