import type { components } from "../shared/api/schema";

/** What the server answers, whole and of the OpenAPI file's types; a test names only what it is about. */

type Schemas = components["schemas"];
type Make<Name extends keyof Schemas> = (over?: Partial<Schemas[Name]>) => Schemas[Name];

/** The moment at which every test begins. */
export const NOW = "2030-01-31T12:00:00Z";

let made = 0;
const id = (prefix: string) => `${prefix}_${(made += 1)}`;

export const user: Make<"UserOut"> = (over) => ({
  id: id("usr"),
  username: "rita",
  display_name: "",
  email: "",
  roles: ["renter"],
  status: "active",
  frozen_reason: "",
  groups: [],
  created_at: NOW,
  last_seen_at: null,
  second_factor: false,
  ...over,
});

export const session: Make<"SessionOut"> = (over) => ({
  user: user({ username: "olga", roles: ["operator"] }),
  recharges: true,
  csrf_token: "csrf-1",
  expires_at: "2030-02-28T12:00:00Z",
  must_set_up_second_factor: false,
  ...over,
});

export const group: Make<"GroupOut"> = (over) => ({
  id: id("grp"),
  name: "lab",
  description: "",
  my_role: "member",
  created_at: NOW,
  members: 2,
  ...over,
});

export const groupDetail: Make<"GroupDetail"> = (over) => ({ ...group(), members: [], ...over });

export const quota: Make<"QuotaOut"> = (over) => ({
  resources: {},
  notebooks: null,
  tasks: null,
  used: { notebooks: 0, tasks: 0, resources: {} },
  ...over,
});

export const storage: Make<"StorageOut"> = (over) => ({
  user_id: "usr_rita",
  username: "rita",
  used_bytes: 0,
  used_files: 0,
  uploading_bytes: 0,
  max_bytes: 200e9,
  max_files: 1_000_000,
  own_bytes: null,
  own_files: null,
  ...over,
});

export const wallet: Make<"WalletOut"> = (over) => ({
  id: id("wal"),
  owner_id: id("usr"),
  owner_name: "rita",
  owner: "user",
  balance: "10.000000",
  accrued: "0.000000",
  held: "0.000000",
  available: "10.000000",
  burn_per_hour: "0.000000",
  runs_out_at: null,
  low_balance: "1.000000",
  low: false,
  max_price: null,
  pools: [],
  ...over,
});

export const recharge: Make<"RechargeOut"> = (over) => ({
  id: id("rch"),
  wallet_id: id("wal"),
  owner_id: id("usr"),
  owner_name: "rita",
  kind: "recharge",
  amount: "2.000000",
  note: "",
  actor_name: "olga",
  at: NOW,
  ...over,
});

export const cap: Make<"CapOut"> = (over) => ({
  wallet_id: "wal_1",
  user_id: null,
  user_name: "",
  set_by: "keeper",
  daily: null,
  monthly: null,
  total: null,
  ...over,
});

export const order: Make<"OrderDetail"> = (over) => ({
  id: id("or"),
  state: "settled",
  workload_id: "wl_1",
  workload: "first",
  workload_kind: "notebook",
  owner_id: "usr_rita",
  owner_name: "rita",
  payer: "user",
  group_id: null,
  group_name: "",
  wallet_id: "wal_1",
  miner_id: "usr_miner",
  miner_name: "mira",
  pool_id: "pool_1",
  pool: "for-all",
  spec_id: "spec_1",
  spec: "1CPU-2GB",
  tasks: 1,
  unit_price: "1.500000",
  max_cost: null,
  max_hours: null,
  caps: [],
  fault_credit: "last_hour",
  fee_percent: 5,
  estimate: "1.500000",
  simulated: false,
  reason: "",
  cost: "1.500000",
  waived: "0.000000",
  credited: "0.000000",
  seconds: 3600,
  stars: null,
  comment: "",
  rated_at: null,
  rate_until: null,
  created_at: NOW,
  settled_at: NOW,
  subtasks: [],
  ...over,
});

export const estimate: Make<"EstimateOut"> = (over) => ({
  unit_price: "1.500000",
  price: "1.500000",
  hold: "0.025000",
  hours: 1,
  cost: "1.500000",
  available: "10.000000",
  hours_possible: 6.5,
  ends_by: "wallet",
  refusal: null,
  cure: null,
  ...over,
});

const usage = (resource: string): Schemas["Usage"] => ({
  resource,
  unit: "pieces",
  capacity: 4,
  allocated: 0,
  free: 4,
  capacity_text: "4",
  allocated_text: "0",
  free_text: "4",
  simulated: false,
});

export const offered: Make<"PoolSpecRef"> = (over) => ({
  id: id("spec"),
  name: "1CPU-2GB",
  price: "1.500000",
  items: [{ resource: "cpu", value: 1000, unit: "millicores", text: "1" }],
  simulated: false,
  free_now: 3,
  at_best: 4,
  ...over,
});

export const pool: Make<"PoolOut"> = (over) => ({
  id: id("pool"),
  name: "for-all",
  description: "",
  is_default: false,
  open_to_all: true,
  miner_id: "usr_miner",
  miner_name: "mira",
  nodes: [],
  arriving: [],
  groups: [],
  notebook_specs: [],
  training_specs: [],
  usage: [],
  created_at: NOW,
  ...over,
});

export const spec: Make<"SpecOut"> = (over) => ({
  id: id("spec"),
  name: "1CPU-2GB",
  description: "",
  price: "1.500000",
  suggested_price: null,
  items: [],
  fit: null,
  pools: [],
  used_by: 0,
  simulated: false,
  miner_id: "usr_miner",
  miner_name: "mira",
  created_at: NOW,
  ...over,
});

export const preview: Make<"SpecPreview"> = (over) => ({
  fit: { now: 2, at_best: 3, never: 0 },
  detail: "",
  suggested_price: null,
  lines: [],
  missing: [],
  ...over,
});

export const systemResource: Make<"SystemResourceOut"> = (over) => ({
  name: "cpu",
  unit: "millicores",
  nodes: [],
  usage: usage("cpu"),
  simulated: false,
  custom_names: [],
  ...over,
});

export const node: Make<"NodeOut"> = (over) => ({
  id: id("node"),
  name: "node-1",
  hostname: "node-1",
  site_id: "site_1",
  site_name: "basement",
  pool_id: "pool_1",
  pool_name: "for-all",
  ip: "10.0.0.2",
  os: "Debian 12",
  kernel: "6.1",
  architecture: "x86_64",
  engine: "podman",
  agent_version: "1.0",
  labels: {},
  own_labels: {},
  status: "ready",
  reason: "",
  since: NOW,
  flags: [],
  advice: [],
  cordoned: false,
  cordon_reason: "",
  drain_at: null,
  drain_reason: "",
  moving_to: null,
  replicas: 0,
  resources: [],
  simulated: false,
  created_at: NOW,
  ...over,
});

export const chip: Make<"ChipOut"> = (over) => ({
  id: id("chip"),
  uid: id("uid"),
  resource: "sophgo.com/bm1684x",
  index: 0,
  model: "BM1684X",
  card: "",
  serial: "",
  bus_id: "",
  memory_bytes: null,
  device_paths: ["/dev/bm-sophon0"],
  healthy: true,
  simulated: false,
  in_use: false,
  attempt_id: null,
  temperature_c: null,
  power_w: null,
  power_limit_w: null,
  utilization_percent: null,
  memory_used_bytes: null,
  measured_at: null,
  ...over,
});

export const site: Make<"SiteCreated"> = (over) => ({
  id: id("site"),
  name: "basement",
  miner_id: "usr_miner",
  miner_name: "mira",
  nodes: 0,
  connected: false,
  agent_version: "",
  clock_offset_ms: 0,
  local: false,
  networks: [],
  page_networks: [],
  flags: [],
  last_seen_at: null,
  created_at: NOW,
  token: "uts_once",
  ...over,
});

export const image: Make<"ImageOut"> = (over) => ({
  id: id("img"),
  name: "jupyter",
  reference: "localhost/utcloud/jupyter:1",
  description: "",
  visibility: "preset",
  jupyter: true,
  created_at: NOW,
  ...over,
});

export const version: Make<"VersionOut"> = (over) => ({
  id: id("ver"),
  number: 1,
  status: "ready",
  reason: "",
  note: "",
  size: 1000,
  files: 2,
  created_at: NOW,
  ...over,
});

export const asset: Make<"AssetDetail"> = (over) => ({
  id: id("alg"),
  name: "yolo",
  description: "",
  visibility: "private",
  group: null,
  owner_id: "usr_rita",
  owner_name: "rita",
  mine: true,
  can_change: true,
  versions: 0,
  latest: null,
  created_at: NOW,
  all_versions: [],
  ...over,
});

export const replica: Make<"ReplicaOut"> = (over) => ({
  id: id("rep"),
  subtask: "main-0",
  index: 0,
  state: "running",
  reason: "",
  node: "node-1",
  attempt: 1,
  started_at: NOW,
  ended_at: null,
  can_open: true,
  ...over,
});

export const notebook: Make<"NotebookDetail"> = (over) => ({
  id: id("wl"),
  name: "first",
  description: "",
  owner_id: "usr_rita",
  owner_name: "rita",
  state: "running",
  reason: "",
  algorithm: "yolo v1",
  dataset: "",
  image: "jupyter",
  pool: "for-all",
  spec: "1CPU-2GB",
  price: "1.500000",
  simulated: false,
  replicas: [replica()],
  created_at: NOW,
  changed_at: NOW,
  cost: "0.100000",
  timeline: [],
  log_tail: "",
  ...over,
});

export const work: Make<"WorkOut"> = (over) => ({
  replica_id: id("rep"),
  workload_id: id("wl"),
  attempt_id: id("att"),
  kind: "notebook",
  owner_name: "rita",
  group_name: "",
  pool_id: "pool_1",
  pool_name: "for-all",
  spec_id: "spec_1",
  spec: "1CPU-2GB",
  node_id: "node_1",
  node: "node-1",
  state: "running",
  reason: "",
  since: NOW,
  price: "1.500000",
  cost: "0.100000",
  chips: [],
  ...over,
});

export const token: Make<"TokenCreated"> = (over) => ({
  id: id("tok"),
  name: "api",
  hint: "utc_ab",
  created_at: NOW,
  expires_at: null,
  last_used_at: null,
  revoked_at: null,
  token: "utc_once",
  ...over,
});

export const webhook: Make<"WebhookCreated"> = (over) => ({
  id: id("whk"),
  url: "https://example.org/hook",
  kinds: ["low_balance"],
  active: true,
  waiting: 0,
  dead: 0,
  old_secret_until: null,
  created_at: NOW,
  secret: "whsec_once",
  ...over,
});

export const invitation: Make<"InvitationCreated"> = (over) => ({
  id: id("inv"),
  hint: "ab",
  email: "",
  roles: ["renter"],
  groups: [],
  grant: "0.000000",
  status: "open",
  created_by: "olga",
  created_at: NOW,
  expires_at: NOW,
  accepted_at: null,
  username: "",
  user_id: null,
  code: "once",
  url: "http://localhost:8080/console/invitation#once",
  ...over,
});

export const held: Make<"HeldOut"> = (over) => ({
  miner_id: "usr_mina",
  miner_name: "mina",
  amount: "1.250000",
  suspended: true,
  ...over,
});
