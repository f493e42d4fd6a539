// Which collection answers a user: a pure function of the route and the user, the same in every
// process and after every restart.

import type { Arm, Route } from "./api.ts";
import { BUCKETS, bucketOf, GROUPS, groupOf } from "./hash.ts";

const HALF = BUCKETS / 2;

/** `collection` is searched. If it is on trial (`tried`), `blue` answers when it fails. */
export interface Choice {
  alias: string;
  route: Route | undefined;
  variant: string;
  collection: string;
  blue: string;
  tried: boolean;
  bypassed: boolean;
  bucket: number;
  group: number;
  user: string | undefined;
}

/** Without a user the choice is drawn. */
export function choose(route: Route | undefined, alias: string, user?: string): Choice {
  const bucket = user === undefined ? draw(BUCKETS) : bucketOf(route?.salt ?? "", user);
  const group = user === undefined ? draw(GROUPS) : groupOf(route?.salt ?? "", user);
  const blue = route?.at_rest === false ? (route.blue ?? alias) : alias;
  const live = { alias, route, variant: "live", collection: blue, blue, bucket, group, user };
  const arms = route === undefined || route.at_rest ? [] : armsOf(route);
  const arm = arms.find((one) => one.ranges.some(([from, to]) => from! <= bucket && bucket < to!));
  if (arm === undefined || (route?.experiment_id && user === undefined)) {
    return { ...live, tried: false, bypassed: false };
  }
  if (arms.some((one) => one.document)) {
    // Two lists would be drafted into one, which this router cannot do.
    return { ...live, tried: false, bypassed: true };
  }
  const tried = arm.variant !== "control";
  const collection = tried ? arm.collection : blue;
  return { ...live, variant: arm.variant, collection, tried, bypassed: false };
}

function armsOf(route: Route): Arm[] {
  const { green, share } = route;
  if (route.arms.length > 0 || green === null) return route.arms;
  const control = share <= HALF ? [[0, share]] : [];
  const canary = share <= HALF ? [[HALF, HALF + share]] : [[HALF, BUCKETS], [0, share - HALF]];
  return [
    { variant: "control", collection: route.blue ?? route.alias, ranges: control },
    { variant: "canary", collection: green, ranges: canary },
  ];
}

function draw(most: number): number {
  return Math.floor(Math.random() * most);
}
