// A router: it decides which collection answers a user, and reports what searches experience. Its
// rules are those of docs/reference/router-protocol.md; a search waits for Qdrant and for nothing
// else.

import type { Operations, Route } from "./api.ts";
import { type Choice, choose } from "./choice.ts";
import { type Outcome, Reports } from "./reports.ts";

const LOOK_MS = 500;
const LOOKS_PER_REPORT = 2;
const LOOKS_PER_SIGN_OF_LIFE = 4;
const REQUEST_MS = 5_000;
/** As long may a collection on trial take; blue answers after that. */
const TRIED_MS = 4_000;

export interface Found<T> {
  answer: T;
  collection: string;
  variant: string;
  fallback: boolean;
}

/** `failed` is told why the server could not be reached; searches go on by the last routes. */
export interface Options {
  url: string;
  token?: string;
  failed?: (error: unknown) => void;
}

export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, words: string) {
    super(words);
    this.status = status;
  }
}

export class Router {
  readonly #options: Options;
  readonly #name = `node:${crypto.randomUUID()}`;
  readonly #reports = new Reports(this.#name);
  readonly #used = new Set<string>();
  #routes = new Map<string, Route>();
  #tag = "";
  #known = false;
  #news = false;
  #closed = false;
  #wake: () => void = () => {};
  #work: Promise<void> = Promise.resolve();

  private constructor(options: Options) {
    this.#options = options;
  }

  static async open(options: Options): Promise<Router> {
    const router = new Router(options);
    await router.#attempt(() => router.#readRoutes());
    router.#work = router.#follow();
    return router;
  }

  /** Calls `search` with the collection for this user; `count` tells how much an answer holds. */
  async call<T>(
    alias: string,
    search: (collection: string, signal?: AbortSignal) => Promise<T>,
    { user, count = () => 1 }: { user?: string; count?: (answer: T) => number } = {},
  ): Promise<Found<T>> {
    const choice = this.choose(alias, user);
    const { variant, collection, blue } = choice;
    const started = performance.now();
    let answer: T;
    try {
      answer = await (choice.tried ? within(TRIED_MS, search, collection) : search(collection));
    } catch (error) {
      const seconds = elapsed(started);
      if (!choice.tried) {
        this.#reports.note(choice, { seconds, failed: true });
        throw error;
      }
      const outcome: Outcome = { seconds, failed: true };
      try {
        answer = await search(blue);
        outcome.waited = elapsed(started);
      } finally {
        this.#reports.note(choice, outcome);
      }
      return { answer, collection: blue, variant, fallback: true };
    }
    const seconds = elapsed(started);
    this.#reports.note(choice, { seconds, failed: false, results: count(answer) });
    return { answer, collection, variant, fallback: false };
  }

  /** Only chooses: what is searched with it is not measured. */
  choose(alias: string, user?: string): Choice {
    if (!this.#used.has(alias)) {
      this.#used.add(alias);
      this.#news = true;
    }
    const choice = choose(this.#routes.get(alias), alias, user);
    return this.#known ? choice : { ...choice, variant: "unrouted" };
  }

  /** Reports what is left, and that this router serves no more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wake();
    await this.#work;
    await this.#attempt(() => this.#report());
    this.#used.clear();
    await this.#attempt(() => this.#signOfLife());
  }

  async #follow(): Promise<void> {
    for (let look = 1; !this.#closed; look += 1) {
      await new Promise<void>((done) => {
        this.#wake = done;
        setTimeout(done, LOOK_MS);
      });
      await this.#attempt(() => this.#readRoutes());
      if (this.#used.size > 0 && (this.#news || look % LOOKS_PER_SIGN_OF_LIFE === 0)) {
        await this.#attempt(() => this.#signOfLife());
      }
      if (look % LOOKS_PER_REPORT === 0) await this.#attempt(() => this.#report());
    }
  }

  async #readRoutes(): Promise<void> {
    const answer = await this.#ask("GET", "/routes", undefined, { "If-None-Match": this.#tag });
    this.#known = true;
    if (answer.status === 304) return;
    const { routes } = (await answer.json()) as Operations["get_routes"]["answer"];
    this.#routes = new Map(routes.map((route) => [route.alias, route]));
    this.#tag = answer.headers.get("ETag") ?? "";
    this.#news = true;
  }

  async #signOfLife(): Promise<void> {
    this.#news = false;
    const versions = [...this.#used].map((alias) => [alias, this.#routes.get(alias)?.version ?? 0]);
    const body: Operations["post_routers"]["body"] = {
      router: this.#name,
      serves: Object.fromEntries(versions),
    };
    await this.#ask("POST", "/routers", body);
  }

  /** A batch that is malformed or too large would be refused again, so it is dropped. */
  async #report(): Promise<void> {
    await this.#reports.send(async (path, body) => {
      try {
        await this.#ask("POST", path, body);
      } catch (error) {
        if (!(error instanceof Refusal) || ![413, 422].includes(error.status)) throw error;
        this.#options.failed?.(error);
      }
    });
  }

  async #ask(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    const { url, token } = this.#options;
    if (token !== undefined) headers["Authorization"] = `Bearer ${token}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const answer = await fetch(`${url.replace(/\/+$/, "")}/api/v1${path}`, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(REQUEST_MS),
    });
    if (answer.ok || answer.status === 304) return answer;
    throw new Refusal(answer.status, `${method} ${path}: ${answer.status} ${await answer.text()}`);
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#options.failed?.(error);
    }
  }
}

async function within<T>(
  limit: number,
  search: (collection: string, signal?: AbortSignal) => Promise<T>,
  collection: string,
): Promise<T> {
  const signal = AbortSignal.timeout(limit);
  const late = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason));
  });
  return Promise.race([search(collection, signal), late]);
}

function elapsed(started: number): number {
  return (performance.now() - started) / 1_000;
}
