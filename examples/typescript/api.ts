// The types of the HTTP API. `python -m docs.make_reference` makes this file from the
// OpenAPI document (`/api/v1/openapi.json`).

export type AbortRequest = {
  /** Why; kept with the audit events. */
  reason?: string;
  /** Ends the watch and leaves the new collection serving. */
  keep?: boolean;
};

export type AdoptionRequest = {
  /** Why; kept with the audit events. */
  reason?: string;
  /** Another than the one the alias points to. */
  collection?: string | null;
  /** Take the declared model though it makes other vectors than are stored. */
  trust?: boolean;
};

/** `state`: begun, lasting, resolved, or moment for something that does not last. */
export type Alert = {
  id: string;
  index: string;
  what: string;
  severity: string;
  state: string;
  at: string;
  since: string;
  text: string;
  value: string;
  bound: string;
  actor: string;
  reason: string;
  next: string;
  deployment_id: string | null;
  deliveries: Array<Delivery>;
};

export type AlertTestRequest = {
  /** Why; kept with the audit events. */
  reason?: string;
  /** One channel of the index file, else all of them. */
  channel?: string | null;
};

/** `next` is the `before` of the page that follows, None on the last one. */
export type Alerts = {
  alerts: Array<Alert>;
  next: number | null;
};

export type AlertsQuery = {
  /** Only those of this index. */
  alias?: string | null;
  /** How many. */
  limit?: number;
  severity?: Severity | null;
  /** A name such as `deployment.failed`, or its first part: `deployment`. */
  alert?: string | null;
  /** Only those that were sent from then on. */
  since?: string | null;
  /** The `next` of the page before. */
  before?: number | null;
};

export type AliasCreationRequest = {
  /** Why; kept with the audit events. */
  reason?: string;
  alias: string;
  collection: string;
  /** Repoint an alias that points elsewhere. */
  force?: boolean;
};

/** The alias moved to this collection. */
export type AliasMove = {
  at: string;
  version: number | null;
  collection: string;
  kind: "switch" | "rollback" | "by_hand";
};

export type AliasSwitchRequest = {
  /** Why; kept with the audit events. */
  reason?: string;
  collection: string;
  /** Delete the old collection by the index's own rule. */
  delete_old?: boolean;
};

export type Aliases = {
  aliases: Record<string, string>;
};

/** A coming deletion in words, with the command that keeps the collection (null once the deletion has begun). `delete_after` is null until the deployment that causes the deletion is live. */
export type Announced = {
  collection: string;
  delete_after: string | null;
  text: string;
  keep: string | null;
};

export type AnswerComparisonQuery = {
  query: string;
  /** A version: its number, its collection or `live`. Without it, what serves. */
  left?: string;
  /** The other version. Without it, what a running deployment has built, else the version before the live one. */
  right?: string;
  /** How many answers of each. */
  limit?: number;
};

/** `ranges` of the 10,000 buckets of users. */
export type Arm = {
  variant: string;
  collection: string;
  ranges: Array<Array<number>>;
  document?: string;
};

/** `next` is what a person can do. */
export type Attention = {
  severity: string;
  text: string;
  since: string | null;
  link: string;
  next: string;
};

/** `verified` is the latest verification that has ended. */
export type Backup = {
  backup_id: string;
  status: string;
  message: string;
  alias: string | null;
  collection: string | null;
  created_at: string | null;
  points: number | null;
  bytes: number | null;
  server: string | null;
  actor: string | null;
  verified: Verification | null;
};

export type BackupRequest = {
  /** Why; kept with the audit events. */
  reason?: string;
  alias: string;
  /** Of this alias so many are left; the oldest are removed when this one is made. */
  keep?: number | null;
};

export type Backups = {
  backups: Array<Backup>;
};

/** `task` is Celery's name; a turn of a deployment also has the deployment's id. */
export type Busy = {
  task: string;
  deployment_id: string | null;
  alias: string | null;
  since: string;
  seconds: number;
};

/** Lists of equal length: in the group at a place so many calls took as long as the bucket at that place. */
export type Cells = {
  groups: Array<number>;
  buckets: Array<number>;
  calls: Array<number>;
};

/** `period` is null for the time of one deployment. `searched`: whether a search was observed in this time. `switches`: the last ones, the earliest first. */
export type Charts = {
  alias: string;
  period: string | null;
  since: string;
  now: string;
  searched: boolean;
  charts: Array<TimeChart>;
  versions: Array<VersionChart>;
  switches: Array<AliasMove>;
};

export type ChartsQuery = {
  /** How long until now: up to a day by minutes, after that by hours. */
  period?: "1h" | "6h" | "24h" | "7d" | "30d" | "90d";
};

/** A row of the gate. `level`: hard, soft, or shown without a bound. `found` is the finding as a sentence. `means` and `act` say what that means for searches and what to do; both are empty if the check passed. `detail` has the figures in words. `facts` has all numbers and names: intervals, kinds of fault, lost and regressed queries. Reports of older releases have only `detail`. */
export type Check = {
  name: string;
  value: number | null;
  bound: number | null;
  n: number;
  verdict: "pass" | "block" | "inconclusive";
  level?: string;
  detail: string;
  found?: string;
  means?: string;
  act?: string;
  facts?: Record<string, unknown>;
  [name: string]: unknown;
};

/** `deleted` says in words what was done. */
export type Collected = {
  dry_run: boolean;
  over: Array<Over>;
  due: Array<Due>;
  leftovers: Array<Leftover>;
  orphans: Array<Orphan>;
  kept: Array<Kept>;
  deleted: Array<string>;
};

export type CollectionDeletionRequest = {
  /** Why; kept with the audit events. */
  reason?: string;
  /** If not told, what its index says, and 60 where it is of none. */
  grace_period_minutes?: number | null;
};

/** `right` is None if there is only one version to ask. `counts` are None unless both sides answered. */
export type ComparedAnswers = {
  alias: string;
  query: string;
  limit: number;
  summary: string;
  counts: Record<string, number> | null;
  left: Side;
  right: Side | null;
};

/** How many of the living search processes serve the newest version of a route. */
export type Confirmed = {
  serving: number;
  known: number;
};

export type CoverageRequest = {
  /** Why; kept with the audit events. */
  reason?: string;
  /** Basis points of the users. */
  coverage: number;
};

/** `text` says what will happen, or happened. `keep` is the command that keeps the collection; null if no deletion is coming. */
export type Deletion = {
  collection: string;
  alias: string | null;
  status: string;
  delete_after: string;
  finished_at: string | null;
  reason: string;
  actor: string;
  text: string;
  keep: string | null;
};

export type Deletions = {
  deletions: Array<Deletion>;
};

export type Delivery = {
  channel: string;
  status: string;
  tries: number;
  error: string;
  sent_at: string | null;
  due_at: string | null;
};

/** The newest lines that were logged during its turns, the oldest of them first. */
export type DeploymentLog = {
  deployment_id: string;
  lines: Array<LogLine>;
};

/** What every list says of a deployment. `why`: why it did not go live, in the words of what decided it, and what to do; empty for any other. */
export type DeploymentOutline = {
  id: string;
  status: "pending" | "running" | "paused" | "rolling_back" | "live" | "completed" | "rolled_back" | "needs_operator";
  strategy: string;
  actor: string;
  message: string;
  why: string;
  created_at: string;
  finished_at: string | null;
};

export type DeploymentPage = {
  deployments: Array<ListedDeployment>;
  next: string | null;
};

export type DeploymentPlanRequest = {
  /** As in the index file, `python:` and `sql:` excepted; else the index file's. */
  source?: string | null;
  /** Take this collection instead of building one. */
  collection?: string | null;
  strategy?: string | null;
  validation_queries?: Array<string> | null;
  rollback_on_failure?: boolean | null;
  /** Settings as in the index file, laid over it: `{"soak": {"seconds": 60}}`. */
  options?: Record<string, unknown>;
};

export type DeploymentRequest = {
  /** As in the index file, `python:` and `sql:` excepted; else the index file's. */
  source?: string | null;
  /** Take this collection instead of building one. */
  collection?: string | null;
  strategy?: string | null;
  validation_queries?: Array<string> | null;
  rollback_on_failure?: boolean | null;
  /** Settings as in the index file, laid over it: `{"soak": {"seconds": 60}}`. */
  options?: Record<string, unknown>;
  /** Why; kept with the audit events. */
  reason?: string;
  alias: string;
};

/** A deployment with what a person wants to know first: what happens now, and what is needed. */
export type DeploymentWithSituation = {
  id: string;
  status: "pending" | "running" | "paused" | "rolling_back" | "live" | "completed" | "rolled_back" | "needs_operator";
  strategy: string;
  actor: string;
  message: string;
  why: string;
  created_at: string;
  finished_at: string | null;
  alias: string;
  kind: string;
  blue: string | null;
  green: string;
  queue: Queued | null;
  steps: Array<Step>;
  number: number;
  source: string | null;
  requested: string | null;
  abort_warning: string;
  turn: number;
  wake_at: string | null;
  lease_owner: string | null;
  waits: Waits | null;
  gate: Gate | null;
  events: Array<Event>;
  deletions: Array<Announced>;
  situation: Situation;
};

export type DeploymentsQuery = {
  /** Only those of this index. */
  alias?: string | null;
  /** How many. */
  limit?: number;
  /** The `next` of the page before. */
  after?: string | null;
  status?: Status | null;
};

export type DiffQuery = {
  /** A version: its number, its collection or `live`. */
  one: string;
  /** The version it is compared with. */
  other: string;
  /** Records to compare. */
  sample?: number;
};

/** `waits_for` says what must exist before the deletion; empty if nothing is missing. */
export type Due = {
  collection: string;
  delete_after: string;
  reason: string;
  used_by: Array<string>;
  keep: string;
  waits_for: string;
};

/** The mean size of the errors of `plans`, without their sign; null if none is known. */
export type Errors = {
  plans: Array<PastPlan>;
  records: number | null;
  texts: number | null;
  seconds: number | null;
};

export type Event = {
  at: string;
  actor: string;
  event: string;
  detail: string;
  reason: string;
  source: string;
};

/** `next` is the `before` of the page that follows, None on the last one. */
export type EventPage = {
  events: Array<ListedEvent>;
  next: number | null;
};

export type EventsQuery = {
  /** Only those of this index. */
  alias?: string | null;
  /** How many. */
  limit?: number;
  /** Only those of this deployment. */
  deployment?: string | null;
  /** A kind such as `deployment.live`, or its first part: `deployment`. */
  event?: string | null;
  /** Part of the actor's name. */
  actor?: string | null;
  /** Part of what happened, or of the reason. */
  text?: string | null;
  /** Only those from then on. */
  since?: string | null;
  /** Only those up to then. */
  until?: string | null;
  /** The `next` of the page before. */
  before?: number | null;
};

/** `stages`: the basis points of users that took part, each with its start. `writes`: an entry for each treatment. */
export type Experiment = {
  id: string;
  name: string;
  alias: string | null;
  status: "draft" | "running" | "stopped" | "decided";
  message: string;
  arms: Record<string, string>;
  mode: string;
  looks_taken: number;
  last_decision: string | null;
  deployment_id: string | null;
  actor: string;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  spec: Record<string, unknown>;
  stages: Array<Record<string, unknown>>;
  writes: Array<TreatmentWrites>;
};

export type ExperimentPage = {
  experiments: Array<ExperimentSummary>;
  next: string | null;
};

export type ExperimentPlanRequest = {
  /** The primary metric now, as a share of users or with `deviation`. */
  rate?: number | null;
  /** How far users differ in it: one standard deviation. */
  deviation?: number | null;
  /** New users a day. */
  users_per_day?: number | null;
  /** The treatment's share. */
  split?: number;
  metrics?: Array<string | Record<string, unknown>> | null;
  /** Further settings of the experiment. */
  options?: Record<string, unknown>;
};

export type ExperimentRequest = {
  /** Why; kept with the audit events. */
  reason?: string;
  name: string;
  control: string;
  treatments: Array<string>;
  alias?: string | null;
  /** The share of the treatments together. */
  split?: number;
  metrics?: Array<string | Record<string, unknown>> | null;
  /** Further settings of the experiment. */
  options?: Record<string, unknown>;
  start?: boolean;
};

/** `route`: the alias, or the experiment's own name, whose route splits the users. `control` answers all of them after the end. */
export type ExperimentRoute = {
  route: string;
  control: string;
};

export type ExperimentSummary = {
  id: string;
  name: string;
  alias: string | null;
  status: "draft" | "running" | "stopped" | "decided";
  message: string;
  arms: Record<string, string>;
  mode: string;
  looks_taken: number;
  last_decision: string | null;
  deployment_id: string | null;
  actor: string;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
};

export type ExposuresRequest = {
  /** Names the router's process: another text after each start, with a colon. */
  router: string;
  /** Higher than that of the router's last batch of this kind. A batch that is sent again with its number counts once. */
  batch: number;
  users?: Array<UserSearches>;
  lists?: Array<InterleavedList>;
};

export type FeedbackBatchRequest = {
  feedback: Array<KeyedFeedback>;
  /** Of a user whose exposure has not arrived yet count nothing, so that the feedback can be sent again. */
  patient?: boolean;
};

/** `outcome`: `counted`; `repeated`, because this key was counted before; `unexposed`, nothing is counted yet and it may be sent again; or `refused`, and `detail` says why. */
export type FeedbackOutcome = {
  key: string;
  outcome: string;
  detail: string;
};

/** In the order of the request. */
export type FeedbackOutcomes = {
  results: Array<FeedbackOutcome>;
};

export type FeedbackRequest = {
  metric: string;
  value: number;
  variant?: string;
  user_id?: string | null;
  /** Names this piece of feedback: given twice, it is counted once. */
  key?: string | null;
  query_id?: string;
  document?: string | number;
};

/** An estimate with the ends of its interval, which is made for 95 %. `value` is null if it is not known. An end is null if nothing is known on that side. `source` says how it is known, or why it is not. */
export type Figure = {
  value: number | null;
  low: number | null;
  high: number | null;
  source: string;
};

/** `variant` is what the route gave the user; with `fallback` blue answered instead. */
export type Found = {
  collection: string;
  variant: string;
  results: Array<Hit>;
  fallback: boolean;
  query_id: string;
};

export type GarbageCollectionRequest = {
  /** Why; kept with the audit events. */
  reason?: string;
  /** Delete orphans too, 60 minutes from now; look at them first. */
  orphans?: boolean;
};

/** The report as it was stored when it was judged; it may contain more keys than are named here. */
export type Gate = {
  verdict: "pass" | "block" | "inconclusive";
  collection: string;
  live: string | null;
  warnings: Array<string>;
  checks: Array<Check>;
  worst?: Array<Record<string, unknown>>;
  [name: string]: unknown;
};

/** Lists of equal length: so many calls of the group at a place. */
export type GroupCalls = {
  groups?: Array<number>;
  calls?: Array<number>;
};

export type Hit = {
  id: number | string;
  score: number;
  payload: Record<string, unknown>;
};

/** A page of indexes. `next` is the `after` of the page that follows, None on the last one. `total`: all indexes; `attention`: those of them that need attention, which come first. */
export type Home = {
  qdrant_error: string;
  qdrant_since: string | null;
  qdrant_at: string | null;
  file_error: string;
  now: string;
  indexes: Array<Index>;
  next: string | null;
  total: number;
  attention: number;
};

/** `rank` is the order: an index that needs attention has 3 or 4. */
export type Index = {
  alias: string;
  live: Live | null;
  running: UnderWay | null;
  last: DeploymentOutline | null;
  rebuild: Rebuild | null;
  experiment: qdrant_rollouts__core__answers__indexes__Compared | null;
  deletions: Array<OpenDeletion>;
  attention: Array<Attention>;
  rank: number;
};

export type IndexFilterQuery = {
  /** Only those of this index. */
  alias?: string | null;
};

export type IndexSearchRequest = {
  /** A text, embedded with the model of whatever collection answers. */
  query?: string | null;
  /** Instead of `query`: of the kind that is searched, dense, a multivector or sparse. */
  vector?: Array<number> | Array<Array<number>> | {
    indices: Array<number>;
    values: Array<number>;
  };
  /** Whose search it is: one user is answered by the same collection. */
  user_id?: string | null;
  /** How many. */
  limit?: number;
  /** The name of a search on two lists that were drafted into one; clicks are reported with it. */
  query_id?: string;
  /** As Qdrant's REST API spells it. */
  filter?: Record<string, unknown> | null;
  /** Another vector's name. */
  using?: string | null;
  score_threshold?: number | null;
  offset?: number;
};

export type IndexesQuery = {
  /** How many. */
  limit?: number;
  /** The `next` of the page before: a rank, a colon and a name. */
  after?: string | null;
};

export type InterleavedList = {
  experiment: string;
  unit: string;
  query_id: string;
  served: Array<ServedDocument>;
};

/** `relevant` as in the judged file: ids, or ids with grades. `known`: the declared file has this query already, so the line is not in the download. */
export type JudgedLine = {
  query: string;
  relevant: unknown;
  records: number;
  reason: string;
  by: string;
  at: string;
  known: boolean;
};

/** The lines that people propose for the judged file of an index, newest first. `file` is the declared file, None without one; `unread` says why it was not read. `jsonl`: the lines as the file takes them. */
export type JudgedProposal = {
  alias: string;
  file: string | null;
  unread: string;
  lines: Array<JudgedLine>;
  jsonl: string;
};

/** `changed`: how many lines were; 0 if all was so before. `lines`: how many the proposal has now. */
export type JudgmentChange = {
  alias: string;
  changed: number;
  lines: number;
};

export type JudgmentRemovalRequest = {
  /** Why; kept with the audit events. */
  reason?: string;
  query: string;
};

export type JudgmentRequest = {
  query: string;
  /** As in the judged file: ids of records, or ids with grades from 0. */
  relevant: Array<number | string> | Record<string, number>;
  /** Why they are relevant; kept with the line and the events. */
  reason: string;
};

/** A replaced collection that is kept instead of deleted. `next` says how to delete it anyway. */
export type Kept = {
  collection: string;
  alias: string | null;
  reason: string;
  next: string;
};

export type KeyedFeedback = {
  metric: string;
  value: number;
  variant?: string;
  user_id?: string | null;
  /** Names this piece of feedback: sent twice, it is counted once. */
  key: string;
  query_id?: string;
  document?: string | number;
  experiment: string;
};

/** `deployment_id`: what the run has started, if it has started anything. */
export type LastRun = {
  status: string;
  message: string;
  finished_at: string | null;
  deployment_id: string | null;
};

/** Lists of equal length: so many searches took as long as the bucket at a place. */
export type Latencies = {
  buckets: Array<number>;
  calls: Array<number>;
};

/** A collection that a run restored from a backup and could not drop, or that the server made again after a run had dropped it; then `backup` is empty. `run`: its kind and id, as in "verification ID". */
export type Leftover = {
  collection: string;
  run: string;
  backup: string;
  points: number;
  used_by: Array<string>;
  deletion: string | null;
};

export type ListQuery = {
  /** Only those of this index. */
  alias?: string | null;
  /** How many. */
  limit?: number;
};

export type ListedDeployment = {
  id: string;
  status: "pending" | "running" | "paused" | "rolling_back" | "live" | "completed" | "rolled_back" | "needs_operator";
  strategy: string;
  actor: string;
  message: string;
  why: string;
  created_at: string;
  finished_at: string | null;
  alias: string;
  kind: string;
  blue: string | null;
  green: string;
  queue: Queued | null;
  steps: Array<Step>;
};

export type ListedEvent = {
  at: string;
  actor: string;
  event: string;
  detail: string;
  reason: string;
  source: string;
  id: number;
  alias: string | null;
  deployment_id: string | null;
};

export type Live = {
  collection: string;
  number: number | null;
  since: string | null;
  built_at: string | null;
  points: number | null;
  model: string | null;
  gate: string | null;
};

/** `level` is info, warning or error; `process` is the worker that took the turn. */
export type LogLine = {
  at: string;
  level: string;
  process: string;
  logger: string;
  text: string;
};

export type LogQuery = {
  /** The least serious lines that are wanted. */
  level?: "info" | "warning" | "error";
};

/** Who has marked a version bad, when and why. */
export type Mark = {
  at: string;
  by: string;
  reason: string;
  [name: string]: unknown;
};

export type MarkRequest = {
  /** Why; kept with the audit events. */
  reason?: string;
  /** Its number, its collection or `live`. */
  version: string;
  /** False takes the mark back. A bad one needs a reason. */
  bad?: boolean;
};

/** `marked_bad` is null after the mark was taken back. `changed` is false if it was so before. `next` is what a person can do. */
export type Marked = {
  alias: string;
  collection: string;
  number: number;
  marked_bad: Mark | null;
  changed: boolean;
  next: string;
};

/** No query parameters. */
export type NoQuery = Record<string, never>;

export type Observation = {
  alias: string;
  /** The `stage` of the route that the searches followed. */
  stage: string;
  variant: string;
  kind?: string;
  collection: string;
  sketch: Sketch;
};

export type ObservationsRequest = {
  /** Names the router's process: another text after each start, with a colon. */
  router: string;
  /** Higher than that of the router's last batch of this kind. A batch that is sent again with its number counts once. */
  batch: number;
  observations: Array<Observation>;
};

export type OpenDeletion = {
  collection: string;
  status: string;
  delete_after: string;
  reason: string;
  text: string;
  keep: string | null;
};

/** A collection that has our naming scheme but no row. */
export type Orphan = {
  collection: string;
  points: number;
  deployment: string | null;
  used_by: Array<string>;
  deletion: string | null;
  delete_after: string | null;
};

/** A version that retention no longer keeps. */
export type Over = {
  collection: string;
  delete_after: string;
  reason: string;
  alias: string;
  keep: string;
};

export type PageQuery = {
  /** Only those of this index. */
  alias?: string | null;
  /** How many. */
  limit?: number;
  /** The `next` of the page before. */
  after?: string | null;
};

export type PastPlan = {
  deployment_id: string;
  filled_at: string;
  way: string | null;
  records: qdrant_rollouts__core__answers__plans__Compared;
  texts: qdrant_rollouts__core__answers__plans__Compared;
  seconds: qdrant_rollouts__core__answers__plans__Compared;
};

/** `way` is how the new collection would be filled, and `why` it would; null if nothing is filled or it is not known. `slices` is by how many workers at most it would be filled at once; 0 if nothing is filled or the way is not known. `unchanged` says why a rebuild would build nothing; empty if it would. `changes`: how many points of a clone of the live collection would be written or deleted; its value is null if nothing is cloned. `seconds` are those of the filling, `watching` those of stages and soak. `cost` is in the currency of the declared price. */
export type Plan = {
  alias: string;
  strategy: string;
  source: string | null;
  old_collection: string | null;
  steps: Array<string>;
  way: string | null;
  why: string;
  slices: number;
  unchanged: string;
  sample: Sampled;
  records: Figure;
  changes: Figure;
  texts: Figure;
  tokens: Figure;
  seconds: Figure;
  watching: Figure;
  workers: PlannedWorkers;
  disk: Room;
  memory: Room;
  cost: Figure;
  warnings: Array<string>;
  errors: Errors;
};

/** Those that answer and take the turns that fill. `note` says so if there are none. */
export type PlannedWorkers = {
  queue: string | null;
  names: Array<string>;
  note: string;
};

export type Problem = {
  /** The kind of problem. It never changes; titles and details may be reworded. */
  type: string;
  title: string;
  detail: string;
  status: number;
  errors?: Array<string>;
};

export type PromotionRequest = {
  /** Why; kept with the audit events. */
  reason?: string;
  /** Past every stage and watch that is left; needs a reason, skips no gate. */
  full?: boolean;
};

/** The place of a deployment in the queue of rebuilds, and what it waits for, in `text`. */
export type Queued = {
  place: number;
  of: number;
  since: string;
  text: string;
};

export type ReasonRequest = {
  /** Why; kept with the audit events. */
  reason?: string;
};

/** `last_run` is the newest run that has ended. */
export type Rebuild = {
  cron: string;
  zone: string;
  next_at: string | null;
  paused_by: string | null;
  last_run: LastRun | null;
};

/** `deployment_id` is null and `status` is unchanged if a rebuild would build nothing else. */
export type Rebuilt = {
  deployment_id: string | null;
  status: string;
  alias: string;
  old_collection: string | null;
  new_collection: string;
  reason?: string;
};

export type RecordIdsRequest = {
  /** Those of the records, as their source gives them. */
  ids: Array<number | string>;
};

export type Recorded = {
  recorded: boolean;
};

export type RecordsRequest = {
  /** As in a jsonl source of the index: `id`, the fields of its text template, and others. A patch has only `id` and what changes. */
  records: Array<Record<string, unknown>>;
};

export type RollbackRequest = {
  /** Why; kept with the audit events. */
  reason?: string;
  /** A version: its number or collection. Without it, the last one that served and that no rollback has left and nobody has marked bad. */
  to?: string | null;
  /** Go to the version `to` although it is marked bad. */
  force?: boolean;
  /** Move the alias first. What was written to the live collection since stays there and is listed. */
  now?: boolean;
};

/** Bytes that the new collection needs at least, on each node, and those that are free at most; null if the server does not tell it. */
export type Room = {
  needed: Figure;
  free: number | null;
};

/** With the search processes that serve it. */
export type Route = {
  alias: string;
  version: number;
  stage: string;
  salt: string;
  blue: string | null;
  green: string | null;
  share: number;
  shadow: number;
  deployment_id: string | null;
  experiment_id: string | null;
  arms: Array<Arm>;
  at_rest: boolean;
  confirmed: Confirmed;
};

export type Routed = {
  variant: string;
  results: Array<Hit>;
};

export type Routes = {
  routes: Array<Route>;
};

/** `nominal_at` is the time that the cron line names. */
export type Run = {
  id: number;
  nominal_at: string;
  status: string;
  message: string;
  actor: string;
  deployment_id: string | null;
  created_at: string;
  finished_at: string | null;
  result: Record<string, unknown>;
};

/** `complete`: the sample is the whole source. `spread`: it is from all over the source; if not, it is the beginning. `bad` records of it would be refused; `first_bad` says why. */
export type Sampled = {
  records: number;
  complete: boolean;
  spread: boolean;
  bad: number;
  first_bad: string;
};

/** Has no times if `status` is off. `next_at` is when the next run begins. `next_nominal_at` is the time that the cron line names, which is earlier if there is a jitter. */
export type Schedule = {
  alias: string;
  action: string;
  status: string;
  cron?: string;
  zone?: string;
  misfire?: string;
  late_after_minutes?: number;
  jitter_minutes?: number;
  overlap?: string;
  if_paused?: string;
  success_within_hours?: number | null;
  changed: boolean;
  paused_by: string | null;
  reason: string;
  next_at: string | null;
  next_nominal_at: string | null;
  last_success_at: string | null;
  overdue_since: string | null;
  runs: Array<Run>;
};

/** Keys that are not sent keep their values. */
export type ScheduleChangeRequest = {
  /** Why; kept with the audit events. */
  reason?: string;
  cron?: string | null;
  zone?: string | null;
  misfire?: "once" | "skip" | null;
  late_after_minutes?: number | null;
  jitter_minutes?: number | null;
  overlap?: "skip" | "wait" | null;
  /** Of a rebuild only. */
  if_paused?: "replace" | "skip" | null;
  success_within_hours?: number | null;
};

export type Schedules = {
  schedules: Array<Schedule>;
};

export type SearchRequest = {
  /** A text, embedded with the model of whatever collection answers. */
  query?: string | null;
  /** Instead of `query`: of the kind that is searched, dense, a multivector or sparse. */
  vector?: Array<number> | Array<Array<number>> | {
    indices: Array<number>;
    values: Array<number>;
  };
  /** Whose search it is: one user is answered by the same collection. */
  user_id?: string | null;
  /** How many. */
  limit?: number;
};

/** The values of one collection over time. `collection` is null for all earlier versions together, and `version` for a collection without a number. `values` has one value for each of the chart's times; null: nothing is known of that time. */
export type Series = {
  version: number | null;
  collection: string | null;
  values: Array<number | null>;
};

export type ServedDocument = {
  document: string | number;
  /** Of a click: 1 for the treatment, -1 for the control, 0 for neither. */
  credit: number;
};

export type ServedRoutesRequest = {
  /** Names the router's process: another text after each start, with a colon. */
  router: string;
  /** The version of each route that it searches by; none if it ends. */
  serves: Record<string, number>;
};

/** How many routes this router was noted for. */
export type Serving = {
  routes: number;
};

export type Severity = "info" | "warn" | "error";

/** One version and its answers. `name` is short: `live`, `v3` or the collection. `error` says why it did not answer; empty if it did. `model` embeds its queries; None if it is not known. `searched` are the vectors in words. */
export type Side = {
  name: string;
  collection: string;
  number: number | null;
  live: boolean;
  state: string;
  model: string | null;
  searched: string;
  answers: Array<SideAnswer>;
  embedding_seconds: number;
  search_seconds: number;
  error: string;
};

/** `record` is the id by which a judged query names it, `document` that of its document if it is a chunk. `moved` is `same`, `up`, `down`, `tied` (only equal scores lie between the ranks) or `only`, seen from left to right, and `mark` shows it. `other_rank` is the rank on the other side. */
export type SideAnswer = {
  rank: number;
  score: number;
  record: number | string;
  document: number | string | null;
  title: string;
  text: string;
  moved: string;
  mark: string;
  other_rank: number | null;
};

/** `what` is a text before the time `at`. */
export type Since = {
  what: string;
  at: string;
};

/** What happens now, since when, until when, and what is needed of a person, in sentences without a full stop. `tone`: good, calm, warn or bad. The run ends between `low` and `high`, or ended at `ended`; without these, `until` says when it ends. `person`: the run waits for what is `needed`. `advice` is how the cause can be mended. `back` is how to return to the version before, which is kept until `kept_until`. `link` is the place on the pages that shows what is spoken of, and `see` says what that is. A text that is not needed is empty. */
export type Situation = {
  tone: string;
  now: string;
  since: Array<Since>;
  until: string;
  low: string | null;
  high: string | null;
  ended: string | null;
  needed: string;
  person: boolean;
  advice: string;
  back: string;
  kept_until: string | null;
  link: string;
  see: string;
};

/** `failed` and `nothing` are calls among those of `cells` that failed, and that found nothing. */
export type Sketch = {
  cells: Cells;
  failed?: GroupCalls;
  nothing?: GroupCalls;
  /** Of all calls together, without embedding. */
  seconds?: number;
  /** Seconds in which texts of searches were embedded. */
  embedding?: number;
  /** Calls with a text that was embedded. */
  embedded?: number;
  /** Failed calls that blue answered instead. */
  fallbacks?: number;
  /** Calls without a user. */
  anonymous?: number;
  /** Shadow: answers that were compared. */
  pairs?: number;
  overlap?: number;
  overlap_squares?: number;
  log_ratio?: number;
  log_ratio_squares?: number;
};

/** `new_collection` of a rollback is the one that served before. `warnings`: what the gate will not be able to decide; absent if there is nothing. */
export type Started = {
  deployment_id: string;
  status: "pending" | "running" | "paused" | "rolling_back" | "live" | "completed" | "rolled_back" | "needs_operator";
  alias: string;
  old_collection: string | null;
  new_collection: string;
  warnings?: Array<string>;
};

export type Status = "pending" | "running" | "paused" | "rolling_back" | "live" | "completed" | "rolled_back" | "needs_operator";

export type Step = {
  name: string;
  arguments: Record<string, unknown>;
  status: "pending" | "running" | "waiting" | "done" | "failed" | "undone" | "skipped";
  attempt: number;
  tries: number;
  crashes: number;
  started_at: string | null;
  finished_at: string | null;
  message: string;
  output: Record<string, unknown>;
  progress: Record<string, unknown> | null;
};

/** `times` are the beginnings of intervals of so many `seconds`; the last one ends `until`. */
export type TimeChart = {
  name: string;
  title: string;
  unit: string;
  seconds: number;
  times: Array<string>;
  until: string;
  series: Array<Series>;
};

/** What a treatment gets of what is written to the control while the experiment runs. `way`: `compare`, `journal`, or `none`; then `why_not` says why. `rounds`: comparisons that were finished; of the last one, its end, and how many points it made and deleted, and how many the treatment's model or rules did not take (`bad`). `failure`: why writes do not reach it now. `text` says all of that in words. */
export type TreatmentWrites = {
  variant: string;
  collection: string;
  way: "compare" | "journal" | "none";
  why_not: string;
  rounds: number;
  round_ended_at: string | null;
  made: number;
  deleted: number;
  bad: number;
  failure: string;
  text: string;
};

/** `share` is the finished part of the step, from 0 to 1. `counted` says it in words if reaching 1 is not the end. `set` and `confirmed` are a canary's percentages. `waits`: why no worker takes its due turn. */
export type UnderWay = {
  id: string;
  status: "pending" | "running" | "paused" | "rolling_back" | "live" | "completed" | "rolled_back" | "needs_operator";
  strategy: string;
  actor: string;
  message: string;
  why: string;
  created_at: string;
  finished_at: string | null;
  paused_for: string | null;
  waits: string;
  step: string;
  position: number;
  steps: number;
  share: number | null;
  counted: string;
  set: number | null;
  confirmed: unknown;
  queue: Queued | null;
};

export type UserSearches = {
  experiment: string;
  /** The hash that names the user in this experiment. */
  unit: string;
  variant: string;
  stage: number;
  collection: string;
  bucket: number;
  group: number;
  searches?: number;
  errors?: number;
  zero_results?: number;
  /** The sum of ln(milliseconds) of the searches. */
  log_ms?: number;
  latencies: Latencies;
  /** Whether several arms served the user. */
  crossed?: boolean;
};

export type Verification = {
  backup_id: string;
  verification_id: string;
  alias: string;
  status: string;
  message: string;
  finished_at: string | null;
};

/** Besides these keys a version has more facts (`core.collections.versions`). A version that another program made has no number. `deletion` says in words when it will be deleted, and how to keep it. `rolled_away`: a rollback has left it or went past it. `rollback_target`: a rollback leads to it if nobody names a version. */
export type Version = {
  collection: string;
  number: number | null;
  live: boolean;
  state: string;
  alias?: string;
  parent?: string | null;
  deployment?: string | null;
  created_at?: string;
  delete_after?: string | null;
  deletion?: string | null;
  marked_bad?: Mark | null;
  rolled_away?: boolean;
  rollback_target?: boolean;
  [name: string]: unknown;
};

/** One value of each of the last versions, the earliest first. `note` says how it is counted, if that is not plain from the title. */
export type VersionChart = {
  name: string;
  title: string;
  unit: string;
  note: string;
  points: Array<VersionPoint>;
};

/** `served`: the version has been live. */
export type VersionPoint = {
  version: number;
  collection: string;
  at: string;
  served: boolean;
  value: number | null;
};

export type Versions = {
  alias: string;
  versions: Array<Version>;
};

export type WaitingTurn = {
  cause: string;
  text: string;
  next: string;
  seconds: number;
  deployment_id: string;
  alias: string;
  step: string;
  queue: string;
};

/** Why no worker has taken a due turn. `cause`: unlistened, busy or lost; `next`: what a person can do. */
export type Waits = {
  cause: string;
  text: string;
  next: string;
  seconds: number;
};

/** `kind`: worker, beat or embedded. `answers`: it wrote its row in the last 30 s, by the database's clock. `idle_since`: since when it has had room for one more task without interruption. `clock_offset_seconds`: how far its clock is ahead of the database's. */
export type Worker = {
  name: string;
  kind: string;
  host: string;
  pid: number;
  queues: Array<string>;
  concurrency: number;
  busy: Array<Busy>;
  idle_since: string | null;
  received: number;
  discarded: number;
  version: string;
  revision: string;
  clock_offset_seconds: number;
  clock_is_off: boolean;
  started_at: string;
  seen_at: string;
  seen_seconds: number;
  answers: boolean;
};

/** `waiting`: due turns that no worker has taken for a while. */
export type Workers = {
  now: string;
  workers: Array<Worker>;
  waiting: Array<WaitingTurn>;
};

/** How many points were written and how many deleted. `not_found` are ids as they were given that the index does not have. */
export type Written = {
  alias: string;
  written: number;
  deleted: number;
  not_found: Array<number | string>;
};

export type qdrant_rollouts__core__answers__indexes__Compared = {
  id: string;
  name: string;
  decision: string | null;
};

/** `error` is what was planned to what it took, less one: 0.1 is a tenth too much. It is null if one of them is not known. `within`: what it took was in the interval. */
export type qdrant_rollouts__core__answers__plans__Compared = {
  planned: number | null;
  took: number;
  error: number | null;
  within: boolean | null;
};

export interface Operations {
  /** Alerts that were sent, newest first. */
  get_alerts: {
    method: "GET";
    path: "/api/v1/alerts";
    query: {
      /** Only those of this index. */
      alias?: string | null;
      /** How many. */
      limit?: number;
      severity?: Severity | null;
      /** A name such as `deployment.failed`, or its first part: `deployment`. */
      alert?: string | null;
      /** Only those that were sent from then on. */
      since?: string | null;
      /** The `next` of the page before. */
      before?: number | null;
    };
    answer: Alerts;
  };
  /** Sends a test alert to the channels. */
  post_alerts_test: {
    method: "POST";
    path: "/api/v1/alerts/test";
    body: AlertTestRequest;
    answer: Record<string, unknown>;
  };
  /** Every alias and the collection behind it. */
  get_aliases: {
    method: "GET";
    path: "/api/v1/aliases";
    answer: Aliases;
  };
  /** Points a new alias to a collection. */
  post_aliases: {
    method: "POST";
    path: "/api/v1/aliases";
    body: AliasCreationRequest;
    answer: Record<string, unknown>;
  };
  /** Removes it; the collection stays. */
  delete_aliases_alias: {
    method: "DELETE";
    path: "/api/v1/aliases/{alias}";
    body: ReasonRequest;
    answer: Record<string, unknown>;
  };
  /** Points it to another collection. */
  put_aliases_alias: {
    method: "PUT";
    path: "/api/v1/aliases/{alias}";
    body: AliasSwitchRequest;
    answer: Record<string, unknown>;
  };
  /** Backups, newest first. */
  get_backups: {
    method: "GET";
    path: "/api/v1/backups";
    query: {
      /** Only those of this index. */
      alias?: string | null;
    };
    answer: Backups;
  };
  /** Starts a backup. */
  post_backups: {
    method: "POST";
    path: "/api/v1/backups";
    body: BackupRequest;
    answer: Backup;
  };
  /** One backup. */
  get_backups_backup: {
    method: "GET";
    path: "/api/v1/backups/{backup}";
    answer: Backup;
  };
  /** Deploys its contents. */
  post_backups_backup_restore: {
    method: "POST";
    path: "/api/v1/backups/{backup}/restore";
    body: ReasonRequest;
    answer: Started;
  };
  /** Starts a verification: restores it temporarily and compares. */
  post_backups_backup_verify: {
    method: "POST";
    path: "/api/v1/backups/{backup}/verify";
    body: ReasonRequest;
    answer: Verification;
  };
  /** Schedules its deletion after a grace period, if nothing uses it then. */
  delete_collections_collection: {
    method: "DELETE";
    path: "/api/v1/collections/{collection}";
    body: CollectionDeletionRequest;
    answer: Record<string, unknown>;
  };
  /** Cancels its deletion and keeps the collection. */
  post_collections_collection_keep: {
    method: "POST";
    path: "/api/v1/collections/{collection}/keep";
    body: ReasonRequest;
    answer: Record<string, unknown>;
  };
  /** Scheduled deletions, and the latest that ended. */
  get_deletions: {
    method: "GET";
    path: "/api/v1/deletions";
    query: {
      /** Only those of this index. */
      alias?: string | null;
      /** How many. */
      limit?: number;
    };
    answer: Deletions;
  };
  /** Deployments, newest first. */
  get_deployments: {
    method: "GET";
    path: "/api/v1/deployments";
    query: {
      /** Only those of this index. */
      alias?: string | null;
      /** How many. */
      limit?: number;
      /** The `next` of the page before. */
      after?: string | null;
      status?: Status | null;
    };
    answer: DeploymentPage;
  };
  /** Starts a deployment. */
  post_deployments: {
    method: "POST";
    path: "/api/v1/deployments";
    body: DeploymentRequest;
    answer: Started;
  };
  /** One deployment with its situation, steps, gate and events. */
  get_deployments_deployment: {
    method: "GET";
    path: "/api/v1/deployments/{deployment}";
    answer: DeploymentWithSituation;
  };
  /** Rolls it back. */
  post_deployments_deployment_abort: {
    method: "POST";
    path: "/api/v1/deployments/{deployment}/abort";
    body: AbortRequest;
    answer: Started;
  };
  /** What was logged during its turns, the oldest first. */
  get_deployments_deployment_log: {
    method: "GET";
    path: "/api/v1/deployments/{deployment}/log";
    query: {
      /** The least serious lines that are wanted. */
      level?: "info" | "warning" | "error";
    };
    answer: DeploymentLog;
  };
  /** Pauses it. */
  post_deployments_deployment_pause: {
    method: "POST";
    path: "/api/v1/deployments/{deployment}/pause";
    body: ReasonRequest;
    answer: Started;
  };
  /** Approves, or ends a stage or a pause. */
  post_deployments_deployment_promote: {
    method: "POST";
    path: "/api/v1/deployments/{deployment}/promote";
    body: PromotionRequest;
    answer: Started;
  };
  /** Lets it continue. */
  post_deployments_deployment_resume: {
    method: "POST";
    path: "/api/v1/deployments/{deployment}/resume";
    body: ReasonRequest;
    answer: Started;
  };
  /** Runs an inconclusive gate or stage again. */
  post_deployments_deployment_retry: {
    method: "POST";
    path: "/api/v1/deployments/{deployment}/retry";
    body: ReasonRequest;
    answer: Started;
  };
  /** Audit events, newest first. */
  get_events: {
    method: "GET";
    path: "/api/v1/events";
    query: {
      /** Only those of this index. */
      alias?: string | null;
      /** How many. */
      limit?: number;
      /** Only those of this deployment. */
      deployment?: string | null;
      /** A kind such as `deployment.live`, or its first part: `deployment`. */
      event?: string | null;
      /** Part of the actor's name. */
      actor?: string | null;
      /** Part of what happened, or of the reason. */
      text?: string | null;
      /** Only those from then on. */
      since?: string | null;
      /** Only those up to then. */
      until?: string | null;
      /** The `next` of the page before. */
      before?: number | null;
    };
    answer: EventPage;
  };
  /** Experiments, newest first. */
  get_experiments: {
    method: "GET";
    path: "/api/v1/experiments";
    query: {
      /** Only those of this index. */
      alias?: string | null;
      /** How many. */
      limit?: number;
      /** The `next` of the page before. */
      after?: string | null;
    };
    answer: ExperimentPage;
  };
  /** Compares collections on the users of an alias. */
  post_experiments: {
    method: "POST";
    path: "/api/v1/experiments";
    body: ExperimentRequest;
    answer: Experiment;
  };
  /** What it compares, and its result. */
  get_experiments_experiment: {
    method: "GET";
    path: "/api/v1/experiments/{experiment}";
    answer: Experiment;
  };
  /** Counts what a user did. */
  post_experiments_experiment_feedback: {
    method: "POST";
    path: "/api/v1/experiments/{experiment}/feedback";
    body: FeedbackRequest;
    answer: Recorded;
  };
  /** Its current analysis, and the looks so far. */
  get_experiments_experiment_report: {
    method: "GET";
    path: "/api/v1/experiments/{experiment}/report";
    answer: Record<string, unknown>;
  };
  /** The route that splits its users, and its control. */
  get_experiments_experiment_route: {
    method: "GET";
    path: "/api/v1/experiments/{experiment}/route";
    answer: ExperimentRoute;
  };
  /** Searches the collection of a user's arm. */
  post_experiments_experiment_search: {
    method: "POST";
    path: "/api/v1/experiments/{experiment}/search";
    body: SearchRequest;
    answer: Routed;
  };
  /** Starts a draft. */
  post_experiments_experiment_start: {
    method: "POST";
    path: "/api/v1/experiments/{experiment}/start";
    body: ReasonRequest;
    answer: Experiment;
  };
  /** Stops it: the control answers all users again. */
  post_experiments_experiment_stop: {
    method: "POST";
    path: "/api/v1/experiments/{experiment}/stop";
    body: ReasonRequest;
    answer: Experiment;
  };
  /** Lets more users take part. */
  post_experiments_experiment_widen: {
    method: "POST";
    path: "/api/v1/experiments/{experiment}/widen";
    body: CoverageRequest;
    answer: Experiment;
  };
  /** Adds which users met which arm of an experiment. */
  post_exposures: {
    method: "POST";
    path: "/api/v1/exposures";
    body: ExposuresRequest;
    answer: Recorded;
  };
  /** Counts what users did, many at once. */
  post_feedback: {
    method: "POST";
    path: "/api/v1/feedback";
    body: FeedbackBatchRequest;
    answer: FeedbackOutcomes;
  };
  /** What is due, no longer kept, left over or an orphan. */
  get_gc: {
    method: "GET";
    path: "/api/v1/gc";
    answer: Collected;
  };
  /** Deletes what is due, and schedules the deletion of what is no longer kept. */
  post_gc: {
    method: "POST";
    path: "/api/v1/gc";
    body: GarbageCollectionRequest;
    answer: Collected;
  };
  /** Indexes, those that need attention first. */
  get_indexes: {
    method: "GET";
    path: "/api/v1/indexes";
    query: {
      /** How many. */
      limit?: number;
      /** The `next` of the page before: a rank, a colon and a name. */
      after?: string | null;
    };
    answer: Home;
  };
  /** One index: what serves, since when, what is running. */
  get_indexes_alias: {
    method: "GET";
    path: "/api/v1/indexes/{alias}";
    answer: Index;
  };
  /** Takes the collection behind the alias under management. */
  post_indexes_alias_adopt: {
    method: "POST";
    path: "/api/v1/indexes/{alias}/adopt";
    body: AdoptionRequest;
    answer: Record<string, unknown>;
  };
  /** Searches, latencies and filling over time, and figures of the last versions. */
  get_indexes_alias_charts: {
    method: "GET";
    path: "/api/v1/indexes/{alias}/charts";
    query: {
      /** How long until now: up to a day by minutes, after that by hours. */
      period?: "1h" | "6h" | "24h" | "7d" | "30d" | "90d";
    };
    answer: Charts;
  };
  /** Asks two versions the same query, and how their answers differ. */
  get_indexes_alias_compare_answers: {
    method: "GET";
    path: "/api/v1/indexes/{alias}/compare-answers";
    query: {
      query: string;
      /** A version: its number, its collection or `live`. Without it, what serves. */
      left?: string;
      /** The other version. Without it, what a running deployment has built, else the version before the live one. */
      right?: string;
      /** How many answers of each. */
      limit?: number;
    };
    answer: ComparedAnswers;
  };
  /** What a deployment would do, take and cost; changes nothing. */
  post_indexes_alias_deployment_plan: {
    method: "POST";
    path: "/api/v1/indexes/{alias}/deployment-plan";
    body: DeploymentPlanRequest;
    answer: Plan;
  };
  /** The differences between two versions. */
  get_indexes_alias_diff: {
    method: "GET";
    path: "/api/v1/indexes/{alias}/diff";
    query: {
      /** A version: its number, its collection or `live`. */
      one: string;
      /** The version it is compared with. */
      other: string;
      /** Records to compare. */
      sample?: number;
    };
    answer: Record<string, unknown>;
  };
  /** How many users and days an experiment will need. */
  post_indexes_alias_experiment_plan: {
    method: "POST";
    path: "/api/v1/indexes/{alias}/experiment-plan";
    body: ExperimentPlanRequest;
    answer: Record<string, unknown>;
  };
  /** Takes a line out of the proposal. */
  delete_indexes_alias_judged: {
    method: "DELETE";
    path: "/api/v1/indexes/{alias}/judged";
    body: JudgmentRemovalRequest;
    answer: JudgmentChange;
  };
  /** The lines that people propose for the judged file. */
  get_indexes_alias_judged: {
    method: "GET";
    path: "/api/v1/indexes/{alias}/judged";
    answer: JudgedProposal;
  };
  /** Adds a line to the proposal; one of the same query is replaced. */
  post_indexes_alias_judged: {
    method: "POST";
    path: "/api/v1/indexes/{alias}/judged";
    body: JudgmentRequest;
    answer: JudgmentChange;
  };
  /** Marks a version bad, so that no rollback chooses it, or takes the mark back. */
  post_indexes_alias_mark: {
    method: "POST";
    path: "/api/v1/indexes/{alias}/mark";
    body: MarkRequest;
    answer: Marked;
  };
  /** Deploys the index unless nothing has changed. */
  post_indexes_alias_rebuild: {
    method: "POST";
    path: "/api/v1/indexes/{alias}/rebuild";
    body: ReasonRequest;
    answer: Started | Rebuilt;
  };
  /** Deletes records. */
  delete_indexes_alias_records: {
    method: "DELETE";
    path: "/api/v1/indexes/{alias}/records";
    body: RecordIdsRequest;
    answer: Written;
  };
  /** Changes fields of records that are there. */
  patch_indexes_alias_records: {
    method: "PATCH";
    path: "/api/v1/indexes/{alias}/records";
    body: RecordsRequest;
    answer: Written;
  };
  /** Writes whole records, with vectors of the model that serves. */
  post_indexes_alias_records: {
    method: "POST";
    path: "/api/v1/indexes/{alias}/records";
    body: RecordsRequest;
    answer: Written;
  };
  /** Goes back to an older version. */
  post_indexes_alias_rollback: {
    method: "POST";
    path: "/api/v1/indexes/{alias}/rollback";
    body: RollbackRequest;
    answer: Started;
  };
  /** Which collections answer, and which search processes serve this route. */
  get_indexes_alias_route: {
    method: "GET";
    path: "/api/v1/indexes/{alias}/route";
    answer: Route;
  };
  /** Searches through the route. */
  post_indexes_alias_search: {
    method: "POST";
    path: "/api/v1/indexes/{alias}/search";
    body: IndexSearchRequest;
    answer: Found;
  };
  /** Its versions, newest first. */
  get_indexes_alias_versions: {
    method: "GET";
    path: "/api/v1/indexes/{alias}/versions";
    answer: Versions;
  };
  /** Who sends the request, and what they may do. */
  get_me: {
    method: "GET";
    path: "/api/v1/me";
    answer: Record<string, unknown>;
  };
  /** Adds what the searches of a router experienced. */
  post_observations: {
    method: "POST";
    path: "/api/v1/observations";
    body: ObservationsRequest;
    answer: Recorded;
  };
  /** Says which routes a router in another process serves. */
  post_routers: {
    method: "POST";
    path: "/api/v1/routers";
    body: ServedRoutesRequest;
    answer: Serving;
  };
  /** Every route that was ever set. */
  get_routes: {
    method: "GET";
    path: "/api/v1/routes";
    answer: Routes;
  };
  /** All routes and then each change, as server-sent events. */
  get_routes_stream: {
    method: "GET";
    path: "/api/v1/routes/stream";
    answer: string;
  };
  /** Schedules, next times, last runs. */
  get_schedules: {
    method: "GET";
    path: "/api/v1/schedules";
    query: {
      /** Only those of this index. */
      alias?: string | null;
      /** How many. */
      limit?: number;
    };
    answer: Schedules;
  };
  /** Sets its times. */
  patch_schedules_alias_action: {
    method: "PATCH";
    path: "/api/v1/schedules/{alias}/{action}";
    body: ScheduleChangeRequest;
    answer: Schedule;
  };
  /** Pauses it: its times pass without a run. */
  post_schedules_alias_action_pause: {
    method: "POST";
    path: "/api/v1/schedules/{alias}/{action}/pause";
    body: ReasonRequest;
    answer: Schedule;
  };
  /** Resumes it with the next time. */
  post_schedules_alias_action_resume: {
    method: "POST";
    path: "/api/v1/schedules/{alias}/{action}/resume";
    body: ReasonRequest;
    answer: Schedule;
  };
  /** Runs it now. */
  post_schedules_alias_action_run: {
    method: "POST";
    path: "/api/v1/schedules/{alias}/{action}/run";
    body: ReasonRequest;
    answer: Run;
  };
  /** Audit events as they happen, server-sent; goes on after Last-Event-ID. */
  get_stream: {
    method: "GET";
    path: "/api/v1/stream";
    query: {
      alias?: string;
      deployment?: string;
    };
    answer: string;
  };
  /** Workers, their clocks, and turns that wait. */
  get_workers: {
    method: "GET";
    path: "/api/v1/workers";
    answer: Workers;
  };
}
